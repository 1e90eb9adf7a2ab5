"""From a trigger to exactly one DAG run: claim with a lease, call Airflow, settle.

    1. claim    due triggers of an Airflow that may be called now, oldest first; the attempt counts here
    2. fire     one call under the trigger's fixed DAG run id (bridge.edges.airflow), in a bounded pool
    3. settle   the new state and the attempt in one transaction, guarded by the lease's token

A crash between any two steps leaves a lease that lapses; whoever takes the trigger over calls with the same DAG
run id, is told 409, reads the run back, and settles. So calls may repeat, DAG runs cannot.

While an Airflow is down (the breaker is open) nothing is claimed there but one probe at a time; what waits is
shown as `held` and keeps its place, so that the oldest go first when it returns. Only the place itself can say that it
is down (bridge.edges.airflow). One lane's failure stops no other, and a claim that cannot be begun is given back.
"""

import math
import random
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import structlog

from bridge.chores.loop import Loop
from bridge.edges.airflow import Airflow
from bridge.edges.inbox import Inbox, claiming, triggers
from bridge.edges.metrics import Metrics
from bridge.flows.firing import asking
from bridge.flows.firing.claims import HOLD_BATCH, HourlyPlaces, call_again, claim_due, hold_strays, let_go
from bridge.flows.firing.lane import Begun, Lane
from bridge.flows.firing.recording import record, report, report_pace, report_trouble, show_pace
from bridge.rules.pauses import Pauses
from bridge.rules.retrying.settling import Settlement, settle
from bridge.words.errors import InboxUnavailable
from bridge.words.model import Attempt, Claimed
from bridge.words.outcomes import Later, Misconfigured, Outcome, TargetDown
from bridge.words.reasons import Reason
from bridge.words.targets import AirflowTarget

_POLL_SECONDS = 1.0
_RENEWALS, _SETTLE_TRIES = 4, 5  # a lease is at least so many renewals long
_log = structlog.get_logger("bridge.firing")


