"""What became of DAG runs, in numbers: how many are open, how they ended, and how long data took to be ready."""

import math
from collections.abc import Collection, Iterable
from datetime import datetime
from itertools import product

from bridge.edges.metrics.making import Making, create
from bridge.words.runs import ENDS, OPEN, OpenRuns, RunState

_OF_THE_STORE = " Of the store."
# DAG runs take minutes to hours; the buckets of calls and commits end too early for them.
_SECONDS = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0, 43_200.0, 86_400.0)
ASKED = ("answered", "failed")


class RunMetrics:
    """The metrics of following; a route that is not in the mapping has the empty label."""

    def __init__(self, making: Making, airflows: Collection[str]) -> None:
        """Create every child that the configuration determines."""
        self._airflows = tuple(airflows)
        self._routes: frozenset[str] = frozenset()
        self.ended = making.counter(
            "runs_total",
            "DAG runs by how they ended; the route is empty for one no longer in the mapping.",
            "route",
            "state",
        )
        self.ready_seconds = making.histogram(
            "data_ready_seconds",
            "From a webhook's receipt (or a replay) to the successful end of its DAG run.",
            "route",
            buckets=_SECONDS,
        )
        self.open = making.gauge(
            "open_runs", "DAG runs that are followed and have not ended." + _OF_THE_STORE, "airflow", "state"
        )
        self.oldest_open_seconds = making.gauge(
            "oldest_open_run_seconds", "Age of the oldest of them." + _OF_THE_STORE, "airflow", "state"
        )
        self.requests = making.counter(
            "follow_requests_total", "Lists of DAG runs that Airflow was asked for.", "airflow", "outcome"
        )
        create(self.ended, [""], ENDS)
        create(self.requests, self._airflows, ASKED)
        self.observe_open([], None)

    def observe_routes(self, names: frozenset[str]) -> None:
        """Take over the routes of the mapping in use; the counts of those that it no longer has end."""
        for route in self._routes - names:
            self.ready_seconds.remove(route)
            for state in ENDS:
                self.ended.remove(route, state)
        create(self.ended, names, ENDS)
        create(self.ready_seconds, names)
        self._routes = names

    def observe_open(self, found: Iterable[OpenRuns], now: datetime | None) -> None:
        """Take over what the store says of open runs."""
        amounts = dict.fromkeys(product(("", *self._airflows), OPEN), 0)
        ages = dict.fromkeys(amounts, 0.0)
        for item in found:
            place = (item.airflow if item.airflow in self._airflows else "", item.state)
            amounts[place] = amounts.get(place, 0) + item.amount
            if now is not None:
                ages[place] = max(ages.get(place, 0.0), (now - item.oldest_at).total_seconds())
        for place, amount in amounts.items():
            self.open.labels(*map(str, place)).set(amount)
            self.oldest_open_seconds.labels(*map(str, place)).set(ages[place])

    def count_request(self, airflow: str, *, is_answered: bool) -> None:
        """Count one request for a list; one that is refused is answered too, if single runs were told of instead."""
        self.requests.labels(airflow, ASKED[0] if is_answered else ASKED[1]).inc()

    def count_ended(self, route: str, state: RunState, *, seconds: float) -> None:
        """Count one run that ended; `seconds` since its webhook came."""
        known = route if route in self._routes else ""
        self.ended.labels(known, str(state)).inc()
        if state is RunState.SUCCESS and math.isfinite(seconds):
            self.ready_seconds.labels(known).observe(max(0.0, seconds))
