"""Orders: what a person asks for many deliveries or triggers: replay, run again, cancel. The command line and the API
share it.

    select     what a filter means, so that a person sees the count before anything moves
    check      look at every id that was given: one that is not there stops the whole, before anything moves
    hold_to    do what was counted, or nothing: what a filter means changes while a person reads its count
    place      store the order
    advance    one slice, in one transaction
    rest       three times as long as the slice took, so that webhooks pass: a person's work takes at most a quarter of
               the store's time

`Orders` does the slices of whatever is stored, so an order goes on after a crash, and whoever placed it may leave. An
order with an idempotency key that is sent twice is placed once. A DAG run id stays the same unless a new run is asked
for, so nothing runs twice by a replay.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox, browsing, orders, walking
from bridge.edges.inbox.orders import NewOrder
from bridge.edges.metrics import Metrics
from bridge.words.errors import BadFilter, Changed, NotThere
from bridge.words.model import DeliveryState, TriggerState
from bridge.words.orders import Action, Order, OrderState

_PAGE = 500
LIMIT = 100_000  # items of one order
_LONGEST_TEXT = 1000
_REST = 3.0
_LOOK_SECONDS = 0.05  # between two looks at an order that somebody else is working on
_EVERY_SECONDS = 5.0
_CANCELLABLE = (TriggerState.PENDING, TriggerState.HELD, TriggerState.FAILED)
_log = structlog.get_logger("bridge.orders")
Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


def select(inbox: Inbox, wanted: browsing.Filter, action: Action = Action.REPLAY) -> list[str]:
    """Return the ids that a filter means, oldest first; a state of deliveries selects those, else triggers.

    Raises BadFilter if it says too little, means too many, or means what the action cannot be done with.
    """
    state = wanted.state
    if state is None and wanted.run_state is None and not any((wanted.delivery_id, wanted.job_id, wanted.run_id)):
        raise BadFilter("say which state, e.g. --state failed, --state held or --run-state failed")
    if state not in set(DeliveryState) | set(TriggerState) | {None}:
        raise BadFilter(f"no such state: {state}")
    if action is Action.CANCEL and (state not in {*_CANCELLABLE, None} or wanted.run_state is not None):
        raise BadFilter(f"only triggers that wait or failed can be cancelled: {', '.join(_CANCELLABLE)}")
    table = "deliveries" if state in set(DeliveryState) else "triggers"
    wanted = replace(wanted, is_busy=inbox.read(walking.is_busy, wanted))
    found: list[str] = []
    page = wanted
    while True:
        ids = inbox.read(browsing.ids, table=table, wanted=page, limit=_PAGE)
        found.extend(ids)
        if len(ids) < _PAGE:
            return found[::-1]
        if len(found) >= LIMIT:
            raise BadFilter(f"more than {LIMIT} match; take a part of them, with `since` and `until`")
        page = replace(wanted, after=ids[-1])


def placed_before(inbox: Inbox, new: NewOrder) -> Order | None:
    """Return the order that was placed under this key. Raises BadFilter if that asked for something else."""
    _check_words(new)
    return inbox.read(orders.find, new)


def check(inbox: Inbox, ids: Sequence[str], action: Action) -> list[str]:
    """Look at every id, and return each once. Raises NotThere if one is not stored, BadFilter for wrong ones."""
    each = list(dict.fromkeys(ids))
    if len(each) > LIMIT:
        raise BadFilter(f"an order has at most {LIMIT} items, not {len(each)}")
    if action is Action.CANCEL and (wrong := [id_ for id_ in each if id_.startswith("dlv_")]):
        raise BadFilter(f"only triggers can be cancelled, not {wrong[0]}; to cancel all of a delivery, filter by it")
    if missing := inbox.read(orders.missing, each):
        more = f", nor {len(missing) - 1} more of these ids" if len(missing) > 1 else ""
        raise NotThere(f"no delivery or trigger {missing[0][:40]!r}{more}; nothing was done")
    return each


def mark(ids: Sequence[str]) -> str:
    """Return a short text that stands for exactly these ids, in their order."""
    return f"{len(ids)}-{hashlib.sha256(' '.join(ids).encode()).hexdigest()[:32]}"


def hold_to(expected: str | None, ids: Sequence[str]) -> None:
    """Raise Changed unless these are the ids that `expected` is the mark of; None expects nothing."""
    if expected is not None and expected != mark(ids):
        what = "what matches has changed since it was counted"
        raise Changed(f"{what}: {len(ids)} match now; nothing was done. Count again, and look at what they are")


def place(inbox: Inbox, new: NewOrder, ids: Sequence[str], *, clock: Clock = _now) -> Order:
    """Store an order for ids that were checked, at least one. Raises BadFilter for words that cannot be stored.

    Under a key that was used before it returns that order, and nothing is placed.
    """
    _check_words(new)
    return inbox.write(orders.place, new, id_=inbox.new_order_id(), ids=ids, now=clock())


def _check_words(new: NewOrder) -> None:
    for name, text in (("reason", new.reason), ("idempotency_key", new.key)):
        is_storable = text is None or (text == text.encode("utf-8", "replace").decode() and "\0" not in text)
        if not is_storable or (text is not None and len(text) > _LONGEST_TEXT):
            raise BadFilter(f"{name} must be text of at most {_LONGEST_TEXT} characters")


def advance(inbox: Inbox, order_id: str, *, clock: Clock = _now) -> Order | None:
    """Do one slice; None if the order has ended or somebody else is working on it. Raises InboxUnavailable."""
    return inbox.write(orders.work, order_id, new_trigger_id=inbox.new_trigger_id, now=clock())


def carry_out(
    inbox: Inbox,
    order: Order,
    *,
    on_progress: Callable[[Order], None] = lambda _: None,
    rest: Callable[[float], None] = time.sleep,
    clock: Clock = _now,
) -> Order:
    """Work on an order until it has ended, beside whoever else does; returns it. Raises InboxUnavailable."""
    while order.state is OrderState.RUNNING:
        began = time.monotonic()
        advanced = advance(inbox, order.id, clock=clock)
        seconds = time.monotonic() - began
        order = advanced or look(inbox, order.id)
        on_progress(order)
        if order.state is OrderState.RUNNING:
            rest(_LOOK_SECONDS if advanced is None else _REST * seconds)
    return order


def look(inbox: Inbox, order_id: str) -> Order:
    """Return an order as it stands. Raises NotThere."""
    found = inbox.read(orders.get, order_id)
    if found is None:
        raise NotThere(f"no order {order_id}")
    return found


def stop(inbox: Inbox, order_id: str, *, actor: str, reason: str | None = None, clock: Clock = _now) -> Order:
    """Let an order do nothing more; what it has done stays. Idempotent. Raises NotThere."""
    return inbox.write(orders.stop, order_id, actor=actor, reason=reason, now=clock())


class Orders:
    """Works on stored orders while the service runs, one slice at a time."""

    def __init__(self, *, inbox: Inbox, metrics: Metrics, on_worked: Callable[[], None], clock: Clock = _now) -> None:
        """`on_worked` wakes routing and firing."""
        self._inbox = inbox
        self._on_worked = on_worked
        self._clock = clock
        self._moved = threading.Condition()
        self.loop = Loop("orders", self.step, every_seconds=_EVERY_SECONDS, metrics=metrics)

    def step(self) -> float | None:
        """Do one slice of the order that has the least done; returns how long to rest, None with nothing to do."""
        order_id = self._inbox.read(orders.next_order)
        if order_id is None:
            return None
        began = time.monotonic()
        order = advance(self._inbox, order_id, clock=self._clock)
        seconds = time.monotonic() - began
        if order is None:
            return _LOOK_SECONDS
        self._on_worked()
        with self._moved:
            self._moved.notify_all()
        if order.state is OrderState.DONE:
            _log.info("order_done", order_id=order.id, action=order.action, outcomes=dict(order.outcomes))
        return _REST * seconds

    def wait(self, order: Order, *, seconds: float) -> Order:
        """Let an order be worked on, and return it when it has ended, or as it stands after so many seconds."""
        self.loop.wake()
        until = time.monotonic() + seconds
        while order.state is OrderState.RUNNING and (remaining := until - time.monotonic()) > 0:
            with self._moved:
                self._moved.wait(min(remaining, _LOOK_SECONDS))
            order = look(self._inbox, order.id)
        return order


class OrdersBeside:
    """Orders placed by a command beside the service, or without one: whoever placed one works on it (`carry_out`)."""

    def wait(self, order: Order, *, seconds: float) -> Order:  # noqa: ARG002 - as `Orders.wait`
        """Return the order as it stands: nobody works on it yet."""
        return order
