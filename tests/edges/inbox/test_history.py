"""An hour in numbers, as the store has it: all of it, and by route."""

from datetime import UTC, datetime, timedelta

from bridge.edges.inbox import Inbox, history
from bridge.rules import counts, views
from bridge.words.history import Hour
from tests.support.store import Store, add, stored


def _hour(inbox: Inbox) -> Hour:
    """Return the last hour up to now, and a little more."""
    return inbox.read(history.hour, begin=datetime.now(UTC) - timedelta(minutes=59))


def test_an_hour_is_counted_by_route(inbox: Inbox, store: Store) -> None:
    """What fired, failed or did else, and when the last was made; a route that did nothing is not there."""
    ids = [stored(inbox, f"evt_{number}") for number in range(5)]
    for id_, route in zip(ids, ("orders", "orders", "orders", "returns", "orders"), strict=True):
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


def test_a_dag_that_was_ever_started_is_known(inbox: Inbox) -> None:
    """By one probe for each; what failed or was cancelled does not count."""
    add(inbox, stored(inbox, "evt_1"))
    asked = {("default", "load_orders"), ("default", "other"), ("second", "load_orders")}
    assert inbox.read(history.started_ever, asked) == {("default", "load_orders")}
    assert inbox.read(history.started_ever, set()) == set()


def test_hours_add_up_to_what_a_route_has_started(inbox: Inbox) -> None:
    """The last instant is the latest of them; without any, it has matched only if something says so."""
    add(inbox, stored(inbox, "evt_1"))
    hour = _hour(inbox)
    shown = counts.started("orders", [hour, hour], is_known=False)
    assert (shown["others"], shown["fired"], shown["has_matched"]) == (2, 0, True)
    assert shown["last_at"] == views.instant(hour.by_route["orders"].last_at)
    assert counts.started("never", [hour], is_known=False) == {
        "fired": 0,
        "failed": 0,
        "others": 0,
        "last_at": None,
        "has_matched": False,
    }
    assert counts.started("never", [hour], is_known=True)["has_matched"] is True
    assert not {"by_route", "may_change"} & counts.hour(hour).keys()