class Dispatcher:
    """Claims, and hands claims to the pool; one loop, whatever the number of Airflows."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        airflows: Mapping[str, tuple[AirflowTarget, Airflow]],
        metrics: Metrics,
        lease_seconds: float,
        pauses: Callable[[], Pauses] = Pauses,
        hourly: HourlyPlaces = HourlyPlaces(),  # noqa: B008 - frozen
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`clock` gives aware UTC; durations inside are measured by the monotonic clock. `pauses`: what is paused."""
        self._inbox, self._metrics, self._lease = inbox, metrics, timedelta(seconds=lease_seconds)
        self._clock, self._pauses, self._hourly = clock, pauses, hourly
        now = time.monotonic()
        self.lanes = {name: Lane(target, airflow, now=now) for name, (target, airflow) in airflows.items()}
        show_pace(self.lanes.values(), metrics)
        # Calls with one beside a DAG that hangs, as many again that are being settled, and a probe.
        threads = sum(2 * (target.concurrency + 1) + 1 for target, _ in airflows.values())
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="firing")
        self._lock = threading.Lock()
        self._ended = threading.Event()  # a call was settled
        self._renewed_at, self._swept_at = now, 0.0
        self._away: InboxUnavailable | None = None  # what the store said in this step
        self.loop = Loop(
            "firing",
            self.step,
            every_seconds=_POLL_SECONDS,
            metrics=metrics,
            slowest_seconds=_POLL_SECONDS,
            stop_seconds=math.inf,
            on_stopped=self._let_calls_end,
        )

    def wake(self) -> None:
        """Look now instead of at the next poll; cheap, from any thread."""
        self.loop.wake()

    def take_turn(self, airflow: str) -> bool:
        """Take one call's share of the pace for another flow; False: not now."""
        with self._lock:
            return self.lanes[airflow].take_turn(time.monotonic(), self._pauses())

    def _let_calls_end(self, limit_seconds: float) -> None:
        """Wait for running calls up to a limit, then give the leases back; nothing more is claimed by now.

        A call that outlives the limit may make its run after all; whoever fires the trigger again finds that run.
        """
        deadline = time.monotonic() + limit_seconds
        while self._under_way() and time.monotonic() < deadline:
            with suppress(InboxUnavailable):  # then the leases lapse, as after a crash
                self._renew()
            self._ended.clear()
            self._ended.wait(min(0.2, max(0.0, deadline - time.monotonic())))
        self._pool.shutdown(wait=not any(lane.is_busy for lane in self.lanes.values()), cancel_futures=True)
        # Looked at afterwards: what a step that was left behind claims from now on, it gives back itself.
        if unfinished := self._under_way():
            _log.warning("calls_left_behind", triggers=[claimed.trigger.id for claimed in unfinished])
            with suppress(InboxUnavailable):
                self._inbox.write(triggers.leave_behind, unfinished, now=self._clock())

    def _under_way(self) -> list[Claimed]:
        with self._lock:
            return [claimed for lane in self.lanes.values() for claimed in lane.under_way.values()]

    def step(self) -> float:
        """Do one round; returns how long there is nothing to do unless woken. Raises InboxUnavailable."""
        self._renew()
        self._away = None
        pauses = [self._guarded(lane) for lane in self.lanes.values()]
        if self._away is not None:
            raise self._away
        return 0.0 if self._sweep() else min(pauses, default=_POLL_SECONDS)

    def _guarded(self, lane: Lane) -> float:
        """Dispatch one lane; whatever fails there stops no other lane, and is said once."""
        self.loop.beat()
        try:
            pause = self._dispatch(lane)
        except InboxUnavailable as error:
            self._away = error  # perhaps for this lane's statement alone: the others are asked all the same
            return _POLL_SECONDS
        except Exception:  # noqa: BLE001 - the guard of one lane
            self._metrics.failures.labels("firing").inc()
            if not lane.is_failing:
                _log.exception("lane_failed", airflow=lane.name)
            lane.is_failing = True
            return _POLL_SECONDS
        lane.is_failing = False
        return pause

    def _sweep(self) -> int:
        """Once a poll: take over what a dead process was firing, and say of what can never be fired why.

        Returns how many there are to fire. After firing, since a new trigger must not wait for two transactions.
        """
        if time.monotonic() - self._swept_at < _POLL_SECONDS:
            return 0
        self._swept_at = time.monotonic()
        taken = self._inbox.write(triggers.take_over, now=self._clock())
        if taken:
            self._metrics.leases_taken_over.inc(taken)
            _log.warning("leases_taken_over", triggers=taken)
        hold_strays(self._inbox, self.lanes)
        return taken

    def _renew(self) -> None:
        """Lengthen the leases of calls under way, well before they lapse."""
        if time.monotonic() - self._renewed_at < self._lease.total_seconds() / _RENEWALS:
            return
        self._renewed_at = time.monotonic()
        leases = [(claimed.trigger.id, claimed.token) for claimed in self._under_way()]
        if leases:
            self._inbox.write(triggers.renew, leases, until=self._clock() + self._lease)

    def _dispatch(self, lane: Lane) -> float:
        """Claim for one Airflow what it may take now, and start it."""
        now = time.monotonic()
        if lane.breaker.is_open:
            self._while_down(lane, now)
            return _POLL_SECONDS
        pauses = self._pauses()
        with self._lock:
            offer, due = lane.offer(now, pauses), lane.next_due(now, pauses)
        if not offer.limit:
            return min(_POLL_SECONDS, lane.seconds_until_room(now) or _POLL_SECONDS)
        is_on = due is not None and call_again(self._inbox, due, airflow=lane.name, now=self._clock())
        claimed = self._begin(lane, self._claim(lane, offer.limit, offer.full | offer.after_others))
        if offer.after_others and claimed < offer.limit:
            claimed += self._begin(lane, self._claim(lane, offer.limit - claimed, offer.full))
        return 0.0 if claimed == offer.limit or is_on else _POLL_SECONDS

    def _begin(self, lane: Lane, claims: list[Claimed]) -> int:
        """Start calls, and return how many claims there were.

        What cannot be started is given back, so that no claim is renewed that nobody works on.
        """
        begun = Begun(unused=claims)
        if not self.loop.is_ending:
            with self._lock:
                begun = lane.begin(claims, time.monotonic())
        waiting = begun.fire
        try:
            while waiting:
                self._pool.submit(self._fire, lane, waiting[0])
                waiting.pop(0)
        finally:
            with self._lock:
                for claimed in waiting:
                    lane.end(claimed)
            let_go(self._inbox, waiting + begun.unused, begun.later, self._clock())
        return len(claims)

    def _claim(self, lane: Lane, limit: int, full: Collection[str]) -> list[Claimed]:
        now, hourly = self._clock(), self._hourly
        return claim_due(self._inbox, hourly, airflow=lane.name, now=now, lease=self._lease, limit=limit, full=full)

    def _while_down(self, lane: Lane, now: float) -> None:
        """Show what waits as held, and probe, one probe at a time."""
        reason = lane.breaker.reason or Reason.AIRFLOW_DOWN
        self._inbox.write(claiming.hold, airflow=lane.name, reason=reason, limit=HOLD_BATCH)
        if lane.breaker.may_probe(now) and not lane.is_probing:
            lane.is_probing = True
            try:
                self._pool.submit(self._probe, lane)
            except BaseException:
                lane.is_probing = False
                raise

    def _probe(self, lane: Lane) -> None:
        problem: TargetDown | Misconfigured | None
        try:
            problem = lane.airflow.probe()
        except Exception:  # noqa: BLE001 - see below
            _log.exception("probe_failed", airflow=lane.name)
            self._metrics.failures.labels("probe").inc()
            problem = TargetDown(Reason.INTERNAL_ERROR)
        with self._lock:
            lane.is_probing = False
            if problem is None:
                lane.breaker.close()
        if problem is None:
            self._metrics.observe_airflow(lane.name, None)
            _log.info("airflow_back", airflow=lane.name)
            self.wake()
        else:
            self._note_trouble(lane, problem)

    def _note_trouble(self, lane: Lane, problem: TargetDown | Misconfigured) -> None:
        with self._lock:
            is_news = lane.problem(problem, time.monotonic())
        self._metrics.observe_airflow(lane.name, problem.reason)
        if is_news:
            report_trouble(lane, problem)

    def _fire(self, lane: Lane, claimed: Claimed) -> None:
        """Make one attempt and settle it; runs in the pool, never raises, and always gives its place back."""
        try:
            with self._lock:
                if not lane.is_under_way(claimed):
                    return  # given back: it waited for a thread, and none could be had
            began, started_at = time.monotonic(), self._clock()
            outcome = self._call(lane, claimed)
            seconds = time.monotonic() - began
            with self._lock:
                is_lowered = lane.called(claimed, outcome, time.monotonic(), seconds=seconds)
            self.wake()
            if is_lowered:
                report_pace(lane, time.monotonic())
            jitter = random.random()  # noqa: S311 - spreads retries, guards nothing
            settlement = settle(claimed.trigger, outcome, now=self._clock(), jitter=jitter, seconds=seconds)
            self._settle(claimed, settlement, record(claimed, outcome, started_at, seconds))
        except Exception:  # noqa: BLE001 - the lease lapses, and the trigger is fired again
            _log.exception("settle_failed", trigger_id=claimed.trigger.id)
            self._metrics.failures.labels("settling").inc()
        finally:
            with self._lock:
                lane.end(claimed)
            self._ended.set()
            self.wake()

    def _call(self, lane: Lane, claimed: Claimed) -> Outcome:
        """Call Airflow; an outcome that is about the whole place opens its breaker."""
        try:
            outcome = asking.call(self._inbox, lane.airflow, claimed.trigger, self._clock())
        except Exception:  # noqa: BLE001 - see below
            # The per-trigger guard: an error of the bridge itself is tried again slowly, a few times.
            _log.exception("fire_failed", trigger_id=claimed.trigger.id)
            self._metrics.failures.labels("firing").inc()
            return Later(Reason.INTERNAL_ERROR, wait_seconds=30.0, attempts_allowed=10)
        if isinstance(outcome, TargetDown) or (isinstance(outcome, Misconfigured) and outcome.is_whole_target):
            self._note_trouble(lane, outcome)
        return outcome

    def _settle(self, claimed: Claimed, settlement: Settlement, attempt: Attempt) -> None:
        """Store the end of an attempt; if the store stays unavailable the lease lapses and the trigger is retried."""
        for tries_left in reversed(range(_SETTLE_TRIES)):
            try:
                is_ours = self._inbox.write(triggers.settle, claimed, settlement, attempt)
                break
            except InboxUnavailable:
                if not tries_left or self.loop.is_ending:
                    _log.error("settle_postponed", trigger_id=claimed.trigger.id)
                    return
                time.sleep(1.0)
        report(claimed, settlement, attempt, metrics=self._metrics, now=self._clock(), is_ours=is_ours)
