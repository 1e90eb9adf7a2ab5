"""What is due, and under which signed message id a delivery stands, on both stores."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.edges.inbox import Inbox, deliveries
from bridge.edges.inbox.deliveries import Postponed, Routing, settle_routing
from bridge.edges.inbox.engine.ids import number
from bridge.words.model import DeliveryState
from bridge.words.reasons import Reason
from tests.support.store import stored

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
