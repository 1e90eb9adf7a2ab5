"""An answer that was given without an ASGI task, written to its connection as one piece.

A webhook is answered after its commit, by a callback. A task that waits for that moment, with its wake-ups and ASGI's
messages, costs more than a tenth of the acknowledgement (tests/bench/RESULTS.md). docs/architecture.md says what this
takes from uvicorn.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

_CLOSE = (b"connection", b"close")


class Reply(Protocol):
    """What an application answers without a task; `headers` besides type and length."""

    @property
    def status(self) -> int:
        """HTTP's."""

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Names in lower case."""

    @property
    def body(self) -> bytes:
        """JSON."""


# (scope, body, answer): returns whether it answers, by calling `answer` once, now or later.
Take = Callable[[Any, bytes, Callable[[Reply], None]], bool]


def write(cycle: RequestResponseCycle, answer: Reply) -> None:
    """Write an answer in JSON and end its request, as uvicorn's `send` does; nothing if its sender has left."""
    if not cycle.disconnected:
        cycle.keep_alive = cycle.keep_alive and _CLOSE not in answer.headers
        cycle.waiting_for_100_continue = False
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(_spell(cycle, answer))
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
    cycle.on_response = _nothing  # else connection and request hold each other until the garbage is collected


def _spell(cycle: RequestResponseCycle, answer: Reply) -> bytes:
    headers = [
        *cycle.default_headers,  # the date
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(answer.body)),
        *answer.headers,
    ]
    if not cycle.keep_alive and _CLOSE not in answer.headers:
        headers.append(_CLOSE)
    head = b"HTTP/1.1 %d %s\r\n" % (answer.status, HTTPStatus(answer.status).phrase.encode())
    body = b"" if cycle.scope["method"] == "HEAD" else answer.body
    return b"".join((head, *(b"%s: %s\r\n" % header for header in headers), b"\r\n", body))


def _nothing() -> None:
    """Do nothing."""
