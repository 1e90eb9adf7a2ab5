"""What the clients of HTTP share: a safe path segment, Retry-After in seconds, bounds on an answer's size and time."""

import contextlib
import os
import re
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from socket import SHUT_RDWR, socket
from typing import Any, Self
from urllib.parse import quote

_MAX_WAIT_SECONDS = 3600.0
_EARLIEST_EPOCH = 1e9  # 2001
is_header_name = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}").fullmatch
# Headers that belong to the call itself: whoever adds others may not set these.
CALL_HEADERS = frozenset(
    {"accept-encoding", "connection", "content-length", "content-type", "host", "transfer-encoding"}
)


def path_segment(text: str) -> str:
    """Percent-encode one segment of a path; dots alone would mean "here" and "above"."""
    return quote(text, safe="", errors="replace") if text.strip(".") else text.replace(".", "%2E")


def retry_after_seconds(text: str | None, *, now: datetime) -> float | None:
    """Read Retry-After, in seconds or as an HTTP date; at most an hour, None if absent or unreadable (RFC 9110)."""
    if text is None:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), _MAX_WAIT_SECONDS)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the second for a year that no date has
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(0.0, (at - now).total_seconds()), _MAX_WAIT_SECONDS)


def rate_limit_seconds(headers: Mapping[str, str], *, is_refused: bool, now: datetime) -> float | None:
    """Return how long X-RateLimit-* ask to wait, at most an hour; None: not at all.

    Until X-RateLimit-Reset, once nothing remains or a call was refused. That is epoch seconds (documented); a number
    too small for that is taken for seconds from now. `now` is best the other side's own Date.
    """
    remaining, reset = headers.get("X-RateLimit-Remaining", "").strip(), headers.get("X-RateLimit-Reset", "").strip()
    if not (is_refused or remaining == "0") or not (reset.isascii() and reset.isdigit()):
        return None
    seconds = float(reset[:15])
    wait = seconds - now.timestamp() if seconds >= _EARLIEST_EPOCH else seconds
    return min(max(0.0, wait), _MAX_WAIT_SECONDS)


def http_date(text: str | None) -> datetime | None:
    """Read a Date header; None if there is none, or it cannot be read."""
    try:
        at = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def failure_words(error: Exception) -> str:
    """Say which error of httpx it was, without its text, which may hold what was sent; of a proxy's no, what to do."""
    name = type(error).__name__
    if name != "ProxyError":
        return name
    status = str(error)[:3]
    if status == "407":
        return "the proxy answers 407: write http://user:password@host:port into HTTPS_PROXY"
    answer = f" answers {status}" if status.isdecimal() else " does not let us through"
    return f"the proxy{answer}: allow this host there, or leave it out of it by NO_PROXY"


def read_bounded(parts: Iterable[bytes], limit: int) -> bytes | None:
    """Return a body, put together of its parts; None if it is longer than `limit` bytes: then the rest is not read."""
    body = bytearray()
    for part in parts:
        body += part
        if len(body) > limit:
            return None
    return bytes(body)


class Deadline:
    """Ends one call when its time is up, by shutting its socket down: that wakes the thread that reads or writes.

    A read timeout counts from byte to byte, so a peer that trickles never runs into it; a TLS handshake and the head of
    an answer can trickle as well as a body.
    """

    def __init__(self, seconds: float) -> None:
        """The time runs from `with` on, and no longer than the block."""
        self.is_late = False
        self._is_over = False
        self._socket: socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        """Start the time."""
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Release the socket: from now on it may serve another call."""
        with self._lock:
            self._is_over = True
            self._let_go()
        self._timer.cancel()

    def watch(self, descriptor: int) -> None:
        """Note the socket of the call; one that is opened after the deadline is shut down at once.

        A duplicate of the descriptor is kept: TLS replaces the socket object, and a client may close it before it has
        read an answer without a length.
        """
        with self._lock:
            self._let_go()
            self._socket = socket(fileno=os.dup(descriptor))
        if self.is_late:
            self._end()

    def _end(self) -> None:
        with self._lock:
            if self._is_over:
                return
            self.is_late = True
            if self._socket is not None:
                with contextlib.suppress(OSError):  # it may have ended by itself
                    self._socket.shutdown(SHUT_RDWR)

    def _let_go(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class TracedDeadline(Deadline):
    """A deadline that httpx tells of its socket: give a request `extensions={"trace": deadline.trace}`."""

    def trace(self, event: str, facts: Mapping[str, Any]) -> None:
        """Watch the socket once it is there."""
        if event == "connection.connect_tcp.complete":
            self.watch(facts["return_value"].get_extra_info("socket").fileno())
