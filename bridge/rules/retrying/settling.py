"""What one attempt means for its trigger: pure, so that every rule of retrying stands in one table of tests.

Started, AlreadyThere     -> fired
Never                     -> failed
Later                     -> pending or held, due after a back-off; failed when attempts or age are used up
TargetDown, Misconfigured -> held, the attempt does not count
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.rules.retrying import backoff
from bridge.words.model import (
    AlreadyThere,
    Later,
    Misconfigured,
    Never,
    Outcome,
    Started,
    TargetDown,
    Trigger,
    TriggerState,
)
from bridge.words.reasons import Reason


@dataclass(frozen=True, slots=True)
class Settlement:
    """Where one attempt leaves its trigger."""

    state: TriggerState
    reason: Reason | None
    detail: str | None
    due_at: datetime
    is_refunded: bool = False  # the attempt does not count: the place and not the trigger was the trouble


def settle(trigger: Trigger, outcome: Outcome, *, now: datetime, jitter: float) -> Settlement:
    """Return where `outcome` leaves a trigger whose `attempts` already counts this one; `jitter` is in [0, 1]."""
    match outcome:
        case Started(is_paused=is_paused):
            return Settlement(TriggerState.FIRED, Reason.DAG_PAUSED if is_paused else None, None, now)
        case AlreadyThere(reason=reason):
            return Settlement(TriggerState.FIRED, reason, None, now)
        case Never(reason=reason, detail=detail):
            return Settlement(TriggerState.FAILED, reason, detail or None, now)
        case Later():
            return _later(trigger, outcome, now=now, jitter=jitter)
        case Misconfigured(is_whole_target=False):
            due_at = now + timedelta(seconds=_hold_seconds(trigger, now, jitter))
            return Settlement(TriggerState.HELD, outcome.reason, outcome.detail or None, due_at, is_refunded=True)
        case TargetDown() | Misconfigured():
            # Due when it was due: when the target returns, the oldest go first.
            return Settlement(
                TriggerState.HELD, outcome.reason, outcome.detail or None, trigger.due_at, is_refunded=True
            )


def _later(trigger: Trigger, outcome: Later, *, now: datetime, jitter: float) -> Settlement:
    detail = outcome.detail or None
    limits = [limit for limit in (trigger.call.limits.max_attempts, outcome.attempts_allowed) if limit is not None]
    if limits and trigger.attempts >= min(limits) and not outcome.is_hold:
        last = f"last: {outcome.reason} {outcome.detail}".strip()
        return Settlement(TriggerState.FAILED, Reason.TOO_MANY_ATTEMPTS, last, now)
    expires_at = trigger.age_from + timedelta(seconds=trigger.call.limits.max_age_seconds)
    if now >= expires_at:
        last = f"last: {outcome.reason} {outcome.detail}".strip()
        return Settlement(TriggerState.FAILED, Reason.EXPIRED, last, now)
    if outcome.is_hold:
        wait = _hold_seconds(trigger, now, jitter, at_least=outcome.wait_seconds)
    else:
        wait = backoff.wait(trigger.attempts, jitter, at_least=outcome.wait_seconds)
    due_at = min(now + timedelta(seconds=wait), expires_at)
    state = TriggerState.HELD if outcome.is_hold else TriggerState.PENDING
    # What waits for a cause outside uses no attempt up, or a DAG that was missing for long would get no second try.
    return Settlement(state, outcome.reason, detail, due_at, is_refunded=outcome.is_hold)


def _hold_seconds(trigger: Trigger, now: datetime, jitter: float, *, at_least: float = 0.0) -> float:
    """Return how long until a cause outside is looked at again: the longer it lasts, the more rarely.

    By age and not by attempts, which holding does not use up. A thousand triggers of one missing DAG must leave most
    of the pace to the others.
    """
    minutes = max(0.0, (now - trigger.age_from).total_seconds()) / 60
    return backoff.wait_held(1 + int(minutes), jitter, at_least=at_least)
