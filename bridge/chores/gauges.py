"""Keeps the metrics of what waits and of the store's size fresh, so that no scrape ever asks the store.

A look costs what waits (partial indexes), never what has ended; the more it costs, the more rarely it is taken, so
that a backlog of millions does not cost a core. Size is asked for once a minute: PostgreSQL counts files for it.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from bridge.edges.inbox import Inbox, browsing
from bridge.edges.metrics import Metrics
from bridge.words.errors import InboxUnavailable

_EVERY_SECONDS = 5.0
_REST = 20.0  # a look takes at most a twentieth of one core
_SIZE_SECONDS = 60.0
_STOP_SECONDS = 2.0
_log = structlog.get_logger("bridge.watching")


class Watching:
    """The thread that looks at the store for the metrics."""

    def __init__(
        self, *, inbox: Inbox, metrics: Metrics, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """`clock` gives aware UTC; ages are told by it."""
        self._inbox = inbox
        self._metrics = metrics
        self._clock = clock
        self._sized_at: float | None = None
        self._is_away = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watching", daemon=True)

    def start(self) -> None:
        """Begin; the first look is taken at once."""
        self._thread.start()

    def stop(self) -> None:
        """End after the look under way, or without it: a database that hangs must not keep the bridge from stopping."""
        self._stopping.set()
        self._thread.join(_STOP_SECONDS)

    def recall(self) -> None:
        """Take over from the store when the newest delivery of each source came, before new ones do."""
        known = self._metrics.last_deliveries
        for source, at in self._inbox.read(browsing.last_deliveries).items():
            if source in known:
                known[source] = max(known[source], at.timestamp())

    def look(self) -> None:
        """Take over what waits, and now and then the size. Raises InboxUnavailable; the last values stay then."""
        self._metrics.observe_backlog(self._inbox.read(browsing.backlog), self._clock())
        now = time.monotonic()
        if self._sized_at is None or now - self._sized_at >= _SIZE_SECONDS:
            self._metrics.observe_size(*self._inbox.size())
            self._sized_at = now

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            began = time.monotonic()
            self._guarded()
            pause = max(_EVERY_SECONDS, _REST * (time.monotonic() - began))

    def _guarded(self) -> None:
        try:
            self.look()
        except InboxUnavailable as error:
            if not self._is_away:
                _log.error("store_unreadable", cause=str(error), next_step="webhooks are answered 503 until it is back")
            self._is_away = True
        except Exception:  # noqa: BLE001 - the last guard of the thread: the metrics must go on
            _log.exception("watching_failed")
            self._metrics.failures.labels("watching").inc()
        else:
            self._is_away = False
