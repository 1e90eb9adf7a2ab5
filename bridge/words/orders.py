"""The words of an order: bulk work that a person asked for. Its id is text (`ord_...`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Action(StrEnum):
    """What an order does with each of its items."""

    REPLAY = "replay"
    RUN_AGAIN = "run_again"
    CANCEL = "cancel"


class OrderState(StrEnum):
    """Where an order stands."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"


DONE = frozenset({"queued", "routed_again", "new_run", "cancelled", "in_doubt"})
IN_DOUBT = "cancelled, but a call before may have started a DAG run; look for it in Airflow, as `triggers ID` names it"
# Why an item was not done, and where to read on.
UNDONE: Mapping[str, str] = {
    "busy": "it is being fired at this moment; order it again when the call has ended, as `triggers ID` shows",
    "ended": "it was fired or cancelled before; `why ID` tells what became of it",
    "erased": "its payload was erased, so there is nothing left to send",
    "duplicate": "another trigger stands for its DAG run, as `why ID` shows; `replay ID --run-again` starts a new run",
    "locked": "it needs an encryption key that is not there; `keys stored` shows which",
    "not_there": "retention has removed it since the order was placed",
    "failed": "a mistake of the bridge; the log has more, as `order_item_failed`",
}


def undone(outcomes: Mapping[str, int]) -> dict[str, int]:
    """Return the outcomes of items with which nothing was done; one that is not known here may be of that kind."""
    return {word: amount for word, amount in outcomes.items() if word not in DONE and amount}


@dataclass(frozen=True, slots=True)
class Order:
    """Bulk work that a person asked for: `done` of its `count` items are done, and how many ended how."""

    id: str
    action: str  # an Action, or what a newer release calls its own
    state: OrderState
    actor: str
    reason: str | None  # the person's own words
    count: int
    done: int
    outcomes: Mapping[str, int]
    placed_at: datetime
    ended_at: datetime | None
