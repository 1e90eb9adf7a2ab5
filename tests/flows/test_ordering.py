"""Orders: everything is looked at first, an order is stored before it begins, and goes in slices that webhooks pass."""

import threading
import time
from collections.abc import Iterator

import pytest

from bridge.edges.inbox import Inbox, orders
from bridge.edges.inbox.browsing import Filter
from bridge.edges.inbox.orders import SLICE, NewOrder
from bridge.edges.metrics import Metrics
from bridge.flows import ordering
from bridge.flows.ordering import Orders, carry_out, check, place, placed_before, select
from bridge.words.errors import BadFilter, NotThere
from bridge.words.model import TriggerState
from bridge.words.orders import Action, Order, OrderState
from tests.support.store import Store, accept, add, stored, wait_for


def new(action: Action = Action.REPLAY, *, asked: str = "these", **more: str) -> NewOrder:
    """Return an order to be."""
    return NewOrder(action, "cli:ada", asked, **more)


@pytest.fixture
def ids(inbox: Inbox, store: Store) -> list[str]:
    """More deliveries than a slice takes, none of which started anything."""
    found = [item.delivery_id for item in accept(inbox, *[f"evt_{number}" for number in range(3 * SLICE + 1)])]
    store.rows("UPDATE deliveries SET state = 'unrouted'")
    return found


@pytest.fixture
def working(inbox: Inbox, metrics: Metrics) -> Iterator[Orders]:
    """What works on orders in a service; not started."""
    orders = Orders(inbox=inbox, metrics=metrics, on_worked=lambda: None)
    yield orders
    orders.loop.stop(10)


# --- which -----------------------------------------------------------------------------------------


def test_a_state_of_deliveries_selects_deliveries(inbox: Inbox, store: Store) -> None:
    """Oldest first, over more than one page."""
    ids = [item.delivery_id for item in accept(inbox, *[f"evt_{number}" for number in range(1100)])]
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


@pytest.mark.parametrize("wanted", [Filter(state="failed", event_id="x"), Filter(state="unrouted", route="x")])
def test_a_filter_of_the_other_kind_is_refused(inbox: Inbox, wanted: Filter) -> None:
    """Triggers have no event id, deliveries no route; nothing is replayed as if the condition were not there."""
    with pytest.raises(BadFilter, match="cannot be filtered by"):
        select(inbox, wanted)


@pytest.mark.parametrize("state", ["fired", "cancelled", "firing", "unrouted", "received"])
def test_only_what_waits_or_failed_is_cancelled(inbox: Inbox, state: str) -> None:
    """A filter that means something else is refused, and so is a delivery."""
    with pytest.raises(BadFilter, match="pending, held, failed"):
        select(inbox, Filter(state=state), Action.CANCEL)
    with pytest.raises(BadFilter, match="filter by it"):
        check(inbox, [stored(inbox)], Action.CANCEL)


# --- all or nothing --------------------------------------------------------------------------------


def test_nothing_is_done_when_one_id_is_not_there(inbox: Inbox, store: Store) -> None:
    """Every id is looked at first; the message names the first that is missing, and says how many more are."""
    good = add(inbox, stored(inbox))
    with pytest.raises(NotThere, match=r"'trg_0000000000000001', nor 2 more of these ids; nothing was done"):
        check(inbox, [good, "trg_0000000000000001", "dlv_0000000000000001", "x"], Action.RUN_AGAIN)
    assert store.rows("SELECT id FROM orders UNION ALL SELECT id FROM audit") == []
    assert store.one("SELECT COUNT(*) FROM triggers") == 1


def test_an_id_that_is_given_twice_is_done_once(inbox: Inbox, store: Store) -> None:
    """Two new runs are two orders."""
    good = add(inbox, stored(inbox))
    wanted = check(inbox, [good, good], Action.RUN_AGAIN)
    assert carry_out(inbox, place(inbox, new(Action.RUN_AGAIN), wanted)).outcomes == {"new_run": 1}
    assert store.one("SELECT COUNT(*) FROM triggers") == 2


def test_an_order_that_is_sent_twice_is_carried_out_once(inbox: Inbox, store: Store) -> None:
    """Under one key there is one order, also after it has ended; another order under the key is refused."""
    id_ = add(inbox, stored(inbox))
    asked = new(Action.RUN_AGAIN, key="monday")
    assert placed_before(inbox, asked) is None
    first = carry_out(inbox, place(inbox, asked, [id_]))
    assert placed_before(inbox, asked) == first == carry_out(inbox, place(inbox, asked, [id_]))
    assert store.one("SELECT COUNT(*) FROM triggers") == 2
    for other in (new(Action.REPLAY, key="monday"), new(Action.RUN_AGAIN, key="monday", asked="others")):
        with pytest.raises(BadFilter, match="asks for something else"):
            placed_before(inbox, other)
        with pytest.raises(BadFilter, match="asks for something else"):
            place(inbox, other, [id_])


@pytest.mark.parametrize("text", ["x" * 1001, "a\0b", "half a pair \ud800"])
def test_words_that_a_store_cannot_keep_are_refused(inbox: Inbox, text: str) -> None:
    """They are an error of whoever sends them, not of the bridge."""
    id_ = stored(inbox)
    for wrong in (new(reason=text), new(key=text)):
        with pytest.raises(BadFilter, match="at most 1000 characters"):
            place(inbox, wrong, [id_])
        with pytest.raises(BadFilter, match="at most 1000 characters"):
            placed_before(inbox, wrong)


