"""Keeps the metrics of what waits and of the store's size fresh, so that no scrape ever asks the store.

The cost of a look grows with what waits (partial indexes), never with history. After an expensive look the pause is
longer, so that a backlog of millions does not cost a core. The size is read once a minute, since PostgreSQL counts
files for it.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox, abandoned, browsing, heard, holds, runs, waits
from bridge.edges.metrics import Metrics
from bridge.words.errors import InboxUnavailable

_EVERY_SECONDS = 5.0
_REST = 20.0  # a look takes at most a twentieth of one core
_SIZE_SECONDS = 60.0
_log = structlog.get_logger("bridge.gauges")


class Gauges:
    """Looks at the store for the metrics."""

    def __init__(
        self, *, inbox: Inbox, metrics: Metrics, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """`clock` gives aware UTC; ages are counted by it."""
        self._inbox = inbox
        self._metrics = metrics
        self._clock = clock
        self._sized_at: float | None = None
        self._is_away = False
        self.loop = Loop("gauges", self.step, every_seconds=_EVERY_SECONDS, metrics=metrics)

    def recall(self) -> None:
        """Read from the store when each source was heard last. Call it before intake begins."""
        known = self._metrics.last_deliveries
        for source, at in self._inbox.read(heard.last, now=self._clock()).items():
            if source in known:
                known[source] = max(known[source], at.timestamp())

    def step(self) -> float:
        """Look once and return the pause: longer after an expensive look, also after one that failed."""
        began = time.monotonic()
        try:
            self.look()
        except InboxUnavailable as error:
            if not self._is_away:
                _log.error("store_unreadable", cause=str(error), next_step="webhooks are answered 503 until it is back")
            self._is_away = True
        else:
            self._is_away = False
        return max(_EVERY_SECONDS, _REST * (time.monotonic() - began))

    def look(self) -> None:
        """Read what waits, and once a minute the size. Raises InboxUnavailable; then the last values stay."""
        self._metrics.store.observe_backlog(self._inbox.read(browsing.backlog), self._clock())
        self._metrics.runs.observe_open(self._inbox.read(runs.count), self._clock())
        self._metrics.waits.observe_open(self._inbox.read(waits.count), self._clock())
        self._metrics.waits.observe_undecided(self._inbox.read(abandoned.count))
        self._metrics.dags.observe_ending(self._inbox.read(holds.ending))
        now = time.monotonic()
        if self._sized_at is None or now - self._sized_at >= _SIZE_SECONDS:
            self._metrics.store.observe_size(*self._inbox.size())
            self._sized_at = now
