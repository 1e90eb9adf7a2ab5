"""Keeps the store small: removes what ended longer ago than the retention, a little at a time.

Small batches with a pause between them, so that intake never waits for more than one of them.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox, duties, orders
from bridge.edges.inbox.pruning import old, prune
from bridge.edges.metrics import Metrics

_BATCH = 200
_PAUSE_SECONDS = 0.05
_EVERY_SECONDS = 60.0
_log = structlog.get_logger("bridge.retention")


class Retention:
    """A round every minute: batches until nothing old remains, then their disk space is given back."""

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
        self._seen = 0  # the newest delivery that this round has looked at
        self._removed = 0  # deliveries, in this round
        self._pages = 0  # given back, in this round
        # The first round comes after a minute, off the path to ready.
        self.loop = Loop(
            "retention", self.step, every_seconds=_EVERY_SECONDS, first_after_seconds=_EVERY_SECONDS, metrics=metrics
        )

    def step(self) -> float | None:
        """Remove one batch, or give back some disk space; None at the end of a round. Raises InboxUnavailable."""
        if self._prune() or self._shrink():
            return _PAUSE_SECONDS
        if self._removed:
            _log.info("pruned", deliveries=self._removed)
        if self._pages:
            _log.info("shrunk", pages=self._pages)
        self._removed = self._pages = 0
        return None

    def _prune(self) -> bool:
        """Remove what has ended of the next batch that is old enough; returns whether there may be more."""
        before = self._clock() - self._retention
        ended, last = self._inbox.read(old, before=before, after=self._seen, limit=_BATCH)
        if ended:
            removed = self._inbox.write(prune, ended)
            self._removed += removed
            self._metrics.pruned.inc(removed)
        self._seen = last or 0
        return last is not None or self._forget_orders(before) or self._forget_lookups(before)

    def _forget_orders(self, before: datetime) -> bool:
        """Forget the next batch of old orders that have ended; returns whether there may be more."""
        ended = self._inbox.read(orders.ended, before=before, limit=_BATCH)
        if ended:
            self._inbox.write(orders.prune, ended)
        return len(ended) == _BATCH

    def _forget_lookups(self, before: datetime) -> bool:
        """Forget the next batch of look-ups that died with their process; returns whether there may be more."""
        lapsed = self._inbox.read(duties.lapsed, duties.LOOKUP, before=before, limit=_BATCH)
        if lapsed:
            self._inbox.write(duties.forget, lapsed, before=before)
        return len(lapsed) == _BATCH

    def _shrink(self) -> bool:
        """Give some disk space back to the volume; returns whether there may be more."""
        pages = self._inbox.shrink()
        self._pages += pages
        return pages > 0
