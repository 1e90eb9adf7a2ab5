"""What became of the DAG runs: watches those that are open until they end, by lists and never one by one.

For each Airflow, once an interval at most:

    1. due      read the open runs that are due for a look; none: nothing is asked, nothing is written
    2. duty     take this Airflow's lease, so that one replica asks; another one has it: nothing to do
    3. list     ONE request, for the runs made near to the one that is due longest, whatever their DAGs
    4. single   ask for a few that the list should hold and does not, longest due first: deleted, or not to be seen. The
                rest of those stay due, behind all that is due now: they have no answer in common. A user who may read
                runs of single DAGs, and so no list, has nothing but this step
    5. store    every change guarded by the due time that was read, so that an end counts once
    6. tell     metrics, and a log line for each end

A run is looked at again after a tenth of its age (an interval at least, five minutes at most); after
BRIDGE_FOLLOW_DAYS it is `unknown`, where Airflow says nothing of it after twice that. All of that is in the store, so a
restart or another replica goes on where this one stopped. A run that failed is told of and makes no event, so nothing
can react to it in a circle.

An Airflow that does not answer is asked more and more rarely, and one that asks to wait not before that; its runs stay
open and due.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from bridge.chores.duty import Duty
from bridge.chores.loop import Loop
from bridge.edges.airflow import Airflow
from bridge.edges.inbox import Inbox, runs
from bridge.edges.metrics import Metrics
from bridge.flows.following.ending import report
from bridge.flows.following.watch import BATCH, Watch
from bridge.rules import following
from bridge.words.outcomes import Misconfigured, TargetDown, step_to_read
from bridge.words.reasons import Reason
from bridge.words.runs import OpenRun, Progress, RunPage, RunSeen

_LEASE_SECONDS = 30.0
_STORED_AT_ONCE = 100  # a few milliseconds of the writer's time, between which webhooks pass
_SINGLES = 5
_SINGLES_SECONDS = 15.0  # no further one is begun after that: the lease must outlast a look
_log = structlog.get_logger("bridge.following")


class Following:
    """One loop for all Airflows."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        airflows: Mapping[str, Airflow],
        metrics: Metrics,
        interval_seconds: float,
        give_up: timedelta,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`give_up`: a run that is still open so long after it was fired is `unknown`. `clock` gives aware UTC.

        Twice that where Airflow says nothing of it: the bridge may have been stopped, and Airflow be down just now.
        """
        self._inbox = inbox
        self._metrics = metrics
        self._interval_seconds = interval_seconds
        self._give_up, self._give_up_unheard = give_up, 2 * give_up
        self._clock = clock
        self._monotonic = monotonic
        self._duty = Duty(inbox, clock)
        self._watches = deque(Watch(name, airflow) for name, airflow in airflows.items())
        self.loop = Loop(
            "following", self.step, every_seconds=interval_seconds, metrics=metrics, on_stopped=self._duty.give_back
        )

    def step(self) -> None:
        """Look once at every Airflow that may be asked now. Raises InboxUnavailable.

        Each step begins where the last one ended, so an Airflow that makes it fail does not stop the others.
        """
        for _ in self._watches.copy():
            self.loop.beat()
            watch = self._watches.popleft()
            self._watches.append(watch)
            if not self.loop.is_ending and watch.may_ask(self._monotonic()):
                self._look(watch)

    def take_in(self, airflow: str, seen: Sequence[RunSeen]) -> int:
        """Apply what an Airflow reports by itself; returns how many open runs it was news for.

        Idempotent: an end closes a run, and a closed one takes no report. Thread-safe. Raises InboxUnavailable.
        """
        looks = self._inbox.write(runs.take_in, airflow=airflow, seen=seen, judge=self._judged)
        for look in looks:
            report(look, airflow, self._metrics, self._clock())
        return len(looks)

    def _look(self, watch: Watch) -> None:
        due = self._inbox.read(runs.due, airflow=watch.name, now=self._clock(), limit=BATCH)
        if not due or not self._duty.take(f"following:{watch.name}", _LEASE_SECONDS):
            return
        asked = following.together(due[: watch.batch], span=watch.span)
        since, until = following.stretch(asked)
        self.loop.beat()
        page = watch.airflow.list_runs({run.dag_id for run in asked}, since, until, limit=watch.page)
        if not isinstance(page, RunPage):
            self._do_without(watch, asked, page)
            return
        self._metrics.runs.count_request(watch.name, is_answered=True)
        is_too_long = page.is_cut and watch.batch > 1
        watch.answered(page)
        if not is_too_long:
            self._take_in(watch, asked, page)

    def _do_without(self, watch: Watch, asked: Sequence[OpenRun], problem: TargetDown | Misconfigured) -> None:
        """Wait, as there is no list. If our user may not read lists, it may read runs of single DAGs all the same."""
        is_forbidden = problem.reason is Reason.AIRFLOW_FORBIDDEN
        if is_forbidden:
            looks, is_heard, stopped = self._ask_singly(watch, asked)
        else:
            unread = [run for run in asked if len(asked) == 1 or self._is_over(run)]
            looks, is_heard, stopped = [self._leave(run, self._give_up_unheard) for run in unread], False, None
        self._metrics.runs.count_request(watch.name, is_answered=is_heard)
        if is_heard:
            watch.heard()
        if stopped is not None or not is_heard:
            self._wait(watch, stopped or problem, asked=0 if is_forbidden else len(asked))
        elif watch.is_news(problem.reason):
            _say("runs_not_listed", watch, problem)
        self._store(looks, watch)

    def _take_in(self, watch: Watch, asked: Sequence[OpenRun], page: RunPage) -> None:
        found = {(seen.dag_id, seen.dag_run_id): seen for seen in page.runs}
        looks = [self._judge(run, found.get((run.dag_id, run.dag_run_id))) for run in asked]
        missing = [run for run, look in zip(asked, looks, strict=True) if look is None]
        singly, _, stopped = self._ask_singly(watch, missing)
        if stopped is not None:
            self._wait(watch, stopped, asked=0)
        found_out = [look for look in looks if look is not None] + singly
        if page.is_whole:  # else they may be on the next page
            found_out += [self._pass_over(run) for run in missing[_SINGLES:]]
        self._store(found_out, watch)

    def _judge(self, run: OpenRun, seen: RunSeen | None) -> Progress | None:
        return None if seen is None else self._judged(run, seen)

    def _judged(self, run: OpenRun, seen: RunSeen) -> Progress:
        return following.progress(
            run, seen, now=self._clock(), interval_seconds=self._interval_seconds, give_up=self._give_up
        )

    def _ask_singly(
        self, watch: Watch, missing: Sequence[OpenRun]
    ) -> tuple[list[Progress], bool, TargetDown | Misconfigured | None]:
        """Ask for a few runs that no list showed.

        Returns what that means, whether Airflow told of any, and what is the matter with Airflow, if something is.
        """
        looks: list[Progress] = []
        is_heard = False
        until = time.monotonic() + _SINGLES_SECONDS
        for run in missing[:_SINGLES]:
            if time.monotonic() > until or self.loop.is_ending:
                break
            self.loop.beat()
            seen = watch.airflow.look_at_run(run.dag_id, run.dag_run_id)
            is_heard |= seen is None or isinstance(seen, RunSeen)
            if seen is None:
                looks.append(following.gone(run, now=self._clock()))
            elif isinstance(seen, RunSeen):
                looks.append(self._judged(run, seen))
            elif isinstance(seen, Misconfigured) and not seen.is_whole_target:
                looks.append(self._leave(run, self._give_up))  # at once, so that it never holds up the others
                if watch.is_news_of(run.dag_id, seen.reason):
                    _say("run_not_read", watch, seen, dag_id=run.dag_id, dag_run_id=run.dag_run_id)
            else:
                looks.append(self._leave(run, self._give_up_unheard))
                return looks, is_heard, seen
        return looks, is_heard, None

    def _leave(self, run: OpenRun, give_up: timedelta) -> Progress:
        return following.unseen(run, now=self._clock(), interval_seconds=self._interval_seconds, give_up=give_up)

    def _is_over(self, run: OpenRun) -> bool:
        return following.is_over(run, now=self._clock(), give_up=self._give_up_unheard)

    def _pass_over(self, run: OpenRun) -> Progress:
        return following.passed_over(run, now=self._clock(), give_up=self._give_up_unheard)

    def _wait(self, watch: Watch, problem: TargetDown | Misconfigured, *, asked: int) -> None:
        if watch.failed(problem, self._monotonic(), self._interval_seconds, asked=asked):
            _say("runs_not_followed", watch, problem)

    def _store(self, looks: Sequence[Progress], watch: Watch) -> None:
        for begin in range(0, len(looks), _STORED_AT_ONCE):
            self.loop.beat()
            for look in self._inbox.write(runs.store, looks[begin : begin + _STORED_AT_ONCE]):
                report(look, watch.name, self._metrics, self._clock())


def _say(event: str, watch: Watch, problem: TargetDown | Misconfigured, **ids: str) -> None:
    reason, step = str(problem.reason), step_to_read(problem)
    _log.warning(event, airflow=watch.name, **ids, reason=reason, detail=problem.detail, next_step=step)
