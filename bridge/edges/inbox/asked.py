"""Statements that tell what was asked for in a time: deliveries in the order in which they came, with their triggers.

Read only, page after page by the id of the last delivery, and no body is ever read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import Connection, text

from bridge.edges.inbox.engine.ids import delivery_text, first_id, made_at, number
from bridge.edges.inbox.rows import TRIGGER_COLUMNS, instant, microseconds, trigger
from bridge.edges.inbox.vault import ring_of
from bridge.words.model import DeliveryState, Trigger

_TRIGGERS = ", ".join(f"t.{name.strip()} AS {name.strip()}" for name in TRIGGER_COLUMNS.split(","))
# One statement, so one moment: a delivery is never read without the triggers that were stored with its state.
_PAGE = text(
    f"SELECT d.id AS delivery, d.state AS delivery_state, {_TRIGGERS} FROM"  # noqa: S608 - our own names
    " (SELECT id, state FROM deliveries WHERE id >= :from ORDER BY id LIMIT :limit) AS d"
    " LEFT JOIN triggers AS t ON t.delivery_id = d.id ORDER BY d.id, t.id"
)
_IS_THERE = text("SELECT COUNT(*) FROM deliveries WHERE id = :id")


@dataclass(frozen=True, slots=True)
class AskedFor:
    """A delivery, and its triggers in the order in which they were made."""

    delivery_id: str
    state: DeliveryState
    triggers: tuple[Trigger, ...]


def page(connection: Connection, *, since: datetime, after: str | None, limit: int) -> list[AskedFor]:
    """Return up to `limit` deliveries since an instant, or after the last one of the page before; oldest first."""
    first = first_id(microseconds(since)) if after is None else number(after, "dlv") + 1
    return list(_read(connection, first, limit))


def is_there(connection: Connection, delivery_id: str) -> bool:
    """Say whether the store has a delivery."""
    return bool(connection.execute(_IS_THERE, {"id": number(delivery_id, "dlv")}).scalar_one())


def received_at(delivery_id: str) -> datetime:
    """Return when a delivery came, whether the store has it or not, since its id tells. Raises NotThere."""
    number(delivery_id, "dlv")
    return instant(made_at(delivery_id))


def _read(connection: Connection, first: int, limit: int) -> Iterator[AskedFor]:
    ring = ring_of(connection)
    rows = connection.execute(_PAGE, {"from": first, "limit": limit}).mappings()
    for (delivery, state), mine in groupby(rows, key=lambda row: (row["delivery"], row["delivery_state"])):
        triggers = tuple(trigger(row, ring) for row in mine if row["id"] is not None)
        yield AskedFor(delivery_text(delivery), DeliveryState(state), triggers)
