"""An hour in numbers, as the store has it: all of it, and by route."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.edges.inbox import Inbox, history
from bridge.edges.inbox.engine import ids
from bridge.edges.inbox.rows import first_since
from bridge.rules import counts, views
from bridge.words.history import Hour
from tests.support.store import NOW, Store, add, stored


def _hour(inbox: Inbox) -> Hour:
    """Return the last hour up to now, and a little more."""
    return inbox.read(history.hour, begin=datetime.now(UTC) - timedelta(minutes=59))


def test_an_hour_is_counted_by_route(inbox: Inbox, store: Store) -> None:
    """What fired, failed or did else, and when the last was made; a route that did nothing is not there."""
    delivery_ids = [stored(inbox, f"evt_{number}") for number in range(5)]
    for id_, route in zip(delivery_ids, ("orders", "orders", "orders", "returns", "orders"), strict=True):
        add(inbox, id_, route=route, dag_run_id=f"run-{id_}")
    for state, number in (("fired", 0), ("failed", 1), ("fired", 2)):
        (id_,) = store.rows("SELECT id FROM triggers ORDER BY id")[number]
        store.rows("UPDATE triggers SET state = ? WHERE id = ?", state, id_)
    found = _hour(inbox)
    assert (found.accepted, found.fired, found.failed) == (5, 2, 1)
    assert set(found.by_route) == {"orders", "returns"}
    orders, returns = found.by_route["orders"], found.by_route["returns"]
    assert (orders.fired, orders.failed, orders.others) == (2, 1, 1)
    assert (returns.fired, returns.failed, returns.others) == (0, 0, 1)
    assert returns.last_at <= orders.last_at <= datetime.now(UTC) + timedelta(seconds=5)


def test_the_newest_of_each_route_is_found_a_stretch_at_a_time(inbox: Inbox) -> None:
    """From the newest back, whatever became of it, until there are no older ones."""
    for number, route in enumerate(("returns", "orders", "orders")):
        add(inbox, stored(inbox, f"evt_{number}"), route=route)
    found, before = inbox.read(history.newest, before=None, limit=2)
    assert (set(found), before is None) == ({"orders"}, False)
    found, before = inbox.read(history.newest, before=before, limit=2)
    assert (set(found), before) == ({"returns"}, None)


def test_hours_add_up_to_what_a_route_has_started(inbox: Inbox) -> None:
    """The last instant is the latest of them; without any, it has none only if all was looked at."""
    add(inbox, stored(inbox, "evt_1"))
    hour = _hour(inbox)
    shown = counts.started("orders", [hour, hour], before=datetime(2026, 1, 1, tzinfo=UTC), is_all=False)
    assert (shown["others"], shown["fired"], shown["has_none"]) == (2, 0, False)
    assert shown["last_at"] == views.instant(hour.by_route["orders"].last_at)
    nothing = {"fired": 0, "failed": 0, "others": 0, "last_at": None}
    for is_all in (True, False):
        assert counts.started("no", [hour], before=None, is_all=is_all) == {**nothing, "has_none": is_all}
    assert not {"by_route", "may_change"} & counts.hour(hour).keys()


def test_an_hour_begins_and_ends_with_its_first_millisecond(inbox: Inbox, store: Store) -> None:
    """So what is made between two hours is in one of them."""
    begin, end = NOW, NOW + timedelta(hours=1)
    for number, row in enumerate((first_since(begin) - 1, first_since(begin), first_since(end) - 1, first_since(end))):
        id_ = stored(inbox, f"evt_{number}")
        store.rows("UPDATE deliveries SET id = ? WHERE id = ?", row, ids.number(id_, "dlv"))
        trigger_id = add(inbox, ids.delivery_text(row))
        store.rows("UPDATE triggers SET id = ? WHERE id = ?", row, ids.number(trigger_id, "trg"))
    found = inbox.read(history.hour, begin=begin)
    assert (found.accepted, found.by_route["orders"].others, found.may_change) == (2, 2, True)
    assert found.by_route["orders"].last_at == end - timedelta(milliseconds=1)
    assert inbox.read(history.hour, begin=end + timedelta(hours=1)).by_route == {}


@pytest.mark.parametrize(
    ("state", "run_due_at", "may_change"),
    [("fired", None, False), ("fired", 5, True), ("failed", None, True), ("pending", None, True)],
)
def test_an_hour_is_over_when_all_of_its_runs_are(
    inbox: Inbox, store: Store, state: str, run_due_at: int | None, may_change: bool
) -> None:
    """What failed may be replayed, what is followed may end, and what waits may do either."""
    add(inbox, stored(inbox))
    store.rows("UPDATE triggers SET state = ?, run_due_at = ?", state, run_due_at)
    assert _hour(inbox).may_change is may_change


def test_the_middle_of_what_was_ready_is_shown(inbox: Inbox, store: Store) -> None:
    """Of runs that succeeded, and of which the end is known; none is ready before it came."""
    assert _hour(inbox).ready_seconds is None
    came_at = []
    for number in range(6):
        delivery_id = stored(inbox, f"evt_{number}")
        add(inbox, delivery_id)
        came_at.append((ids.number(delivery_id, "dlv"), ids.made_at(delivery_id)))
    ended = "UPDATE triggers SET state = ?, run_state = ?, settled_at = ?, run_ended_at = ? WHERE delivery_id = ?"
    rows = [("fired", "success", 1), ("fired", "success", 2), ("fired", "success", 9)]
    rows += [("failed", "success", 0), ("fired", "failed", 0), ("fired", "success", None)]
    for (row, at), (state, run_state, seconds) in zip(came_at, rows, strict=True):
        end = None if seconds is None else at + seconds * 1_000_000
        store.rows(ended, state, run_state, at, end, row)
    assert _hour(inbox).ready_seconds == 2
    for row, at in came_at:
        store.rows(ended, "fired", "success", at - 2_000_000, at - 1_000_000, row)
    assert _hour(inbox).ready_seconds == 0


def test_data_is_ready_at_the_earliest_when_its_run_was_fired(inbox: Inbox, store: Store) -> None:
    """Airflow says when a run has ended, by its own clock: that may be ten minutes behind."""
    delivery_id = stored(inbox)
    add(inbox, delivery_id)
    came_at = ids.made_at(delivery_id)
    fired_at, ended_at = came_at + 20_000_000, came_at - 600_000_000
    ended = "UPDATE triggers SET state = 'fired', run_state = 'success', settled_at = ?, run_ended_at = ?"
    store.rows(ended, fired_at, ended_at)
    assert _hour(inbox).ready_seconds == 20
