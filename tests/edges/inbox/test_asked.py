"""What was asked for in a time is read in pages, each delivery with its triggers, and without any body."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.edges.inbox import Inbox, asked
from bridge.words.errors import NotThere
from bridge.words.model import DeliveryState
from tests.support.store import Store, add, stored

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def test_pages_hold_each_delivery_once_with_all_its_triggers(inbox: Inbox, told: list[str]) -> None:
    """In the order in which they came, those without a trigger too."""
    first, second, third = (stored(inbox, f"evt_{number}") for number in range(3))
    own = [add(inbox, first), add(inbox, third)]
    pages = []
    after = None
    told.clear()
    while page := inbox.read(asked.page, since=LONG_AGO, after=after, limit=2):
        pages.append([(item.delivery_id, item.state, [each.id for each in item.triggers]) for item in page])
        after = page[-1].delivery_id
    routed, received = DeliveryState.ROUTED, DeliveryState.RECEIVED
    assert pages == [[(first, routed, own[:1]), (second, received, [])], [(third, routed, own[1:])]]
    assert len(told) == 3
    assert not any("body" in statement for statement in told)


def test_a_time_begins_at_its_instant(inbox: Inbox) -> None:
    """What came before is not read."""
    stored(inbox)
    assert inbox.read(asked.page, since=datetime.now(UTC) + timedelta(minutes=1), after=None, limit=9) == []


def test_a_delivery_is_there_or_not(inbox: Inbox, store: Store) -> None:
    """Its id tells when it came, even if it is gone."""
    before = datetime.now(UTC) - timedelta(seconds=1)
    item = stored(inbox)
    assert inbox.read(asked.is_there, item)
    store.rows("DELETE FROM deliveries")
    assert not inbox.read(asked.is_there, item)
    assert before < asked.received_at(item) < before + timedelta(minutes=10)
    with pytest.raises(NotThere):
        asked.received_at("trg_0000000000000001")
