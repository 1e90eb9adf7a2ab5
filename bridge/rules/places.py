"""Who may hold how many of the places of one Airflow: which routes may begin no more calls now.

- A route holds what its `concurrency` allows.
- A DAG never holds the last place, unless there is only one: a DAG whose calls hang leaves a place to the others.
- A DAG whose call took long has its next turn after the others, for as long again.
- A DAG at which something asked to wait, while its Airflow is well, is left alone until then, and gets one call at a
  time until it is answered otherwise.

Triggers are chosen by route, so what a DAG may not begin now closes the routes that were seen to call it. Pure: `now`
is monotonic seconds, and whoever holds one brings the lock.
"""

from collections import Counter, defaultdict

from bridge.rules.retrying.breaker import Breaker
from bridge.words.model import Call
from bridge.words.reasons import Reason

_LONG_SECONDS = 1.0


class Places:
    """The places of one Airflow and who holds them."""

    def __init__(self, concurrency: int) -> None:
        """All free."""
        self._of_one_dag = max(1, concurrency - 1)
        self._by_route: Counter[str] = Counter()
        self._by_dag: Counter[str] = Counter()
        self._limits: dict[str, int] = {}
        self._routes_of: defaultdict[str, set[str]] = defaultdict(set)
        self._asked_to_wait: dict[str, Breaker] = {}
        self._waits_its_turn: dict[str, float] = {}

    def full_routes(self, now: float) -> set[str]:
        """Return the routes that may begin no more calls now."""
        full = {route for route, limit in self._limits.items() if self._by_route[route] >= limit}
        dags = (dag for dag in self._routes_of if self._room_of(dag, now) <= 0)
        return full.union(*(self._routes_of[dag] for dag in dags))

    def routes_after_others(self, now: float) -> set[str]:
        """Return the routes whose turn is after all others."""
        self._waits_its_turn = {dag: until for dag, until in self._waits_its_turn.items() if now < until}
        return set().union(*(self._routes_of[dag] for dag in self._waits_its_turn))

    def at_most(self, now: float) -> int:
        """Return how many calls may begin now, whichever DAGs they are of, before any DAG holds too many."""
        rooms = [room for dag in self._by_dag if (room := self._room_of(dag, now)) > 0]
        return min(rooms, default=self._of_one_dag)

    def take(self, call: Call, now: float) -> bool:
        """Take a place for a call; False: its route or its DAG may hold no more."""
        limit = call.limits.concurrency
        if limit is not None:
            self._limits[call.route] = limit
        else:
            self._limits.pop(call.route, None)
        self._routes_of[call.dag_id].add(call.route)
        if (limit is not None and self._by_route[call.route] >= limit) or self._room_of(call.dag_id, now) <= 0:
            return False
        self._by_route[call.route] += 1
        self._by_dag[call.dag_id] += 1
        return True

    def free(self, call: Call) -> None:
        """Give a place back."""
        for counter, key in ((self._by_route, call.route), (self._by_dag, call.dag_id)):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]

    def answered(self, call: Call, now: float, *, seconds: float, asked_to_wait: float | None) -> None:
        """Note how long a call took, and how long something at its DAG asked to wait, None if nothing did."""
        if seconds > _LONG_SECONDS:
            self._waits_its_turn[call.dag_id] = now + seconds
        if asked_to_wait is None:
            self._asked_to_wait.pop(call.dag_id, None)
        else:
            breaker = self._asked_to_wait.setdefault(call.dag_id, Breaker())
            breaker.open(now, Reason.THROTTLED, None, wait_seconds=asked_to_wait)

    def _room_of(self, dag: str, now: float) -> int:
        breaker = self._asked_to_wait.get(dag)
        if breaker is None:
            return self._of_one_dag - self._by_dag[dag]
        return (1 if breaker.may_probe(now) else 0) - self._by_dag[dag]
