"""What is moved after the clock was set: what waits, and only that, by its own instant."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, moving
from bridge.edges.inbox.engine.ids import number
from bridge.edges.inbox.moving import Slice
from bridge.edges.inbox.rows import microseconds
from bridge.rules.following import LONGEST_PAUSE_SECONDS
from bridge.rules.retrying.backoff import longest_wait
from bridge.words.model import TriggerState
from bridge.words.reasons import Reason
from tests.support.store import NOW, Store, add, stored

INSTANT, MINUTE, HOUR = timedelta(microseconds=1), timedelta(minutes=1), timedelta(hours=1)
NEVER = datetime(9999, 12, 31, tzinfo=UTC)
_HELD = TriggerState.HELD
# Of each kind: its table and column, what is stored of one that moves, and of others that look alike.
_KINDS: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "delivery": (
        "deliveries",
        "due_at",
        "state = 'received', reason = 'lookup_failed'",
        ("state = 'routed', reason = NULL", "state = 'received', reason = 'lookup_queued'"),
    ),
    "trigger": ("triggers", "due_at", "state = 'pending'", ("state = 'firing'", "state = 'failed'")),
    "lease": ("triggers", "lease_until", "state = 'firing'", ("state = 'pending'", "state = 'fired'")),
    "look": ("triggers", "run_due_at", "state = 'fired'", ("state = 'pending'", "state = 'failed'")),
}


def _put(inbox: Inbox, store: Store, kind: str, event: str, *, change: str, at: datetime) -> int:
    """Store one more of a kind, which waits for an instant; nothing else of it does."""
    table, column, _, _ = _KINDS[kind]
    delivery_id = stored(inbox, event)
    row = number(delivery_id, "dlv")
    if table == "triggers":
        row = number(add(inbox, delivery_id), "trg")
        store.rows("UPDATE triggers SET due_at = 0 WHERE id = ?", row)
    store.rows("UPDATE deliveries SET due_at = 0, state = 'routed' WHERE event_id = ?", event)
    store.rows(f"UPDATE {table} SET {change}, {column} = ? WHERE id = ?", microseconds(at), row)  # noqa: S608
    return row


def _at(store: Store, kind: str, row: int) -> int:
    table, column, _, _ = _KINDS[kind]
    return int(store.one(f"SELECT {column} FROM {table} WHERE id = ?", row))  # noqa: S608


@pytest.mark.parametrize("kind", _KINDS)
def test_what_waits_for_a_later_instant_is_found(inbox: Inbox, store: Store, kind: str) -> None:
    """Not what is due by now or waits for a person, nor what looks like it and waits for nothing."""
    _, _, change, others = _KINDS[kind]
    row = _put(inbox, store, kind, "evt_1", change=change, at=NOW + INSTANT)
    _put(inbox, store, kind, "evt_2", change=change, at=NOW)
    for place, other in enumerate(others):
        _put(inbox, store, kind, f"evt_other_{place}", change=other, at=NOW + HOUR)
    if kind in ("delivery", "trigger"):
        _put(inbox, store, kind, "evt_person", change=change, at=NEVER)
    assert inbox.read(moving.ahead, now=NOW) == [Slice(kind, [(row, microseconds(NOW + INSTANT))])]


@pytest.mark.parametrize("kind", [*_KINDS, "queue"])
def test_what_still_waits_for_the_instant_that_was_seen_moves(inbox: Inbox, store: Store, kind: str) -> None:
    """Once, however often its slice is written; what was changed meanwhile stays as it is."""
    like = "trigger" if kind == "queue" else kind
    _, _, change, others = _KINDS[like]
    if kind == "queue":
        change, others = "state = 'held', reason = 'hourly_ceiling'", ("state = 'held', reason = 'throttled'",)
    at = NOW + HOUR
    row = _put(inbox, store, like, "evt_1", change=change, at=at)
    late = _put(inbox, store, like, "evt_2", change=change, at=at + INSTANT)
    moved = [_put(inbox, store, like, f"evt_other_{n}", change=other, at=at) for n, other in enumerate(others[:1])]
    part = Slice(kind, [(each, microseconds(at)) for each in (late, row, *moved)])
    assert [inbox.write(moving.move_up, part, by=MINUTE) for _ in range(2)] == [1, 0]
    assert _at(store, like, row) == microseconds(at - MINUTE)
    assert _at(store, like, late) == microseconds(at + INSTANT)
    assert [_at(store, like, each) for each in moved] == [microseconds(at)] * len(moved)


def _held(inbox: Inbox, event: str, due_at: datetime, **more: Any) -> int:
    usual = {"state": _HELD, "reason": Reason.HOURLY_CEILING}
    return number(add(inbox, stored(inbox, event), due_at=due_at, **usual | more), "trg")


def test_a_queue_is_what_waits_behind_the_ceiling_of_one_route(inbox: Inbox) -> None:
    """At whichever Airflow, the first place first, and as late as that is."""
    second = _held(inbox, "evt_1", NOW + 2 * MINUTE)
    first = _held(inbox, "evt_2", NOW + MINUTE, airflow="other")
    _held(inbox, "evt_3", NOW, route="another")
    _held(inbox, "evt_4", NOW, reason=Reason.THROTTLED)
    rows = [(first, microseconds(NOW + MINUTE)), (second, microseconds(NOW + 2 * MINUTE))]
    assert inbox.read(moving.queue, "orders", latest=NOW) == ([Slice("queue", rows)], MINUTE)


@pytest.mark.parametrize(("late", "is_late"), [(-INSTANT, False), (timedelta(), False), (INSTANT, True)])
def test_a_queue_that_begins_in_time_stays(inbox: Inbox, late: timedelta, is_late: bool) -> None:
    """Also at the very last instant."""
    row = _held(inbox, "evt_1", NOW + HOUR + late)
    queue = ([Slice("queue", [(row, microseconds(NOW + HOUR + late))])], late) if is_late else ([], timedelta())
    assert inbox.read(moving.queue, "orders", latest=NOW + HOUR) == queue
    assert inbox.read(moving.late_queues, latest=NOW + HOUR) == ["orders"] * is_late


def test_no_queue_is_late_by_nothing(inbox: Inbox) -> None:
    """Its last trigger has gone meanwhile."""
    assert inbox.read(moving.queue, "orders", latest=NOW) == ([], timedelta())


def _many(inbox: Inbox, store: Store, amount: int, change: str) -> list[int]:
    """Store so many triggers, due one microsecond after the other from an hour ahead on."""
    row, delivery = _held(inbox, "evt_many", NOW + HOUR), store.one("SELECT MAX(id) FROM deliveries")
    numbers = f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {amount - 1}) SELECT n FROM c"  # noqa: S608
    store.rows(
        "INSERT INTO triggers (id, delivery_id, route, airflow, dag_id, dag_run_id, conf, max_age_seconds, state,"  # noqa: S608
        f" reason, created_at, due_at, age_from, rerun) SELECT {row} + n, {delivery}, 'orders', 'default', 'd',"
        f" CAST(n AS TEXT), '', 1, 'held', 'hourly_ceiling', 0, {microseconds(NOW + HOUR)} + n, 0, n"
        f" FROM ({numbers}) AS many"
    )
    store.rows(f"UPDATE triggers SET {change}")  # noqa: S608
    return [row + place for place in range(amount)]


def test_webhooks_pass_after_500_rows(inbox: Inbox, store: Store) -> None:
    """A slice is written in one transaction; nothing is in two of them."""
    rows = _many(inbox, store, 502, "hold_step = 0")
    slices, late = inbox.read(moving.queue, "orders", latest=NOW)
    assert late == HOUR
    for found in (slices, inbox.read(moving.ahead, now=NOW)):
        assert [len(part.rows) for part in found] == [500, 2]
        assert sorted(row for part in found for row, _ in part.rows) == rows
    store.rows("UPDATE triggers SET reason = 'throttled', due_at = due_at + 864000000000")
    far = inbox.read(moving.far_ahead, now=NOW, slack=MINUTE)
    assert [[len(ids) for ids in each] for each in far.values()] == [[0, 500]]


# --- further ahead than any may be -------------------------------------------------------------------

_WAIT = timedelta(seconds=longest_wait(Reason.THROTTLED))
_LATEST = NOW + MINUTE + _WAIT


def _far(inbox: Inbox, **more: Any) -> list[tuple[str, list[list[int]]]]:
    found = inbox.read(moving.far_ahead, now=NOW, slack=MINUTE, **more)
    return [("the wait" if longest == _WAIT.total_seconds() else "another", ids) for longest, ids in found.items()]


def test_what_waits_longer_than_its_reason_allows_is_found_and_made_due(inbox: Inbox, store: Store) -> None:
    """With the slack for the clocks of replicas; not at the very last instant, and not what a person has to look at."""
    trigger = _held(inbox, "evt_1", _LATEST + INSTANT, reason=Reason.THROTTLED)
    _held(inbox, "evt_2", _LATEST, reason=Reason.THROTTLED)
    _held(inbox, "evt_3", NEVER, reason=Reason.THROTTLED)
    _held(inbox, "evt_4", _LATEST + INSTANT, reason=Reason.THROTTLED, state=TriggerState.FAILED)
    _held(inbox, "evt_5", NOW + timedelta(days=400))  # a queue is as long as it is
    waits = "UPDATE deliveries SET state = 'received', reason = 'throttled', due_at = ? WHERE event_id = ?"
    delivery = number(stored(inbox, "evt_6"), "dlv")
    for event, due_at in (("evt_6", _LATEST + INSTANT), ("evt_1", _LATEST), ("evt_2", NEVER)):
        store.rows(waits, microseconds(due_at), event)
    store.rows("UPDATE deliveries SET due_at = ? WHERE state = 'routed'", microseconds(NOW + timedelta(days=400)))
    assert _far(inbox) == [("the wait", [[delivery], [trigger]])]
    assert _far(inbox, waits={_WAIT.total_seconds()}) == [("the wait", [[delivery], [trigger]])]
    assert _far(inbox, waits={_WAIT.total_seconds() + 1}) == []
    found = inbox.read(moving.far_ahead, now=NOW, slack=MINUTE)
    assert inbox.write(moving.pull_in, now=NOW, slack=MINUTE, found=found) == 2
    assert inbox.write(moving.pull_in, now=NOW, slack=MINUTE, found=found) == 0
    assert store.one("SELECT due_at FROM triggers WHERE id = ?", trigger) == microseconds(NOW)
    assert store.one("SELECT due_at FROM deliveries WHERE id = ?", delivery) == microseconds(NOW)
    assert _far(inbox) == []


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("triggers", "state = 'firing'"),
        ("triggers", "reason = 'hourly_ceiling'"),
        ("triggers", "due_at = due_at - 1"),
        ("deliveries", "state = 'routed'"),
        ("deliveries", "reason = 'mapping_broken'"),
        ("deliveries", "due_at = due_at - 1"),
    ],
)
def test_what_was_found_and_is_not_too_far_ahead_any_more_stays(
    inbox: Inbox, store: Store, table: str, change: str
) -> None:
    """Another replica has moved it meanwhile, or it waits for something else."""
    _held(inbox, "evt_1", _LATEST + INSTANT, reason=Reason.THROTTLED)
    due_at = microseconds(_LATEST + INSTANT)
    store.rows("UPDATE deliveries SET state = 'received', reason = 'throttled', due_at = ?", due_at)
    found = inbox.read(moving.far_ahead, now=NOW, slack=MINUTE)
    store.rows(f"UPDATE {table} SET {change}")  # noqa: S608
    before = store.rows(f"SELECT * FROM {table}")  # noqa: S608
    assert inbox.write(moving.pull_in, now=NOW, slack=MINUTE, found=found) == 1
    assert store.rows(f"SELECT * FROM {table}") == before  # noqa: S608


def test_a_look_at_a_run_is_never_further_ahead_than_the_longest_pause(inbox: Inbox, store: Store) -> None:
    """And the slack: one that is, is due now; nothing is looked at that has no run."""
    latest = NOW + MINUTE + timedelta(seconds=LONGEST_PAUSE_SECONDS)
    late = _put(inbox, store, "look", "evt_1", change="state = 'fired'", at=latest + INSTANT)
    in_time = _put(inbox, store, "look", "evt_2", change="state = 'fired'", at=latest)
    other = _put(inbox, store, "look", "evt_3", change="state = 'pending'", at=latest + INSTANT)
    assert inbox.write(moving.pull_in_looks, now=NOW, slack=MINUTE) == 1
    found = [_at(store, "look", row) for row in (late, in_time, other)]
    assert found == [microseconds(each) for each in (NOW, latest, latest + INSTANT)]


def test_a_queue_begins_within_the_hour_and_the_slack() -> None:
    """The clocks of replicas may differ by that."""
    assert moving.latest_start(NOW, MINUTE) == NOW + MINUTE + HOUR


@pytest.mark.parametrize(
    ("firsts", "late"),
    [
        ({"a": {"default": INSTANT}, "b": {"default": timedelta()}, "c": {"default": INSTANT}}, ["a", "c"]),
        ({"a": {"default": INSTANT, "other": timedelta()}}, []),
        ({"a": {"default": INSTANT, "other": HOUR}}, ["a"]),
        ({"a": {"default": NEVER - NOW - HOUR}}, []),
    ],
)
def test_a_queue_is_late_if_its_first_place_at_any_airflow_is(
    inbox: Inbox, firsts: dict[str, dict[str, timedelta]], late: list[str]
) -> None:
    """Each route by itself; what waits for a person is never late."""
    for route, places in firsts.items():
        for airflow, after in places.items():
            for place in range(2):
                due_at = min(NEVER, NOW + HOUR + after + place * MINUTE)
                _held(inbox, f"evt_{route}_{airflow}_{place}", due_at, route=route, airflow=airflow)
        _held(inbox, f"evt_{route}", NOW, route=route, reason=Reason.DAG_PAUSED)
    assert inbox.read(moving.late_queues, latest=NOW + HOUR) == late
