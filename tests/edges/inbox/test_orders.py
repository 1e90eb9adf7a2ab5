"""Orders in the store: a slice is done whole or not at all, by one replica at a time, and never twice."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from bridge.edges.inbox import Inbox, orders
from bridge.edges.inbox.deliveries import Routing, settle_routing
from bridge.edges.inbox.engine.ids import number
from bridge.edges.inbox.orders import FAILED, LOCKED, NOT_THERE, SLICE, NewOrder
from bridge.edges.inbox.replays import Cancelled, Replayed
from bridge.rules.completion import Completion, Kind
from bridge.words.errors import BadFilter, InboxUnavailable, NotThere
from bridge.words.model import DeliveryState
from bridge.words.orders import DONE, UNDONE, Action, Order, OrderState
from tests.support.store import LATER, NOW, ON_POSTGRESQL, Store, accept, add, new_trigger, stored, wait_for

Open = Callable[..., Inbox]


def place(inbox: Inbox, ids: list[str], action: Action = Action.REPLAY, key: str | None = None) -> Order:
    """Place an order for these."""
    return inbox.write(
        orders.place, NewOrder(action, "test", "asked", None, key), id_=inbox.new_order_id(), ids=ids, now=NOW
    )


def work(inbox: Inbox, order: Order) -> Order | None:
    """Do one slice."""
    return inbox.write(orders.work, order.id, new_trigger_id=inbox.new_trigger_id, now=NOW)


def test_every_outcome_is_done_or_says_why_not() -> None:
    """A command exits 0 for those that are done alone; each of the others has a sentence."""
    assert {*Replayed, *Cancelled, NOT_THERE, LOCKED, FAILED} == DONE | UNDONE.keys()
    assert not DONE & UNDONE.keys()


def test_a_slice_is_done_whole_or_not_at_all(inbox: Inbox, store: Store) -> None:
    """A process that dies before the commit leaves nothing half done: no run is started twice, and none is left out."""
    ids = [add(inbox, stored(inbox, f"evt_{number}")) for number in range(SLICE)]
    order = place(inbox, ids, Action.RUN_AGAIN)

    def die(connection: Connection) -> None:
        orders.work(connection, order.id, new_trigger_id=inbox.new_trigger_id, now=NOW)
        raise InboxUnavailable("killed before the commit")

    with pytest.raises(InboxUnavailable):
        inbox.write(die)
    assert inbox.read(orders.get, order.id) == order
    assert store.one("SELECT COUNT(*) FROM triggers") == SLICE
    done = work(inbox, order)
    assert done is not None
    assert (done.state, done.outcomes, done.ended_at) == (OrderState.DONE, {"new_run": SLICE}, NOW)
    assert store.one("SELECT COUNT(*) FROM triggers") == 2 * SLICE
    assert work(inbox, order) is None
    assert store.one("SELECT COUNT(*) FROM order_parts") == 0


def test_an_order_goes_on_slice_by_slice(inbox: Inbox, store: Store) -> None:
    """What is done counts and is gone from what is still to do; the rest waits for the next slice."""
    ids = [add(inbox, stored(inbox, f"evt_{number}")) for number in range(SLICE + 1)]
    order = place(inbox, ids)
    first = work(inbox, order)
    assert first is not None
    assert (first.state, first.done, first.ended_at) == (OrderState.RUNNING, SLICE, None)
    assert first.outcomes == {"queued": SLICE}
    assert store.rows("SELECT position, ids FROM order_parts") == [(SLICE, ids[-1])]
    second = work(inbox, order)
    assert second is not None
    assert (second.state, second.done, second.ended_at) == (OrderState.DONE, SLICE + 1, NOW)
    assert second.outcomes == {"queued": SLICE + 1}


def test_the_order_with_the_least_done_is_next(inbox: Inbox) -> None:
    """So a small one never waits for the end of a large one; what has ended is not asked for again."""
    ids = [item.delivery_id for item in accept(inbox, *[f"evt_{number}" for number in range(SLICE + 1)])]
    large, small = place(inbox, ids), place(inbox, ids[:1])
    turns = []
    while (following := inbox.read(orders.next_order)) is not None:
        turns.append(following)
        assert work(inbox, large if following == large.id else small)
    assert turns == [large.id, small.id, large.id]


def test_an_order_is_stopped_once(inbox: Inbox, store: Store) -> None:
    """When, by whom and why is kept of the first time; what was done by then stays done."""
    ids = [stored(inbox)]
    running, done = place(inbox, ids), place(inbox, ids)
    work(inbox, done)
    for order in (running, done):
        for seconds in range(2):
            now = NOW + seconds * LATER
            inbox.write(orders.stop, order.id, actor="test", reason="a mistake", now=now)
    found = [inbox.read(orders.get, order.id) for order in (running, done)]
    assert [(each.state, each.ended_at) for each in found if each is not None] == [
        (OrderState.STOPPED, NOW),
        (OrderState.DONE, NOW),
    ]
    assert store.rows("SELECT actor, subject, reason FROM audit WHERE action = 'order_stopped'") == [
        ("test", running.id, "a mistake")
    ]
    with pytest.raises(NotThere, match=r"^no order ord_0000000000000001$"):
        inbox.write(orders.stop, "ord_0000000000000001", actor="test", reason=None, now=NOW)


def test_an_order_is_never_taken_for_another_one(inbox: Inbox) -> None:
    """Neither by its id nor by its key."""
    ids = [stored(inbox)]
    order = place(inbox, ids, key="mine")
    said = f"^the key 'mine' belongs to {order.id}, which asks for something else$"
    with pytest.raises(BadFilter, match=said):
        place(inbox, ids, Action.CANCEL, key="mine")
    new = NewOrder(Action.REPLAY, "test", "asked")
    with pytest.raises(InboxUnavailable, match=f"^the id {order.id} is taken$"):
        inbox.write(orders.place, new, id_=order.id, ids=ids, now=NOW)
    assert inbox.read(orders.find, new) is None
    assert inbox.read(orders.find, NewOrder(Action.REPLAY, "test", "asked", None, "other")) is None


@ON_POSTGRESQL
def test_one_replica_at_a_time_works_on_an_order(inbox: Inbox, open_inbox: Open, store: Store) -> None:
    """The second one passes over an order whose slice another replica is doing, and waits for nothing."""
    other = open_inbox()
    order = place(inbox, [add(inbox, stored(inbox, f"evt_{number}")) for number in range(SLICE + 1)])
    is_working, ends = threading.Event(), threading.Event()

    def slowly(connection: Connection) -> None:
        orders.work(connection, order.id, new_trigger_id=inbox.new_trigger_id, now=NOW)
        is_working.set()
        assert ends.wait(60)

    thread = threading.Thread(target=inbox.write, args=(slowly,))
    thread.start()
    assert is_working.wait(60)
    assert work(other, order) is None
    ends.set()
    thread.join()
    done = work(other, order)
    assert done is not None
    assert (done.state, done.outcomes) == (OrderState.DONE, {"queued": SLICE + 1})
    assert store.one("SELECT COUNT(*) FROM audit") == SLICE + 1


@ON_POSTGRESQL
def test_a_slice_takes_all_that_it_locks_in_the_order_of_routing(inbox: Inbox, store: Store) -> None:
    """Deliveries, then completions, before the first item: so a slice and routing never wait in a circle."""
    ids = []
    for name in ("1", "2"):
        delivery_id = stored(inbox, f"evt_{name}")
        told = Completion("planasonix", Kind.JOB, f"job_{name}", "succeeded", "pl_1")
        new = new_trigger(inbox, delivery_id)
        routing = Routing(delivery_id, DeliveryState.ROUTED, None, None, None, [new], told)
        inbox.write(settle_routing, [routing], now=NOW)
        ids.append(new.id)
    order = place(inbox, ids)
    store.rows("BEGIN")
    store.rows("SELECT id FROM deliveries WHERE event_id = 'evt_2' FOR UPDATE")
    thread = threading.Thread(target=work, args=(inbox, order))
    thread.start()
    waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    wait_for(lambda: store.one(waiting) == 1)
    free = store.rows("SELECT about_id FROM completions WHERE nth = 0 ORDER BY about_id FOR UPDATE SKIP LOCKED")
    store.rows("COMMIT")
    thread.join()
    assert free == [("job_1",), ("job_2",)]
    assert inbox.read(orders.get, order.id).outcomes == {"queued": 2}  # type: ignore[union-attr]


def test_a_key_is_used_once_whoever_is_first(inbox: Inbox, open_inbox: Open, store: Store, url: str) -> None:
    """Two replicas that get one order at the same moment place one; orders without a key never collide."""
    ids = [stored(inbox)]
    inboxes = [inbox, open_inbox() if url.startswith("postgresql") else inbox]
    placed: list[Order] = []
    threads = [
        threading.Thread(target=lambda item=item: placed.append(place(item, ids, key="same"))) for item in inboxes * 4
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(placed) == 8
    assert len({order.id for order in placed}) == 1
    assert place(inbox, ids).id != place(inbox, ids).id
    assert store.one("SELECT COUNT(*) FROM orders") == 3


def test_what_is_not_stored_is_named(inbox: Inbox) -> None:
    """In the order given, over more ids than fit into one statement; what is no id at all counts too."""
    there = [item.delivery_id for item in accept(inbox, *[f"evt_{number}" for number in range(600)])]
    trigger = add(inbox, there[0])
    wrong = ["trg_0000000000000001", "", "x", "dlv_ffffffffffffffff", trigger.replace("trg", "dlv"), "ord_" + "0" * 16]
    assert inbox.read(orders.missing, [wrong[0], *there, trigger, *wrong[1:]]) == wrong


def test_orders_are_shown_newest_first(inbox: Inbox) -> None:
    """In pages."""
    ids = [stored(inbox)]
    placed = [place(inbox, ids) for _ in range(3)][::-1]
    assert inbox.read(orders.newest, limit=2) == placed[:2]
    assert inbox.read(orders.newest, limit=2, after=placed[1].id) == placed[2:]


def test_what_ended_long_ago_is_forgotten(inbox: Inbox, store: Store) -> None:
    """With its key; what is still to be done never is."""
    ids = [stored(inbox)]
    running, stopped, done = place(inbox, ids), place(inbox, ids), place(inbox, ids)
    inbox.write(orders.stop, stopped.id, actor="test", reason=None, now=NOW)
    work(inbox, done)
    now = datetime.now(UTC)
    assert inbox.read(orders.ended, before=now - timedelta(hours=1), limit=9) == []
    assert len(inbox.read(orders.ended, before=now + timedelta(hours=1), limit=1)) == 1
    ended = inbox.read(orders.ended, before=now + timedelta(hours=1), limit=9)
    assert inbox.write(orders.prune, [*ended, number(running.id, "ord")]) == 2
    assert [order.id for order in inbox.read(orders.newest, limit=9)] == [running.id]
    assert store.one("SELECT COUNT(*) FROM order_parts") == 1
