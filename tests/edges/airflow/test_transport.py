"""One request against servers on loopback that misbehave in every way seen so far."""

import datetime as dates
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bridge.airflow.transport import Transport
from bridge.airflow.wire import Answer, Failure, Kind
from bridge.targets import AirflowTarget
from tests.edges.airflow.support import Behaviour, RawServer, floods, receive, says, trickles

Serve = Callable[[Behaviour], RawServer]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server with a behaviour; it is gone after the test."""
    servers: list[RawServer] = []

    def start(behaviour: Behaviour) -> RawServer:
        servers.append(RawServer(behaviour).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def call() -> Iterator[Callable[..., Answer | Failure]]:
    """Make one call to a URL with a transport of its own."""
    opened: list[Transport] = []

    def make(url: str, method: str = "POST", *, seconds: float = 5.0, **target: Any) -> Answer | Failure:
        opened.append(Transport(AirflowTarget("default", url, **target)))
        return opened[-1].call(method, "/api", headers={"X-Own": "1"}, body={"a": "ü"}, seconds=seconds)

    yield make
    for transport in opened:
        transport.close()


Call = Callable[..., Answer | Failure]


def test_answer_comes_whole(serve: Serve, call: Call) -> None:
    """Status, content type, Retry-After and body."""
    raw = b"HTTP/1.1 503 Busy\r\nContent-Type: text/plain\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nwait"
    assert call(serve(says(raw)).url) == Answer(503, "text/plain", b"wait", 7.0)


def test_request_is_sent_as_given(serve: Serve, call: Call) -> None:
    """Our headers, JSON with its length, nothing compressed, and the path below the base URL's."""
    got: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        got.append(receive(connection))
        connection.sendall(OK)

    call(serve(behave).url + "/team/airflow/")
    head, _, body = got[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /team/airflow/api HTTP/1.1\r\n")
    assert b"X-Own: 1" in head
    assert b"Accept-Encoding: identity" in head
    assert body == b'{"a": "\\u00fc"}'


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_redirects_are_not_followed(serve: Serve, call: Call, status: int, method: str) -> None:
    """A POST that is sent on could start a run elsewhere, and take the token along."""
    asked: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        while received := receive(connection):
            asked.append(received)
            connection.sendall(b"HTTP/1.1 %d X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n" % status)

    answer = call(serve(behave).url, method)
    assert isinstance(answer, Answer)
    assert answer.status == status
    assert len(asked) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-A: a\r\n" * 200 + b"\r\n",
    ],
)
def test_broken_answer_leaves_the_outcome_unknown(serve: Serve, call: Call, raw: bytes, method: str) -> None:
    """Whatever of the answer is missing or not HTTP: the request was sent once and may have been heard."""
    asked: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        asked.append(receive(connection))
        connection.sendall(raw)

    failure = call(serve(behave).url, method)
    assert isinstance(failure, Failure), failure
    assert failure.kind is Kind.UNKNOWN
    assert len(asked) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n" + b"x" * 4000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1000,
    ],
)
def test_trickle_ends_at_the_deadline(serve: Serve, call: Call, raw: bytes) -> None:
    """A byte every 50 ms never hits a read timeout; the deadline ends it, in the head or in the body."""
    began = time.monotonic()
    failure = call(serve(trickles(raw)).url, seconds=0.6)
    assert failure == Failure(Kind.UNKNOWN, "no whole answer within 0.6 s")
    assert time.monotonic() - began < 3


def test_trickle_without_a_length_ends_at_the_deadline_and_is_not_taken_for_whole(serve: Serve, call: Call) -> None:
    """Here the broken connection would look like the proper end of the body."""

    def behave(connection: socket.socket) -> None:
        receive(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b" ")
            time.sleep(0.05)

    began = time.monotonic()
    assert call(serve(behave).url, seconds=0.6) == Failure(Kind.UNKNOWN, "no whole answer within 0.6 s")
    assert time.monotonic() - began < 3