def test_what_cannot_be_done_with_an_item_is_an_outcome_of_it(inbox: Inbox, store: Store, ids: list[str]) -> None:
    """Retention may remove a delivery after it was looked at: the others are done all the same."""
    order = place(inbox, new(), ids)
    store.rows("DELETE FROM deliveries WHERE id = (SELECT MIN(id) FROM deliveries)")
    assert carry_out(inbox, order).outcomes == {"not_there": 1, "routed_again": 3 * SLICE}


def test_an_item_that_fails_as_nothing_should_stops_no_other(inbox: Inbox, store: Store, ids: list[str]) -> None:
    """It is undone and counted, and its slice goes on."""
    poison = add(inbox, stored(inbox, "evt_poison"))
    store.rows("UPDATE triggers SET conf = 'no JSON'")
    order = carry_out(inbox, place(inbox, new(), [*ids[:5], poison, *ids[5:]]))
    assert (order.state, order.outcomes) == (OrderState.DONE, {"failed": 1, "routed_again": len(ids)})
    assert store.one("SELECT COUNT(*) FROM audit") == len(ids)


# --- in slices -------------------------------------------------------------------------------------


def test_webhooks_pass_between_slices(inbox: Inbox, store: Store, ids: list[str]) -> None:
    """A person's work is done in small transactions, and after each it rests three times as long as that took."""
    rests: list[float] = []
    steps: list[int] = []
    began = time.monotonic()

    def rest(seconds: float) -> None:
        rests.append(seconds)
        stored(inbox, f"evt_between_{len(rests)}")

    carry_out(inbox, place(inbox, new(), ids), rest=rest, on_progress=lambda order: steps.append(order.done))
    assert steps == [SLICE, 2 * SLICE, 3 * SLICE, 3 * SLICE + 1]
    assert len(rests) == 3
    assert 0 < sum(rests) < 3 * (time.monotonic() - began)
    assert store.one("SELECT COUNT(*) FROM deliveries") == len(ids) + 3


def test_everyone_is_on_record(inbox: Inbox, store: Store) -> None:
    """Each item has its line in the audit log, with who and why."""
    delivery_id = stored(inbox)
    trigger_id = add(inbox, delivery_id)
    order = carry_out(inbox, place(inbox, new(reason="mended"), [delivery_id, trigger_id]))
    assert order.outcomes == {"routed_again": 1, "queued": 1}
    assert store.rows("SELECT actor, action, subject, reason FROM audit") == [
        ("cli:ada", "routed_again", delivery_id, "mended"),
        ("cli:ada", "queued", trigger_id, "mended"),
    ]


def test_a_stopped_order_does_nothing_more(inbox: Inbox, store: Store, ids: list[str]) -> None:
    """What was done stays, what was not never is; stopping it twice is one line of the audit log."""
    order = ordering.advance(inbox, place(inbox, new(), ids).id)
    assert order is not None
    for _ in range(2):
        stopped = ordering.stop(inbox, order.id, actor="cli:bob", reason="wrong filter")
    assert (stopped.state, stopped.done, stopped.outcomes) == (OrderState.STOPPED, SLICE, {"routed_again": SLICE})
    assert ordering.advance(inbox, order.id) is None
    assert carry_out(inbox, stopped) == stopped
    assert store.one("SELECT COUNT(*) FROM deliveries WHERE state = 'received'") == SLICE
    assert store.rows("SELECT actor, subject, reason FROM audit WHERE action = 'order_stopped'") == [
        ("cli:bob", order.id, "wrong filter")
    ]
    with pytest.raises(NotThere):
        ordering.stop(inbox, "ord_0000000000000001", actor="test")


def test_the_service_goes_on_with_an_order_that_was_left(inbox: Inbox, working: Orders, ids: list[str]) -> None:
    """Whoever placed it is gone after one slice: the rest is done all the same, each item once."""
    order = place(inbox, new(), ids)
    ordering.advance(inbox, order.id)
    working.loop.start()
    ended = working.wait(order, seconds=90)
    assert (ended.state, ended.outcomes) == (OrderState.DONE, {"routed_again": len(ids)})


def test_a_small_order_does_not_wait_for_a_large_one(inbox: Inbox, working: Orders, ids: list[str]) -> None:
    """The order with the least done is next."""
    large = place(inbox, new(), ids)
    working.step()
    small = place(inbox, new(), ids[:1])
    working.step()
    assert [ordering.look(inbox, order.id).done for order in (large, small)] == [SLICE, 1]
    while working.step() is not None:
        pass
    assert ordering.look(inbox, large.id).state is OrderState.DONE


def test_waiting_for_an_order_has_an_end(inbox: Inbox, working: Orders, ids: list[str]) -> None:
    """Whoever asks is answered, although nobody works on it."""
    order = place(inbox, new(), ids)
    assert working.wait(order, seconds=0.1) == order


def test_an_order_of_a_newer_release_is_left_to_it(inbox: Inbox, store: Store, working: Orders, ids: list[str]) -> None:
    """During a rolling upgrade: it is shown, and the others go on."""
    order = place(inbox, new(), ids)
    store.rows("UPDATE orders SET action = 'paint'")
    own = place(inbox, new(), ids[:1])
    assert working.step() is not None
    assert working.step() is None
    assert ordering.look(inbox, order.id).action == "paint"
    assert ordering.look(inbox, own.id).state is OrderState.DONE


def test_two_that_work_on_one_order_do_each_item_once(inbox: Inbox, store: Store, ids: list[str]) -> None:
    """The command line and the service, say."""
    order = place(inbox, new(), ids)
    ended: list[Order] = []
    both = [threading.Thread(target=lambda: ended.append(carry_out(inbox, order))) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert [item.outcomes for item in ended] == [{"routed_again": len(ids)}] * 2
    assert store.one("SELECT COUNT(*) FROM audit") == len(ids)
    wait_for(lambda: inbox.read(orders.next_order) is None)
