"""Cancels runs of Planasonix that nobody waits for: their task was cleared, or marked as failed. One loop an Airflow.

    1. keep     when a wait ends without an answer of ours, its run is kept: one that the task itself has started, at a
                source that says `cancel_abandoned`
    2. duty     take this Airflow's lease, so that one replica judges
    3. ended    a webhook told the end of the run meanwhile: nothing to do
    4. judge    ask Airflow what became of the task (bridge.rules.abandoning), after a grace, and again while a new try
                has not told which run it has
    5. waited   another task waits for the same run, as we know or as Airflow lists it: left alone
    6. look     ask Planasonix: the run goes on, and is of this pipeline and task as far as the answer says
    7. cancel   note that it is asked for, ask, and write it into the audit log

A crash between asking and writing asks once more: then the run is seen to be cancelled, and 7 is written. What a day of
looks has not decided is left alone, and said; one that got no answer is not counted, and lets other runs go first.
Planasonix has a thread of its own here: while it hangs, tasks are woken all the same.
"""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from bridge.chores.duty import Duty
from bridge.chores.loop import Loop
from bridge.edges.airflow.waits import Problem, Waits
from bridge.edges.inbox import Inbox
from bridge.edges.inbox import abandoned as statements
from bridge.edges.metrics import Metrics
from bridge.edges.planasonix import PlanasonixClient, runs
from bridge.flows.waking.asking import Asking
from bridge.rules import abandoning as rules
from bridge.rules.abandoning import Verdict
from bridge.rules.retrying import backoff
from bridge.words.audit import BRIDGE_ACTOR, RUN_CANCELLED, AuditLine
from bridge.words.errors import LookupNotFound, LookupUnavailable
from bridge.words.waits import Abandoned, Wait

STEP_SECONDS = 10.0
_LEASE_SECONDS = 120.0  # a step may wait for Planasonix once for each source
_LIMIT = 20  # runs in one step
_log = structlog.get_logger("bridge.abandoning")


