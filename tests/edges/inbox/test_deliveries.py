"""What is due, and under which signed message id a delivery stands, on both stores."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from bridge.edges.inbox import Inbox, deliveries
from bridge.edges.inbox.adding import NewTrigger
from bridge.edges.inbox.deliveries import Postponed, Routing, settle_routing
from bridge.edges.inbox.engine.ids import number
from bridge.edges.inbox.rows import microseconds
from bridge.rules.copies import END_UNKNOWN
from bridge.words.model import Delivery, DeliveryState
from bridge.words.reasons import Reason
from tests.support.store import ON_POSTGRESQL, Store, new_trigger, stored, wait_for

SOON = timedelta(minutes=1)


def test_what_is_put_off_is_due_at_its_time_and_not_before(inbox: Inbox) -> None:
    """The oldest first, each for whichever replica asks."""
    now = datetime.now(UTC)
    ids = [stored(inbox, f"evt_{position}") for position in range(3)]
    late = Postponed(ids[1], now + 10 * SOON, Reason.LOOKUP_FAILED, None, is_lookup=False)
    inbox.write(deliveries.postpone, [late])
    assert [each.id for each in inbox.read(deliveries.due, now=now + SOON, limit=9)] == [ids[0], ids[2]]
    assert [each.id for each in inbox.read(deliveries.due, now=now + 11 * SOON, limit=9)] == [ids[0], ids[2], ids[1]]


@pytest.mark.parametrize("is_stale", [False, True])
def test_a_delivery_stands_under_its_signed_message_id(inbox: Inbox, is_stale: bool) -> None:
    """A stale one too; under no other id, nor of another source; what is gone stands under none."""
    row = number(stored(inbox, None, message_id="msg_1", is_stale=is_stale), "dlv")
    other = number(stored(inbox, "evt_1"), "dlv")

    def has(row: int, message_id: str = "msg_1", source: str = "planasonix") -> bool:
        return inbox.read(deliveries.has_message_id, row, source=source, message_id=message_id)

    assert has(row)
    assert not any((has(row, "msg_2"), has(row, source="another"), has(other), has(other + 1)))


def test_what_routing_decided_is_stored_with_its_reason(inbox: Inbox) -> None:
    """And the detail; the reason for which it waited is gone."""
    id_ = stored(inbox)
    inbox.write(
        deliveries.postpone, [Postponed(id_, datetime.now(UTC), Reason.LOOKUP_FAILED, "no answer", is_lookup=True)]
    )
    decided = Routing(id_, DeliveryState.INVALID, Reason.CONTRADICTION, "two pipelines", None, [])
    inbox.write(settle_routing, [decided], now=datetime.now(UTC))
    found = inbox.read(deliveries.get, id_)
    assert found is not None
    assert (found.state, found.reason, found.detail) == (decided.state, decided.reason, decided.detail)


def _look(inbox: Inbox, id_: str) -> Delivery:
    found = inbox.read(deliveries.get, id_)
    assert found is not None
    return found


def test_look_ups_are_counted_and_so_is_that_the_job_was_not_found(inbox: Inbox) -> None:
    """One that was counted and not made is given back."""
    id_, now = stored(inbox), datetime.now(UTC)
    counted = []
    for is_lookup, more in (
        (True, {}),
        (True, {"is_not_found": True}),
        (False, {}),
        (False, {"is_given_back": True}),
        (True, {"is_given_back": True}),
    ):
        inbox.write(deliveries.postpone, [Postponed(id_, now, Reason.LOOKUP_FAILED, None, is_lookup, **more)])
        counted.append((_look(inbox, id_).lookups, _look(inbox, id_).not_found))
    assert counted == [(1, 0), (2, 1), (2, 1), (1, 1), (1, 1)]


_NOT_LOOKED_UP = {
    "was asked of nobody": "lookups = 0",
    "waits after a failed look-up": "reason = 'lookup_failed'",
    "is routed": "state = 'routed'",
}


@pytest.mark.parametrize("case", [*_NOT_LOOKED_UP, "is due already", "waits for a person"])
def test_a_look_up_is_under_way_for_what_has_no_reason_yet(inbox: Inbox, store: Store, case: str) -> None:
    """Such alone are found and made due after a restart, each as long as it has waited."""
    now = datetime.now(UTC)
    id_, other = stored(inbox, "evt_1"), stored(inbox, "evt_2")
    inbox.write(deliveries.postpone, [Postponed(each, now + SOON, None, None, is_lookup=True) for each in (id_, other)])
    dues = {"is due already": now, "waits for a person": datetime(9999, 12, 31, tzinfo=UTC)}
    change = f"due_at = {microseconds(dues[case])}" if case in dues else _NOT_LOOKED_UP[case]
    store.rows(f"UPDATE deliveries SET {change} WHERE id = ?", number(other, "dlv"))  # noqa: S608
    rows = [number(each, "dlv") for each in (id_, other)]
    assert inbox.read(deliveries.looked_up, now=now) == rows[:1]
    if case in _NOT_LOOKED_UP:
        assert inbox.write(deliveries.take_over_lookups, rows) == 1
    assert store.one("SELECT due_at = received_at FROM deliveries WHERE id = ?", rows[0]) == (case in _NOT_LOOKED_UP)


def _again(inbox: Inbox, store: Store, state: str, reason: str | None, how: Callable[..., bool]) -> bool:
    """Ask for a delivery that stands so; False if it stays as it is, else it is as if it had just come."""
    now = datetime.now(UTC)
    id_ = stored(inbox)
    inbox.write(deliveries.postpone, [Postponed(id_, now, None, "why", is_lookup=True, is_not_found=True)])
    store.rows("UPDATE deliveries SET state = ?, reason = ?, lookup = '{}', due_at = 0", state, reason)
    columns = "SELECT state, reason, detail, lookup, lookups, not_found, due_at FROM deliveries"
    before = store.rows(columns)
    is_routed = inbox.write(how, id_, now=now)
    fresh = [("received", None, None, None, 0, 0, microseconds(now))]
    assert store.rows(columns) == (fresh if is_routed else before)
    return is_routed


@pytest.mark.parametrize("state", DeliveryState)
def test_what_a_person_sends_through_routing_again_begins_anew(
    inbox: Inbox, store: Store, state: DeliveryState
) -> None:
    """Whatever became of it; what waits for routing keeps its place."""
    assert _again(inbox, store, state, "no_route", deliveries.reopen) is (state is not DeliveryState.RECEIVED)


@pytest.mark.parametrize(
    ("state", "reason", "is_routed"),
    [
        ("unrouted", "no_route", True),
        ("invalid", "contradiction", True),
        *(("ignored", str(reason), True) for reason in END_UNKNOWN),
        ("ignored", "same_event", False),
        ("routed", str(END_UNKNOWN[0]), False),
        ("routed", None, False),
        ("received", "lookup_failed", False),
        ("stale", "timestamp_too_old", False),
    ],
)
def test_the_same_webhook_again_routes_what_nothing_was_decided_about(
    inbox: Inbox, store: Store, state: str, reason: str | None, is_routed: bool
) -> None:
    """Nothing matched, it could not be read, or nobody knew its end: with the mapping as it is by now."""
    assert _again(inbox, store, state, reason, deliveries.route_again) is is_routed


@ON_POSTGRESQL
def test_the_other_replicas_are_woken_by_what_there_is_to_do(inbox: Inbox, url: str) -> None:
    """New triggers, and a webhook that is to be routed again; not by what has led to nothing."""
    first, second = stored(inbox, "evt_1"), stored(inbox, "evt_2")
    now = datetime.now(UTC)
    woken: list[str] = []
    with psycopg.connect(url, autocommit=True) as listening:
        listening.add_notify_handler(lambda note: woken.append(note.channel))
        listening.execute("LISTEN planasonix_bridge")

        def settle(id_: str, state: DeliveryState, *new: NewTrigger) -> None:
            inbox.write(settle_routing, [Routing(id_, state, None, None, None, new)], now=now)

        settle(first, DeliveryState.UNROUTED)
        assert not inbox.write(deliveries.route_again, second, now=now)
        settle(second, DeliveryState.ROUTED, new_trigger(inbox, second))
        wait_for(lambda: listening.execute("SELECT 1") and len(woken) >= 1)
        assert inbox.write(deliveries.route_again, first, now=now)
        wait_for(lambda: listening.execute("SELECT 1") and len(woken) >= 2)
    assert len(woken) == 2
