"""uvicorn's httptools protocol with bounds: what a connection may cost before anybody has read its request.

uvicorn bounds neither size, number nor time of headers, shows trailers among the headers, lets a connection live on
blank lines, waits for ever for a sender that reads no answers, and answers a broken request before the one in front
of it. Here a refusal is one short answer, or none where that would be a second one; then the connection ends.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from bridge.rules.origin import limited_address, read_address
from bridge.web.server.answering import Take, write
from bridge.web.server.crowd import Bounds, Crowd
from bridge.web.server.offers import is_offer, parse
from bridge.web.server.refusing import BAD_REQUEST, NO_TRAILERS, Refused

# A body that nobody wants (404, 405, 413, 415) is read so far and dropped, so that its sender sees the answer and not
# a reset, of which a proxy would make 502.
_UNWANTED_BYTES = 4_194_304
_UNWANTED_SECONDS = 2.0
_LINGER_SECONDS = 2.0  # for the last answer to be sent
_MOST_PIPELINED = 16
_VERSIONS = ("1.1", "1.0")


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    address = ""  # or its IPv6 network
    _is_in = False
    _is_last = False  # nothing more is read; the answer under way is the last one
    _is_unfinished = False  # a message has begun and is not complete
    _is_head = False  # not even its head is
    _has_begun = False  # in the packet at hand
    _packet_bytes = 0
    _head_bytes = 0  # in earlier packets
    _unwanted_bytes = 0
    _active: RequestResponseCycle | None = None  # being answered, or answered last
    _new: RequestResponseCycle | None = None  # its head came in the packet at hand
    _is_beginning = False  # uvicorn begins a request, which is answered after the packet at hand
    _timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None

    def __init__(
        self,
        config: Config,
        *,
        crowd: Crowd,
        bounds: Bounds,
        on_closed: Callable[[str], None],
        take: Take | None = None,
        **rest: Any,
    ) -> None:
        """`on_closed` is told why, for every connection that the bridge ends; `rest` is uvicorn's own.

        `take` answers a request that is there completely without a task; False: it is the application's.
        """
        super().__init__(config, **rest)
        self._crowd = crowd
        self._bounds = bounds
        self._on_closed = on_closed
        self._take = take

    # --- the connection --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it in, or close it at once."""
        super().connection_made(transport)
        self.address = limited_address(read_address(self.client[0])) if self.client else ""
        self._is_in = self._crowd.enter(self)
        if self._is_in:
            self._start_timer(self._bounds.head_seconds)
        else:
            self._close("crowded")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stop_timer()
        self.resume_writing()
        if self._is_in:
            self._crowd.leave(self)
        if self._active is not None and not self._active.response_complete:
            self._active.disconnected = True  # uvicorn tells only the request that was read last
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """The sender has said all; the transport closes when the last answer is sent, or soon."""
        self._linger()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that has been idle for too long."""
        super().timeout_keep_alive_handler()
        self._linger()

    def shutdown(self) -> None:
        """Close, after the answer under way if there is one."""
        super().shutdown()
        if self.transport.is_closing():
            self._linger()

    def give_way(self, reason: str) -> None:
        """Close now, and free what is held at once: a flood is many connections in one round of the loop."""
        if self._is_body():
            self.cycle.body.clear()
        if self.transport.is_closing():
            self.transport.abort()  # it only waits for its sender to read the last answers
        else:
            self._close(reason)

    def pause_writing(self) -> None:
        """Give the sender some time to read its answers; uvicorn would wait for ever."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self._bounds.head_seconds, self._abort)

    def resume_writing(self) -> None:
        """The sender reads again."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def _close(self, reason: str) -> None:
        if not self.transport.is_closing():
            self._on_closed(reason)
            self.transport.close()
            self._linger()

    def _abort(self) -> None:
        self._on_closed("unread_answers")
        self.transport.abort()

    def _linger(self) -> None:
        """Bound how long the last bytes may take."""
        self._stop_timer()
        self._timer = self.loop.call_later(_LINGER_SECONDS, self.transport.abort)

    def _start_timer(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(seconds, self._close, "too_slow")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- bytes -----------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Parse, and bound what is not complete by then."""
        if self._is_last or not self._is_in or self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        self._has_begun = False
        self._packet_bytes = len(data)
        try:
            parse(self, data)
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(str(cause) if isinstance(cause, Refused) else "malformed")
        else:
            self._bound()
        if self._new is not None:
            cycle, self._new = self._new, None
            self._answer(cycle)

    def _answer(self, cycle: RequestResponseCycle) -> None:
        """Have a request answered: at once if it is there completely, else by a task that waits for the rest."""
        is_whole = not cycle.more_body and self._take is not None
        if not is_whole or not self._is_taken(cycle):
            self._start_asgi_task(cycle, self.app)

    def _is_taken(self, cycle: RequestResponseCycle) -> bool:
        # The connection keeps its last request; the body would stay for as long.
        body, cycle.body = bytes(cycle.body), bytearray()
        try:
            is_taken = self._take is not None and self._take(cycle.scope, body, partial(write, cycle))
        except Exception:
            self.logger.exception("Exception in ASGI application")
            self.transport.close()
            self._linger()
            return True
        cycle.body += b"" if is_taken else body
        return is_taken

    def _bound(self) -> None:
        """Limit what is held for a request that is not complete, and how long it may take."""
        if not self._is_unfinished:
            if self._is_answered():  # blank lines between two requests
                self._start_timer(self._bounds.head_seconds)
        elif self._is_head:
            self._head_bytes = 0 if self._has_begun else self._head_bytes + self._packet_bytes
            if self._head_bytes > self._bounds.head_bytes or len(self.headers) > self._bounds.headers:
                self._refuse("head_too_large")
            elif self._is_answered():
                self._await_head(self._packet_bytes)
        elif self.cycle.response_complete:
            self._unwanted_bytes += self._packet_bytes
            if self._unwanted_bytes > _UNWANTED_BYTES:
                self._close("unwanted_body")
        elif self._crowd.hold(self, self._packet_bytes) > self._bounds.message_bytes:
            self._refuse("body_too_long")

    def _await_head(self, size: int) -> None:
        """Hold so many bytes of a head for a while; not before the request in front of it is answered."""
        self._start_timer(self._bounds.head_seconds)
        self._crowd.hold(self, size)

    def _is_answered(self) -> bool:
        """Whether no answer is due, or its request is not complete: the sender's turn."""
        active = self._active
        return active is None or active.response_complete or active.more_body

    def _is_body(self) -> bool:
        """Whether the rest of a body is still to come."""
        return self._is_unfinished and not self._is_head

    def _refuse(self, reason: str) -> None:
        """End the connection; with 400 if that is the one answer due next, else after the one under way."""
        if not self._is_answered() and self._active is not None:
            self._on_closed(reason)
            self._is_last = True
            self._active.keep_alive = False
            self.pipeline.clear()
            return
        is_due = True
        if self._is_body():
            is_due = not self.cycle.response_started
            self.cycle.disconnected = True  # whatever the application would answer now
        if is_due:
            self.transport.write(BAD_REQUEST)
        self._close(reason)

    # --- the parser's callbacks ------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._is_unfinished = self._is_head = self._has_begun = True
        self._unwanted_bytes = 0

    def on_headers_complete(self) -> None:
        """Its head is complete."""
        if self._head_bytes + self._packet_bytes > self._bounds.head_bytes:
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self._bounds.head_bytes:
                raise Refused("head_too_large")
        if len(self.headers) > self._bounds.headers:
            raise Refused("head_too_large")
        if is_offer(self):
            return  # read again without the offer
        if self.parser.get_http_version() not in _VERSIONS or self.parser.should_upgrade():  # CONNECT
            raise Refused("malformed")
        if len(self.pipeline) >= _MOST_PIPELINED:
            raise Refused("pipelined")
        self._stop_timer()
        self._is_beginning = True
        try:
            super().on_headers_complete()
        finally:
            self._is_beginning = False
        self._is_head = False
        self._head_bytes = 0
        self.headers = NO_TRAILERS

    def on_message_complete(self) -> None:
        """The request is complete."""
        if is_offer(self):
            return
        self._is_unfinished = False
        self._stop_timer()
        super().on_message_complete()
        if not self._is_answered():
            self._crowd.work(self)

    def on_response_complete(self) -> None:
        """Its answer is written."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._linger()
        elif self._is_answered():
            if self._is_body() and self.cycle.response_complete:  # answered early, as with 404
                self._crowd.work(self)
                self._start_timer(_UNWANTED_SECONDS)
            self._crowd.wait(self)
            if self._is_unfinished and self._is_head:
                self._await_head(self._head_bytes)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Start it, but for one whose head is complete just now: the rest of it may be in the same packet."""
        self._active = cycle
        if self._is_beginning:
            self._new = cycle
        else:
            super()._start_asgi_task(cycle, app)
