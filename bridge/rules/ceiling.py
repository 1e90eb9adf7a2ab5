"""How many DAG runs a route may start in an hour, so that a stolen secret cannot start any number of them.

A trigger above the ceiling is not lost: it starts later, one hour after the trigger `max_per_hour` places before it. So
no hour has more places than that, and triggers keep their order. What could not start within an hour of its time (an
outage, a pause, a queue) takes another place. What is less late keeps its own, beside those of the next hour: after an
outage an hour may have up to twice as many starts. A new place is behind the whole queue, and a burst that Airflow
takes more slowly than it came is late through nobody's fault. What is tried again keeps its place, however late.
Pure: the owner of an instance brings the lock.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

HOUR_SECONDS = 3600.0
_SPARE = 2048  # starts that a failed write may still take back

# Called once per route: returns the latest `limit` starts since one hour before `now`, future ones included.
Recall = Callable[[str, int, float], Sequence[float]]


@dataclass(frozen=True, slots=True)
class Start:
    """When a trigger of a route may start, in Unix seconds; `is_later`: after now."""

    route: str
    at: float
    is_later: bool


class Ceilings:
    """Every route's latest starts, as Unix seconds."""

    def __init__(self, recall: Recall) -> None:
        """`recall(route, limit, now)` returns the starts from before this process."""
        self._recall = recall
        self._starts: dict[str, list[float]] = {}
        self._largest: dict[str, int] = {}  # limit of a route: one that is lowered may be raised again

    def take(self, route: str, limit: int, now: float) -> Start:
        """Return when the route's next trigger may start, and count it; `limit` starts per hour."""
        if route not in self._starts:
            self._starts[route] = sorted(self._recall(route, limit, now))
        starts = self._starts[route]
        at = max(now, starts[-limit] + HOUR_SECONDS) if len(starts) >= limit else now
        starts.append(at)
        self._largest[route] = max(limit, self._largest.get(route, limit))
        del starts[: -(self._largest[route] + _SPARE)]
        return Start(route, at, at > now)

    def take_back(self, start: Start) -> None:
        """Uncount a start whose trigger was not stored."""
        self._starts[start.route].remove(start.at)
