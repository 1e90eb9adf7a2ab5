"""uvicorn's side of one request, with a whole answer written at once, by a task or without one.

uvicorn checks and spells every header of every answer, and writes head and body apart: 8 of a webhook's 75
microseconds. The answers here are few and always the same but for their body, so that each head is spelled once. An
answer in pieces, or without its length, goes uvicorn's own way.
"""

import asyncio
from collections.abc import Callable
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

_Headers = tuple[tuple[bytes, bytes], ...]


class Answer(Protocol):
    """What an application answers without a task; `headers` besides type and length."""

    @property
    def status(self) -> int:
        """HTTP's."""

    @property
    def headers(self) -> _Headers:
        """Names in lower case."""

    @property
    def body(self) -> bytes:
        """JSON."""


# Scope, body, what is told the answer; returns whether the answer is or will be given.
Take = Callable[[Any, bytes, Callable[[Answer], None]], bool]


def _nothing() -> None:
    """Do nothing."""


class Cycle(RequestResponseCycle):
    """One request and its answer."""

    _start: Any = None  # the message of an answer whose body is not known yet

    async def send(self, message: Any) -> None:
        """Take an ASGI message; the start of an answer waits for its body."""
        if not self.response_started and message["type"] == "http.response.start":
            self._start = message
            self.response_started = True
            return
        if (start := self._start) is None:
            await super().send(message)
            return
        self._start = None
        head = _head(start["status"], tuple(start.get("headers", ())), self.keep_alive)
        body = message.get("body", b"")
        is_whole = len(body) == head.length and message["type"] == "http.response.body" and not message.get("more_body")
        if not is_whole:
            self.response_started = False
            await super().send(start)
            await super().send(message)
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if not self.disconnected:
            self._write(head, body)

    def answer(self, answer: Answer) -> None:
        """Write an answer in JSON, unless its sender has left."""
        if not self.disconnected:
            self.response_started = True
            self._write(_json_head(answer.status, len(answer.body), answer.headers, self.keep_alive), answer.body)
        self.on_response = _nothing  # else connection and request hold each other until the garbage is collected

    def _write(self, head: "_Head", body: bytes) -> None:
        ours = b"".join([b"%s: %s\r\n" % header for header in self.default_headers])  # the date
        self.waiting_for_100_continue = False
        self.keep_alive = self.keep_alive and not head.is_last
        self.transport.write(b"".join((head.text, ours, b"\r\n", b"" if self.scope["method"] == "HEAD" else body)))
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


def begin(protocol: HttpToolsProtocol) -> Cycle:
    """Return the cycle of a request whose head is complete, with its scope filled in."""
    parser, scope = protocol.parser, protocol.scope
    url = httptools.parse_url(protocol.url)
    path = url.path.decode("ascii")
    version = parser.get_http_version()
    scope["method"] = parser.get_method().decode("ascii")
    scope["http_version"] = version
    scope["path"] = unquote(path) if "%" in path else path
    scope["raw_path"] = url.path
    scope["query_string"] = url.query or b""
    return Cycle(
        scope=scope,
        transport=protocol.transport,
        flow=protocol.flow,
        logger=protocol.logger,
        access_logger=protocol.access_logger,
        access_log=False,
        default_headers=protocol.server_state.default_headers,
        message_event=asyncio.Event(),
        expect_100_continue=protocol.expect_100_continue,
        keep_alive=version != "1.0" and parser.should_keep_alive(),
        on_response=protocol.on_response_complete,
    )


class _Head:
    """A spelled head, but for the headers that change with the time."""

    __slots__ = ("is_last", "length", "text")

    def __init__(self, status: int, headers: _Headers, *, keeps_alive: bool) -> None:
        self.length = -1
        self.is_last = False
        lines = [b"HTTP/1.1 %d %s\r\n" % (status, HTTPStatus(status).phrase.encode())]
        for name, value in headers:
            if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
                raise RuntimeError("a header of the answer is not spelled as HTTP wants it")
            lines.append(b"%s: %s\r\n" % (name, value))
            if name.lower() == b"content-length":
                self.length = int(value)
            elif name.lower() == b"connection":
                self.is_last = b"close" in value.lower()
        if not keeps_alive and not self.is_last:
            lines.append(b"connection: close\r\n")
        self.text = b"".join(lines)


@lru_cache(maxsize=256)
def _head(status: int, headers: _Headers, keeps_alive: bool) -> _Head:
    return _Head(status, headers, keeps_alive=keeps_alive)


@lru_cache(maxsize=256)
def _json_head(status: int, length: int, headers: _Headers, keeps_alive: bool) -> _Head:
    content = ((b"content-type", b"application/json"), (b"content-length", b"%d" % length))
    return _Head(status, (*content, *headers), keeps_alive=keeps_alive)
