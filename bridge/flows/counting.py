"""Counting: the last 24 hours, hour by hour, without counting what was counted before.

An hour that is over for an hour is counted once. The two newest are counted again when they are asked for, at most
every `_FRESH_SECONDS`. So a page costs two counts of an hour, however many look at it, and however much is stored.
"""

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from bridge.edges.inbox import Inbox, history
from bridge.rules import counts, views
from bridge.rules.mapping import Route
from bridge.words.history import Hour

HOURS = 24
_MOVING = 2  # the newest hours, whose triggers may still change
_FRESH_SECONDS = 15.0


class Counting:
    """What was counted so far; any thread may ask."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is counted yet."""
        self._inbox = inbox
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._hours: dict[datetime, Hour] = {}
        self._counted_at = -_FRESH_SECONDS

    def routes(self, routes: Sequence[Route]) -> dict[str, views.Json]:
        """Return what each route has started in the last 24 hours, and whether it may ever have."""
        hours = self.day()
        busy = {name for hour in hours for name in hour.by_route}
        idle = {(route.airflow, dag_id) for route in routes if route.name not in busy for dag_id in route.dags}
        ever = self._inbox.read(history.started_ever, idle)
        return {
            route.name: counts.started(
                route.name, hours, is_known=any((route.airflow, dag_id) in ever for dag_id in route.dags)
            )
            for route in routes
        }

    def day(self) -> list[Hour]:
        """Return the last 24 hours, the oldest first; the last one is under way. Raises InboxUnavailable."""
        with self._lock:
            begin = self._clock().replace(minute=0, second=0, microsecond=0)
            wanted = [begin - timedelta(hours=back) for back in reversed(range(HOURS))]
            is_fresh = self._monotonic() - self._counted_at < _FRESH_SECONDS
            kept = wanted if is_fresh else wanted[:-_MOVING]
            known = {hour: self._hours[hour] for hour in kept if hour in self._hours}
            self._hours = {hour: known.get(hour) or self._inbox.read(history.hour, begin=hour) for hour in wanted}
            if not is_fresh:
                self._counted_at = self._monotonic()
            return list(self._hours.values())
