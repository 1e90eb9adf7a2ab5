"""POST /hooks/{source}[/{pipeline_id}]: the public door, as a plain ASGI callable.

Not a Starlette route: its request object and routing cost a third of the whole path (measured: 0.45-0.51 of a
bare handler against 0.38-0.45). The size is enforced while reading, with or without Content-Length, and the
body is never handed to any parser here. Answers name no route, no DAG and no cause.
"""

import math
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from bridge.errors import InboxUnavailable, KeysUnavailable, Refused, TooMany
from bridge.metrics import Metrics
from bridge.receiving import Receiving
from bridge.web.patience import Patience

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PREFIX = "/hooks/"
_PATH = re.compile(r"/hooks/([A-Za-z0-9][A-Za-z0-9_-]{0,63})(?:/([A-Za-z0-9][A-Za-z0-9_.:-]{0,127}))?/?")
_JSON_TYPE = re.compile(rb"application/(?:[a-z0-9.+-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
_WATCHED = frozenset({b"content-type", b"content-length", b"content-encoding", b"transfer-encoding", b"host"})
_LENGTH_DIGITS = 18
_JSON = (b"content-type", b"application/json")
_RETRY_AFTER = (b"retry-after", b"5")


_CLOSE = (b"connection", b"close")
# What is answered before a signature is looked at: reason (metric label) -> status, error word, headers.
_ANSWERS: dict[str, tuple[int, bytes, tuple[tuple[bytes, bytes], ...]]] = {
    "unknown_source": (404, b"not_found", ()),
    "wrong_method": (405, b"method_not_allowed", ((b"allow", b"POST"),)),
    "too_large": (413, b"too_large", ()),
    "not_json": (415, b"unsupported_media_type", ()),
    "encoded": (415, b"unsupported_media_type", ()),
    "broken": (400, b"bad_request", (_CLOSE,)),
    "too_slow": (408, b"request_timeout", (_CLOSE,)),
}


class _Broken(Exception):
    """The request is answered before its signature is looked at."""

    def __init__(self, reason: str, source: str = "") -> None:
        self.reason = reason
        self.source = source  # where the way to it ended before the source was told
        super().__init__(reason)


class _Gone(Exception):
    """The sender left before its request was complete; there is nobody to answer."""


class Hooks:
    """The ASGI callable of the public hook path."""

    def __init__(self, *, receiving: Receiving, metrics: Metrics, max_body_bytes: int, body_seconds: float) -> None:
        """`max_body_bytes`: larger is 413. `body_seconds`: a body must be complete so soon."""
        self._receiving = receiving
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._patience = Patience(body_seconds)
        self._last_word: tuple[tuple[bytes, bytes], ...] = ()

    def take_leave(self) -> None:
        """From now on ask every sender to close its connection, so that its next request goes to another replica."""
        self._last_word = (_CLOSE,)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; never with 5xx because of what was sent."""
        source = ""
        try:
            source, path_pipeline_id = self._address(scope)
            body = await self._body(scope, receive)
            client = scope.get("client")
            peer = client[0] if client else None
            receipt = await self._receiving.accept(source, scope["headers"], body, path_pipeline_id, peer)
        except TooMany as many:
            seconds = b"%d" % math.ceil(many.retry_after_seconds)
            await _answer(send, 429, b'{"error": "too_many_requests"}', (b"retry-after", seconds))
        except Refused:
            await _answer(send, 401, b'{"error": "unauthorized"}')
        except KeysUnavailable:
            await _answer(send, 503, b'{"error": "unavailable"}', _RETRY_AFTER)
        except InboxUnavailable:
            self._metrics.refusals.labels(source, "unavailable").inc()
            await _answer(send, 503, b'{"error": "unavailable"}', _RETRY_AFTER)
        except _Broken as broken:
            self._metrics.refusals.labels(source or broken.source, broken.reason).inc()
            status, error, extra = _ANSWERS[broken.reason]
            await _answer(send, status, b'{"error": "%s"}' % error, *extra)
        except _Gone:
            return
        else:
            status = 202 if receipt.status == "accepted" else 200
            body = b'{"delivery_id": "%s", "status": "%s"}' % (receipt.delivery_id.encode(), receipt.status.encode())
            await _answer(send, status, body, *self._last_word)

    def _address(self, scope: Scope) -> tuple[str, str | None]:
        """Return source and pipeline id of the path; only what is configured becomes a label or a log field."""
        found = _PATH.fullmatch(scope["path"])
        if found is None or not self._receiving.knows(found[1]):
            raise _Broken("unknown_source")
        if scope["method"] != "POST":
            raise _Broken("wrong_method", found[1])
        return found[1], found[2]

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Read the body, bounded in size and time."""
        self._check_headers(scope["headers"])
        pieces: list[bytes] = []
        size = 0
        try:
            with self._patience:
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

        A missing content type is let through: the signature decides, and a body of no type is not another type.
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


async def _answer(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [_JSON, length, *headers]})
    await send({"type": "http.response.body", "body": body})
