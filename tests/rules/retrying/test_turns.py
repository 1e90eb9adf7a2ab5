"""Turns: what failed waits ever longer behind the others, and all rest only when three different things failed."""

import pytest

from bridge.rules.retrying.turns import Turns


def test_what_has_not_failed_is_due_and_first() -> None:
    """Nothing is known of it."""
    turns = Turns()
    assert (turns.is_due("a", 0.0), turns.times("a"), turns.is_resting(0.0)) == (True, 0, False)


def test_what_fails_waits_ever_longer_up_to_five_minutes() -> None:
    """5 s at least, and the others are due all the while."""
    turns, now, pauses = Turns(), 0.0, []
    for times in range(1, 15):
        turns.failed("a", now)
        assert (turns.times("a"), turns.is_due("b", now)) == (times, True)
        began = now
        while not turns.is_due("a", now):
            now += 0.1
        pauses.append(round(now - began))
    assert pauses == [5, 5, 5, 5, 5, 6, 13, 26, 51, 102, 205, 300, 300, 300]


def test_what_is_asked_for_wins() -> None:
    """Retry-After, over any bound of ours."""
    turns = Turns()
    turns.failed("a", 0.0, at_least=900.0)
    assert not turns.is_due("a", 899.0)
    assert turns.is_due("a", 900.0)


def test_an_answer_forgets_what_failed_before() -> None:
    """It is first again, with the short wait."""
    turns = Turns()
    for now in (0.0, 10.0):
        turns.failed("a", now)
    turns.went_well("a")
    assert (turns.times("a"), turns.is_due("a", 10.0)) == (0, True)


def test_one_thing_that_fails_again_and_again_is_no_verdict_on_the_others() -> None:
    """Nor are two."""
    turns = Turns()
    for now in range(0, 1000, 10):
        assert not turns.failed("a", float(now))
        assert not turns.failed("b", float(now))
        assert turns.is_due("c", float(now))


def test_three_different_ones_let_all_rest_and_the_rest_grows() -> None:
    """5 s at first, 30 s in the end; three more have to fail each time, and it is said once."""
    turns, now, pauses, said = Turns(), 0.0, [], []
    for _ in range(10):
        said += [turns.failed(key, now) for key in "abc"]
        assert not turns.is_due("d", now)
        began = now
        while turns.is_resting(now):
            now += 0.1
        pauses.append(round(now - began))
    assert pauses == [5, 5, 5, 5, 5, 6, 13, 26, 30, 30]
    assert said == [False, False, True] + [False] * 27


def test_a_rest_ends_at_its_exact_end() -> None:
    """Nothing is asked for during five seconds; then everything that is due may be."""
    turns = Turns()
    for key in "abc":
        turns.failed(key, 10.0)
    assert [(turns.is_resting(now), turns.is_due("d", now)) for now in (14.9, 15.0)] == [(True, False), (False, True)]


def test_an_answer_between_is_no_verdict() -> None:
    """Two, an answer, two: none of them rests; and the next rest is the first one again."""
    turns = Turns()
    for key in ("a", "b"):
        turns.failed(key, 0.0)
    turns.went_well("x")
    assert not any(turns.failed(key, 0.0) for key in ("c", "d"))
    assert turns.is_due("e", 0.0)
    assert turns.failed("e", 0.0)
    turns.went_well("x")
    assert [turns.failed(key, 10.0) for key in ("f", "g", "h")] == [False, False, True]


@pytest.mark.parametrize(("kept", "times"), [({"a"}, 1), (set(), 0)])
def test_what_is_asked_for_no_more_is_forgotten(kept: set[str], times: int) -> None:
    """However many come and go."""
    turns = Turns()
    turns.failed("a", 0.0)
    turns.keep(kept)
    assert turns.times("a") == times