def test_silence_ends_at_the_read_timeout(serve: Serve, call: Call) -> None:
    """An Airflow that accepts and says nothing costs `read_seconds`, and the outcome is unknown."""

    def behave(connection: socket.socket) -> None:
        while receive(connection):
            pass

    began = time.monotonic()
    failure = call(serve(behave).url, read_seconds=0.3)
    assert isinstance(failure, Failure)
    assert failure.kind is Kind.UNKNOWN
    assert time.monotonic() - began < 3


def test_endless_answer_is_cut(serve: Serve, call: Call) -> None:
    """1 MiB is read, not more, and the rest does not hold the connection."""
    answer = call(serve(floods(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")).url)
    assert isinstance(answer, Answer)
    assert answer.is_cut
    assert answer.json() is None
    assert len(answer.body) <= (1 << 20) + (1 << 14)


def test_nobody_listens(free_port: int, call: Call) -> None:
    """Refused: nothing was sent."""
    failure = call(f"http://127.0.0.1:{free_port}")
    assert failure == Failure(Kind.NOTHING_SENT, "ConnectionRefusedError: Connection refused")


def test_name_that_does_not_exist(call: Call) -> None:
    """Not resolved: nothing was sent."""
    failure = call("http://airflow.invalid")
    assert isinstance(failure, Failure)
    assert failure.kind is Kind.NOTHING_SENT


def test_connections_are_kept_and_outlive_a_deadline(serve: Serve) -> None:
    """Two calls use one connection, and the timer of the first does not end the second."""
    seen: list[int] = []

    def behave(connection: socket.socket) -> None:
        while receive(connection):
            seen.append(connection.getpeername()[1])
            time.sleep(0.3)
            connection.sendall(OK)

    transport = Transport(AirflowTarget("default", serve(behave).url))
    answers = [transport.call("GET", "/", headers={}, seconds=0.5) for _ in range(3)]
    transport.close()
    assert all(isinstance(answer, Answer) for answer in answers)
    assert len(set(seen)) == 1


def test_connection_that_the_server_closed_is_not_used_again(serve: Serve) -> None:
    """A pooled connection that has died costs a new one, not a failed call."""
    transport = Transport(AirflowTarget("default", serve(says(OK)).url))
    answers = []
    for _ in range(3):
        answers.append(transport.call("POST", "/", headers={}, seconds=5))
        time.sleep(0.05)
    transport.close()
    assert [answer.status for answer in answers if isinstance(answer, Answer)] == [200] * 3


def test_details_never_show_what_was_sent(serve: Serve) -> None:
    """A token that cannot be a header value is not repeated in the failure."""
    transport = Transport(AirflowTarget("default", serve(says(OK)).url))
    failure = transport.call("GET", "/", headers={"Authorization": "Bearer secret\r\nX: 1"}, seconds=5)
    transport.close()
    assert isinstance(failure, Failure)
    assert "secret" not in failure.detail


# --- TLS --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dates.datetime.now(dates.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dates.timedelta(days=1))
        .not_valid_after(now + dates.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


def over_tls(behaviour: Behaviour, certificate: Path, *, asks_client: bool = False) -> Behaviour:
    """The same behaviour behind TLS, perhaps only for clients that have a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if asks_client:
        context.load_verify_locations(certificate)
        context.verify_mode = ssl.CERT_REQUIRED

    def behave(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            behaviour(secured)

    return behave


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
    assert failure.kind is Kind.MISFIT
    assert failure.detail.startswith(words)


def test_tls_client_certificate_missing(serve: Serve, call: Call, certificate: Path) -> None:
    """With TLS 1.3 the server's no arrives after the handshake, as an alert."""
    url = serve(over_tls(says(OK), certificate, asks_client=True)).url.replace("http:", "https:")
    failure = call(url, ca_file=str(certificate))
    assert isinstance(failure, Failure)
    assert failure.kind in (Kind.MISFIT, Kind.UNKNOWN)  # a reset may overtake the alert


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
