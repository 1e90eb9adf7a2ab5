"""Who may hold how many of the places of one Airflow: which routes may begin no more calls now.

- A route holds what its `concurrency` allows.
- A DAG holds the last place only if it is quick: its last call ended within a second, and none under way takes longer.
- If a quick DAG holds all places and its calls begin to hang, one more is open for another DAG.
  So a DAG whose calls hang leaves a place to the others, unless `concurrency` is 1.
- A DAG whose call took longer has its next turn after the others, for as long again.
- A DAG at which something asked to wait, while its Airflow is well, is left alone until then, and gets one call at a
  time until it is answered otherwise. Then what waits with it may go, whichever replica put it back.
- So is a DAG whose runs Airflow forbids to start. That may last for days, so it closes no route: what waits for it is
  put back and says why, and is claimed after all others, but for the one call that asks again.
- A DAG at which a call was held has its next turn after the others, for a few seconds, with all routes that call it.

Triggers are chosen by route, so what a DAG may not begin now closes the routes that were seen to call it. But one that
was asked to wait closes no route that was seen to call another DAG too: what is claimed for it meanwhile has its next
turn later, each at a time of its own, so that the others come first. Pure: `now` is monotonic seconds, and whoever
holds one brings the lock.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable

from bridge.rules.retrying.breaker import Breaker
from bridge.words.model import Call
from bridge.words.reasons import Reason

_LONG_SECONDS = 1.0
# After a call that was held. Ten thousand that are tried every few minutes take a tenth of the pace, not all of it.
_OTHERS_FIRST_SECONDS = 5.0
# Turns of what waits with its DAG. So far apart that ten thousand of them cost the store some sixty rows a second, and
# not all at once after each call that is refused; and none so late that a DAG that is well again waits for long.
_TURNS_APART_SECONDS = 0.25
_LAST_TURN_SECONDS = 300.0


class Places:
    """The places of one Airflow and who holds them."""

    def __init__(self, concurrency: int) -> None:
        """All free, and all open."""
        self._concurrency = concurrency
        self._open = concurrency
        self._held: dict[Hashable, tuple[Call, float]] = {}  # and since when
        self._limits: dict[str, int] = {}
        self._routes_of: defaultdict[str, set[str]] = defaultdict(set)
        self._quick: set[str] = set()
        self._asked_to_wait: dict[str, Breaker] = {}
        self._next_turn: dict[str, float] = {}  # of those
        self._well: set[tuple[str, str]] = set()  # DAGs that were not asked to wait last, with the routes that know it
        self._waits_its_turn: dict[str, float] = {}
        self._was_held: dict[str, float] = {}

    def open(self, amount: int) -> None:
        """Let so many be held from now on, at least one and at most all; what is held stays.

        One more may be held beside a DAG that hangs at all of them.
        """
        self._open = max(1, min(self._concurrency, amount))

    @property
    def held(self) -> int:
        """How many are held."""
        return len(self._held)

    def room(self, now: float) -> int:
        """Return how many calls may begin now, whichever DAGs they are of, before any DAG holds too many."""
        rooms = [self._room_of(dag, now) for dag in {call.dag_id for call, _ in self._held.values()}]
        of_any = min((room for room in rooms if room > 0), default=self._share)
        return min(self._open + self._spare(now) - len(self._held), of_any)

    def _spare(self, now: float) -> int:
        """Return how many places more are open, for another DAG, since one keeps all that are."""
        dags = {call.dag_id for call, _ in self._held.values()}
        are_long = all(now - began > _LONG_SECONDS for _, began in self._held.values())
        is_full = len(self._held) >= self._open
        return 1 if self._concurrency > 1 and is_full and len(dags) == 1 and are_long else 0

    def full_routes(self, now: float) -> set[str]:
        """Return the routes that may begin no more calls now."""
        full = {route for route, limit in self._limits.items() if self._of_route(route) >= limit}
        closed = {dag for dag in self._routes_of if self._room_of(dag, now) <= 0}
        waiting = closed & self._asked_to_wait.keys()
        shut = waiting - self._forbidden
        return full | self._routes_to(closed - waiting) | (self._routes_to(shut) - self._open_to_others(now))

    @property
    def _forbidden(self) -> set[str]:
        return {dag for dag, breaker in self._asked_to_wait.items() if breaker.reason is Reason.AIRFLOW_FORBIDDEN}

    def _open_to_others(self, now: float, but: Collection[str] = ()) -> set[str]:
        return self._routes_to(dag for dag in self._routes_of if dag not in but and self._room_of(dag, now) > 0)

    def _routes_to(self, dags: Iterable[str]) -> set[str]:
        return set().union(*(self._routes_of[dag] for dag in dags))

    def routes_after_others(self, now: float) -> set[str]:
        """Return the routes whose turn is after all others."""
        self._waits_its_turn = {dag: until for dag, until in self._waits_its_turn.items() if now < until}
        self._was_held = {dag: until for dag, until in self._was_held.items() if now < until}
        after = self._routes_to(self._forbidden)
        if after:
            after -= self._open_to_others(now, but=self._was_held)
        return after | self._routes_to(self._was_held) | self._routes_to(self._waits_its_turn)

    def take(self, key: Hashable, call: Call, now: float) -> bool:
        """Take a place for a call; False: its route or its DAG may hold no more."""
        limit = call.limits.concurrency
        if limit is not None:
            self._limits[call.route] = limit
        else:
            self._limits.pop(call.route, None)
        self._routes_of[call.dag_id].add(call.route)
        if (limit is not None and self._of_route(call.route) >= limit) or self._room_of(call.dag_id, now) <= 0:
            return False
        self._held[key] = (call, now)
        return True

    def seconds_until_turn(self, call: Call, now: float) -> float | None:
        """Return when one that got no place has its next turn, as its DAG was asked to wait; None: it was not."""
        breaker = self._asked_to_wait.get(call.dag_id)
        if breaker is None or self._room_of(call.dag_id, now) > 0:
            return None
        first = now + max(_LONG_SECONDS, breaker.seconds_until_probe(now))
        turn = max(first, self._next_turn.get(call.dag_id, first))
        if turn > now + _LAST_TURN_SECONDS:
            turn = first
        self._next_turn[call.dag_id] = turn + _TURNS_APART_SECONDS
        return turn - now

    def reason_to_wait(self, dag: str) -> Reason:
        """Return why a DAG gets one call at a time."""
        return self._asked_to_wait[dag].reason or Reason.THROTTLED

    def free(self, key: Hashable) -> None:
        """Give a place back; idempotent."""
        self._held.pop(key, None)

    def ended(self, call: Call, now: float, *, seconds: float) -> None:
        """Note how long a call took."""
        if seconds > _LONG_SECONDS:
            self._quick.discard(call.dag_id)
            self._waits_its_turn[call.dag_id] = now + seconds
        else:
            self._quick.add(call.dag_id)

    def others_first(self, dag: str, now: float) -> None:
        """Note that a call of a DAG was held."""
        self._was_held[dag] = now + _OTHERS_FIRST_SECONDS

    def asked_to_wait(self, dag: str, now: float, *, seconds: float, reason: Reason = Reason.THROTTLED) -> None:
        """Note that something at a DAG asked to wait, or that Airflow forbids it.

        What asked for a wait stays the reason until it is over: it may be longer than any that is chosen for a right.
        """
        self._well = {each for each in self._well if each[0] != dag}
        breaker = self._asked_to_wait.setdefault(dag, Breaker())
        if breaker.reason is Reason.THROTTLED and not breaker.may_probe(now):
            reason = Reason.THROTTLED
        breaker.open(now, reason, None, wait_seconds=seconds)

    def answered(self, dag: str) -> list[str]:
        """Note that a DAG was answered, and not asked to wait. Returns the routes for which that is news.

        What was put back of these may go: the DAG is well again, or its route was not known to call it.
        """
        self._asked_to_wait.pop(dag, None)
        self._next_turn.pop(dag, None)
        news = sorted(route for route in self._routes_of[dag] if (dag, route) not in self._well)
        self._well |= {(dag, route) for route in news}
        return news

    def room_of(self, dag: str, route: str, now: float) -> int:
        """Return how many calls of a DAG may begin now, at most, that one route makes."""
        of_route = self._limits.get(route, self._concurrency) - self._of_route(route)
        return max(0, min(self.room(now), self._room_of(dag, now), of_route))

    @property
    def _share(self) -> int:
        """What a DAG may hold that is not quick, or that nobody knows yet."""
        return max(1, self._open - 1)

    def _of_route(self, route: str) -> int:
        return sum(call.route == route for call, _ in self._held.values())

    def _room_of(self, dag: str, now: float) -> int:
        since = [began for call, began in self._held.values() if call.dag_id == dag]
        breaker = self._asked_to_wait.get(dag)
        if breaker is not None:
            return int(breaker.may_probe(now)) - len(since)
        is_quick = dag in self._quick and all(now - began <= _LONG_SECONDS for began in since)
        return (self._open if is_quick else self._share) - len(since)
