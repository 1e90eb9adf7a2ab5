"""PostgreSQL behind TLS: the settings in the URL reach libpq, and a certificate that does not fit is refused."""

import asyncio
import datetime as dt
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from sqlalchemy import make_url

from bridge.edges import inbox as inboxes
from bridge.edges.inbox import Inbox
from bridge.words.errors import InboxUnavailable
from tests.support.store import accept

_SSL_REQUEST = bytes.fromhex("0000000804d2162f")  # what a client sends first, says PostgreSQL's protocol


class _TlsFront:
    """Speaks TLS to clients and plain PostgreSQL to the server, which was built without TLS."""

    def __init__(self, *, behind: tuple[str, int], certificate: Path) -> None:
        """Listen on a free port of loopback."""
        self._behind = behind
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate)
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.encrypted = 0
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await reader.readexactly(8) != _SSL_REQUEST:
                return
            writer.write(b"S")
            await writer.drain()
            await writer.start_tls(self._context)
            self.encrypted += 1
            inner_reader, inner_writer = await asyncio.open_connection(*self._behind)
            await asyncio.gather(_pass_on(reader, inner_writer), _pass_on(inner_reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            pass  # a client that does not like the certificate leaves
        finally:
            writer.close()

    def close(self) -> None:
        """Stop listening and cut what is open."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    finally:
        writer.close()


def _certificate(folder: Path, name: str) -> Path:
    """Return a file with a self-signed certificate for `localhost` and its key; it is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
    return file


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """The server's certificate, which is also the authority to trust."""
    return _certificate(tmp_path, "server")


@pytest.fixture
def front(postgres: str, certificate: Path) -> Iterator[_TlsFront]:
    """A PostgreSQL that speaks TLS only."""
    plain = make_url(postgres)
    item = _TlsFront(behind=(plain.host or "127.0.0.1", plain.port or 5432), certificate=certificate)
    yield item
    item.close()


def _url(postgres: str, front: _TlsFront, *, host: str, **query: str) -> str:
    url = make_url(postgres).set(host=host, port=front.port, query=query)
    return url.render_as_string(hide_password=False)


def test_store_is_reached_over_verified_tls(postgres: str, front: _TlsFront, certificate: Path) -> None:
    """With the right authority and name every connection is encrypted, and a webhook is stored."""
    url = _url(postgres, front, host="localhost", sslmode="verify-full", sslrootcert=str(certificate))
    inboxes.prepare(url)
    inbox = Inbox(url)
    try:
        (stored,) = accept(inbox, "evt_1")
        assert stored.is_new
    finally:
        inbox.close()
    assert front.encrypted >= 2


@pytest.mark.parametrize(("host", "is_right_authority"), [("127.0.0.1", True), ("localhost", False)])
def test_server_with_the_wrong_certificate_is_refused(
    postgres: str, front: _TlsFront, tmp_path: Path, host: str, *, is_right_authority: bool
) -> None:
    """A certificate for another name, or of an authority that is not the configured one: nothing is sent."""
    authority = tmp_path / "server.pem" if is_right_authority else _certificate(tmp_path, "other")
    url = _url(postgres, front, host=host, sslmode="verify-full", sslrootcert=str(authority))
    with pytest.raises(InboxUnavailable, match="cannot be opened"):
        inboxes.prepare(url)
