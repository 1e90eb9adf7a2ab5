"""When an open DAG run is looked at again, which ones one request covers, and what a look means."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.rules import following
from bridge.words.runs import OpenRun, RunSeen, RunState

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


def seconds(amount: float) -> timedelta:
    """Spell a duration."""
    return timedelta(seconds=amount)


def run(name: str = "r", *, age: float = 0.0, run_after: datetime | None = None) -> OpenRun:
    """Return an open run that was fired so many seconds ago."""
    fired_at = NOW - seconds(age)
    return OpenRun("trg_1", "dlv_1", "orders", "d", name, RunState.QUEUED, fired_at, fired_at, NOW, run_after)


def seen(state: str, **more: datetime) -> RunSeen:
    """Return what Airflow tells of the run."""
    return RunSeen("d", "r", state, **more)


def judged(state: str, *, age: float = 0.0, **more: datetime) -> following.Progress:
    """Return what a look means."""
    return following.progress(run(age=age), seen(state, **more), now=NOW, interval_seconds=5.0, give_up=WEEK)


@pytest.mark.parametrize(
    ("age", "pause"), [(0, 5), (10, 5), (100, 10), (1800, 180), (3000, 300), (86_400, 300), (-60, 5)]
)
def test_the_older_a_run_the_more_rarely_it_is_looked_at(age: float, pause: float) -> None:
    """A tenth of its age, between an interval and five minutes; a clock that was set back changes nothing."""
    assert following.pause_seconds(age, interval_seconds=5.0) == pause
    assert judged("running", age=age).due_at == NOW + seconds(pause)


@pytest.mark.parametrize(
    ("word", "state"), [("queued", "queued"), ("running", "running"), ("restarting", "queued"), ("", "queued")]
)
def test_an_open_run_is_due_again_and_a_word_that_nobody_knows_changes_nothing(word: str, state: str) -> None:
    """Airflow may invent states; none of them ends a run."""
    look = judged(word)
    assert (look.state, look.ended_at) == (state, None)
    assert look.due_at is not None


@pytest.mark.parametrize("word", ["deleted", "unknown"])
def test_airflow_cannot_say_the_bridges_own_words(word: str) -> None:
    """`deleted` and `unknown` are conclusions of the bridge."""
    assert judged(word).state is RunState.QUEUED


@pytest.mark.parametrize("word", ["success", "failed"])
def test_an_end_is_final_and_has_airflows_instant(word: str) -> None:
    """Nothing is due any more, also when the run took longer than it would have been watched."""
    ended_at = NOW - seconds(3)
    look = judged(word, age=WEEK.total_seconds() + 1, started_at=NOW - seconds(9), ended_at=ended_at)
    assert (look.state, look.due_at, look.ended_at) == (word, None, ended_at)
    assert look.started_at == NOW - seconds(9)


@pytest.mark.parametrize(
    ("conf", "is_ours"),
    [
        ({"planasonix": {"trigger_id": "trg_1"}, "rows": 2}, True),
        ({}, True),  # a list without confs, or one that was erased
        ({"planasonix": "***"}, True),  # masked
        ({"planasonix": {"trigger_id": "***"}}, True),
        ({"planasonix": {"trigger_id": "trg_2"}}, False),
        ({"planasonix": {}}, False),
        ({"rows": 2}, False),
    ],
)
def test_a_run_with_the_conf_of_another_is_not_ours(conf: Mapping[str, Any], is_ours: bool) -> None:
    """Ours was deleted, and a person has started one under its id. Only a conf that was read says so."""
    found = RunSeen("d", "r", "success", conf=conf)
    look = following.progress(run(), found, now=NOW, interval_seconds=5.0, give_up=WEEK)
    assert look.state is (RunState.SUCCESS if is_ours else RunState.DELETED)
    of_a_copy = replace(run(), is_copys=True)
    look = following.progress(of_a_copy, found, now=NOW, interval_seconds=5.0, give_up=WEEK)
    assert look.state is RunState.SUCCESS


def test_what_airflow_once_said_is_kept() -> None:
    """A later answer may lack it, and a newer one counts more."""
    older, newer = NOW - seconds(90), NOW - seconds(30)
    known = replace(run(), run_after=older, started_at=older)
    for state in ("running", "success"):
        for word, expected in (({}, older), ({"run_after": newer, "started_at": newer}, newer)):
            look = following.progress(known, seen(state, **word), now=NOW, interval_seconds=5.0, give_up=WEEK)
            assert (look.run_after, look.started_at) == (expected, expected)


def test_an_end_without_an_instant_ended_now() -> None:
    """Better late than never."""
    assert judged("failed").ended_at == NOW


def test_a_run_that_is_still_open_at_the_deadline_is_unknown() -> None:
    """Exactly then, and not a moment before; also one that Airflow does not tell of."""
    age = WEEK.total_seconds()
    assert judged("running", age=age - 1).state is RunState.RUNNING
    at_last = judged("running", age=age)
    assert (at_last.state, at_last.due_at) == (RunState.UNKNOWN, None)
    unseen = following.unseen(run(age=age), now=NOW, interval_seconds=5.0, give_up=WEEK)
    assert (unseen.state, unseen.due_at) == (RunState.UNKNOWN, None)


def test_a_run_that_airflow_does_not_tell_of_is_due_later() -> None:
    """So that it never stands before the others."""
    look = following.unseen(run(age=100), now=NOW, interval_seconds=5.0, give_up=WEEK)
    assert (look.state, look.due_at) == (RunState.QUEUED, NOW + seconds(10))


def test_a_run_that_airflow_has_no_more_is_deleted() -> None:
    """That is an end."""
    look = following.gone(run(), now=NOW)
    assert (look.state, look.ended_at, look.due_at) == (RunState.DELETED, NOW, None)


def test_one_request_covers_what_was_made_near_to_the_run_that_is_due_longest() -> None:
    """Whatever else is due comes later, and the first is always among them."""
    ages = {"first": 4000, "near": 3990, "far": 10, "farther": 3989, "earlier": 4010, "too early": 4010.1}
    due = [run(name, age=age) for name, age in ages.items()]
    chosen = following.together(due, span=seconds(20))
    assert [item.dag_run_id for item in chosen] == ["first", "near", "earlier"]
    assert following.together([], span=seconds(20)) == []


def test_a_run_that_was_seen_is_asked_for_by_airflows_own_clock() -> None:
    """Before that, its call may have taken time, and the clocks may differ."""
    since, until = following.stretch([run(age=50), run(age=30)])
    assert (since, until) == (NOW - seconds(50) - seconds(120), NOW - seconds(30) + seconds(60))
    theirs = NOW + timedelta(days=2)
    known = replace(run(age=50), run_after=theirs)
    since, until = following.stretch([known])
    assert (theirs - since, until - theirs) == (seconds(1), seconds(1))


@pytest.mark.parametrize(("age", "state", "due_at"), [(60, "queued", NOW), (8 * 86_400, "unknown", None)])
def test_a_missing_run_that_had_no_turn_is_due_behind_all_others(age: float, state: str, due_at: datetime) -> None:
    """Not later than now, or it would be forgotten for minutes; and no longer than any run is watched."""
    look = following.passed_over(run(age=age), now=NOW, give_up=WEEK)
    assert (look.state, look.due_at, look.ended_at) == (state, due_at, None if due_at else NOW)
