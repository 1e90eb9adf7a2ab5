"""The wall clock may be set: nothing waits longer for it, and what waits for a person goes on waiting."""

import math
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from bridge.chores.clock import ClockCheck
from bridge.edges.inbox import Inbox, moving, prepare
from bridge.edges.inbox.engine.ids import number as number_of
from bridge.edges.inbox.rows import microseconds
from bridge.edges.metrics import Metrics
from bridge.rules.ceiling import Ceilings
from bridge.rules.retrying.backoff import longest_wait
from bridge.words.errors import InboxUnavailable
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


# --- much that waits ---------------------------------------------------------------------------------


def _many(inbox: Inbox, store: Store, *, is_queue: bool) -> None:
    """5,000 triggers that are due within an hour, for a retry or in a queue behind a ceiling."""
    stored_id = number_of(stored(inbox), "dlv")
    reason = Reason.HOURLY_CEILING if is_queue else Reason.THROTTLED
    at = microseconds(_NOW + _HOUR) - 5_000
    numbers = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5000) SELECT n FROM c"
    store.rows(
        "INSERT INTO triggers (id, delivery_id, route, airflow, dag_id, dag_run_id, conf, max_age_seconds, state,"  # noqa: S608
        f" reason, created_at, due_at, age_from, rerun) SELECT {stored_id * 2} + n, {stored_id}, 'orders', 'default',"
        f" 'd', CAST(n AS TEXT), '{{}}', 1, 'held', '{reason}', 0, {at} + n, 0, n FROM ({numbers}) AS many"
    )


