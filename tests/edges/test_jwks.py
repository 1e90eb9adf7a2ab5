"""A JWKS URL is fetched whole, in time, over TLS that fits, and from nowhere else; every trouble is one sentence."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.edges.jwks import MAX_BYTES, fetch, load
from bridge.rules.signature import Key
from bridge.words.errors import KeysUnavailable
from bridge.words.targets import JwksUrl
from deploy.demo.processes import free_port
from tests.support.certificates import self_signed
from tests.support.jwks_server import JwksServer, Pair

PAIR = Pair.make("one")


@pytest.fixture
def provider() -> Iterator[JwksServer]:
    """A provider on loopback."""
    with JwksServer() as server:
        server.publishes(PAIR)
        yield server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    return self_signed(tmp_path_factory.mktemp("tls") / "both.pem")


def problem(url: str, *, seconds: float = 5.0, ca_file: str | None = None) -> str:
    """Return why a set cannot be had."""
    key = Key("tenant", jwks=JwksUrl(url, ca_file), algorithm="RS256")
    with pytest.raises(KeysUnavailable) as caught:
        load(key, seconds=seconds)
    return str(caught.value)


def test_document_is_fetched_and_read(provider: JwksServer) -> None:
    """One GET of exactly that URL, which carries nothing that could be stolen."""
    found = load(Key("tenant", jwks=JwksUrl(provider.url + "?p=policy"), algorithm="RS256"))
    assert list(found.keys) == ["one"]
    ((path, headers),) = provider.asked
    assert path == "/.well-known/jwks.json?p=policy"
    assert not {"Authorization", "Cookie", "X-Forwarded-For"} & set(headers)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(provider: JwksServer, status: int) -> None:
    """Configuration alone says where keys come from."""
    with JwksServer() as elsewhere:
        elsewhere.publishes(PAIR)
        provider.status, provider.headers = status, {"Location": elsewhere.url}
        assert "no redirect is followed" in problem(provider.url)
        assert elsewhere.fetches == 0


@pytest.mark.parametrize("status", [204, 206, 401, 404, 429, 500, 503])
def test_any_other_status_is_told(provider: JwksServer, status: int) -> None:
    """The body beside it is not looked at."""
    provider.status = status
    assert problem(provider.url) == f"the URL answers {status}"


@pytest.mark.parametrize("has_length", [True, False])
def test_a_huge_document_is_not_read(provider: JwksServer, has_length: bool) -> None:
    """64 KiB are taken, one byte more is not; nor is an endless one read on."""
    provider.has_length = has_length
    provider.document = b" " * (MAX_BYTES - len(provider.document)) + provider.document
    assert len(fetch(JwksUrl(provider.url))) == MAX_BYTES
    provider.document += b" "
    assert "more than 65536 bytes" in problem(provider.url)
    provider.document = b" " * 50_000_000
    assert "more than 65536 bytes" in problem(provider.url)


def test_packed_documents_are_not_unpacked(provider: JwksServer) -> None:
    """We ask for none; one that comes all the same is not JSON."""
    import gzip

    provider.headers |= {"Content-Encoding": "gzip"}
    provider.document = gzip.compress(b" " * 50_000_000)
    assert "not a JSON object" in problem(provider.url)


@pytest.mark.parametrize("has_length", [True, False])
def test_a_trickle_ends_at_the_deadline(provider: JwksServer, has_length: bool) -> None:
    """Byte by byte, in head and body: no single wait is too long, the whole is."""
    provider.has_length, provider.trickle_seconds = has_length, 0.02
    assert "no whole answer within 0.5 s" in problem(provider.url, seconds=0.5)


def test_a_document_cut_off_at_the_deadline_is_not_believed(provider: JwksServer) -> None:
    """Without a length the end of the connection ends the document: one that we ended ourselves is none."""
    provider.has_length, provider.trickle_seconds, provider.headers = False, 0.02, {}
    provider.document = provider.document + b" " * 60_000
    assert "no whole answer" in problem(provider.url, seconds=1)


def test_silence_ends_at_the_deadline(provider: JwksServer) -> None:
    """Connected, and then nothing."""
    provider.pause_seconds = 5
    assert "no whole answer within 0.3 s" in problem(provider.url, seconds=0.3)


def test_nobody_there() -> None:
    """The sentence says why, for whoever has to call the network people."""
    assert "cannot be reached: [Errno 111]" in problem(f"http://127.0.0.1:{free_port()}/jwks.json")
    assert "cannot be reached" in problem("https://no-such-host.invalid/jwks.json")


@pytest.mark.parametrize("words", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}"])
def test_an_answer_that_is_none(words: bytes) -> None:
    """Closed at once, not HTTP, shorter than it says."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(words)

        thread = threading.Thread(target=answer)
        thread.start()
        assert "the URL cannot be read: RemoteProtocolError" in problem(f"http://127.0.0.1:{server.getsockname()[1]}/")
        thread.join()


def test_tls_is_verified(certificate: Path, tmp_path: Path) -> None:
    """An authority of one's own is named by `ca_file`; without it nothing is believed."""
    with JwksServer(certificate=certificate) as provider:
        provider.publishes(PAIR)
        key = Key("tenant", jwks=JwksUrl(provider.url, str(certificate)), algorithm="RS256")
        assert list(load(key).keys) == ["one"]
        assert "certificate verify failed" in problem(provider.url)
        assert provider.fetches == 1
    assert "cannot be read: FileNotFoundError" in problem("https://127.0.0.1/", ca_file=str(tmp_path / "gone"))


def test_a_proxy_of_the_environment_is_not_asked_about_loopback(
    provider: JwksServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without TLS it is this machine, and HTTP_PROXY would send it to another one's loopback."""
    with JwksServer() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv(name.lower(), f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        assert fetch(JwksUrl(provider.url)) == provider.document
        assert proxy.fetches == 0


def test_no_thread_and_no_socket_is_left(provider: JwksServer) -> None:
    """Good or bad, a fetch leaves nothing behind."""
    before = threading.active_count()
    for _ in range(5):
        fetch(JwksUrl(provider.url))
        problem(f"http://127.0.0.1:{free_port()}/")
    deadline = time.monotonic() + 60
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
