"""One Airflow as firing sees it: whether it may be called now, how fast, and what is under way there.

Everything here belongs to the dispatcher's lock; nothing is thread-safe by itself, nothing does I/O.
"""

from collections import Counter

from bridge.edges.airflow import Airflow
from bridge.rules.pacing import Pacer
from bridge.rules.retrying.breaker import Breaker
from bridge.words.model import Claimed, Misconfigured, TargetDown
from bridge.words.targets import AirflowTarget


class Lane:
    """The breaker, the pace and the calls under way of one Airflow."""

    def __init__(self, target: AirflowTarget, airflow: Airflow, *, now: float) -> None:
        """`now` in monotonic seconds."""
        self.name = target.name
        self.airflow = airflow
        self.breaker = Breaker()
        # By trigger and token: a trigger whose lease was lost may be under way twice.
        self.under_way: dict[tuple[str, str], Claimed] = {}
        self._calling: set[tuple[str, str]] = set()  # of those, the ones whose call has not ended
        self.is_probing = False
        self._concurrency = target.concurrency
        self._pacer = Pacer(rate=target.rate, burst=target.concurrency, now=now)
        self._by_route: Counter[str] = Counter()
        self._limits: dict[str, int] = {}

    def room(self, now: float) -> int:
        """Return how many more calls may begin now."""
        free = self._concurrency - len(self._calling)
        return max(0, min(free, self._pacer.available(now))) if not self.breaker.is_open else 0

    def full_routes(self) -> list[str]:
        """Return the routes that may begin no more calls now."""
        return [route for route, limit in self._limits.items() if self._by_route[route] >= limit]

    def begin(self, claims: list[Claimed], now: float) -> tuple[list[Claimed], list[Claimed]]:
        """Take up claims; returns those to fire, and those to give back since their route is full."""
        fire: list[Claimed] = []
        surplus: list[Claimed] = []
        for claimed in claims:
            trigger = claimed.trigger
            limit = trigger.call.limits.concurrency
            if limit is not None:
                self._limits[trigger.call.route] = limit
            else:
                self._limits.pop(trigger.call.route, None)
            if limit is not None and self._by_route[trigger.call.route] >= limit:
                surplus.append(claimed)
                continue
            self._by_route[trigger.call.route] += 1
            self.under_way[trigger.id, claimed.token] = claimed
            self._calling.add((trigger.id, claimed.token))
            fire.append(claimed)
        self._pacer.take(len(fire), now)
        return fire, surplus

    def called(self, claimed: Claimed) -> None:
        """Note that a call has ended, so that the next one may begin while this one is settled."""
        key = (claimed.trigger.id, claimed.token)
        if key in self._calling:
            self._calling.remove(key)
            self._by_route[claimed.trigger.call.route] -= 1

    def end(self, claimed: Claimed) -> None:
        """Note that a trigger is settled, or given up."""
        self.called(claimed)
        self.under_way.pop((claimed.trigger.id, claimed.token), None)

    def problem(self, outcome: TargetDown | Misconfigured, now: float) -> bool:
        """Open the breaker; True if it was closed before or opens for another reason (worth a log line)."""
        was = self.breaker.reason if self.breaker.is_open else None
        wait = outcome.wait_seconds if isinstance(outcome, TargetDown) else 0.0
        self.breaker.open(now, outcome.reason, outcome.detail, wait_seconds=wait)
        return was != outcome.reason

    def seconds_until_room(self, now: float) -> float:
        """Return how long the pace asks to wait; 0 if it does not."""
        return self._pacer.seconds_until(now)
