"""What the servers of the tests have in common: they listen on loopback, and answer while their `with` block runs."""

import threading
from http.server import ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from typing import Self


class HttpServer(ThreadingHTTPServer):
    """A thread for each connection; at the end nobody waits for those that are still open."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


class Loopback:
    """Listens from the start on, so that `url` is known; answers from `with` on."""

    def __init__(self, server: TCPServer) -> None:
        """`server` is bound to 127.0.0.1 already."""
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"

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
