"""Back-off: the table of waits, and the bounds that hold for every attempt."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rules.retrying import backoff
from bridge.words.reasons import Reason

ATTEMPTS = st.integers(min_value=0, max_value=10**9)
JITTERS = st.floats(min_value=0, max_value=1)


@pytest.mark.parametrize(
    ("attempt", "jitter", "seconds"),
    [
        (1, 0.0, 0.0),
        (1, 1.0, 0.2),
        (2, 1.0, 0.4),
        (3, 0.5, 0.4),
        (8, 1.0, 25.6),
        (9, 1.0, 30.0),
        (10_000, 1.0, 30.0),
        (0, 1.0, 0.2),
    ],
)
def test_wait_doubles_up_to_its_cap(attempt: int, jitter: float, seconds: float) -> None:
    """0.2 s doubling to 30 s, and jitter covers the whole interval."""
    assert backoff.wait(attempt, jitter) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("attempt", "jitter", "seconds"),
    [(1, 0.0, 15.0), (1, 1.0, 30.0), (2, 1.0, 60.0), (5, 1.0, 300.0), (10_000, 0.0, 15.0), (10_000, 1.0, 300.0)],
)
def test_wait_held_stays_between_15_and_300_seconds(attempt: int, jitter: float, seconds: float) -> None:
    """What waits for a person is not asked more often than every 15 s, nor less often than every 5 min."""
    assert backoff.wait_held(attempt, jitter) == pytest.approx(seconds)


@given(ATTEMPTS, JITTERS, st.floats(min_value=0, max_value=3600))
def test_asked_wait_is_never_undercut(attempt: int, jitter: float, at_least: float) -> None:
    """Whatever the attempt and the jitter, the other side's wish is honoured, and is all that exceeds the cap."""
    assert at_least <= backoff.wait(attempt, jitter, at_least=at_least) <= max(30.0, at_least)
    assert at_least <= backoff.wait_held(attempt, jitter, at_least=at_least) <= max(300.0, at_least)


def test_the_wait_for_what_is_held_grows_over_so_many_tries() -> None:
    """Only then may it be given up for another one: it waits as long as it ever will."""
    waits = [backoff.wait_held(attempt, 1.0) for attempt in range(1, backoff.HELD_GROWS + 2)]
    assert waits[:-1] == sorted(set(waits))
    assert waits[-1] == waits[-2] == 300.0


@pytest.mark.parametrize(
    ("reason", "seconds"),
    [
        (None, 300.0),
        (Reason.ANSWER_LOST, 300.0),
        (Reason.AIRFLOW_FORBIDDEN, 300.0),
        (Reason.THROTTLED, 3600.0),
        (Reason.LOOKUP_FAILED, 3600.0),
        (Reason.LOOKUP_QUEUED, 3600.0),
        (Reason.DAG_NOT_FOUND, 3600.0),
        (Reason.DAG_PAUSED, 3600.0),
        (Reason.LOOP_GUARD, math.inf),
        (Reason.HOURLY_CEILING, math.inf),
        (Reason.PAUSED_BY_PERSON, math.inf),
    ],
)
def test_how_long_a_wait_for_each_reason_may_be(reason: Reason | None, seconds: float) -> None:
    """Five minutes; an hour for a DAG, a queue, and what the other side asks for; endless where a person decides."""
    assert backoff.longest_wait(reason) == seconds
