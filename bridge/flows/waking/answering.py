"""Answers the tasks of whose run the store knows something, each once.

    1. facts    what the store knows of the runs that are waited for, of all of them by three statements; and which were
                seen to have ended without a webhook (inquiring.py)
    2. look     at the task: one that no longer waits, or waits in another try, is not touched
    3. answer   with the status, and ids, rows and instants of the webhook; or `look` (bridge.rules.waking)
    4. forget   the wait, whether Airflow took the answer or had another one before
    5. let go   of one that waits no longer and whose run goes on: perhaps nobody waits for that now (abandoning.py)

A crash between 3 and 4 answers once more, which Airflow refuses (409). A task that cannot be answered lets the others
go first, and is tried ever more rarely; from the third time on without the error's text, which a firewall may dislike.
Only three different tasks that fail together, and none that is answered between, let all of them rest.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime

import structlog

from bridge.edges.airflow.waits import Problem
from bridge.edges.inbox import waits
from bridge.edges.inbox.deliveries import get
from bridge.flows.waking.place import Place
from bridge.rules import event as events
from bridge.rules import waking
from bridge.rules.retrying.turns import Turns
from bridge.rules.sources import Source
from bridge.words.errors import BridgeError, InboxUnavailable
from bridge.words.model import Delivery, Event
from bridge.words.outcomes import TargetDown
from bridge.words.waits import Fact, Parked, TaskKey, Wait

_MOST_HINTS = 10_000
_OWN_TROUBLE = 2  # so often a task alone has failed: the place is well, and something about this one is not
_NEXT_STEP = (
    "`detail` has what came instead: a firewall that blocks the call, or a DAG whose tasks the bridge's user may not"
    " answer. If it is urgent, answer the task in Airflow, under Required actions"
)
_log = structlog.get_logger("bridge.waking")


class Answering:
    """One Airflow. One thread."""

    def __init__(self, place: Place, *, sources: Mapping[str, Source], clock: Callable[[], datetime]) -> None:
        """Nothing was answered yet."""
        self._name, self._airflow, self._inbox, self._metrics = place.name, place.airflow, place.inbox, place.metrics
        self._take_turn, self._go_on, self._let_go = place.take_turn, place.go_on, place.let_go
        self._sources, self._clock = sources, clock
        self._turns = Turns()  # of tasks and tries
        self.overdue = 0  # of the last step: what could be answered, and was not
        self._hints: dict[tuple[TaskKey, int], waking.Hint] = {}
        self._ended: dict[TaskKey, Wait] = {}  # whose run was seen to have ended

    def note_end(self, wait: Wait) -> None:
        """Let the task look in the next step; from any thread."""
        self._ended[wait.task] = wait

    def step(self) -> bool:
        """Answer what can be answered; True: ask the place first, for it may be its trouble that one task met.

        Raises InboxUnavailable.
        """
        unanswered = self._facts()
        self._turns.keep(unanswered.keys())
        ready = [fact for key, fact in unanswered.items() if self._turns.is_due(key, time.monotonic())]
        ready.sort(key=lambda fact: self._turns.times(_key(fact)), reverse=True)  # the last one is next
        is_doubted = False
        while ready and not (is_doubted or self._is_resting()) and self._go_on() and self._take_turn():
            fact = ready.pop()
            problem = self._answer(fact)
            if problem is None:
                self._turns.went_well(_key(fact))
                del unanswered[_key(fact)]
            else:
                self._postpone(fact, problem)
                is_doubted = isinstance(problem, TargetDown) or problem.is_whole_target
        self.overdue = 0 if is_doubted or self._is_resting() else len(ready)
        self._observe(unanswered)
        return is_doubted

    def observe(self) -> None:
        """Count what could be answered, where nothing may be asked. Raises InboxUnavailable."""
        self._observe(self._facts())

    def _observe(self, unanswered: Mapping[tuple[TaskKey, int], Fact]) -> None:
        self._metrics.waits.observe_overdue(self._name, sum(fact.status is not None for fact in unanswered.values()))

    def _facts(self) -> dict[tuple[TaskKey, int], Fact]:
        """Return what is known, by task and try; what a webhook tells counts before a look at its run."""
        ended = [Fact(wait, None, None) for wait in list(self._ended.values())]
        stored = [fact for fact in self._inbox.read(waits.facts, airflow=self._name) if self._is_news(fact)]
        return {_key(fact): fact for fact in [*ended, *stored]}

    def _is_resting(self) -> bool:
        return self._turns.is_resting(time.monotonic())

    def _postpone(self, fact: Fact, problem: Problem) -> None:
        """Let the others go first. Said of one task when it fails for the second time: before, it may be the place."""
        wait, at_least = fact.wait, problem.wait_seconds if isinstance(problem, TargetDown) else 0.0
        why = {"airflow": self._name, "reason": str(problem.reason), "detail": problem.detail}
        if self._turns.failed(_key(fact), time.monotonic(), at_least=at_least):
            _log.warning("waits_not_answered", **why, next_step=problem.reason.next_step)
        elif self._turns.times(_key(fact)) == _OWN_TROUBLE:
            _log.warning("wait_not_answered", **why, **wait.task._asdict(), run_id=wait.run_id, next_step=_NEXT_STEP)

    def _is_news(self, fact: Fact) -> bool:
        if fact.status is not None or fact.delivery_id is None:
            return True
        return self._hint(fact).may_follow(fact.delivery_id, time.monotonic())

    def _hint(self, fact: Fact) -> waking.Hint:
        return self._hints.get(_key(fact), waking.Hint())

    def _answer(self, fact: Fact) -> Problem | None:
        wait = fact.wait
        seen = self._airflow.look(wait.task)
        if seen is not None and not isinstance(seen, Parked):
            return seen
        is_waiting = seen is not None and seen.is_waiting and not seen.is_answered
        if seen is None or not is_waiting or seen.try_number != wait.try_number:
            self._forget(fact, "gone")
            return None
        delivery = self._delivery(fact)
        facts = waking.facts(self._event(delivery), run_id=wait.run_id, delivery_id=fact.delivery_id)
        if self._turns.times(_key(fact)) >= _OWN_TROUBLE:
            facts.pop("error", None)
        self._go_on()  # one question between two beats
        given = self._airflow.answer(wait.task, fact.status or waking.LOOK, facts)
        if not isinstance(given, bool):
            return given
        self._note_hint(fact)
        self._forget(fact, ("look" if fact.status is None else "answered") if given else "refused")
        if given and fact.status is not None and delivery is not None:
            # Of a webhook that came before its task was parked, the wait is what took time.
            since = max(delivery.received_at, wait.since)
            self._metrics.waits.observe_answer((self._clock() - since).total_seconds())
        return None

    def _forget(self, fact: Fact, outcome: str) -> None:
        wait = fact.wait
        self._ended.pop(wait.task, None)
        if outcome == "gone" and fact.status is None:
            self._let_go([wait])
        else:
            self._inbox.write(waits.forget, airflow=self._name, tasks=[wait.task])
        self._metrics.waits.count(self._name, outcome)
        _log.info(
            "wait_ended",
            airflow=self._name,
            dag_id=wait.task.dag_id,
            dag_run_id=wait.task.dag_run_id,
            task_id=wait.task.task_id,
            map_index=wait.task.map_index,
            run_id=wait.run_id,
            delivery_id=fact.delivery_id,
            status=fact.status,
            outcome=outcome,
        )

    def _note_hint(self, fact: Fact) -> None:
        if fact.status is not None or fact.delivery_id is None:
            return
        if len(self._hints) >= _MOST_HINTS:
            self._hints.clear()  # at worst each is told once more
        self._hints[_key(fact)] = self._hint(fact).next(fact.delivery_id, time.monotonic())

    def _delivery(self, fact: Fact) -> Delivery | None:
        if fact.delivery_id is None:
            return None
        try:
            return self._inbox.read(get, fact.delivery_id)
        except InboxUnavailable:
            raise
        except BridgeError:
            return None

    def _event(self, delivery: Delivery | None) -> Event | None:
        """Return what a delivery says, None where its payload is erased or cannot be decrypted."""
        if delivery is None or delivery.locked is not None or delivery.erased_at is not None:
            return None
        source = self._sources.get(delivery.source)
        spelling = events.USUAL if source is None else source.spelling
        try:
            event = events.read(delivery.body, path_pipeline_id=delivery.path_pipeline_id, spelling=spelling)
            return event if delivery.lookup is None else events.merge(event, delivery.lookup, spelling=spelling)
        except BridgeError:
            return None


def _key(fact: Fact) -> tuple[TaskKey, int]:
    return fact.wait.task, fact.wait.try_number
