"""What is claimed: what waits and is due, of the routes that are asked for, the longest due first."""

from datetime import timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, claiming, triggers
from bridge.edges.inbox.engine.ids import number
from bridge.edges.inbox.rows import microseconds
from bridge.words.model import Trigger, TriggerState
from bridge.words.reasons import Reason
from tests.support.store import LATER, NOW, Store, add, claim, stored

WAITING = (TriggerState.PENDING, TriggerState.HELD)


def _trigger(inbox: Inbox, id_: str) -> Trigger:
    found = inbox.read(triggers.get, id_)
    assert found is not None
    return found


def _ready(inbox: Inbox, *, full: tuple[str, ...] = (), limit: int = 9) -> list[str]:
    return inbox.read(claiming.ready_routes, airflow="default", now=NOW, full=full, limit=limit)


@pytest.mark.parametrize("state", TriggerState)
@pytest.mark.parametrize("full", [(), ("another",)])
def test_what_waits_is_claimed_and_nothing_else(inbox: Inbox, state: TriggerState, full: tuple[str, ...]) -> None:
    """Pending or held; what was fired, failed or cancelled is not called again, nor what is called right now."""
    id_ = add(inbox, stored(inbox), state=state)
    assert [item.trigger.id for item in claim(inbox, full=full)] == [id_] * (state in WAITING)


@pytest.mark.parametrize("state", TriggerState)
def test_a_route_is_ready_when_something_of_it_waits(inbox: Inbox, state: TriggerState) -> None:
    """Not for what has ended, nor for what is called right now."""
    add(inbox, stored(inbox), state=state)
    assert _ready(inbox) == ["orders"] * (state in WAITING)


def test_the_route_that_waits_longest_is_ready_first(inbox: Inbox) -> None:
    """Of this Airflow, due by now, and not full; as many as are asked for."""
    for name, due, more in (
        ("a", 1, {}),
        ("b", 3, {"state": TriggerState.HELD}),
        ("c", 2, {}),
        ("c", -9, {"state": TriggerState.HELD}),
        ("to come", -1, {}),
        ("now", 0, {}),
        ("elsewhere", 9, {"airflow": "other"}),
        ("full", 9, {}),
    ):
        values: dict[str, Any] = {"route": name, "due_at": NOW - due * LATER, **more}
        add(inbox, stored(inbox, f"evt_{name}_{due}"), **values)
    assert _ready(inbox, full=("full",)) == ["b", "c", "a", "now"]
    assert _ready(inbox, full=("full", "b"), limit=2) == ["c", "a"]


def test_a_trigger_that_cannot_be_read_is_held_and_stops_no_other(inbox: Inbox, store: Store) -> None:
    """For five minutes, as an error of the bridge's own; it costs no attempt, and a lease is not left."""
    broken, whole = add(inbox, stored(inbox, "evt_1"), detail="before"), add(inbox, stored(inbox, "evt_2"))
    store.rows("UPDATE triggers SET conf = 'no JSON', reason = 'throttled' WHERE id = ?", number(broken, "trg"))
    assert [item.trigger.id for item in claim(inbox)] == [whole]
    statement = "SELECT state, reason, detail, attempts, due_at, lease_token, lease_until FROM triggers WHERE id = ?"
    due_at = microseconds(NOW + timedelta(minutes=5))
    assert store.rows(statement, number(broken, "trg")) == [("held", "internal_error", None, 0, due_at, None, None)]


def test_what_is_shown_as_held_has_no_detail_of_before(inbox: Inbox) -> None:
    """It would explain another reason. As many as are asked for, and of that Airflow alone."""
    ids = [add(inbox, stored(inbox, f"evt_{place}"), detail="500: x") for place in range(2)]
    other = add(inbox, stored(inbox, "evt_other"), airflow="other", detail="500: x")
    assert inbox.write(claiming.hold, airflow="default", reason=Reason.AIRFLOW_DOWN, limit=1) == 1
    assert inbox.write(claiming.hold, airflow="default", reason=Reason.AIRFLOW_DOWN, limit=9) == 1
    for id_ in ids:
        found = _trigger(inbox, id_)
        assert (found.state, found.reason, found.detail) == (TriggerState.HELD, Reason.AIRFLOW_DOWN, None)
    assert (_trigger(inbox, other).state, _trigger(inbox, other).detail) == (TriggerState.PENDING, "500: x")
    assert inbox.read(claiming.airflows_with_pending) == {"other"}
