"""One request over TLS: who fits, who does not, and what a connection that breaks is not taken for."""

from pathlib import Path
from typing import Any

import pytest

from bridge.edges.airflow.wire import Answer, Failure, Kind
from tests.edges.airflow.support import Call, Serve, over_tls, says, trickles
from tests.support.certificates import self_signed

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    return self_signed(tmp_path_factory.mktemp("tls") / "both.pem")


def test_tls_with_our_authority(serve: Serve, call: Call, certificate: Path) -> None:
    """`ca_file` names who signed Airflow's certificate."""
    url = serve(over_tls(says(OK), certificate)).url.replace("http:", "https:")
    assert call(url, ca_file=str(certificate)) == Answer(200, "application/json", b"{}")


def test_tls_without_verification(serve: Serve, call: Call, certificate: Path) -> None:
    """`verify_tls: false` takes any certificate, without a warning per call."""
    url = serve(over_tls(says(OK), certificate)).url.replace("http:", "https:")
    assert call(url, verify_tls=False) == Answer(200, "application/json", b"{}")


def test_tls_client_certificate(serve: Serve, call: Call, certificate: Path) -> None:
    """Mutual TLS with certificate and key."""
    url = serve(over_tls(says(OK), certificate, asks_client=True)).url.replace("http:", "https:")
    files = {"ca_file": str(certificate), "client_cert_file": str(certificate), "client_key_file": str(certificate)}
    assert call(url, **files) == Answer(200, "application/json", b"{}")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({}, "TLS: self-signed certificate"),
        ({"ca_file": "/there/is/none.pem"}, "FileNotFoundError: No such file or directory"),
        ({"verify_tls": False, "client_cert_file": "/there/is/none.pem"}, "FileNotFoundError"),
    ],
)
def test_tls_that_does_not_fit(serve: Serve, call: Call, certificate: Path, target: dict[str, Any], words: str) -> None:
    """An unknown authority or a missing file is a matter of configuration, and says so."""
    failure = call(serve(over_tls(says(OK), certificate)).url.replace("http:", "https:"), **target)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.is_sent) == (Kind.MISFIT, False)
    assert failure.detail.startswith(words)


def test_tls_client_certificate_missing(serve: Serve, call: Call, certificate: Path) -> None:
    """With TLS 1.3 the server's no arrives after the handshake, as an alert."""
    url = serve(over_tls(says(OK), certificate, asks_client=True)).url.replace("http:", "https:")
    failure = call(url, ca_file=str(certificate))
    assert isinstance(failure, Failure)
    assert failure.kind in (Kind.MISFIT, Kind.UNKNOWN)  # a reset may overtake the alert
    assert failure.is_sent


def test_tls_towards_plain_http(serve: Serve, call: Call) -> None:
    """`https` in the URL of an Airflow that speaks plain HTTP is a misfit, not an outage."""
    raw = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
    failure = call(serve(says(raw)).url.replace("http:", "https:"))
    assert isinstance(failure, Failure)
    assert failure.kind is Kind.MISFIT


def test_tls_handshake_that_trickles_or_breaks(serve: Serve, call: Call) -> None:
    """A restarting load balancer: nothing was sent, and it is no matter of configuration."""
    slow = call(serve(trickles(b"\x16\x03\x03\x40\x00" + b"\0" * 1000)).url.replace("http:", "https:"), seconds=0.6)
    assert slow == Failure(Kind.NOTHING_SENT, "no whole answer within 0.6 s")
    broken = call(serve(says(b"")).url.replace("http:", "https:"))
    assert isinstance(broken, Failure)
    assert broken.kind is Kind.NOTHING_SENT


def test_tls_connection_that_breaks_in_the_answer(serve: Serve, call: Call, certificate: Path) -> None:
    """After the handshake the request was sent: unknown, and not a misfit."""
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
    url = serve(over_tls(says(raw), certificate)).url.replace("http:", "https:")
    failure = call(url, ca_file=str(certificate))
    assert isinstance(failure, Failure)
    assert failure.kind is Kind.UNKNOWN


def test_tls_trickle_ends_at_the_deadline(serve: Serve, call: Call, certificate: Path) -> None:
    """The deadline holds through TLS as well."""
    url = serve(over_tls(trickles(OK), certificate)).url.replace("http:", "https:")
    assert call(url, ca_file=str(certificate), seconds=0.6) == Failure(Kind.UNKNOWN, "no whole answer within 0.6 s")
