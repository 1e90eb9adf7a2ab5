"""POST /hooks/{source}[/{pipeline_id}]: the public door, as a plain ASGI callable, and a shorter way beside it.

Not a Starlette route: with its request object and routing, the path had 0.38-0.45 of a bare handler's rate instead of
0.45-0.51 (measured on 2026-11-23, not since). A request that arrives in one piece, as nearly all do, is not even a
task: `take` answers it by a callback. Both ways meet in `_accept`. The size is enforced while reading, with or without
Content-Length, and no parser sees the body here. Answers name no route, no DAG and no cause.
"""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

from bridge.edges.metrics import Metrics
from bridge.flows.receiving import Receipt, Receiving
from bridge.words.errors import InboxUnavailable, KeysUnavailable, Refused, TooMany

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]
_Where = tuple[str, str | None]  # source and pipeline id of the path


class Reply(NamedTuple):
    """What is answered, as JSON; `headers` besides its type and length."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


PREFIX = "/hooks/"
_PATH = re.compile(r"/hooks/([A-Za-z0-9][A-Za-z0-9_-]{0,63})(?:/([A-Za-z0-9][A-Za-z0-9_.:-]{0,127}))?/?")
_JSON_TYPE = re.compile(rb"application/(?:[a-z0-9.+-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
_WATCHED = frozenset({b"content-type", b"content-length", b"content-encoding", b"transfer-encoding", b"host"})
_LENGTH_DIGITS = 18
_JSON = (b"content-type", b"application/json")
_CLOSE = (b"connection", b"close")
# What is answered before a signature is looked at: reason (metric label) -> status, error word, headers.
_ANSWERS: dict[str, tuple[int, bytes, tuple[Header, ...]]] = {
    "unknown_source": (404, b"not_found", ()),
    "wrong_method": (405, b"method_not_allowed", ((b"allow", b"POST"),)),
    "too_large": (413, b"too_large", ()),
    "not_json": (415, b"unsupported_media_type", ()),
    "encoded": (415, b"unsupported_media_type", ()),
    "broken": (400, b"bad_request", (_CLOSE,)),
    "too_slow": (408, b"request_timeout", (_CLOSE,)),
}


def _answer(status: int, error: bytes, *headers: Header) -> Reply:
    return Reply(status, headers, b'{"error": "%s"}' % error)


_UNAUTHORIZED = _answer(401, b"unauthorized")
_UNAVAILABLE = _answer(503, b"unavailable", (b"retry-after", b"5"))


class _Broken(Exception):
    """The request is answered before its signature is looked at."""

    def __init__(self, reason: str, source: str = "") -> None:
        self.reason = reason
        self.source = source  # for an error found before `_address` has returned it
        super().__init__(reason)


class _Gone(Exception):
    """The sender left before its request was complete; there is nobody to answer."""


class Hooks:
    """The ASGI callable of the public hook path."""

    def __init__(self, *, receiving: Receiving, metrics: Metrics, max_body_bytes: int, body_seconds: float) -> None:
        """`max_body_bytes`: a larger body is 413. `body_seconds`: how long a body may take to arrive."""
        self._receiving = receiving
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._body_seconds = body_seconds
        self._last_word: tuple[Header, ...] = ()

    def take_leave(self) -> None:
        """From now on ask every sender to close its connection, so that its next request goes to another replica."""
        self._last_word = (_CLOSE,)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; never with 5xx because of what was sent."""
        where: _Where = ("", None)
        try:
            where = self._address(scope)
            self._check_headers(scope["headers"])
            body = await self._body(receive)
        except _Broken as broken:
            await _send(send, self._refuse(broken, where[0], scope))
        except _Gone:
            return
        else:
            on_receipt: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

            def resolve(reply: Reply) -> None:
                if not on_receipt.done():  # the task was cancelled meanwhile
                    on_receipt.set_result(reply)

            self._accept(scope, where, body, resolve)
            await _send(send, await on_receipt)

    def take(self, scope: Scope, body: bytes, answer: Callable[[Reply], object]) -> None:
        """Do the same for a request that is there completely; `answer` is called once, now or after the commit.

        Without a task, its wake-ups and ASGI's messages: a quarter of the event loop's work for a webhook.
        """
        where: _Where = ("", None)
        try:
            where = self._address(scope)
            self._check_headers(scope["headers"])
            if len(body) > self._max_body_bytes:
                raise _Broken("too_large")
        except _Broken as broken:
            answer(self._refuse(broken, where[0], scope))
        else:
            self._accept(scope, where, body, answer)

    def _accept(self, scope: Scope, where: _Where, body: bytes, answer: Callable[[Reply], object]) -> None:
        """Hand the webhook in, and answer when it is stored or refused."""
        source, path_pipeline_id = where
        client = scope.get("client")

        def on_receipt(receipt: Receipt | Exception) -> None:
            answer(self._unavailable(source) if isinstance(receipt, Exception) else self._accepted(receipt))

        try:
            peer = client[0] if client else None
            self._receiving.accept(source, scope["headers"], body, path_pipeline_id, peer, then=on_receipt)
        except TooMany as many:
            seconds = b"%d" % math.ceil(many.retry_after_seconds)
            answer(_answer(429, b"too_many_requests", (b"retry-after", seconds)))
        except Refused:
            answer(_UNAUTHORIZED)
        except KeysUnavailable:
            answer(_UNAVAILABLE)
        except InboxUnavailable:
            answer(self._unavailable(source))

    def _accepted(self, receipt: Receipt) -> Reply:
        body = b'{"delivery_id": "%s", "status": "%s"}' % (receipt.delivery_id.encode(), receipt.status.encode())
        return Reply(202 if receipt.status == "accepted" else 200, self._last_word, body)

    def _unavailable(self, source: str) -> Reply:
        self._metrics.refusals.labels(source, "unavailable").inc()
        return _UNAVAILABLE

    def _refuse(self, broken: _Broken, source: str, scope: Scope) -> Reply:
        client = scope.get("client")
        peer = client[0] if client else None
        self._receiving.refuse(source or broken.source, broken.reason, scope["headers"], peer)
        status, error, extra = _ANSWERS[broken.reason]
        return _answer(status, error, *extra)

    def _address(self, scope: Scope) -> _Where:
        """Return source and pipeline id of the path; only what is configured becomes a label or a log field."""
        found = _PATH.fullmatch(scope["path"])
        if found is None or not self._receiving.knows(found[1]):
            raise _Broken("unknown_source")
        if scope["method"] != "POST":
            raise _Broken("wrong_method", found[1])
        return found[1], found[2]

    async def _body(self, receive: Receive) -> bytes:
        """Read the body, bounded in size and time."""
        pieces: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Gone
                    pieces.append(message.get("body", b""))
                    size += len(pieces[-1])
                    if size > self._max_body_bytes:
                        raise _Broken("too_large")
                    if not message.get("more_body", False):
                        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        except TimeoutError:
            raise _Broken("too_slow") from None

    def _check_headers(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Refuse what must not be read: encoded, ambiguous in length, too large, not JSON.

        A missing content type is accepted: the signature decides, and no type is not a wrong type.
        """
        seen: list[bytes] = []
        for name, value in headers:
            if name in _WATCHED:
                seen.append(name)
                self._check_header(name, value)
        is_ambiguous = b"content-length" in seen and b"transfer-encoding" in seen
        if is_ambiguous or len(set(seen)) != len(seen):
            raise _Broken("broken")

    def _check_header(self, name: bytes, value: bytes) -> None:
        if name == b"content-type":
            if value != b"application/json" and not _JSON_TYPE.fullmatch(value):
                raise _Broken("not_json")
        elif name == b"content-length":
            if not value.isdigit():
                raise _Broken("broken")
            if len(value) > _LENGTH_DIGITS or int(value) > self._max_body_bytes:
                raise _Broken("too_large")
        elif name == b"transfer-encoding" and value.lower() != b"chunked":
            raise _Broken("broken")
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise _Broken("encoded")


async def _send(send: Send, answer: Reply) -> None:
    headers = [_JSON, (b"content-length", b"%d" % len(answer.body)), *answer.headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
