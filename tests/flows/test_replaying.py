"""Replay by filter: first what it means, then doing it."""

from collections import Counter

import pytest

from bridge.edges.inbox import Inbox
from bridge.edges.inbox.browsing import Filter
from bridge.edges.inbox.replays import Replayed
from bridge.flows.replaying import Order, replay, select
from bridge.words.errors import BadFilter, NotThere
from bridge.words.model import TriggerState
from tests.support.store import Store, accept, add, stored


def test_a_state_of_deliveries_selects_deliveries(inbox: Inbox, store: Store) -> None:
    """Oldest first, over more than one page."""
    ids = [one.delivery_id for one in accept(inbox, *[f"evt_{number}" for number in range(1100)])]
    store.rows("UPDATE deliveries SET state = 'unrouted'")
    assert select(inbox, Filter(state="unrouted")) == ids
    assert select(inbox, Filter(state="unrouted", source="other")) == []


def test_a_state_of_triggers_selects_triggers(inbox: Inbox) -> None:
    """With the filters that triggers have."""
    ids = [add(inbox, stored(inbox, f"evt_{n}"), route=f"route_{n % 2}", state=TriggerState.HELD) for n in range(4)]
    assert select(inbox, Filter(state="held")) == ids
    assert select(inbox, Filter(state="held", route="route_1")) == ids[1::2]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Filter(), "say which state"),
        (Filter(route="orders"), "say which state"),
        (Filter(state="broken"), "no such state: broken"),
    ],
)
def test_a_filter_that_selects_by_accident_is_refused(inbox: Inbox, wanted: Filter, message: str) -> None:
    """Nobody replays everything by leaving something out."""
    with pytest.raises(BadFilter, match=message):
        select(inbox, wanted)


@pytest.mark.parametrize("wanted", [Filter(state="failed", source="x"), Filter(state="unrouted", route="x")])
def test_a_filter_of_the_other_kind_is_told(inbox: Inbox, wanted: Filter) -> None:
    """Triggers have no source, deliveries no route; nothing is replayed as if the condition were not there."""
    with pytest.raises(BadFilter, match="cannot be filtered by"):
        select(inbox, wanted)


def test_replaying_tells_what_became_of_each(inbox: Inbox, store: Store) -> None:
    """Outcomes are counted, progress is reported, every one is on record with who and why."""
    delivery_id = stored(inbox)
    trigger_id = add(inbox, delivery_id)
    order = Order([delivery_id, trigger_id], actor="cli:ada", reason="mended")
    progress: list[int] = []
    assert replay(inbox, order, on_progress=progress.append) == Counter({Replayed.ROUTED_AGAIN: 1, Replayed.QUEUED: 1})
    assert progress == [1, 2]
    assert store.rows("SELECT actor, subject, reason FROM audit") == [
        ("cli:ada", delivery_id, "mended"),
        ("cli:ada", trigger_id, "mended"),
    ]


def test_it_stops_at_the_first_that_is_not_stored(inbox: Inbox, store: Store) -> None:
    """What came before it is done and on record."""
    trigger_id = add(inbox, stored(inbox))
    with pytest.raises(NotThere):
        replay(inbox, Order([trigger_id, "trg_0000000000000001", trigger_id], actor="test"))
    assert store.one("SELECT COUNT(*) FROM audit") == 1
