"""What one attempt means for its trigger, outcome by outcome."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.rules.retrying.settling import Settlement, settle
from bridge.words.model import (
    AlreadyThere,
    Call,
    Later,
    Limits,
    Misconfigured,
    Never,
    Outcome,
    Started,
    TargetDown,
    Trigger,
    TriggerState,
)
from bridge.words.reasons import Reason

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
DUE = NOW - timedelta(minutes=5)


def trigger(*, attempts: int = 1, age_seconds: float = 300, **limits: Any) -> Trigger:
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
        age_from=NOW - timedelta(seconds=age_seconds),
        due_at=DUE,
        settled_at=None,
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
            ),
        ),
        (
            Later(Reason.ANSWER_LOST, "reset", wait_seconds=7),
            Settlement(TriggerState.PENDING, Reason.ANSWER_LOST, "reset", NOW + timedelta(seconds=7)),
        ),
        (
            Later(Reason.DAG_NOT_FOUND, wait_seconds=90, is_hold=True),
            Settlement(TriggerState.HELD, Reason.DAG_NOT_FOUND, None, NOW + timedelta(seconds=90), is_refunded=True),
        ),
    ],
)
def test_where_an_outcome_leaves_the_trigger(outcome: Outcome, expected: Settlement) -> None:
    """State, reason, detail, due time, and whether the attempt counts."""
    assert settle(trigger(), outcome, now=NOW, jitter=0.0) == expected


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
    made = settle(trigger(attempts=attempts, **limits), outcome, now=NOW, jitter=1.0)
    assert (made.state is TriggerState.FAILED) is fails
    if fails:
        assert (made.reason, made.detail) == (Reason.TOO_MANY_ATTEMPTS, "last: airflow_error 500")


@pytest.mark.parametrize(("age_seconds", "fails"), [(59, False), (60, True), (61, True)])
def test_age_is_used_up_at_the_exact_second(age_seconds: float, fails: bool) -> None:
    """At `max_age` the trigger fails, a second before it does not."""
    made = settle(trigger(age_seconds=age_seconds, max_age_seconds=60), Later(Reason.ANSWER_LOST), now=NOW, jitter=1.0)
    assert (made.state is TriggerState.FAILED) is fails
    if fails:
        assert (made.reason, made.detail) == (Reason.EXPIRED, "last: answer_lost")


def test_the_last_try_comes_when_the_age_ends() -> None:
    """A wait that goes beyond the age is cut, so that the trigger does not sit there expired."""
    made = settle(
        trigger(age_seconds=50, max_age_seconds=60),
        Later(Reason.DAG_NOT_FOUND, wait_seconds=3600, is_hold=True),
        now=NOW,
        jitter=1.0,
    )
    assert made.due_at == NOW + timedelta(seconds=10)


def test_age_counts_from_the_last_replay() -> None:
    """A trigger made a year ago and replayed today is young."""
    made = settle(trigger(age_seconds=1), Later(Reason.ANSWER_LOST), now=NOW, jitter=0.5)
    assert made.state is TriggerState.PENDING


@pytest.mark.parametrize("outcome", [Started(), AlreadyThere(), TargetDown(), Misconfigured(Reason.AIRFLOW_FORBIDDEN)])
def test_what_is_not_the_triggers_fault_never_fails_it(outcome: Outcome) -> None:
    """However old and often tried: a run that exists has fired, and a place that is down is waited for."""
    old = trigger(attempts=99, age_seconds=10**7, max_attempts=1)
    assert settle(old, outcome, now=NOW, jitter=0.0).state in (TriggerState.FIRED, TriggerState.HELD)


@pytest.mark.parametrize(("age_seconds", "longest"), [(0, 30), (59, 30), (60, 60), (180, 240), (86_000, 300)])
def test_a_cause_that_lasts_is_looked_at_more_rarely(age_seconds: float, longest: float) -> None:
    """From 15-30 s while it is new to 15-300 s, whatever the attempts, which holding does not use up."""
    young, old = (
        settle(
            trigger(age_seconds=age_seconds), Later(Reason.DAG_NOT_FOUND, is_hold=True), now=NOW, jitter=jitter
        ).due_at
        for jitter in (0.0, 1.0)
    )
    assert (young, old) == (NOW + timedelta(seconds=15), NOW + timedelta(seconds=longest))


@pytest.mark.parametrize("attempts", [1, 5, 50, 10**6])
@pytest.mark.parametrize("is_hold", [False, True])
def test_waits_are_bounded(attempts: int, is_hold: bool) -> None:
    """However often it was tried, the next try is at most five minutes away."""
    made = settle(trigger(attempts=attempts), Later(Reason.DAG_NOT_FOUND, is_hold=is_hold), now=NOW, jitter=1.0)
    assert NOW <= made.due_at <= NOW + timedelta(seconds=300)
