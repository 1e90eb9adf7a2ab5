"""The listeners: sockets, uvicorn, and the bounds of a request's head. The only importer of uvicorn.

uvicorn's httptools protocol bounds neither the size nor the time of a head: one connection that sends headers for
ever would take all memory, and many that send nothing all file descriptors. Bodies are bounded in web/hooks.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bridge.errors import ConfigError, Problem

_BACKLOG = 2048
# A head may be so large and take so long; a first packet of up to 256 KiB is taken as it comes.
_HEAD_BYTES = 65_536
_HEAD_SECONDS = 10.0


class Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: this process has two servers and one way to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    def stop(self, limit_seconds: float) -> None:
        """Take in no more requests; those under way may take so long to end."""
        self.config.timeout_graceful_shutdown = max(1, int(limit_seconds))
        self.should_exit = True


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol with bounded heads: whoever is too large gets 400, whoever is too slow is cut off."""

    _is_head = False  # it has begun and goes on in the next packet
    _has_begun = False  # in this packet
    _bytes = 0  # of the packets since then
    _timer: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, on_ended: Callable[[str], None], **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._on_ended = on_ended

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._has_begun = False
        super().data_received(data)
        if not self._is_head:
            return
        self._bytes = 0 if self._has_begun else self._bytes + len(data)
        if self._bytes > _HEAD_BYTES and not self.transport.is_closing():
            self._on_ended("head_too_large")
            self.send_400_response("The head of the request is too large.")
        elif self._timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_head = self._has_begun = True

    def on_headers_complete(self) -> None:
        self._is_head = False
        self._stop_timer()
        super().on_headers_complete()

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(_HEAD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        self._on_ended("too_slow")
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def server(app: object, *, on_ended: Callable[[str], None]) -> Server:
    """Return a server for an ASGI application; give `serve` its sockets.

    `on_ended(reason)` is called for every connection that is cut off before its request was complete.
    """
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        http=partial(_Protocol, on_ended=on_ended),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    return Server(config)


def listen(host: str, port: int, setting: str) -> socket.socket:
    """Open a listening socket; ConfigError names the setting to change."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        what = f"cannot listen on {host} port {port}: {error.strerror or error}"
        raise ConfigError([Problem(setting, 0, 0, what)]) from None


def address(listening: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
