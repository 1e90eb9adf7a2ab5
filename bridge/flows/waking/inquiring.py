"""Asks Planasonix for the runs of tasks that have waited long. One loop an Airflow, at its sources that have an `api`.

A webhook may name no id that its task knows, and may never come. So half an hour after a task was parked its run is
looked at, later ever more rarely: one run at a time, the one that is due longest. Of one that has ended the task is
told to look (bridge.rules.waking), and asks for all the rest itself. A run that gets no answer uses up no look, and
lets the others go first; the source rests only if its whole API, or three different runs, did not answer.

Only the process that keeps the waits of the Airflow asks, so replicas do not double the requests. When a run was looked
at is known to this process alone: after a restart each that waits long is due once more. Planasonix has a thread of its
own here, as in abandoning.py: while it hangs, tasks are woken all the same.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import structlog

from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox, waits
from bridge.edges.metrics import Metrics
from bridge.edges.planasonix import PlanasonixClient, runs
from bridge.rules import abandoning, waking
from bridge.rules.retrying import backoff
from bridge.rules.retrying.turns import Turns
from bridge.words.errors import LookupNotFound, LookupUnavailable
from bridge.words.waits import TaskKey, Wait

STEP_SECONDS = 10.0
_AGAIN_SECONDS = 15.0  # at least, until a run that got no answer is asked for again
_OWN_TROUBLE = 2  # so often one run alone got no answer: the API is well, and something about this run is not
_log = structlog.get_logger("bridge.inquiring")


class Inquiring:
    """The tasks of one Airflow that wait long."""

    def __init__(
        self,
        name: str,
        *,
        inbox: Inbox,
        metrics: Metrics,
        apis: Mapping[str, PlanasonixClient],
        only_source: str | None,
        is_ours: Callable[[], bool],
        tell: Callable[[Wait], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`apis` by source; `only_source`: that of a wait which names none.

        `is_ours`: whether this process keeps the waits of the Airflow; `tell` hears of one whose run has ended.
        """
        self._name, self._inbox, self._apis, self._only_source = name, inbox, apis, only_source
        self._is_ours, self._tell, self._clock, self._monotonic = is_ours, tell, clock, monotonic
        self._looks: dict[tuple[TaskKey, int], waking.Look] = {}  # by task and try
        self._turns: defaultdict[str, Turns] = defaultdict(Turns)  # of tasks and tries, by source
        self._failures: dict[str, int] = {}  # of the whole API in a row, by source
        self._not_before: dict[str, float] = {}
        self.loop = Loop("inquiring", self.step, every_seconds=STEP_SECONDS, metrics=metrics)

    def step(self) -> float:
        """Look at one run, if one is due; returns the pause. Raises InboxUnavailable."""
        if not self._is_ours():
            self._looks.clear()
            self._turns.clear()
            return STEP_SECONDS
        known = self._inbox.read(waits.known, airflow=self._name).values()
        self._looks = {_key(wait): self._looks.get(_key(wait), waking.Look(wait.since)) for wait in known}
        for turns in self._turns.values():
            turns.keep(self._looks.keys())
        now = self._clock()
        due = [wait for wait in known if self._looks[_key(wait)].due_at <= now and self._may_ask(wait)]
        if due:
            self._ask(min(due, key=self._place), now)
        return STEP_SECONDS

    def _place(self, wait: Wait) -> tuple[int, datetime]:
        return self._turns[self._source(wait)].times(_key(wait)), self._looks[_key(wait)].due_at

    def _source(self, wait: Wait) -> str:
        return wait.source or self._only_source or ""

    def _may_ask(self, wait: Wait) -> bool:
        source, now = self._source(wait), self._monotonic()
        if source not in self._apis or now < self._not_before.get(source, 0.0):
            return False
        return self._turns[source].is_due(_key(wait), now) and self._apis[source].room(1) > 0

    def _ask(self, wait: Wait, now: datetime) -> None:
        source = self._source(wait)
        try:
            shown = abandoning.read(runs.look(self._apis[source], wait.run_id), wait)
        except LookupUnavailable as unavailable:
            return self._postpone(wait, unavailable)
        except LookupNotFound:
            shown = None  # nothing is known of it: the task finds that itself, after six hours
        self._failures.pop(source, None)
        self._turns[source].went_well(_key(wait))
        self._looks[_key(wait)] = self._looks[_key(wait)].next(now)
        if shown is not None and not shown.is_active:
            _log.info(
                "run_has_ended_without_a_webhook",
                airflow=wait.airflow,
                dag_id=wait.task.dag_id,
                dag_run_id=wait.task.dag_run_id,
                task_id=wait.task.task_id,
                map_index=wait.task.map_index,
                source=source,
                run_id=wait.run_id,
            )
            self._tell(wait)
        return None

    def _postpone(self, wait: Wait, unavailable: LookupUnavailable) -> None:
        """Let the others go first: perhaps only this run cannot be asked for. Said when that is seen."""
        source, wish, now = self._source(wait), unavailable.retry_after_seconds or 0.0, self._monotonic()
        why = {"airflow": self._name, "source": source, "detail": str(unavailable)}
        at_least = 0.0 if unavailable.is_whole else max(_AGAIN_SECONDS, wish)
        is_resting = self._turns[source].failed(_key(wait), now, at_least=at_least)
        if unavailable.is_whole:
            times = self._failures[source] = self._failures.get(source, 0) + 1
            self._not_before[source] = now + backoff.wait_held(times, 1.0, at_least=wish)
            is_resting = times == 1
        if is_resting:
            _log.warning("runs_not_asked_for", **why)
        elif self._turns[source].times(_key(wait)) == _OWN_TROUBLE and not unavailable.is_whole:
            _log.warning("run_not_asked_for", **why, **wait.task._asdict(), run_id=wait.run_id)


def _key(wait: Wait) -> tuple[TaskKey, int]:
    return wait.task, wait.try_number
