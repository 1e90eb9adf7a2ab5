"""replay, cancel and orders: what is done with many deliveries or triggers, and how far it is."""

import signal
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.asking import Limit, Since, Until, times
from bridge.cli.output import AsJson, print_fields, print_json, print_table, say
from bridge.words.errors import InboxUnavailable
from bridge.words.orders import Action, Order, OrderState

if TYPE_CHECKING:
    from bridge.edges.inbox import Inbox
    from bridge.edges.inbox.browsing import Filter
    from bridge.edges.inbox.orders import NewOrder

Reason = Annotated[str | None, typer.Option(help="Why, for the audit log.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Key = Annotated[str | None, typer.Option(help="The same order under the same key is carried out once.")]
_FEW = 20


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(replay)
    app.command()(cancel)
    app.command()(orders)


def replay(
    ids: Annotated[list[str] | None, typer.Argument(help="Deliveries (dlv_...) or triggers (trg_...).")] = None,
    state: Annotated[str | None, typer.Option(help="All in this state: failed, unrouted, stale, ...")] = None,
    route: Annotated[str | None, typer.Option(help="Only triggers of this route.")] = None,
    source: Annotated[str | None, typer.Option(help="Only deliveries of this source.")] = None,
    since: Since = None,
    until: Until = None,
    run_again: Annotated[bool, typer.Option("--run-again", help="Start new runs, under new DAG run ids.")] = False,
    reason: Reason = None,
    key: Key = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Fire triggers, or route deliveries, once more. The DAG run id stays, so nothing runs twice by it."""
    from bridge.edges.inbox import browsing

    begin, end = times(since, until)
    wanted = browsing.Filter(state=state, route=route, source=source, since=begin, until=end)
    action = Action.RUN_AGAIN if run_again else Action.REPLAY
    new = _new(action, [ids, state, route, source, since, until], reason, key)
    _carry_out(new, ids or [], wanted, "replayed", yes=yes, as_json=as_json)


def cancel(
    ids: Annotated[list[str] | None, typer.Argument(help="Triggers (trg_...).")] = None,
    state: Annotated[str | None, typer.Option(help="All in this state: pending, held or failed.")] = None,
    route: Annotated[str | None, typer.Option(help="Only of this route.")] = None,
    dag_id: Annotated[str | None, typer.Option("--dag", help="Only for this DAG.")] = None,
    delivery_id: Annotated[str | None, typer.Option("--delivery", help="Only of this delivery.")] = None,
    since: Since = None,
    until: Until = None,
    reason: Reason = None,
    key: Key = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Give up triggers that wait or failed. What is being fired, or was, stays as it is."""
    from bridge.edges.inbox import browsing

    begin, end = times(since, until)
    wanted = browsing.Filter(state=state, route=route, dag_id=dag_id, delivery_id=delivery_id, since=begin, until=end)
    new = _new(Action.CANCEL, [ids, state, route, dag_id, delivery_id, since, until], reason, key)
    _carry_out(new, ids or [], wanted, "cancelled", yes=yes, as_json=as_json)


def orders(
    order_id: Annotated[str | None, typer.Argument(help="Show this one whole.")] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Let it do nothing more; what it has done stays.")] = False,
    reason: Reason = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List orders (a replay or a cancel of many), or show one and how far it is. Exit 1 if there is none."""
    from bridge.cli import context
    from bridge.edges.inbox import orders as statements
    from bridge.flows import ordering
    from bridge.rules import views

    if stop and order_id is None:
        raise typer.BadParameter("say which order to stop")
    with context.store(context.environment()) as inbox:
        if order_id is not None:
            if stop:
                order = ordering.stop(inbox, order_id, actor=context.actor(), reason=reason)
            else:
                order = ordering.look(inbox, order_id)
            (print_json if as_json else print_fields)(views.order(order))
            return
        found = [views.order(item) for item in inbox.read(statements.newest, limit=limit)]
    if as_json:
        print_json(found)
    else:
        columns = ("id", "placed_at", "action", "state", "done", "count", "actor", "reason")
        print_table(columns, [[None if item[name] is None else str(item[name]) for name in columns] for item in found])
    if not found:
        raise typer.Exit(1)


def _new(action: Action, asked: list[object], reason: str | None, key: str | None) -> "NewOrder":
    """Return the order as typed; without a key of the person's it gets one, so that asking the store twice is safe."""
    from bridge.cli import context
    from bridge.edges.inbox.orders import NewOrder

    return NewOrder(action, context.actor(), repr(asked), reason, key or f"cli-{uuid.uuid4()}")


def _carry_out(new: "NewOrder", ids: list[str], wanted: "Filter", name: str, *, yes: bool, as_json: bool) -> None:
    from bridge.cli import context
    from bridge.flows import ordering

    with context.store(context.environment()) as inbox:
        order = ordering.placed_before(inbox, new)
        if order is not None:
            say(f"{order.id} was placed under this key before: nothing new is begun")
        else:
            order = _place(inbox, new, ids, wanted, yes=yes)
        if order is not None:
            order = _work(inbox, order)
    outcomes = {} if order is None else order.outcomes
    if as_json:
        print_json({"count": 0 if order is None else order.count, name: outcomes})
    else:
        for outcome, amount in sorted(outcomes.items()):
            typer.echo(f"{amount}  {outcome}")
    if order is None or order.state is OrderState.STOPPED:
        raise typer.Exit(1)


def _place(inbox: "Inbox", new: "NewOrder", ids: list[str], wanted: "Filter", *, yes: bool) -> Order | None:
    """Store the order once the person agrees; None if nothing matches."""
    from bridge.flows import ordering

    if ids:
        return ordering.place(inbox, new, ordering.check(inbox, ids, new.action))
    chosen = ordering.select(inbox, wanted, new.action)
    say(f"{len(chosen)} match")
    if chosen and not yes and not _agrees():
        raise typer.Exit(1)
    return ordering.place(inbox, new, chosen) if chosen else None


def _work(inbox: "Inbox", order: Order) -> Order:
    """Do it here, and show how far it is. Ctrl-C stops the order; whatever else ends this lets the service go on."""
    from bridge.cli import context
    from bridge.flows import ordering

    try:
        with _progress(order) as show, _interruptible() as raise_if_interrupted:

            def on_progress(item: Order) -> None:
                show(item)
                raise_if_interrupted()

            return ordering.carry_out(inbox, order, on_progress=on_progress)
    except InboxUnavailable:
        say(f"{order.id} is stored, and the service goes on with it; `orders {order.id}` shows how far it is")
        raise
    except KeyboardInterrupt:
        order = ordering.stop(inbox, order.id, actor=context.actor())
        say(f"stopped: {order.done} of {order.count} were done")
        return order


@contextmanager
def _interruptible() -> Iterator[Callable[[], None]]:
    """Give a function that raises KeyboardInterrupt if Ctrl-C was pressed: between slices, and nowhere else.

    Raised in the midst of one, it could be lost in code that ignores exceptions, or hide what has been committed.
    """
    pressed: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))

    def raise_if_interrupted() -> None:
        if pressed:
            raise KeyboardInterrupt

    try:
        yield raise_if_interrupted
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _progress(order: Order) -> Iterator[Callable[[Order], None]]:
    """Give a function that shows how far an order is; a bar for more than a few items."""
    if order.count <= _FEW:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(order.id, total=order.count)
        yield lambda item: bar.update(task, completed=item.done)


def _agrees() -> bool:
    if not sys.stdin.isatty():
        say("nothing was done; add --yes to do it")
        return False
    return typer.confirm("Do it?", err=True)
