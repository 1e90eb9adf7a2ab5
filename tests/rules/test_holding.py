"""When a DAG is looked at, and what a look means."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.rules import holding
from bridge.words.dags import DagState, KnownDag

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
OK, PAUSED, MISSING, STALE, BROKEN = DagState


def known(state: DagState = OK, *, ago: float = 60, **more: float | None) -> KnownDag:
    """Return a DAG that was looked at so many seconds ago."""
    at = NOW - timedelta(seconds=ago)
    return KnownDag("default", "orders", state, at, at, **more)  # type: ignore[arg-type]


def seen(before: KnownDag | None, state: DagState, *, seconds: float = 60, is_held: bool = True) -> KnownDag:
    """Look now; something is held for it."""
    return holding.seen("default", "orders", state, before, now=NOW, seconds=seconds, is_held=is_held)


def test_what_something_waits_for_is_looked_at_six_times_as_often_and_first() -> None:
    """Then the longest unseen; what was never seen is due."""
    found = {"a": known(ago=60), "b": known(ago=70), "c": known(ago=11), "d": known(ago=8), "e": known(ago=30)}
    names = ["a", "b", "c", "d", "e", "new"]
    assert holding.due(names, ["c", "d"], found, now=NOW, seconds=60) == ["c", "new", "b", "a"]


@pytest.mark.parametrize(("keen", "every"), [(["a"], 9), ([], 54)])
def test_a_dag_is_due_a_tenth_before_its_time(keen: list[str], every: float) -> None:
    """A loop turns a little later each time: at 54 of 60 seconds, and at 9 of 10 where something waits for it."""
    for ago, names in ((every, ["a"]), (every - 0.001, [])):
        assert holding.due(["a"], keen, {"a": known(ago=ago)}, now=NOW, seconds=60) == names


def test_a_look_of_a_wrong_clock_is_no_look() -> None:
    """Its instant lies in the future: the DAG is due."""
    assert not holding.is_due(known(ago=-30), now=NOW, seconds=60)
    assert holding.is_due(known(ago=-3600), now=NOW, seconds=60)
    assert not holding.is_due(known(ago=-60), now=NOW, seconds=60)
    assert holding.is_due(known(ago=-60.001), now=NOW, seconds=60)


@pytest.mark.parametrize(
    ("before", "state", "is_back"),
    [
        (MISSING, OK, True),
        (STALE, PAUSED, True),
        (BROKEN, OK, True),
        (PAUSED, OK, True),
        (OK, OK, False),
        (OK, PAUSED, False),
        (PAUSED, MISSING, False),
        (MISSING, BROKEN, False),
        (PAUSED, PAUSED, False),
    ],
)
def test_a_dag_is_back_when_more_is_possible_than_before(before: DagState, state: DagState, is_back: bool) -> None:
    """There again, or unpaused; then what was held is set free from the first trigger on."""
    assert holding.is_back(before, state) is is_back
    assert seen(known(before), state).freed == (0 if is_back else None)


def test_a_dag_that_was_never_seen_may_be_back() -> None:
    """Nobody knows what it was before; only one that is gone is not."""
    assert [seen(None, state).freed for state in DagState] == [0, 0, None, None, None]


def test_setting_free_goes_on_while_the_dag_stays() -> None:
    """A look in between changes nothing of it."""
    assert seen(known(OK, freed=7), OK).freed == 7
    assert seen(known(OK, freed=7), PAUSED).freed == 7


@pytest.mark.parametrize("state", [MISSING, STALE, BROKEN])
def test_setting_free_ends_when_the_dag_goes(state: DagState) -> None:
    """What is left is held on, and begins with the first when the DAG is back."""
    assert seen(known(OK, freed=7), state).freed is None
    assert seen(seen(known(OK, freed=7), state), OK).freed == 0


@pytest.mark.parametrize(
    ("before", "state", "ago", "added"),
    [
        (PAUSED, PAUSED, 60, 60),
        (MISSING, PAUSED, 60, 60),
        (OK, OK, 60, 60),
        (PAUSED, PAUSED, 3 * 86_400, 120),
        (PAUSED, PAUSED, -30, 0),
    ],
)
def test_the_clock_of_a_dag_runs_between_looks_while_something_is_held(
    before: DagState, state: DagState, ago: float, added: float
) -> None:
    """An outage of three days between them counts for two minutes, and a clock that is set for nothing."""
    assert seen(known(before, ago=ago, away_seconds=1000), state).away_seconds == 1000 + added
    assert seen(known(before, ago=ago, away_seconds=1000), state, is_held=False).away_seconds == 1000


@pytest.mark.parametrize(("hold", "warned"), [(14 * 86_400, 13 * 86_400), (2 * 86_400, 86_400), (7200, 3600)])
def test_a_warning_comes_a_day_before_the_end(hold: float, warned: float) -> None:
    """At half of a hold that is shorter than two days."""
    assert holding.warned_after(hold) == warned
    assert warned + holding.warned_before(hold) == hold


def test_rare_looks_count_in_full() -> None:
    """Whoever looks every ten minutes misses nothing, up to twice that; and frequent looks miss no two minutes."""
    assert seen(known(PAUSED, ago=600), PAUSED, seconds=600).away_seconds == 600
    assert seen(known(PAUSED, ago=3600), PAUSED, seconds=600).away_seconds == 1200
    assert seen(known(PAUSED, ago=3600), PAUSED, seconds=5).away_seconds == 120


def test_since_when_it_is_so_is_kept() -> None:
    """Until it is otherwise."""
    before = known(PAUSED)
    assert seen(before, PAUSED).since == before.since
    assert seen(before, OK).since == NOW
