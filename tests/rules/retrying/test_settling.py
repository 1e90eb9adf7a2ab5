"""What one attempt means for its trigger, outcome by outcome."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.rules.retrying.backoff import longest_wait
from bridge.rules.retrying.settling import Settlement, settle
from bridge.words.holds import Awaits, IfPaused
from bridge.words.model import Call, Limits, Spent, Trigger, TriggerState
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

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
DUE = NOW - timedelta(minutes=5)
LATER = timedelta(seconds=7)
DAY = 86_400.0


def trigger(*, attempts: int = 1, spent: Spent = Spent(), **limits: Any) -> Trigger:  # noqa: B008 - frozen
    """Return a trigger whose attempts already count the one that is settled."""
    return Trigger(
        id="trg_0000000000000001",
        delivery_id="dlv_0000000000000001",
        call=Call("orders", "default", "load_orders", "run", {}, None, Limits(**limits)),
        state=TriggerState.FIRING,
        reason=None,
        detail=None,
        attempts=attempts,
        rerun=0,
        created_at=NOW - timedelta(days=400),
        age_from=NOW - timedelta(days=400),
        due_at=DUE,
        settled_at=None,
        spent=spent,
    )


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Started(), Settlement(TriggerState.FIRED, None, None, NOW)),
        (Started(is_paused=True), Settlement(TriggerState.FIRED, Reason.DAG_PAUSED, None, NOW)),
        (AlreadyThere(), Settlement(TriggerState.FIRED, Reason.ALREADY_THERE, None, NOW)),
        (
            AlreadyThere(Reason.SAME_COMPLETION),
            Settlement(TriggerState.FIRED, Reason.SAME_COMPLETION, None, NOW),
        ),
        (
            Never(Reason.CONF_REFUSED, "limit: not a number", 400),
            Settlement(TriggerState.FAILED, Reason.CONF_REFUSED, "limit: not a number", NOW),
        ),
        (Never(Reason.CONF_TOO_LARGE), Settlement(TriggerState.FAILED, Reason.CONF_TOO_LARGE, None, NOW)),
        (
            TargetDown(detail="refused", wait_seconds=9),
            Settlement(TriggerState.HELD, Reason.AIRFLOW_DOWN, "refused", DUE, is_refunded=True),
        ),
        (
            Misconfigured(Reason.AIRFLOW_UNAUTHORIZED),
            Settlement(TriggerState.HELD, Reason.AIRFLOW_UNAUTHORIZED, None, DUE, is_refunded=True),
        ),
        (
            Misconfigured(Reason.AIRFLOW_FORBIDDEN, "no", is_whole_target=False),
            Settlement(
                TriggerState.HELD,
                Reason.AIRFLOW_FORBIDDEN,
                "no",
                NOW + timedelta(seconds=15),
                is_refunded=True,
                spent=Spent(0.0, {Reason.AIRFLOW_FORBIDDEN: 1}),
            ),
        ),
        (
            Later(Reason.ANSWER_LOST, "reset", wait_seconds=7),
            Settlement(TriggerState.PENDING, Reason.ANSWER_LOST, "reset", NOW + LATER, spent=Spent(9.0)),
        ),
        (
            Later(Reason.DAG_NOT_FOUND, wait_seconds=7, is_hold=True, awaits=Awaits.THERE),
            Settlement(
                TriggerState.HELD,
                Reason.DAG_NOT_FOUND,
                None,
                NOW + timedelta(seconds=15),
                is_refunded=True,
                spent=Spent(0.0, {Reason.DAG_NOT_FOUND: 1}),
                awaits=Awaits.THERE,
            ),
        ),
        (
            Later(Reason.CALL_BLOCKED, "200 (text/html)", wait_seconds=7, is_hold=True),
            Settlement(
                TriggerState.HELD,
                Reason.CALL_BLOCKED,
                "200 (text/html)",
                NOW + LATER,
                spent=Spent(9.0, {Reason.CALL_BLOCKED: 1}),
            ),
        ),
        (Superseded("x"), Settlement(TriggerState.CANCELLED, Reason.SUPERSEDED, "x", NOW)),
        (Taken("x"), Settlement(TriggerState.CANCELLED, Reason.DUPLICATE_RUN, "x", NOW)),
        (
            Renamed("spare", "x"),
            Settlement(TriggerState.PENDING, None, None, NOW, is_refunded=True, dag_run_id="spare"),
        ),
        (Never(Reason.DAG_PAUSED, "no"), Settlement(TriggerState.FAILED, Reason.DAG_PAUSED, "no", NOW)),
        (TargetDown(is_suspect=True), Settlement(TriggerState.HELD, Reason.AIRFLOW_DOWN, None, NOW, is_refunded=True)),
    ],
)
def test_where_an_outcome_leaves_the_trigger(outcome: Outcome, expected: Settlement) -> None:
    """State, reason, detail, due time, whether the attempt counts, and what is used of the limits."""
    assert settle(trigger(), outcome, now=NOW, jitter=0.0, seconds=2.0) == expected


@pytest.mark.parametrize(
    ("attempts", "limits", "allowed", "fails"),
    [
        (1, {}, None, False),
        (10_000, {}, None, False),
        (2, {"max_attempts": 3}, None, False),
        (3, {"max_attempts": 3}, None, True),
        (4, {"max_attempts": 3}, None, True),
        (4, {}, 5, False),
        (5, {}, 5, True),
        (2, {"max_attempts": 2}, 5, True),
        (5, {"max_attempts": 100}, 5, True),
    ],
)
def test_attempts_are_used_up(attempts: int, limits: dict[str, int], allowed: int | None, fails: bool) -> None:
    """The smaller one counts: what the route allows, or what this answer does; the detail keeps the cause."""
    outcome = Later(Reason.AIRFLOW_ERROR, "500", attempts_allowed=allowed)
    spent = Spent(0.0, {Reason.AIRFLOW_ERROR: attempts - 1})
    made = settle(trigger(attempts=attempts, spent=spent, **limits), outcome, now=NOW, jitter=1.0)
    assert (made.state is TriggerState.FAILED) is fails
    if fails:
        assert (made.reason, made.detail) == (Reason.TOO_MANY_ATTEMPTS, "last: airflow_error 500")


@pytest.mark.parametrize(("spent", "seconds", "fails"), [(57, 2, False), (58, 2, True), (60, 0, True), (0, 61, True)])
def test_age_is_used_up_at_the_exact_second(spent: float, seconds: float, fails: bool) -> None:
    """At `max_age` the trigger fails, a second before it does not; the call that just ended counts."""
    old = trigger(spent=Spent(spent), max_age_seconds=60)
    made = settle(old, Later(Reason.ANSWER_LOST), now=NOW, jitter=1.0, seconds=seconds)
    assert (made.state is TriggerState.FAILED) is fails
    if fails:
        assert (made.reason, made.detail) == (Reason.EXPIRED, "last: answer_lost")


def test_the_last_try_comes_when_the_age_ends() -> None:
    """A wait that goes beyond the age is cut, so that the trigger does not sit there expired."""
    made = settle(
        trigger(spent=Spent(48.0), max_age_seconds=60),
        Later(Reason.DAG_NOT_FOUND, wait_seconds=3600, is_hold=True),
        now=NOW,
        jitter=1.0,
        seconds=2.0,
    )
    assert made.due_at == NOW + timedelta(seconds=10)
    assert made.spent is not None
    assert made.spent.seconds == 60


OUTSIDE = [
    TargetDown(),
    TargetDown(Reason.THROTTLED, wait_seconds=3600),
    TargetDown(is_suspect=True),
    Misconfigured(Reason.AIRFLOW_UNAUTHORIZED),
    Misconfigured(Reason.AIRFLOW_FORBIDDEN, is_whole_target=False),
    Misconfigured(Reason.KEY_MISSING, is_whole_target=False),
]


@pytest.mark.parametrize("outcome", OUTSIDE, ids=repr)
def test_time_held_for_a_cause_outside_uses_up_no_age(outcome: Outcome) -> None:
    """However long a trigger waited, and whatever was wrong meanwhile, its budget is that of the tries before."""
    before = trigger(spent=Spent(DAY - 1))  # made 400 days ago
    made = settle(before, outcome, now=NOW, jitter=1.0, seconds=20.0)
    assert made.state is TriggerState.HELD
    after = made.spent or before.spent
    assert after.seconds == DAY - 1
    hiccup = settle(trigger(spent=after), Later(Reason.ANSWER_LOST), now=NOW + timedelta(days=30), jitter=1.0)
    assert hiccup.state is TriggerState.PENDING


def test_a_trigger_that_waited_long_for_its_first_try_is_young() -> None:
    """Behind a ceiling, a long queue or a stopped bridge: what was made 400 days ago has its whole day from now on."""
    made = settle(trigger(), Later(Reason.ANSWER_LOST), now=NOW, jitter=0.5)
    assert made.state is TriggerState.PENDING


LIMITED = [Reason.AIRFLOW_ERROR, Reason.RUN_ID_CONFLICT, Reason.INTERNAL_ERROR, Reason.ANSWER_LOST]


@pytest.mark.parametrize("cause", LIMITED)
@pytest.mark.parametrize("other", LIMITED)
def test_a_limit_counts_its_own_cause(cause: Reason, other: Reason) -> None:
    """Twenty attempts that ended for another reason use up nothing of the five that this one has."""
    spent = Spent()
    for number in range(1, 21):
        limit = 100 if number % 2 else None  # with a limit of its own, or without any
        made = settle(trigger(attempts=number, spent=spent), Later(other, attempts_allowed=limit), now=NOW, jitter=0.0)
        spent = made.spent or spent
    states = []
    for number in range(21, 26):
        made = settle(trigger(attempts=number, spent=spent), Later(cause, attempts_allowed=5), now=NOW, jitter=0.0)
        states.append(made.state)
        spent = made.spent or spent
    if cause is other:
        assert TriggerState.FAILED in states
    else:
        assert states == [TriggerState.PENDING] * 4 + [TriggerState.FAILED]


def test_what_only_this_trigger_meets_uses_attempts_and_age() -> None:
    """A blocked call comes again ever more rarely, counts as an attempt, and ends with the age."""
    spent, waits = Spent(), []
    for number in range(1, 2000):
        outcome = Later(Reason.CALL_BLOCKED, is_hold=True)
        made = settle(trigger(attempts=number, spent=spent), outcome, now=NOW, jitter=1.0)
        assert not made.is_refunded
        if made.state is TriggerState.FAILED:
            break
        spent = made.spent or spent
        waits.append((made.due_at - NOW).total_seconds())
    assert made.reason is Reason.EXPIRED
    assert waits[:4] == [0.2, 0.4, 0.8, 1.6]
    assert max(waits) == 300
    assert sum(waits) == pytest.approx(DAY)
    limited = settle(trigger(attempts=3, max_attempts=3), outcome, now=NOW, jitter=1.0)
    assert limited.reason is Reason.TOO_MANY_ATTEMPTS


@pytest.mark.parametrize("reason", [Reason.DAG_PAUSED, Reason.DAG_NOT_FOUND, Reason.DAG_REFUSES_RUNS])
def test_a_hold_for_a_dag_uses_no_age(reason: Reason) -> None:
    """An outage of a week loses nothing: what is almost at its `max_age` is held all the same, as long as it takes."""
    old = trigger(spent=Spent(DAY - 1, {reason: 500}))
    made = settle(old, Later(reason, is_hold=True, awaits=Awaits.THERE), now=NOW, jitter=1.0, seconds=30.0)
    assert (made.state, made.reason) == (TriggerState.HELD, reason)
    assert made.spent is not None
    assert made.spent.seconds == DAY - 1


def test_a_hold_for_a_dag_uses_no_attempt() -> None:
    """A DAG that is missing for long leaves `max_attempts` as it is."""
    missing = Later(Reason.DAG_NOT_FOUND, is_hold=True, awaits=Awaits.THERE)
    made = settle(trigger(attempts=1, max_attempts=1), missing, now=NOW, jitter=1.0)
    assert (made.state, made.is_refunded) == (TriggerState.HELD, True)


@pytest.mark.parametrize("outcome", [Started(), AlreadyThere(), TargetDown(), Misconfigured(Reason.AIRFLOW_FORBIDDEN)])
def test_what_is_not_the_triggers_fault_never_fails_it(outcome: Outcome) -> None:
    """However old and often tried: a run that exists has fired, and a place that is down is waited for."""
    old = trigger(attempts=99, spent=Spent(10**7), max_attempts=1)
    assert settle(old, outcome, now=NOW, jitter=0.0).state in (TriggerState.FIRED, TriggerState.HELD)


_FORBIDDEN = Misconfigured(Reason.AIRFLOW_FORBIDDEN, is_whole_target=False)
_MISSING = Later(Reason.DAG_NOT_FOUND, is_hold=True, awaits=Awaits.THERE)


@pytest.mark.parametrize(
    ("outcome", "times", "longest"),
    [
        *((_FORBIDDEN, times, longest) for times, longest in ((0, 30), (1, 60), (3, 240), (4, 300), (10**6, 300))),
        *((_MISSING, times, longest) for times, longest in ((0, 30), (1, 60), (3, 240), (7, 3600), (10**6, 3600))),
    ],
)
def test_a_cause_that_lasts_is_looked_at_more_rarely(
    outcome: Later | Misconfigured, times: int, longest: float
) -> None:
    """From 15-30 s while it is new to 15-300 s, or an hour for a DAG, which is looked at by itself as well."""
    held = trigger(spent=Spent(0.0, {outcome.reason: times}))
    soonest, latest = (settle(held, outcome, now=NOW, jitter=jitter).due_at for jitter in (0.0, 1.0))
    assert (soonest, latest) == (NOW + timedelta(seconds=15), NOW + timedelta(seconds=longest))


@pytest.mark.parametrize("attempts", [1, 5, 50, 10**6])
@pytest.mark.parametrize("is_hold", [False, True])
def test_waits_are_bounded(attempts: int, is_hold: bool) -> None:
    """However often it was tried, the next try is at most five minutes away."""
    made = settle(trigger(attempts=attempts), Later(Reason.DAG_NOT_FOUND, is_hold=is_hold), now=NOW, jitter=1.0)
    assert NOW <= made.due_at <= NOW + timedelta(seconds=300)


OUTCOMES: list[Outcome] = [
    *OUTSIDE,
    *(Later(reason, wait_seconds=60.0) for reason in LIMITED),
    Later(Reason.THROTTLED, wait_seconds=3600.0, is_hold=True),
    Later(Reason.CALL_BLOCKED, is_hold=True),
    Later(Reason.DAG_NOT_FOUND, wait_seconds=300.0, is_hold=True, awaits=Awaits.THERE),
    Later(Reason.DAG_REFUSES_RUNS, wait_seconds=60.0, is_hold=True, awaits=Awaits.THERE),
]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=repr)
@pytest.mark.parametrize("times", [0, 3, 10**6])
def test_no_wait_is_longer_than_its_reason_allows(outcome: Outcome, times: int) -> None:
    """So whatever waits longer was written by a wrong clock."""
    tried = trigger(attempts=times + 1, spent=Spent(0.0, dict.fromkeys(Reason, times)))
    made = settle(tried, outcome, now=NOW, jitter=1.0)
    assert (made.due_at - NOW).total_seconds() <= longest_wait(made.reason)


@pytest.mark.parametrize(
    ("outcome", "is_doubtful"),
    [
        (Later(Reason.ANSWER_LOST), True),
        (Later(Reason.DAG_NOT_FOUND, is_hold=True, is_free=True), True),
        (TargetDown(), True),
        (Misconfigured(Reason.AIRFLOW_FORBIDDEN, is_whole_target=False), True),
        (Started(), False),
        (Never(Reason.CONF_REFUSED), False),
    ],
)
def test_what_is_tried_again_leaves_doubt(outcome: Outcome, is_doubtful: bool) -> None:
    """Whatever its reason is: it may be that of the question which came after a call."""
    assert settle(trigger(), outcome, now=NOW, jitter=0.5).is_doubtful is is_doubtful


def test_the_last_attempt_leaves_doubt_too() -> None:
    """It failed because its attempts are used up, and its DAG run may be there."""
    made = settle(trigger(), Later(Reason.ANSWER_LOST, attempts_allowed=1), now=NOW, jitter=0.5)
    assert (made.state, made.is_doubtful) == (TriggerState.FAILED, True)


@pytest.mark.parametrize(
    ("outcome", "is_certain"),
    [
        (Started(), True),
        (AlreadyThere(), True),
        (Never(Reason.CONF_REFUSED), False),
        (Never(Reason.RUN_ID_CONFLICT, is_certain=True), True),
        (TooLate(), True),
        (Superseded("trg_2 is newer"), True),
        (Taken("trg_2 has it"), True),
        (Renamed("spare", "x"), True),
        (Later(Reason.DAG_NOT_FOUND, is_hold=True, is_free=True), False),
        (TargetDown(is_look=True), False),
        (Misconfigured(Reason.AIRFLOW_UNAUTHORIZED), False),
    ],
)
def test_an_end_that_airflow_has_told_of_is_certain(outcome: Outcome, is_certain: bool) -> None:
    """So an earlier doubt is over."""
    assert settle(trigger(), outcome, now=NOW, jitter=0.5).is_certain is is_certain


@pytest.mark.parametrize(
    "outcome",
    [Later(Reason.ANSWER_LOST), TargetDown(), Misconfigured(Reason.AIRFLOW_MISCONFIGURED)],
    ids=lambda item: type(item).__name__,
)
def test_a_look_leaves_no_new_doubt(outcome: Later | TargetDown | Misconfigured) -> None:
    """It cannot have started the DAG run; after a call nobody knows."""
    assert settle(trigger(), outcome, now=NOW, jitter=0.5).is_doubtful
    assert not settle(trigger(), replace(outcome, is_look=True), now=NOW, jitter=0.5).is_doubtful


@pytest.mark.parametrize(
    ("if_paused", "awaits", "waits_for"),
    [
        (IfPaused.TRIGGER, Awaits.THERE, Awaits.THERE),
        (IfPaused.FAIL, Awaits.THERE, Awaits.THERE),
        (IfPaused.HOLD, Awaits.THERE, Awaits.UNPAUSED),
        (IfPaused.HOLD, Awaits.NEWER, Awaits.NEWER),
    ],
)
def test_what_is_held_while_paused_does_not_go_on_for_a_dag_that_appears_paused(
    if_paused: IfPaused, awaits: Awaits, waits_for: Awaits
) -> None:
    """It would only be held again. What goes into Airflow's queue, or fails, goes on as soon as the DAG is there."""
    asked = trigger()
    held = replace(asked, call=replace(asked.call, if_paused=if_paused))
    assert settle(held, Later(Reason.DAG_NOT_FOUND, awaits=awaits), now=NOW, jitter=0.0).awaits is waits_for


def test_what_is_too_late_is_cancelled() -> None:
    """It has ended, and failed of nothing."""
    assert settle(trigger(), TooLate(), now=NOW, jitter=0.5) == Settlement(
        TriggerState.CANCELLED, Reason.TOO_LATE, None, NOW
    )
