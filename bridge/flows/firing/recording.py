"""An attempt as people will read it: when, how long, how it ended; stored, counted and logged."""

from datetime import datetime

import structlog

from bridge.edges.inbox.triggers import asked_at
from bridge.edges.metrics import Metrics
from bridge.rules.retrying.settling import Settlement
from bridge.words.model import Attempt, Claimed, TriggerState
from bridge.words.outcomes import Outcome, Started
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
    needs_a_look = settlement.state is TriggerState.FAILED or settlement.reason is Reason.CALL_BLOCKED
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
        detail=settlement.detail,
        seconds=round(attempt.seconds, 4),
    )


_WORDS = {
    "Started": "started",
    "AlreadyThere": "already_there",
    "Later": "later",
    "Never": "never",
    "TargetDown": "target_down",
    "Misconfigured": "misconfigured",
}
