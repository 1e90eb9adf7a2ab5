"""Keeps the store small: forgets what has ended longer ago than the retention, a little at a time.

Small batches with a pause between them, so that intake never waits for more than one of them.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from bridge.edges.inbox import Inbox
from bridge.edges.inbox.pruning import prune
from bridge.edges.metrics import Metrics
from bridge.words.errors import InboxUnavailable

_BATCH = 200
_PAUSE_SECONDS = 0.05
_EVERY_SECONDS = 60.0
_log = structlog.get_logger("bridge.upkeep")


class Upkeep:
    """The retention thread."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        retention: timedelta,
        metrics: Metrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`retention`: what ended and was received longer ago than this is removed."""
        self._inbox = inbox
        self._retention = retention
        self._metrics = metrics
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin; the first round comes after a minute, off the path to ready."""
        self._thread.start()

    def stop(self) -> None:
        """End after the batch under way."""
        self._stopping.set()
        self._thread.join()

    def prune(self) -> int:
        """Remove everything that is old enough now; returns how many deliveries went."""
        before = self._clock() - self._retention
        removed = 0
        while not self._stopping.is_set():
            amount = self._inbox.write(prune, before=before, most=_BATCH)
            removed += amount
            if amount < _BATCH:
                break
            self._stopping.wait(_PAUSE_SECONDS)
        if removed:
            self._metrics.pruned.inc(removed)
            _log.info("pruned", deliveries=removed)
        return removed

    def shrink(self) -> int:
        """Give the room of what was removed back to the volume; returns how many pages went."""
        pages = 0
        while not self._stopping.is_set() and (step := self._inbox.shrink()):
            pages += step
            self._stopping.wait(_PAUSE_SECONDS)
        if pages:
            _log.info("shrunk", pages=pages)
        return pages

    def _run(self) -> None:
        while not self._stopping.wait(_EVERY_SECONDS):
            try:
                self.prune()
                self.shrink()
            except InboxUnavailable:
                continue  # the store says so itself; the next round comes
            except Exception:  # noqa: BLE001 - see below
                # The last guard of the thread.
                _log.exception("upkeep_failed")
                self._metrics.failures.labels("upkeep").inc()