@contextmanager
def _changes(inbox: Inbox) -> Iterator[list[int]]:
    """How many rows each statement in the writer changes."""
    found: list[int] = []

    def note(_c: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE"):
            found.append(cursor.rowcount)

    event.listen(inbox._store.writing, "after_cursor_execute", note)
    yield found
    event.remove(inbox._store.writing, "after_cursor_execute", note)


def _trigger_dues(store: Store) -> list[int]:
    return [row[0] for row in store.rows("SELECT due_at FROM triggers ORDER BY id")]


@pytest.mark.parametrize("is_queue", [False, True])
def test_webhooks_pass_what_moves(both: tuple[Inbox, Store], metrics: Metrics, is_queue: bool) -> None:
    """Five seconds back, and 5,000 wait: each moves by that much, and no statement in the writer moves them all."""
    inbox, store = both
    clocks = Clocks()
    _many(inbox, store, is_queue=is_queue)
    before = _trigger_dues(store)
    keeping = _timekeeping(inbox, metrics, clocks)
    clocks.go_on(1, set_by=timedelta(seconds=-5))
    with _changes(inbox) as changes:
        keeping.compare()
    assert _trigger_dues(store) == [due - 5_000_000 for due in before]
    assert 0 < max(changes) <= 500


def test_webhooks_pass_a_queue_that_moves(both: tuple[Inbox, Store], metrics: Metrics) -> None:
    """Behind a ceiling, and a day late by a clock that was wrong: it moves as a whole, slice by slice."""
    inbox, store = both
    clocks = Clocks()
    _many(inbox, store, is_queue=True)
    store.rows("UPDATE triggers SET due_at = due_at + 86400000000")
    before = _trigger_dues(store)
    with _changes(inbox) as changes:
        _timekeeping(inbox, metrics, clocks).compare()
    assert len({late - early for early, late in zip(_trigger_dues(store), before, strict=True)}) == 1
    assert _trigger_dues(store)[0] == microseconds(_NOW + _HOUR + timedelta(minutes=1))
    assert 0 < max(changes) <= 500


def test_webhooks_pass_looks_that_are_pulled_in(both: tuple[Inbox, Store], metrics: Metrics) -> None:
    """5,000 DAG runs are followed, and a clock was a day ahead."""
    inbox, store = both
    clocks = Clocks()
    _many(inbox, store, is_queue=False)
    store.rows("UPDATE triggers SET state = 'fired', run_due_at = ?", microseconds(_NOW + 24 * _HOUR))
    with _changes(inbox) as changes:
        _timekeeping(inbox, metrics, clocks).compare()
    assert store.rows("SELECT DISTINCT run_due_at FROM triggers") == [(microseconds(_NOW),)]
    assert 0 < max(changes) <= 500


@pytest.mark.parametrize("broken", [2, 4])  # the first write takes the duty
def test_a_move_that_was_committed_without_a_word_is_made_once(url: str, metrics: Metrics, broken: int) -> None:
    """The store says that it did not commit, and did: the next second moves the rest, and nothing that is new."""
    writes = 0

    def lose_the_answer(operation: str, _seconds: float, is_done: bool) -> None:
        nonlocal writes
        writes += operation == "write"
        if operation == "write" and is_done and writes == broken:
            raise InboxUnavailable("the store did not answer within 30 s")

    store, clocks = Store(url), Clocks()
    with closing(Inbox(url, on_access=lose_the_answer)) as inbox, closing(store):
        _many(inbox, store, is_queue=True)
        before = _trigger_dues(store)
        keeping = _timekeeping(inbox, metrics, clocks)
        clocks.go_on(1, set_by=timedelta(seconds=-5))
        with pytest.raises(InboxUnavailable):
            keeping.compare()
        new = add(inbox, stored(inbox, "evt_new"), due_at=clocks.wall + timedelta(minutes=1), dag_run_id="new")
        due_at = store.one("SELECT due_at FROM triggers WHERE id = ?", number_of(new, "trg"))
        clocks.go_on(1)
        keeping.compare()
        assert store.one("SELECT due_at FROM triggers WHERE id = ?", number_of(new, "trg")) == due_at
        store.rows("DELETE FROM triggers WHERE id = ?", number_of(new, "trg"))
        assert _trigger_dues(store) == [due - 5_000_000 for due in before]


def test_a_place_in_the_queue_for_look_ups_stays(both: tuple[Inbox, Store], metrics: Metrics) -> None:
    """It is drawn before it is due, so half a million of them need no move."""
    inbox, store = both
    clocks = Clocks()
    _waiting(inbox, store)
    store.rows("UPDATE deliveries SET reason = 'lookup_queued' WHERE event_id = 'evt_1'")
    keeping = _timekeeping(inbox, metrics, clocks)
    clocks.go_on(1, set_by=timedelta(seconds=-5))
    keeping.compare()
    assert [due for due in _dues(store) if -7200 < due < 7200] == pytest.approx([10, 15])


def test_a_queue_behind_much_that_is_held_for_another_cause_moves(both: tuple[Inbox, Store], metrics: Metrics) -> None:
    """A hundred triggers of its route wait for a DAG, and go on waiting; the queue begins within the hour."""
    inbox, store = both
    _many(inbox, store, is_queue=True)
    store.rows("UPDATE triggers SET due_at = due_at + 864000000000")
    _many_that_wait_for_a_dag(inbox, store, 5_000)
    _timekeeping(inbox, metrics, Clocks()).compare()
    first = store.one("SELECT MIN(due_at) FROM triggers WHERE reason = 'hourly_ceiling'")
    assert first == microseconds(_NOW + _HOUR + timedelta(minutes=1))
    assert store.rows("SELECT DISTINCT due_at FROM triggers WHERE reason = 'dag_paused'") == [(microseconds(_NOW),)]


def test_a_queue_whose_first_place_is_behind_much_else_is_no_wrong_clock(both: tuple[Inbox, Store]) -> None:
    """Hundreds wait for a DAG, then the queue begins in time and goes on for days."""
    inbox, store = both
    _queue(inbox)
    store.rows("UPDATE triggers SET due_at = due_at + ? WHERE due_at > ?", 864000000000, microseconds(_NOW + _HOUR))
    _many_that_wait_for_a_dag(inbox, store, 500)
    assert inbox.read(moving.late_queues, latest=_NOW + _HOUR) == []
    store.rows("UPDATE triggers SET due_at = due_at + ? WHERE reason = 'hourly_ceiling'", 864000000000)
    assert inbox.read(moving.late_queues, latest=_NOW + _HOUR) == ["orders"]


def test_a_queue_behind_more_than_is_read_stays(both: tuple[Inbox, Store]) -> None:
    """Nobody knows whether it begins late before some of that has gone."""
    inbox, store = both
    _many(inbox, store, is_queue=True)
    store.rows("UPDATE triggers SET due_at = due_at + 864000000000")
    _many_that_wait_for_a_dag(inbox, store, 10_000)
    assert inbox.read(moving.late_queues, latest=_NOW) == []
    store.rows("DELETE FROM triggers WHERE id IN (SELECT MIN(id) FROM triggers WHERE reason = 'dag_paused')")
    assert inbox.read(moving.late_queues, latest=_NOW) == ["orders"]


def _many_that_wait_for_a_dag(inbox: Inbox, store: Store, amount: int) -> None:
    """So many triggers of the same route that are due now."""
    stored_id = number_of(stored(inbox, "evt_waits"), "dlv")
    numbers = f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {amount}) SELECT n FROM c"  # noqa: S608
    store.rows(
        "INSERT INTO triggers (id, delivery_id, route, airflow, dag_id, dag_run_id, conf, max_age_seconds, state,"  # noqa: S608
        f" reason, created_at, due_at, age_from, rerun) SELECT 1000 + n, {stored_id}, 'orders', 'default', 'away',"
        f" CAST(n AS TEXT), '{{}}', 1, 'held', 'dag_paused', 0, {microseconds(_NOW)}, 0, n FROM ({numbers}) AS many"
    )


