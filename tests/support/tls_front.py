"""A proxy that ends TLS on loopback, as an ingress does: what it decrypts goes on as it is."""

import contextlib
import socket
import socketserver
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.certificates import self_signed


class TlsFront:
    """Listens with a certificate of its own (`certificate`), and leads to a port of loopback."""

    def __init__(self, folder: Path, *, port: int, days: int = 90) -> None:
        """`days`: how long the certificate is valid."""
        self.certificate = self_signed(folder / f"front-{days}.pem", days=days)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.leads_to = port
        self._server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server.context.load_cert_chain(self.certificate)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        """Answer from now on."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop answering and let go of the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    leads_to: int
    context: ssl.SSLContext


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        with (
            contextlib.suppress(OSError),
            self.server.context.wrap_socket(self.request, server_side=True) as outside,
            socket.create_connection(("127.0.0.1", self.server.leads_to), timeout=30) as inside,
        ):
            back = threading.Thread(target=_copy, args=(inside, outside), daemon=True)
            back.start()
            _copy(outside, inside)
            back.join(30)


def _copy(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while part := one.recv(65536):
            other.sendall(part)
        other.shutdown(socket.SHUT_WR)
