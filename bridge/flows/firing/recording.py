"""An attempt as people will read it: when, how long, how it ended; stored, counted and logged."""

import time
from collections.abc import Iterable
from datetime import datetime
from functools import partial

import structlog

from bridge.edges.inbox.triggers import asked_at
from bridge.edges.metrics import Metrics
from bridge.flows.firing.lane import Lane
from bridge.rules.retrying.settling import Settlement
from bridge.words.model import Attempt, Claimed, TriggerState
from bridge.words.outcomes import Misconfigured, Outcome, Started, TargetDown
from bridge.words.reasons import Reason

_log = structlog.get_logger("bridge.firing")


def record(claimed: Claimed, outcome: Outcome, started_at: datetime, seconds: float) -> Attempt:
    """Return the attempt as it is stored; `seconds` is how long the call took."""
    reason = None if isinstance(outcome, Started) else outcome.reason
    return Attempt(
        number=claimed.trigger.attempts,
        started_at=started_at,
        seconds=seconds,
        outcome=_WORDS[type(outcome).__name__],
        reason=reason,
        detail=getattr(outcome, "detail", None) or None,
        http_status=outcome.http_status,
    )


def report(
    claimed: Claimed, settlement: Settlement, attempt: Attempt, *, metrics: Metrics, now: datetime, is_ours: bool
) -> None:
    """Count and log an attempt; `is_ours`: its end was stored, since the lease still held."""
    trigger = claimed.trigger
    metrics.count_attempt(trigger.call.airflow, attempt)
    if not is_ours:
        _log.warning("lease_lost", trigger_id=trigger.id, delivery_id=trigger.delivery_id)
        return
    metrics.count_ended(trigger.call.route, settlement.state, settlement.reason)
    if settlement.state is TriggerState.FIRED:
        metrics.observe_fired(asked_at(trigger), now)
    needs_a_look = settlement.state is TriggerState.FAILED or settlement.reason in _LOOKED_AT
    say = _log.warning if needs_a_look else _log.info
    say(
        "attempt_ended",
        trigger_id=trigger.id,
        delivery_id=trigger.delivery_id,
        route=trigger.call.route,
        airflow=trigger.call.airflow,
        dag_id=trigger.call.dag_id,
        dag_run_id=trigger.call.dag_run_id,
        attempt=attempt.number,
        outcome=attempt.outcome,
        http_status=attempt.http_status,
        state=str(settlement.state),
        reason=str(settlement.reason) if settlement.reason else None,
        detail=settlement.detail or attempt.detail,
        seconds=round(attempt.seconds, 4),
    )


def report_trouble(lane: Lane, problem: TargetDown | Misconfigured) -> None:
    """Log that an Airflow cannot be called, and why."""
    _log.error(
        "airflow_unavailable",
        airflow=lane.name,
        reason=str(problem.reason),
        detail=problem.detail,
        next_step=problem.reason.next_step,
    )


def report_pace(lane: Lane, now: float) -> None:
    """Log that an Airflow is called more slowly from now on; `now` in monotonic seconds."""
    _log.warning(
        "pace_lowered",
        airflow=lane.name,
        strain=str(lane.easing.strain),
        concurrency=lane.easing.concurrency(now),
        rate=round(lane.easing.rate(now), 2),
        next_step="Nothing to do: it comes back by itself. If it stays low, Airflow needs more, or lower settings.",
    )


def show_pace(lanes: Iterable[Lane], metrics: Metrics) -> None:
    """Let each scrape read the pace of the moment."""
    for lane in lanes:
        metrics.pace.watch(lane.name, partial(_concurrency_of, lane), partial(_rate_of, lane))


def _concurrency_of(lane: Lane) -> float:
    return float(lane.easing.concurrency(time.monotonic()))


def _rate_of(lane: Lane) -> float:
    return lane.easing.rate(time.monotonic())


_LOOKED_AT = (Reason.CALL_BLOCKED, Reason.DUPLICATE_RUN)
_WORDS = {
    "Started": "started",
    "AlreadyThere": "already_there",
    "Later": "later",
    "Never": "never",
    "TargetDown": "target_down",
    "Misconfigured": "misconfigured",
    "TooLate": "too_late",
    "Superseded": "superseded",
    "Taken": "taken",
    "Renamed": "renamed",
}
