"""The wall clock may be set: nothing waits longer for it, and what waits for a person goes on waiting."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.chores.clock import ClockCheck
from bridge.edges.inbox import Inbox, moving, prepare
from bridge.edges.inbox.engine.ids import number as number_of
from bridge.edges.inbox.rows import microseconds
from bridge.edges.metrics import Metrics
from bridge.rules.ceiling import Ceilings
from bridge.rules.retrying.backoff import longest_wait
from bridge.words.model import TriggerState
from bridge.words.reasons import Reason
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
    at = int((_NOW + _HOUR).timestamp() * 1_000_000)
    store.rows("UPDATE triggers SET due_at = ?, reason = 'throttled' WHERE state = 'pending'", at)
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


def test_a_lease_that_is_no_longer_than_any_may_be_stays(both: tuple[Inbox, Store], metrics: Metrics) -> None:
    """Its call is under way; one that reaches further was written by a wrong clock, and ends now."""
    inbox, store = both
    ids = [add(inbox, stored(inbox, f"evt_{number}"), dag_run_id=f"run_{number}") for number in range(2)]
    assert len(claim(inbox)) == 2
    latest = _NOW + timedelta(minutes=2)
    ends = [latest, latest + timedelta(microseconds=1)]
    for id_, at in zip(ids, ends, strict=True):
        store.rows("UPDATE triggers SET lease_until = ? WHERE id = ?", microseconds(at), number_of(id_, "trg"))
    assert inbox.write(moving.end_leases, now=_NOW, latest=latest) == 1
    assert store.rows("SELECT lease_until FROM triggers ORDER BY id") == [(microseconds(at),) for at in (latest, _NOW)]


# --- what no clock has made late -------------------------------------------------------------------


def _look_for_minutes(keeping: ClockCheck, clocks: Clocks) -> None:
    """Let the chore do what it does in the first three minutes: each second, and once a minute after that."""
    for _ in range(40):
        keeping.compare()
        clocks.go_on(1)
    for _ in range(3):
        clocks.go_on(60)
        keeping.compare()


def test_the_longest_wait_of_every_reason_is_no_wrong_clock(both: tuple[Inbox, Store], metrics: Metrics) -> None:
    """What waits for as long as its reason may set it goes on waiting, whatever the reason; a day more is due now."""
    inbox, store = both
    clocks = Clocks()
    bounded = {reason: longest_wait(reason) for reason in (None, *Reason) if longest_wait(reason) < math.inf}
    for number, (reason, longest) in enumerate(bounded.items()):
        due_at = _NOW + timedelta(seconds=longest)
        add(inbox, stored(inbox, f"evt_{number}"), state=TriggerState.HELD, reason=reason, due_at=due_at)
        update = "UPDATE deliveries SET state = 'received', reason = ?, due_at = ? WHERE event_id = ?"
        store.rows(update, reason and str(reason), int(due_at.timestamp() * 1_000_000), f"evt_{number}")
    before = _dues(store)
    keeping = _timekeeping(inbox, metrics, clocks)
    _look_for_minutes(keeping, clocks)
    assert (_dues(store), clocks.moved) == (before, 0)
    store.rows("UPDATE deliveries SET due_at = due_at + 86400000000")
    store.rows("UPDATE triggers SET due_at = due_at + 86400000000")
    clocks.go_on(60)
    keeping.compare()
    assert max(_dues(store)) <= (clocks.wall - _NOW).total_seconds()


def test_a_queue_behind_a_ceiling_is_no_wrong_clock(both: tuple[Inbox, Store], metrics: Metrics) -> None:
    """Two an hour and ten at once: eight wait for up to four hours, each for its own time."""
    inbox, store = both
    clocks = Clocks()
    _queue(inbox)
    before = _dues(store)
    keeping = _timekeeping(inbox, metrics, clocks)
    _look_for_minutes(keeping, clocks)
    assert (_dues(store), clocks.moved) == (before, 0)


def test_a_queue_that_a_wrong_clock_made_late_moves_as_a_whole(both: tuple[Inbox, Store], metrics: Metrics) -> None:
    """The clock was a day ahead and the process died: the first starts within the hour, the others as far behind."""
    inbox, store = both
    clocks = Clocks()
    _queue(inbox)
    waiting = "SELECT due_at FROM triggers WHERE state = 'held' ORDER BY due_at"
    before = [row[0] for row in store.rows(waiting)]
    store.rows("UPDATE triggers SET due_at = due_at + 86400000000 WHERE state = 'held'")
    _timekeeping(inbox, metrics, clocks).compare()
    after = [row[0] for row in store.rows(waiting)]
    assert {late - early for early, late in zip(before, after, strict=True)} == {60_000_000}  # the slack
    assert clocks.moved == 1


def test_what_waits_for_a_person_waits(both: tuple[Inbox, Store], metrics: Metrics) -> None:
    """However long the chore looks."""
    inbox, store = both
    clocks = Clocks()
    add(inbox, stored(inbox), state=TriggerState.HELD, reason=Reason.LOOP_GUARD)
    _look_for_minutes(_timekeeping(inbox, metrics, clocks), clocks)
    assert max(_dues(store)) > 1e9


def _queue(inbox: Inbox) -> None:
    """Ten triggers of a route that may start two an hour."""
    ceilings = Ceilings(lambda _route, _limit, _now: [])
    for number in range(10):
        start = ceilings.take("orders", 2, _NOW.timestamp())
        held = {"state": TriggerState.HELD, "reason": Reason.HOURLY_CEILING} if start.is_later else {}
        add(inbox, stored(inbox, f"evt_{number}"), due_at=datetime.fromtimestamp(start.at, UTC), **held)
