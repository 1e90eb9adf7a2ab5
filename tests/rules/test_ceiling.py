"""The hourly ceiling of a route: never more starts in any hour, nothing lost, nothing counted that was not stored."""

from hypothesis import given
from hypothesis import strategies as st

from bridge.rules.ceiling import Ceilings

HOUR_SECONDS = 3600.0


def nothing(_: str, __: int, ___: float) -> list[float]:
    """A route that has started nothing yet."""
    return []


@given(st.lists(st.floats(0, 3000), min_size=1, max_size=60), st.integers(1, 5))
def test_never_more_in_any_hour(pauses: list[float], limit: int) -> None:
    """However the triggers come: `most + 1` starts always span an hour, in order, none before its trigger."""
    ceilings, now, starts = Ceilings(nothing), 0.0, []
    for pause in pauses:
        now += pause
        starts.append(ceilings.take("a", limit, now))
        assert starts[-1].at >= now
        assert starts[-1].is_later == (starts[-1].at > now)
    at = [start.at for start in starts]
    assert at == sorted(at)
    assert all(later - earlier > HOUR_SECONDS - 1e-6 for earlier, later in zip(at, at[limit:], strict=False))


def test_below_the_ceiling_nothing_waits() -> None:
    """One each six minutes passes a ceiling of ten at once."""
    ceilings = Ceilings(nothing)
    assert not any(ceilings.take("a", 10, number * 360.0).is_later for number in range(500))


def test_routes_do_not_share_a_ceiling() -> None:
    """Each has its own."""
    ceilings = Ceilings(nothing)
    assert [ceilings.take(route, 1, 0.0).is_later for route in ("a", "b", "a")] == [False, False, True]


def test_what_was_before_this_process_counts() -> None:
    """A restart does not open the door anew."""
    ceilings = Ceilings(lambda _, limit, now: [now - 60, now - 1800, now + 500][:limit])
    assert ceilings.take("a", 3, 10_000.0).at == 10_000.0 - 1800 + HOUR_SECONDS


def test_what_was_not_stored_does_not_count() -> None:
    """A store that is away for a minute must not use a ceiling up."""
    ceilings = Ceilings(nothing)
    for _ in range(5000):
        ceilings.take_back(ceilings.take("a", 2, 0.0))
    assert [ceilings.take("a", 2, 0.0).is_later for _ in range(3)] == [False, False, True]


def test_a_ceiling_that_is_changed_holds_at_once() -> None:
    """The mapping is reloaded while running."""
    ceilings = Ceilings(nothing)
    assert [ceilings.take("a", 1, 0.0).at for _ in range(3)] == [0.0, HOUR_SECONDS, 2 * HOUR_SECONDS]
    assert not ceilings.take("a", 10, 0.0).is_later


def test_a_ceiling_that_is_lowered_and_raised_again_forgets_nothing_of_the_hour() -> None:
    """A reload with a slip in it, and one that mends it, let no more through."""
    ceilings = Ceilings(nothing)
    assert not any(ceilings.take("a", 5000, 0.0).is_later for _ in range(5000))
    assert ceilings.take("a", 1, 1.0).is_later
    assert ceilings.take("a", 5000, 2.0).is_later
    assert not ceilings.take("a", 5003, 3.0).is_later


def test_memory_is_bounded() -> None:
    """A million triggers behind a ceiling of three are two thousand numbers here, any of which may be taken back."""
    ceilings = Ceilings(nothing)
    starts = [ceilings.take("a", 3, 0.0) for _ in range(10_000)]
    assert starts[-1].at == (9999 // 3) * HOUR_SECONDS
    assert len(ceilings._starts["a"]) <= 3 + 2048
    for start in starts[-3 - 2048 :]:
        ceilings.take_back(start)
    assert not ceilings.take("a", 3, 0.0).is_later
