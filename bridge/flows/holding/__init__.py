"""What a DAG is: looks at the DAGs of the mapping off the hot path, and keeps what Airflow says in the store.

For each Airflow, once an interval at most:

    1. due      the DAGs that the mapping names or something is held for, as far as they are due for a look; those that
                something is held for six times as often
    2. duty     take this Airflow's lease, so that one replica asks; another one has it: nothing to do
    3. look     in few requests, however many DAGs there are (place.py)
    4. store    guarded by the look before, so that a DAG that is back counts once
    5. end      what was held for too long by the clock of a DAG that is still away (freeing.py)
    6. params   of a few DAGs, longest unread first; they seldom change. Whether a DAG is due or not
    7. free     what was held for DAGs that are back, page by page (freeing.py)

All of that is in the store, so every replica, command and page knows the same, and a restart asks nothing anew.
An Airflow that does not answer is asked more and more rarely, and one that asks to wait not before that.
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta

import structlog

from bridge.chores.duty import Duty
from bridge.chores.loop import Loop
from bridge.edges.airflow import Airflow
from bridge.edges.inbox import Inbox, dags, holds
from bridge.edges.metrics import Metrics
from bridge.flows.holding.freeing import Freeing, TakePlace
from bridge.flows.holding.place import Place
from bridge.rules import holding
from bridge.rules.ceiling import Start
from bridge.rules.mapping import Mapping as RouteMap
from bridge.words.dags import DagFacts, DagState, KnownDag

_LEASE_SECONDS = 60.0
_RENEWED_SECONDS = 15.0
_STORED_AT_ONCE = 100  # a few milliseconds of the writer's time, between which webhooks pass
_PARAMS_AT_ONCE = 5
_FREEING_SECONDS = 0.25  # between two pages
_PARAMS_AGE = timedelta(hours=1)
_log = structlog.get_logger("bridge.holding")


class Holding:
    """One loop for all Airflows."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        airflows: Mapping[str, Airflow],
        mapping: Callable[[], RouteMap],
        metrics: Metrics,
        interval_seconds: float,
        take_place: TakePlace,
        give_back: Callable[[Iterable[Start]], None],
        on_freed: Callable[[], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`interval_seconds`: how often a DAG is looked at; one that something waits for more often.

        `take_place(route, now)`: when a route may start its next trigger; `on_freed` wakes firing.
        """
        self._inbox, self._metrics, self._mapping = inbox, metrics, mapping
        self._interval_seconds, self._clock, self._monotonic = interval_seconds, clock, monotonic
        self._duty = Duty(inbox, clock)
        self._taken, self._taken_at = "", 0.0
        self._places = deque(
            Place(name, each, before_each=self._go_on, monotonic=monotonic) for name, each in airflows.items()
        )
        self._freeing = Freeing(
            inbox=inbox,
            metrics=metrics,
            take_place=take_place,
            give_back=give_back,
            on_freed=on_freed,
            beat=self._go_on,
        )
        self.loop = Loop(
            "holding",
            self.step,
            every_seconds=interval_seconds / holding.KEEN_PART,
            metrics=metrics,
            on_stopped=self._duty.give_back,
        )

    def step(self) -> float | None:
        """Look once at every Airflow that may be asked now; returns the pause. Raises InboxUnavailable.

        Each step begins where the last one ended, so an Airflow that makes it fail does not stop the others.
        """
        is_freeing = False
        for _ in self._places.copy():
            self.loop.beat()
            place = self._places.popleft()
            self._places.append(place)
            if self._may_ask(place):
                self._look(place)
            if self._may_ask(place):
                self._read_params(place)
            is_freeing |= not self.loop.is_ending and self._free(place)
        self._metrics.dags.observe(self._inbox.read(dags.known))
        return _FREEING_SECONDS if is_freeing else None

    def _look(self, place: Place) -> None:
        known = self._known(place)
        held = self._inbox.read(holds.named, airflow=place.name).keys()
        names = self._named(place.name)
        due = holding.due(names, held, known, now=self._clock(), seconds=self._interval_seconds)
        due = place.open(due, self._monotonic())
        if not due or not self._is_ours(place):
            return
        found = place.ask(due, pause_seconds=self._interval_seconds)
        self._metrics.dags.count_request(place.name, is_answered=place.problem is None)
        self._store(place, found, known, held)
        self._forget(place, known.keys() - names - held)
        if place.problem is not None:
            self._wait(place)
            return
        place.answered()
        for dag in self._known(place).values():
            if dag.dag_id in held and dag.dag_id in found:
                self._freeing.end(dag, self._clock())

    def _may_ask(self, place: Place) -> bool:
        return not self.loop.is_ending and place.may_ask(self._monotonic())

    def _free(self, place: Place) -> bool:
        """Set one page free of each DAG that is back; returns whether more is to be done at once."""
        held = self._inbox.read(holds.named, airflow=place.name)
        behind = {dag_id for dag_id, is_behind in held.items() if is_behind}
        back = [dag for dag in self._known(place).values() if dag.freed is not None or dag.dag_id in behind]
        if not back or not self._is_ours(place):
            return False
        is_more = False
        for dag in back:
            self.loop.beat()
            is_more |= self._freeing.free(dag, self._clock())
            is_more |= dag.dag_id in behind and self._freeing.look_behind(dag, self._clock())
        return is_more

    def _known(self, place: Place) -> dict[str, KnownDag]:
        return {dag.dag_id: dag for dag in self._inbox.read(dags.known, airflow=place.name)}

    def _named(self, airflow: str) -> set[str]:
        """Return the DAGs that the mapping names at an Airflow."""
        routes = (route for route in self._mapping().routes if route.enabled and route.airflow == airflow)
        return {dag_id for route in routes for dag_id in route.dags}

    def _is_ours(self, place: Place) -> bool:
        self._taken, self._taken_at = f"holding:{place.name}", time.monotonic()
        return self._duty.take(self._taken, _LEASE_SECONDS)

    def _go_on(self) -> None:
        """Keep the lease while a look takes long."""
        self.loop.beat()
        if time.monotonic() - self._taken_at > _RENEWED_SECONDS:
            self._taken_at = time.monotonic()
            self._duty.take(self._taken, _LEASE_SECONDS)

    def _store(
        self, place: Place, found: Mapping[str, DagFacts], known: Mapping[str, KnownDag], held: Collection[str]
    ) -> None:
        def seen(dag_id: str) -> KnownDag:
            before, is_held = known.get(dag_id), dag_id in held
            every, state = self._interval_seconds, found[dag_id].state
            return holding.seen(place.name, dag_id, state, before, now=now, seconds=every, is_held=is_held)

        now = self._clock()
        looks = [(seen(dag_id), known.get(dag_id)) for dag_id in found]
        for begin in range(0, len(looks), _STORED_AT_ONCE):
            self.loop.beat()
            for look in self._inbox.write(dags.store, looks[begin : begin + _STORED_AT_ONCE]):
                _report(look, known.get(look.dag_id))

    def _forget(self, place: Place, unnamed: set[str]) -> None:
        if unnamed:
            self._inbox.write(dags.forget, airflow=place.name, dag_ids=unnamed)

    def _read_params(self, place: Place) -> None:
        now = self._monotonic()
        if now < place.params_from:
            return
        place.params_from = now + holding.NEARLY * self._interval_seconds / holding.KEEN_PART
        before = self._clock() - _PARAMS_AGE
        unread = self._inbox.read(dags.without_params, airflow=place.name, before=before, limit=_PARAMS_AT_ONCE)
        if not unread or not self._is_ours(place):
            return
        for dag_id in sorted(unread, key=lambda each: each == place.params_last):
            self._go_on()
            found = place.read_params(dag_id)
            if isinstance(found, DagFacts) or found is None:  # None: what was read before stays for another while
                self._inbox.write(dags.set_params, airflow=place.name, dag_id=dag_id, found=found, now=self._clock())
            if not isinstance(found, DagFacts):
                break  # perhaps Airflow is away: the next look at its DAGs finds out

    def _wait(self, place: Place) -> None:
        problem = place.problem
        if problem is not None and place.failed(problem, self._monotonic(), self._interval_seconds):
            _log.warning(
                "dags_not_read",
                airflow=place.name,
                reason=str(problem.reason),
                detail=problem.detail,
                next_step=problem.reason.next_step,
            )


def _report(look: KnownDag, before: KnownDag | None) -> None:
    """Say that a DAG is in another state than before, or not well from the start."""
    if look.state is (DagState.OK if before is None else before.state):
        return
    say = _log.info if look.state is DagState.OK else _log.warning
    was = None if before is None else str(before.state)
    say("dag_changed", airflow=look.airflow, dag_id=look.dag_id, state=str(look.state), was=was)
