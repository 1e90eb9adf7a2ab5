"""A way for bytes on loopback that can be cut and slowed down: between the bridges and PostgreSQL."""

import contextlib
import socket
import threading
import time
from typing import Self

from deploy.demo.processes import free_port

_PIECE = 65_536


class Relay:
    """Passes connections on to a port, as long as it is not cut."""

    def __init__(self, target_port: int) -> None:
        """Listen on a free port."""
        self._target_port = target_port
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.port = free_port()  # not one that a connection of somebody may have while it is cut
        self.delay_seconds = 0.0  # of every piece, each way
        self.restore()

    def __enter__(self) -> Self:
        """Nothing more to do."""
        return self

    def __exit__(self, *_: object) -> None:
        """End every connection."""
        self.cut()

    def cut(self) -> None:
        """Refuse new connections and end the open ones."""
        with self._lock:
            listener, self._listener = self._listener, None
            connections, self._open = self._open, set()
        for item in (*connections, *([listener] if listener else [])):
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)
        if listener:
            listener.close()

    def restore(self) -> None:
        """Listen, again on the same port after a cut."""
        if self._listener is not None:
            return
        listener = socket.create_server(("127.0.0.1", self.port))
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target_port), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            with self._lock:
                self._open |= {near, far}
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, reading: socket.socket, writing: socket.socket) -> None:
        try:
            while piece := reading.recv(_PIECE):
                if self.delay_seconds:
                    time.sleep(self.delay_seconds)
                writing.sendall(piece)
        except OSError:
            pass  # cut, or one side is gone
        finally:
            for item in (reading, writing):
                with contextlib.suppress(OSError):
                    item.shutdown(socket.SHUT_RDWR)
                with self._lock:
                    self._open.discard(item)
            reading.close()
