"""When the routes with a ceiling (`max_per_hour`) may start the next run, as far as this process has counted."""

import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

from bridge.edges.inbox import Inbox
from bridge.edges.inbox.starts import recent_starts
from bridge.rules.ceiling import HOUR_SECONDS, Ceilings, Start
from bridge.rules.mapping import Mapping
from bridge.rules.planning import Planned
from bridge.words.model import TriggerState

_RECALLED = timedelta(days=2)  # what waits for longer than this is for a person to look at
_FRESH_SECONDS = 60.0  # another process may start something, and a person cancel something


class Starts:
    """The starts of this process; what is in the store already is counted at the first look. Any thread."""

    def __init__(self, *, inbox: Inbox, mapping: Callable[[], Mapping]) -> None:
        """`mapping` returns the one in use."""
        self._inbox, self._mapping = inbox, mapping
        self._ceilings = Ceilings(self._recall)
        self._lock = threading.Lock()
        self._found: dict[str, list[datetime]] = {}  # in the store, of routes that have started nothing here yet
        self._found_for: Mapping | None = None
        self._found_at = 0.0

    def count(self, triggers: Sequence[Planned], now: datetime, starts: dict[str, Start]) -> None:
        """Count the triggers whose route has a ceiling, and add their starts by trigger id."""
        with self._lock:
            for planned in triggers:
                limit = planned.route.limits.max_per_hour
                if limit is not None and planned.state is TriggerState.PENDING:
                    starts[planned.id] = self._ceilings.take(planned.route.name, limit, now.timestamp())

    def take_place(self, route: str, now: datetime) -> Start | None:
        """Return when a route may start what was held, and count it; None: it has no ceiling."""
        found = next((each for each in self._mapping().routes if each.name == route), None)
        limit = None if found is None else found.limits.max_per_hour
        if limit is None:
            return None
        with self._lock:
            return self._ceilings.take(route, limit, now.timestamp())

    def give_back(self, starts: Iterable[Start]) -> None:
        """Uncount places that were not used."""
        with self._lock:
            for start in starts:
                self._ceilings.take_back(start)

    def _recall(self, route: str, limit: int, now: float) -> list[float]:
        """Return what a route has started; one look at the store is for all routes for a minute, as it reads much."""
        mapping = self._mapping()
        is_fresh = mapping is self._found_for and 0 <= now - self._found_at <= _FRESH_SECONDS
        if not is_fresh or route not in self._found:
            ceilings = {each.name: each.limits.max_per_hour or 0 for each in mapping.routes} | {route: limit}
            moment = datetime.fromtimestamp(now, UTC)
            self._found = self._inbox.read(
                recent_starts,
                routes=[name for name, ceiling in ceilings.items() if ceiling],
                since=moment - timedelta(seconds=HOUR_SECONDS),
                oldest=moment - _RECALLED,
                limit=max(ceilings.values()),
            )
            self._found_for, self._found_at = mapping, now
        return [start.timestamp() for start in self._found.pop(route)[:limit]]
