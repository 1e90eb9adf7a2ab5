"""A proxy that ends TLS on loopback, as an ingress does: what it decrypts goes on as it is."""

import contextlib
import socket
import socketserver
import ssl
import threading
from pathlib import Path

from tests.support.certificates import self_signed
from tests.support.loopback import Loopback


class TlsFront(Loopback):
    """Listens with a certificate of its own (`certificate`), and leads to a port of loopback."""

    def __init__(self, folder: Path, *, port: int, days: int = 90) -> None:
        """`days`: how long the certificate is valid."""
        self.certificate = self_signed(folder / f"front-{days}.pem", days=days)
        server = _Server(("127.0.0.1", 0), _Handler)
        server.leads_to = port
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(self.certificate)
        super().__init__(server)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"https://127.0.0.1:{self.port}"


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
