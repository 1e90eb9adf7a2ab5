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
