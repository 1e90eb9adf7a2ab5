"""Keeps what was refused at the door, without ever slowing it.

    note   only appends to a bounded queue; it runs on the event loop, or in the threads that look at copies
    step   writes the queue once a second, in one transaction

When more come than the queue holds, the rest is dropped and counted: a flood must cost intake nothing, and shows in the
metrics anyway. The queue has a part for each kind. What cannot be written stays in it.
"""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox, refusals
from bridge.edges.metrics import Metrics
from bridge.words.refusals import DOUBTFUL_COPIES, Refusal, RefusalKind

_EVERY_SECONDS = 1.0
_LIMIT = 50  # of a kind between two steps
_MOST_HASHED_BYTES = 65_536  # 0.3 ms on a busy machine; one that is dropped costs 4 us


class RefusalRing:
    """What waits to be written; `note` may run in any thread."""

    def __init__(
        self, *, inbox: Inbox, metrics: Metrics, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """`clock` gives aware UTC."""
        self._inbox = inbox
        self._dropped = {kind: metrics.access.refusals_dropped.labels(kind) for kind in RefusalKind}
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[RefusalKind, list[Refusal]] = {kind: [] for kind in RefusalKind}
        self.loop = Loop("refusal_ring", self.step, every_seconds=_EVERY_SECONDS, metrics=metrics)

    def note(
        self,
        source: str,
        reason: str,
        *,
        sender: Callable[[], str] | None = None,
        keys: tuple[str, ...] = (),
        body: bytes | None = None,
        copy_of: str | None = None,
    ) -> None:
        """Remember one if there is room; `sender` is asked, and `body` is hashed, only then. Never raises."""
        kind = _kind(reason, copy_of)
        if len(self._waiting[kind]) >= _LIMIT:
            self._dropped[kind].inc()
            return
        found = Refusal(self._clock(), kind, source, reason, sender() if sender else None, keys, None, copy_of)
        if body is not None and len(body) <= _MOST_HASHED_BYTES:
            found = replace(found, fingerprint=hashlib.sha256(body).hexdigest())
        with self._lock:
            self._waiting[kind].append(found)

    def step(self) -> None:
        """Write what waits. Raises InboxUnavailable; then it waits on."""
        with self._lock:
            taken = {kind: list(waiting) for kind, waiting in self._waiting.items()}
        found = [item for waiting in taken.values() for item in waiting]
        if not found:
            return
        self._inbox.write(refusals.append, found)
        with self._lock:
            for kind, waiting in taken.items():
                del self._waiting[kind][: len(waiting)]


def _kind(reason: str, copy_of: str | None) -> RefusalKind:
    if copy_of is None:
        return RefusalKind.REFUSED
    return RefusalKind.DOUBTFUL if reason in DOUBTFUL_COPIES else RefusalKind.COPY
