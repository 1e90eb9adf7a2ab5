"""What `replay` and `cancel` do with an order: count, ask, place, and show how far it is.

    at a running bridge   that one works on it, and is asked again and again how far it is
    beside the store      it is worked on here, slice by slice, beside the service

Every order has a key, so one whose answer was lost is sent again and placed once. Ctrl-C stops the order either way;
what it has done stays. Whatever else ends the command lets the service go on.
"""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from bridge.cli.asking import Asked
from bridge.cli.output import say
from bridge.words.errors import Changed, InboxUnavailable, RemoteUnavailable
from bridge.words.orders import IN_DOUBT, UNDONE, Action, OrderState, undone

if TYPE_CHECKING:
    from bridge.web.beside import Beside

_FEW = 20
_LOOK_SECONDS = 0.5
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asks for: ids or a filter in the words of the API; and how."""

    action: Action
    ids: list[str]
    filters: dict[str, str]
    reason: str | None
    key: str
    limit: int | None
    is_yes: bool

    @property
    def chosen(self) -> dict[str, Any]:
        """Return what is meant, as the API takes it."""
        chosen: dict[str, Any] = {"ids": self.ids} if self.ids else {"filter": self.filters}
        if self.limit is not None:
            chosen["limit"] = self.limit
        if self.action is Action.RUN_AGAIN:
            chosen["run_again"] = True
        return chosen | {"idempotency_key": self.key}

    @property
    def path(self) -> str:
        """Return the API's path."""
        return "cancel" if self.action is Action.CANCEL else "replay"

    @property
    def name(self) -> str:
        """Return how the answer calls what was done."""
        return "cancelled" if self.action is Action.CANCEL else "replayed"


def carry_out(asked: Asked, wish: Wish) -> dict[str, Any] | None:
    """Do it; return the order as it ended, None if nothing matches. What ids name is done without asking.

    What a person agreed to is what was counted: if something else matches by then, it is counted and asked once more.
    With `--yes`, whatever matches is done. Raises typer.Exit if the person does not agree.
    """
    answer = _place(asked, wish, None) if wish.ids else _place_counted(asked, wish)
    if "order" not in answer:
        return None
    order: dict[str, Any] = answer["order"]
    if answer["is_repeat"]:
        say(f"{order['id']} was placed under this key before: nothing new is begun")
    ended = _see_through(asked, order)
    for word, amount in sorted(undone(ended["outcomes"]).items()):
        why = UNDONE.get(word, "the bridge there knows this word, this command does not")
        say(f"not done: {amount} {word}: {why}")
    if amount := ended["outcomes"].get("in_doubt"):
        say(f"{amount} in_doubt: {IN_DOUBT}")
    return ended


def _place_counted(asked: Asked, wish: Wish) -> dict[str, Any]:
    """Count what a filter means, ask, and place the order; returns the count if nothing matches."""
    while True:
        counted = asked.post(wish.path, wish.chosen | {"dry_run": True})
        expected = None
        if "order" not in counted:
            confirm(counted["count"], wish)
            expected = None if wish.is_yes else counted.get("expected")  # a release before names none
        if not counted["count"]:
            return counted
        try:
            return _place(asked, wish, expected)
        except Changed as changed:
            say(f"{changed}. With --yes the order takes whatever matches then, without a question")


def count(asked: Asked, wish: Wish) -> int:
    """Return how many are meant; nothing is done."""
    return int(asked.post(wish.path, wish.chosen | {"dry_run": True})["count"])


def confirm(amount: int, wish: Wish) -> None:
    """Say how many match, and ask. Raises typer.Exit if the person does not agree."""
    say(f"{amount} match")
    if amount and not wish.is_yes and not agrees("Do it?", "done"):
        raise typer.Exit(1)


def agrees(question: str, done: str) -> bool:
    """Ask the person; nobody is asked where there is no terminal."""
    if not sys.stdin.isatty():
        say(f"nothing was {done}; add --yes to do it")
        return False
    return typer.confirm(question, err=True)


def _place(asked: Asked, wish: Wish, expected: str | None) -> dict[str, Any]:
    """Place the order; one whose answer was lost is sent again under its key."""
    besides = {"reason": wish.reason, "expected": expected}
    words = wish.chosen | {name: value for name, value in besides.items() if value is not None}
    for tries in range(1, _TRIES + 1):
        try:
            return asked.post(wish.path, words)
        except RemoteUnavailable as error:
            if tries == _TRIES:
                say(f"it may have been placed: send it again with --key {wish.key}, and it is done once")
                raise
            say(f"{error}; trying again")
            time.sleep(_LOOK_SECONDS * tries)
    raise AssertionError  # pragma: no cover


def _see_through(asked: Asked, order: dict[str, Any]) -> dict[str, Any]:
    """Show how far an order is until it has ended; returns it."""
    from bridge.web.beside import Beside

    id_ = str(order["id"])
    try:
        with progress(id_, int(order["count"])) as show:
            if isinstance(asked, Beside):
                return _work(asked, id_, show)
            while order["state"] == OrderState.RUNNING:
                time.sleep(_LOOK_SECONDS)
                try:
                    order = asked.get("orders", id_)
                except RemoteUnavailable as error:
                    say(f"{error}; {id_} is stored, and the bridge goes on with it")
                show(int(order["done"]))
            return order
    except InboxUnavailable:
        say(f"{id_} is stored, and the service goes on with it; `orders {id_}` shows how far it is")
        raise
    except KeyboardInterrupt:
        order = asked.post("orders/{id}/stop", {}, id_)
        say(f"stopped: {order['done']} of {order['count']} were done")
        return order


def _work(beside: "Beside", order_id: str, show: Callable[[int], None]) -> dict[str, Any]:
    """Do it here."""
    with _interruptible() as raise_if_interrupted:

        def on_progress(done: int) -> None:
            show(done)
            raise_if_interrupted()

        return beside.carry_out(order_id, on_progress=on_progress)


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
def progress(name: str, count: int) -> Iterator[Callable[[int], None]]:
    """Give a function that shows how much is done; a bar for more than a few items."""
    if count <= _FEW:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(name, total=count)
        yield lambda done: bar.update(task, completed=done)