# --- more replicas than one --------------------------------------------------------------------------


def test_clocks_set_back_alike_move_everything_once(postgres: str, metrics: Metrics) -> None:
    """Two replicas an hour back, and the second compares a little later; the next time that they are set back, again.

    A lease of the duty from before is no hindrance.
    """
    prepare(postgres)
    clocks, store = Clocks(), Store(postgres)
    with closing(Inbox(postgres)) as first, closing(Inbox(postgres)) as second, closing(store):
        add(first, stored(first), state=TriggerState.HELD, reason=Reason.THROTTLED, due_at=_NOW + timedelta(minutes=50))
        keeping = [_timekeeping(inbox, metrics, clocks) for inbox in (first, second)]
        for times in (1, 2):
            clocks.go_on(1, set_by=-_HOUR)
            for each in keeping:
                assert each.compare() == pytest.approx(3600)
                clocks.go_on(1)
            keeping.reverse()
            due_at = microseconds(_NOW + timedelta(minutes=50) - times * _HOUR)
            assert _trigger_dues(store) == pytest.approx([due_at], abs=1000)


def test_a_clock_that_is_set_back_later_moves_what_waits(postgres: str, metrics: Metrics) -> None:
    """Two minutes after another replica's clock: that is no jump of both."""
    prepare(postgres)
    store, ahead, behind = Store(postgres), Clocks(), Clocks()
    with closing(Inbox(postgres)) as first, closing(Inbox(postgres)) as second, closing(store):
        one_check, other_check = _timekeeping(first, metrics, ahead), _timekeeping(second, metrics, behind)
        ahead.go_on(1, set_by=-_HOUR)
        one_check.compare()
        behind.go_on(120)
        add(first, stored(first), due_at=behind.wall + timedelta(minutes=5))
        before = _trigger_dues(store)
        behind.go_on(1, set_by=-_HOUR)
        other_check.compare()
        assert _trigger_dues(store) == pytest.approx([due - 3_600_000_000 for due in before], abs=1000)


def test_who_moves_nothing_pulls_nothing_in(postgres: str, metrics: Metrics) -> None:
    """What another replica has yet to move is due more than an hour ahead, which is no other wrong clock."""
    prepare(postgres)
    clocks, store = Clocks(), Store(postgres)
    with closing(Inbox(postgres)) as first, closing(Inbox(postgres)) as second, closing(store):
        keeping = [_timekeeping(inbox, metrics, clocks) for inbox in (first, second)]
        clocks.go_on(1, set_by=-_HOUR)
        for each in keeping:
            each.compare()
        add(first, stored(first), due_at=_NOW + timedelta(minutes=50))
        before = _trigger_dues(store)
        clocks.go_on(1)
        keeping[1].compare()
        assert _trigger_dues(store) == before
        clocks.go_on(60)
        keeping[1].compare()
        assert _trigger_dues(store) == [microseconds(clocks.wall)]


def test_replicas_that_find_the_same_late_queue_move_it_once(both: tuple[Inbox, Store]) -> None:
    """The second found it before the first moved it, and reads it afterwards."""
    inbox, store = both
    _many(inbox, store, is_queue=True)
    store.rows("UPDATE triggers SET due_at = due_at + 86400000000")
    queue, by = inbox.read(moving.queue, "orders", latest=_NOW)
    inbox.write(moving.move_up, queue[0], by=by)
    assert inbox.read(moving.queue, "orders", latest=_NOW) == ([], timedelta())


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
