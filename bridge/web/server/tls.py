"""A listener with TLS, whose connections are counted before their handshake.

uvicorn would hear of a connection only after its handshake. Until then it would be counted nowhere, and strangers who
never finish one would take the open files that the public listener needs. So the bridge accepts these itself:

1. a connection has its place in the crowd from the moment that it is accepted, and gives way like any other
2. its handshake may take as long as a head may (`head_seconds`)
3. then its place is that of its `GuardedProtocol`, and everything goes on as on a plain listener

The certificate is asked for at each connection, so that the next one after a renewal has the new one.
"""

import asyncio
import contextlib
import functools
import socket
import ssl
from collections.abc import Callable
from typing import Any

import structlog

from bridge.rules.origin import limited_address, read_address
from bridge.web.server.crowd import Bounds, Crowd
from bridge.web.server.guard import GuardedProtocol

_GOODBYE_SECONDS = 2.0  # for a sender to answer the end of TLS
_NO_FILES_SECONDS = 1.0  # until the next try, when no more files can be opened
_log = structlog.get_logger("bridge.listening")


class Newcomer:
    """A connection until its handshake is over."""

    def __init__(self, connection: socket.socket, address: str, on_closed: Callable[[str], None]) -> None:
        """`on_closed` is told why, if it is ended."""
        self.connection = connection
        self.address = address
        self.is_seen_off = False
        self._on_closed = on_closed

    def give_way(self, reason: str) -> None:
        """Close now."""
        self.is_seen_off = True
        self._on_closed(reason)
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)  # the handshake fails, which closes it


class TlsProtocol(GuardedProtocol):
    """One connection after its handshake."""

    before_made: Callable[[], None]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take over the newcomer's place."""
        self.before_made()
        super().connection_made(transport)


class TlsListener:
    """Accepts the connections of one socket."""

    def __init__(
        self,
        listening: socket.socket,
        *,
        protocol: Callable[[], TlsProtocol],
        context: Callable[[], ssl.SSLContext],
        crowd: Crowd,
        bounds: Bounds,
        on_closed: Callable[[str], None],
    ) -> None:
        """Accept from now on, in the running loop; `protocol` makes the one of a connection."""
        listening.setblocking(False)
        self._listening = listening
        self._protocol = protocol
        self._context = context
        self._crowd = crowd
        self._bounds = bounds
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._accepting = self._loop.create_task(self._accept())

    def close(self) -> None:
        """Accept no more, and end the handshakes under way."""
        self._accepting.cancel()
        for handshake in self._handshakes:
            handshake.cancel()

    async def wait_closed(self) -> None:
        """Return when nothing is under way here."""
        await asyncio.gather(self._accepting, *self._handshakes, return_exceptions=True)

    async def _accept(self) -> None:
        while True:
            try:
                connection, peer = await self._loop.sock_accept(self._listening)
            except OSError as error:
                _log.warning("not_accepted", listener="tls", problem=str(error))
                await asyncio.sleep(_NO_FILES_SECONDS)
                continue
            newcomer = Newcomer(connection, limited_address(read_address(peer[0])), self._on_closed)
            if not self._crowd.enter(newcomer):
                self._on_closed("crowded")
                connection.close()
                continue
            handshake = self._loop.create_task(self._shake_hands(newcomer))
            self._handshakes.add(handshake)
            handshake.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, newcomer: Newcomer) -> None:
        """Go through the handshake; the place is the newcomer's, or the protocol's."""
        leave = functools.cache(functools.partial(self._crowd.leave, newcomer))  # once
        try:
            await self._loop.connect_accepted_socket(
                functools.partial(self._open, leave),
                newcomer.connection,
                ssl=self._context(),
                ssl_handshake_timeout=self._bounds.head_seconds,
                ssl_shutdown_timeout=_GOODBYE_SECONDS,
            )
        except OSError:  # not TLS, no version or cipher in common, too slow, gone
            if not newcomer.is_seen_off:
                self._on_closed("handshake")
            newcomer.connection.close()
        finally:
            leave()

    def _open(self, leave: Callable[[], None]) -> Any:
        protocol = self._protocol()
        protocol.before_made = leave
        return protocol