class Abandoning:
    """The runs of one Airflow's tasks."""

    def __init__(
        self,
        name: str,
        airflow: Waits,
        *,
        inbox: Inbox,
        metrics: Metrics,
        take_turn: Callable[[], bool],
        apis: Mapping[str, PlanasonixClient],
        only_source: str | None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`apis`: of the sources that say `cancel_abandoned`. `only_source`: that of a wait which names none.

        `take_turn` takes one call's share of the Airflow's pace; False: it may not be called now.
        """
        self._name, self._inbox, self._metrics = name, inbox, metrics
        self._asking = Asking(name, airflow, metrics, take_turn)
        self._apis, self._only_source, self._clock = apis, only_source, clock
        self._duty = Duty(inbox, clock)
        self._failures: dict[str, int] = {}  # in a row, by source, and by "" for Airflow
        self._not_before: dict[str, float] = {}
        self.loop = Loop(
            "abandoning", self.step, every_seconds=STEP_SECONDS, metrics=metrics, on_stopped=self._duty.give_back
        )

    def let_go(self, ended: Collection[Wait]) -> None:
        """Forget waits that have ended without an answer of ours, and keep their runs. Raises InboxUnavailable."""
        now = self._clock()
        kept = [run for wait in ended if (run := self._kept(wait, now)) is not None]
        due_at = now + rules.GRACE
        self._inbox.write(statements.let_go, airflow=self._name, ended=ended, kept=kept, due_at=due_at)

    def step(self) -> float:
        """Judge what is due; returns the pause. Raises InboxUnavailable."""
        if not self._duty.take(f"abandoning:{self._name}", _LEASE_SECONDS):
            return STEP_SECONDS
        now = self._clock()
        for run in self._inbox.read(statements.due, airflow=self._name, now=now, but=self._resting(), limit=_LIMIT):
            if self.loop.is_ending or self._is_resting("") or self._is_resting(run.source):
                continue
            self.loop.beat()
            self._consider(run)
        return STEP_SECONDS

    def _kept(self, wait: Wait, now: datetime) -> Abandoned | None:
        source = wait.source or self._only_source
        if not wait.is_own or source is None or source not in self._apis:
            return None
        return Abandoned(wait.airflow, wait.task, wait.try_number, wait.run_id, wait.pipeline_id, source, now)

    def _consider(self, run: Abandoned) -> None:
        if (outcome := self._without_asking(run)) is not None:
            self._settle(run, outcome)
            return
        found = self._asking.judge(run)
        if not isinstance(found, Verdict):
            self._rest_after(run, found)
            return
        self._failures.pop("", None)
        match found:
            case Verdict.LEFT_ALONE:
                self._settle(run, "left_alone")
            case Verdict.UNDECIDED:
                again_at = self._clock() + rules.pause(run.looks)
                self._inbox.write(statements.look_again, run, at=again_at)
            case Verdict.ABANDONED:
                self._end(run)

    def _without_asking(self, run: Abandoned) -> str | None:
        if run.source not in self._apis:  # it no longer says `cancel_abandoned`
            return "left_alone"
        if self._inbox.read(statements.has_ended, run):
            return "ended"
        return "given_up" if rules.is_hopeless(run) else None

    def _end(self, run: Abandoned) -> None:
        if self._inbox.read(statements.is_waited_for, run.run_id):
            return self._settle(run, "waited_for")
        self.loop.beat()
        is_listed = self._asking.is_listed(run)
        if not isinstance(is_listed, bool):
            return self._rest_after(run, is_listed)
        if is_listed:
            return self._settle(run, "waited_for")
        try:
            self._cancel(run)
        except LookupUnavailable as unavailable:
            self._postpone(run)
            self._rest(run.source, unavailable.retry_after_seconds, detail=str(unavailable))
        else:
            self._failures.pop(run.source, None)

    def _cancel(self, run: Abandoned) -> None:
        """Look at the run, and ask for it to be cancelled. Raises LookupUnavailable."""
        api = self._apis[run.source]
        self.loop.beat()
        try:
            shown = rules.read(runs.look(api, run.run_id), run)
        except LookupNotFound:
            return self._settle(run, "not_there")
        if shown is None or shown.is_another:
            return self._settle(run, "left_alone")
        if not shown.is_active:
            return self._settle(run, "cancelled" if run.asked and shown.is_cancelled else "ended")
        if not self._inbox.write(statements.ask, run, again_at=self._clock() + rules.pause(run.asked)):
            return None  # another process has the lease by now
        asked = replace(run, asked=run.asked + 1)
        self.loop.beat()
        try:
            runs.cancel(api, run.run_id)
        except LookupNotFound:
            return self._settle(asked, "not_there")
        return self._settle(asked, "cancelled")

    def _settle(self, run: Abandoned, outcome: str) -> None:
        """Forget the run; whatever the outcome, it is counted and said by whoever forgets it."""
        line = _line(run, self._clock()) if outcome == "cancelled" else None
        if not self._inbox.write(statements.settle, run, line=line):
            return
        self._metrics.waits.count_abandoned(self._name, outcome)
        (_log.warning if outcome in ("cancelled", "given_up") else _log.info)(
            "abandoned_run",
            airflow=run.airflow,
            dag_id=run.task.dag_id,
            dag_run_id=run.task.dag_run_id,
            task_id=run.task.task_id,
            map_index=run.task.map_index,
            source=run.source,
            run_id=run.run_id,
            outcome=outcome,
        )

    def _rest_after(self, run: Abandoned, problem: Problem | None) -> None:
        """Ask this Airflow later; None: its pace has no more room, or it may not be called now."""
        if problem is not None:
            self._postpone(run)
            self._rest("", None, detail=problem.detail)

    def _postpone(self, run: Abandoned) -> None:
        """Let the others go first: perhaps only this run cannot be asked for. Of one that was cancelled it is done."""
        self._inbox.write(statements.postpone, run, at=self._clock() + rules.GRACE)

    def _rest(self, place: str, wish: float | None, *, detail: str) -> None:
        times = self._failures[place] = self._failures.get(place, 0) + 1
        self._not_before[place] = time.monotonic() + backoff.wait_held(times, 0.0, at_least=wish or 0.0)
        if times == 1:
            _log.warning("abandoned_not_judged", airflow=self._name, source=place or None, detail=detail)

    def _is_resting(self, place: str) -> bool:
        return time.monotonic() < self._not_before.get(place, 0.0)

    def _resting(self) -> list[str]:
        return [place for place in self._not_before if self._is_resting(place)]


def _line(run: Abandoned, now: datetime) -> AuditLine:
    index = f"[{run.task.map_index}]" if run.task.map_index >= 0 else ""
    task = f"{run.task.task_id}{index} of the DAG run {run.task.dag_run_id} of {run.task.dag_id}"
    reason = f"the task {task} (Airflow {run.airflow}) was cleared or marked as failed"
    return AuditLine(now, BRIDGE_ACTOR, RUN_CANCELLED, f"{run.source}: {run.run_id}", reason)
