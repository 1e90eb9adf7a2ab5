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
from bridge.words.errors import InboxUnavailable
from bridge.words.model import DeliveryState
from bridge.words.orders import DONE, UNDONE, Action, Order, OrderState
from tests.support.store import NOW, ON_POSTGRESQL, Store, accept, add, new_trigger, stored, wait_for

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
