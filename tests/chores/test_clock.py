"""The wall clock may be set: nothing waits longer for it, and what waits for a person goes on waiting."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.chores.clock import ClockCheck
from bridge.edges.inbox import Inbox, prepare
from bridge.edges.metrics import Metrics
from tests.support.store import Store, add, claim, stored

_NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
_HOUR = timedelta(hours=1)


class Clocks:
    """A wall clock that can be set, and a monotonic one that cannot."""

    def __init__(self) -> None:
        """Begin at `_NOW`."""
        self.wall = _NOW
        self.moved = 0
        self._monotonic = 100.0

    def monotonic(self) -> float:
        """The seconds since some moment."""
        return self._monotonic

    def go_on(self, seconds: float, *, set_by: timedelta = timedelta()) -> None:
        """Let time pass on both, and set the wall clock."""
        self._monotonic += seconds
        self.wall += timedelta(seconds=seconds) + set_by

    def note(self) -> None:
        """Somebody was woken."""
        self.moved += 1


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of either kind."""
    made = f"sqlite:///{tmp_path}/b.db" if request.param == "sqlite" else request.getfixturevalue("postgres")
    prepare(made)
    return str(made)


@pytest.fixture
def both(url: str) -> Iterator[tuple[Inbox, Store]]:
    """The inbox, and the store beside it."""
    inbox, store = Inbox(url), Store(url)
    yield inbox, store
    store.close()
    inbox.close()


def _timekeeping(inbox: Inbox, metrics: Metrics, clocks: Clocks) -> ClockCheck:
    return ClockCheck(
        inbox=inbox,
        metrics=metrics,
        lease_seconds=30,
        on_moved=clocks.note,
        clock=lambda: clocks.wall,
        monotonic=clocks.monotonic,
    )


def _dues(store: Store) -> list[float]:
    rows = store.rows("SELECT due_at FROM deliveries UNION ALL SELECT due_at FROM triggers ORDER BY 1")
    return [row[0] / 1_000_000 - _NOW.timestamp() for row in rows]


def _waiting(inbox: Inbox, store: Store) -> None:
    """One delivery that is due in 10 s, one trigger that is due in 20 s, one that waits for a person."""
    ids = [stored(inbox, event) for event in ("evt_1", "evt_2", "evt_3")]
    for id_ in ids[1:]:
        add(inbox, id_)
    at = int(_NOW.timestamp() * 1_000_000)
    store.rows("UPDATE deliveries SET due_at = ?", at + 10_000_000)
    store.rows("UPDATE deliveries SET state = 'routed', due_at = 0 WHERE event_id <> 'evt_1'")
    store.rows("UPDATE triggers SET due_at = ?", at + 20_000_000)
    first = store.one("SELECT MAX(id) FROM triggers")
    store.rows("UPDATE triggers SET due_at = ?, state = 'held' WHERE id = ?", 253402214400000000, first)


def test_what_waits_moves_with_a_clock_set_back(both: tuple[Inbox, Store], metrics: Metrics) -> None:
    """An hour back: everything is due an hour earlier, in the same order; what waits for a person is not."""
    inbox, store = both
    clocks = Clocks()
    _waiting(inbox, store)
    keeping = _timekeeping(inbox, metrics, clocks)
    clocks.go_on(5, set_by=-_HOUR)
    assert keeping.compare() == pytest.approx(3600)
    assert [due for due in _dues(store) if -7200 < due < 7200] == pytest.approx([-3590, -3580])
    assert max(_dues(store)) > 1e9
    assert keeping.compare() == 0
    assert clocks.moved == 1


@pytest.mark.parametrize("set_by", [timedelta(0), timedelta(seconds=-1.5), _HOUR])
def test_nothing_moves_with_any_other_clock(both: tuple[Inbox, Store], metrics: Metrics, set_by: timedelta) -> None:
    """As it should be, corrected by a little, or set forward."""
    inbox, store = both
    clocks = Clocks()
    _waiting(inbox, store)
    before = _dues(store)
    keeping = _timekeeping(inbox, metrics, clocks)
    clocks.go_on(5, set_by=set_by)
    assert keeping.compare() == 0
    assert (_dues(store), clocks.moved) == (before, 0)


def test_lease_of_a_clock_set_back_lapses_in_its_time(both: tuple[Inbox, Store], metrics: Metrics) -> None:
    """A dead process's trigger is taken over after a lease, not after an hour and a lease."""
    inbox, store = both
    clocks = Clocks()
    add(inbox, stored(inbox))
    claim(inbox)
    at = int((_NOW + timedelta(seconds=30)).timestamp() * 1_000_000)
    store.rows("UPDATE triggers SET lease_until = ?", at)
    keeping = _timekeeping(inbox, metrics, clocks)
    clocks.go_on(1, set_by=-_HOUR)
    keeping.compare()
    assert store.one("SELECT lease_until FROM triggers") == pytest.approx(at - 3_600_000_000, abs=1000)


def test_start_makes_due_what_waits_too_long(both: tuple[Inbox, Store], metrics: Metrics) -> None:
    """Set back while nobody compared: what is due later than anything may be is due at once, the rest as it was."""
    inbox, store = both
    clocks = Clocks()
    _waiting(inbox, store)
    clocks.wall = _NOW - _HOUR
    keeping = _timekeeping(inbox, metrics, clocks)
    keeping.compare()
    assert [due for due in _dues(store) if -7200 < due < 7200] == pytest.approx([-3600, -3600])
    assert max(_dues(store)) > 1e9
    keeping.compare()
    assert clocks.moved == 1


def test_writes_that_read_the_clock_before_it_was_set_are_found(both: tuple[Inbox, Store], metrics: Metrics) -> None:
    """A transaction under way when the clock is set may commit an instant of the old clock afterwards."""
    inbox, store = both
    clocks = Clocks()
    keeping = _timekeeping(inbox, metrics, clocks)
    clocks.go_on(60, set_by=-_HOUR)
    keeping.compare()
    _waiting(inbox, store)
    clocks.go_on(1)
    keeping.compare()
    assert [due for due in _dues(store) if -7200 < due < 7200] == pytest.approx([-3539, -3539])


def test_what_was_asked_to_wait_long_waits(both: tuple[Inbox, Store], metrics: Metrics) -> None:
    """Half a minute after the start, with a clock that nobody set, an hour of `Retry-After` is an hour."""
    inbox, store = both
    clocks = Clocks()
    keeping = _timekeeping(inbox, metrics, clocks)
    clocks.go_on(40)
    _waiting(inbox, store)
    store.rows("UPDATE triggers SET due_at = ? WHERE state = 'pending'", int((_NOW + _HOUR).timestamp() * 1_000_000))
    before = _dues(store)
    keeping.compare()
    assert (_dues(store), clocks.moved) == (before, 0)


def test_what_a_replica_with_a_wrong_clock_left_is_found(both: tuple[Inbox, Store], metrics: Metrics) -> None:
    """Its clock was a day ahead, and it died; nobody else's clock was ever set."""
    inbox, store = both
    clocks = Clocks()
    keeping = _timekeeping(inbox, metrics, clocks)
    clocks.go_on(40)
    _waiting(inbox, store)
    tomorrow = int((_NOW + 24 * _HOUR).timestamp() * 1_000_000)
    store.rows("UPDATE triggers SET due_at = ? WHERE state = 'pending'", tomorrow)
    clocks.go_on(30)
    keeping.compare()
    assert tomorrow not in [row[0] for row in store.rows("SELECT due_at FROM triggers")]
    assert max(_dues(store)) > 1e9
    assert clocks.moved == 1
