"""Server-sent events: an answer that goes on. Whoever has something to say runs in a thread, and never waits.

    mailbox   what is to be sent, from any thread to the event loop; bounded: who reads too slowly misses some, and
              is sent an event `skipped`
    stream    sends what lies in the mailbox, a comment every 15 seconds so that proxies keep the connection, and ends
              after ten minutes: who comes back is asked for the token anew

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from bridge.web.leaving import wait_for_leaving

BEAT_SECONDS = 15.0
LONGEST_SECONDS = 600.0
_MOST_BYTES = 1_048_576  # that wait for one reader
_BEAT = b": still here\n\n"
_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
SKIPPED = b"event: skipped\ndata: {}\n\n"


def event(name: str, content: bytes, *, id_: str | None = None) -> bytes:
    """Spell one event; `content` is JSON, so it has no line break."""
    head = b"" if id_ is None else b"id: " + id_.encode() + b"\n"
    return head + b"event: " + name.encode() + b"\ndata: " + content + b"\n\n"


class Mailbox:
    """What is to be sent to one reader."""

    def __init__(self) -> None:
        """Belongs to the event loop that runs now."""
        self._loop = asyncio.get_running_loop()
        self._chunks: list[bytes] = []
        self._bytes = 0
        self._is_ended = False
        self._news = asyncio.Event()

    def put(self, chunk: bytes) -> None:
        """Add something to send. From any thread; never waits."""
        self._call(self._put, chunk)

    def end(self) -> None:
        """Send what lies here, and nothing more. From any thread."""
        self._call(self._end)

    async def take(self, seconds: float) -> bytes | None:
        """Return what is to be sent; a comment if there is nothing for so long, None at the end."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return _BEAT
        self._news.clear()
        found = b"".join(self._chunks)
        self._chunks, self._bytes = [], 0
        if self._is_ended:
            self._news.set()
            return found or None
        return found

    def _call(self, function: Callable[..., None], *arguments: bytes) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is closed: nobody reads any more
            return

    def _put(self, chunk: bytes) -> None:
        if self._bytes + len(chunk) > _MOST_BYTES:
            self._chunks, self._bytes = [], 0
            chunk = SKIPPED
        self._chunks.append(chunk)
        self._bytes += len(chunk)
        self._news.set()

    def _end(self) -> None:
        self._is_ended = True
        self._news.set()


class EventStream:
    """The answer, as an ASGI application."""

    def __init__(
        self,
        mailbox: Mailbox,
        *,
        on_left: Callable[[], None],
        catch_up: Callable[[], None] | None = None,
        longest_seconds: float = LONGEST_SECONDS,
    ) -> None:
        """`on_left` is called once, when the reader is gone or nothing more is sent.

        `catch_up` puts what the reader has missed into the mailbox; it is to be run in a thread before.
        """
        self.catch_up = catch_up
        self._mailbox = mailbox
        self._longest_seconds = longest_seconds
        self._on_left = on_left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the mailbox ends, the reader leaves, or the time is up."""
        sending = asyncio.ensure_future(self._send(send, has_body=scope["method"] != "HEAD"))
        leaving = asyncio.ensure_future(wait_for_leaving(receive))
        try:
            await asyncio.wait((sending, leaving), timeout=self._longest_seconds, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            sending.cancel()
            raise
        finally:
            self._on_left()
            leaving.cancel()
        if not sending.done():
            self._mailbox.end()
            await asyncio.wait((sending, leaving))
        sending.result()

    def leave(self) -> None:
        """Let nobody wait for what is never sent."""
        self._on_left()

    async def _send(self, send: Send, *, has_body: bool) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        if has_body:
            await send({"type": "http.response.body", "body": _BEAT, "more_body": True})
            while (chunk := await self._mailbox.take(BEAT_SECONDS)) is not None:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
