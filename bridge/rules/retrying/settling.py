"""What one attempt means for its trigger: pure, so that every rule of retrying stands in one table of tests.

Started, AlreadyThere     -> fired
Never                     -> failed
Later                     -> pending or held, due after a back-off; failed when attempts or age are used up
Later, it awaits its DAG  -> held, no attempt and no age; how long that lasts is another matter (rules/holding)
TargetDown, Misconfigured -> held, the attempt does not count
TooLate, Superseded, Taken -> cancelled
Renamed                   -> pending at once, under its spare DAG run id, the attempt does not count

Rule: a budget runs only while the trigger is being tried, and each limit counts its own cause.

- `max_age` is used up by calls that ended in Later, and by the waits that were chosen after them. So neither an outage,
  a ceiling, a person's pause, a queue, a stopped bridge nor a clock that is set can use it up.
- `attempts_allowed` of an answer counts the attempts that ended for the same reason, `max_attempts` of the route those
  that ended in Later and were not free.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bridge.rules.retrying import backoff
from bridge.words.holds import Awaits, IfPaused
from bridge.words.model import Spent, Trigger, TriggerState
from bridge.words.outcomes import (
    AlreadyThere,
    Later,
    Misconfigured,
    Never,
    Outcome,
    Renamed,
    Started,
    Superseded,
    Taken,
    TargetDown,
    TooLate,
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
    spent: Spent | None = None  # what has been used of the limits by now; None: as before
    run_after: datetime | None = None  # of a DAG run that is there
    awaits: Awaits | None = None  # held for its DAG, until this changes
    dag_run_id: str | None = None  # from now on; None: as before
    # Beside the point of where it leaves it: the call may have started the DAG run, although nobody knows of it; or it
    # is known by now whether any call has.
    is_doubtful: bool = field(default=False, compare=False)
    is_certain: bool = field(default=False, compare=False)


def settle(trigger: Trigger, outcome: Outcome, *, now: datetime, jitter: float, seconds: float = 0.0) -> Settlement:
    """Return where `outcome` leaves a trigger whose `attempts` already counts this one.

    `jitter` is in [0, 1], `seconds` is how long the call took.
    """
    settlement = _settled(trigger, outcome, now=now, jitter=jitter, seconds=seconds)
    if isinstance(outcome, Never):
        # Airflow refuses a conf before it looks for the run: an earlier call may have started it.
        return replace(settlement, is_certain=outcome.is_certain)
    if not isinstance(outcome, Later | TargetDown | Misconfigured):
        return replace(settlement, is_certain=True)
    return replace(settlement, is_doubtful=not outcome.is_look)


def _settled(trigger: Trigger, outcome: Outcome, *, now: datetime, jitter: float, seconds: float) -> Settlement:
    match outcome:
        case Started() | AlreadyThere():
            paused = Reason.DAG_PAUSED if isinstance(outcome, Started) and outcome.is_paused else None
            reason = outcome.reason if isinstance(outcome, AlreadyThere) else paused
            return Settlement(TriggerState.FIRED, reason, None, now, run_after=outcome.run_after)
        case Never() | TooLate() | Superseded() | Taken():
            state = TriggerState.FAILED if isinstance(outcome, Never) else TriggerState.CANCELLED
            return Settlement(state, outcome.reason, outcome.detail or None, now)
        case Renamed(dag_run_id=dag_run_id):
            return Settlement(TriggerState.PENDING, None, None, now, is_refunded=True, dag_run_id=dag_run_id)
        case Later():
            return _later(trigger, outcome, now=now, jitter=jitter, seconds=seconds)
        case Misconfigured(is_whole_target=False):
            spent = _counted(trigger.spent, outcome.reason)
            wait = backoff.wait_held(spent.causes[outcome.reason], jitter)
            return _held(outcome, now + timedelta(seconds=wait), spent)
        case TargetDown() | Misconfigured():
            # Due when it was due: when the target returns, the oldest go first. But if it went down whenever this one
            # is tried, the others would never have their turn.
            is_suspect = isinstance(outcome, TargetDown) and outcome.is_suspect
            return _held(outcome, now if is_suspect else trigger.due_at, None)


def _held(outcome: TargetDown | Misconfigured, due_at: datetime, spent: Spent | None) -> Settlement:
    detail = outcome.detail or None
    return Settlement(TriggerState.HELD, outcome.reason, detail, due_at, is_refunded=True, spent=spent)


def _away(trigger: Trigger, outcome: Later, *, now: datetime, jitter: float) -> Settlement:
    """Hold a trigger for its DAG. What is not to wait in Airflow's queue does not go on for a DAG that is paused."""
    spent = _counted(trigger.spent, outcome.reason)
    wait = backoff.wait_away(spent.causes[outcome.reason], jitter, at_least=outcome.wait_seconds)
    is_kept = outcome.awaits is Awaits.THERE and trigger.call.if_paused is IfPaused.HOLD
    return Settlement(
        TriggerState.HELD,
        outcome.reason,
        outcome.detail or None,
        now + timedelta(seconds=wait),
        is_refunded=True,
        spent=spent,
        awaits=Awaits.UNPAUSED if is_kept else outcome.awaits,
    )


def _later(trigger: Trigger, outcome: Later, *, now: datetime, jitter: float, seconds: float) -> Settlement:
    if outcome.awaits is not None:
        return _away(trigger, outcome, now=now, jitter=jitter)
    limits, spent = trigger.call.limits, trigger.spent
    if outcome.is_hold or outcome.attempts_allowed is not None:
        spent = _counted(spent, outcome.reason)
    count = spent.causes.get(outcome.reason, 0)
    is_over = outcome.attempts_allowed is not None and count >= outcome.attempts_allowed
    is_over |= limits.max_attempts is not None and trigger.attempts >= limits.max_attempts and not outcome.is_free
    remaining = limits.max_age_seconds - spent.seconds - seconds
    if is_over or remaining <= 0:
        last = f"last: {outcome.reason} {outcome.detail}".strip()
        return Settlement(TriggerState.FAILED, Reason.TOO_MANY_ATTEMPTS if is_over else Reason.EXPIRED, last, now)
    wait = min(remaining, _wait(trigger, outcome, count, jitter))  # the last try comes when the age ends
    return Settlement(
        TriggerState.HELD if outcome.is_hold else TriggerState.PENDING,
        outcome.reason,
        outcome.detail or None,
        now + timedelta(seconds=wait),
        is_refunded=outcome.is_free,
        spent=replace(spent, seconds=spent.seconds + seconds + wait),
    )


def _wait(trigger: Trigger, outcome: Later, count: int, jitter: float) -> float:
    """Return how long until the next try: the longer a cause lasts, the more rarely it is looked at.

    A thousand triggers of one missing DAG must leave most of the pace to the others.
    """
    if not outcome.is_hold:
        return backoff.wait(trigger.attempts, jitter, at_least=outcome.wait_seconds)
    return backoff.wait_blocked(count, jitter, at_least=outcome.wait_seconds)


def _counted(spent: Spent, cause: Reason) -> Spent:
    return replace(spent, causes={**spent.causes, cause: spent.causes.get(cause, 0) + 1})
