"""Statements for whoever looks on: which deliveries are new, and what has become of some.

`marks` reads the few columns that change, by keys alone; `whole` reads the rest of those that did. All read only.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Connection, text

from bridge.edges.inbox.engine.ids import delivery_text, first_id, made_at, number
from bridge.edges.inbox.engine.statements import a_list
from bridge.edges.inbox.rows import (
    DELIVERY_ENTRY_COLUMNS,
    TRIGGER_ENTRY_COLUMNS,
    delivery_entry,
    instant,
    microseconds,
    trigger_entry,
)
from bridge.edges.inbox.vault import ring_of
from bridge.words.model import DeliveryEntry, TriggerEntry

_IDS = a_list("ids", BigInteger())
_MOST_TRIGGERS = 5000  # of all deliveries of a look
_NEWEST = text("SELECT id FROM deliveries WHERE id >= :since ORDER BY id DESC LIMIT :limit")
_STATES = text("SELECT id, state, reason FROM deliveries WHERE id IN :ids").bindparams(_IDS)
_TRIGGER_STATES = text(
    "SELECT delivery_id, id, state, reason, attempts, run_state, settled_at FROM triggers WHERE delivery_id IN :ids"
    " ORDER BY id LIMIT :most"
).bindparams(_IDS)
_DELIVERIES = text(f"SELECT {DELIVERY_ENTRY_COLUMNS} FROM deliveries WHERE id IN :ids ORDER BY id").bindparams(_IDS)  # noqa: S608 - our own names
_TRIGGERS = text(
    f"SELECT {TRIGGER_ENTRY_COLUMNS} FROM triggers WHERE delivery_id IN :ids ORDER BY id LIMIT :most"  # noqa: S608
).bindparams(_IDS)
_TELLING = text(
    "SELECT delivery_id, kind, about_id, status, pipeline_id FROM completions WHERE delivery_id IN :ids"
).bindparams(_IDS)
# State, reason, attempts, state of the run; id and when it was settled, so that a replay that fails at once is seen.
TriggerMark = tuple[str, str | None, int, str | None, int, int | None]


@dataclass(frozen=True, slots=True)
class Mark:
    """What changes about a delivery."""

    state: str
    reason: str | None
    triggers: tuple[TriggerMark, ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """A delivery as lists show it, what it tells of, and its triggers in the order in which they were made."""

    delivery: DeliveryEntry
    pipeline_id: str | None
    job_id: str | None
    run_id: str | None
    status: str | None
    triggers: tuple[TriggerEntry, ...]


def newest(connection: Connection, *, since: datetime, limit: int) -> list[str]:
    """Return the ids of the newest deliveries since an instant, newest first."""
    values = {"since": first_id(microseconds(since)), "limit": limit}
    return [delivery_text(row) for row in connection.execute(_NEWEST, values).scalars()]


def received_at(delivery_id: str) -> datetime:
    """Return when a delivery was stored, since its id tells. Raises NotThere for what is no id."""
    number(delivery_id, "dlv")
    return instant(made_at(delivery_id))


def marks(connection: Connection, ids: Collection[str]) -> Mapping[str, Mark]:
    """Return what changes about each delivery; one that is no longer stored is left out."""
    values = _values(ids)
    triggers: defaultdict[int, list[TriggerMark]] = defaultdict(list)
    for delivery_id, id_, *mark in connection.execute(_TRIGGER_STATES, values | {"most": _MOST_TRIGGERS}):
        state, reason, attempts, run_state, settled_at = mark
        triggers[delivery_id].append((state, reason, attempts, run_state, id_, settled_at))
    return {
        delivery_text(id_): Mark(state, reason, tuple(triggers[id_]))
        for id_, state, reason in connection.execute(_STATES, values)
    }


def whole(connection: Connection, ids: Collection[str]) -> list[Seen]:
    """Return deliveries with their triggers, oldest first; no payload is read."""
    values, ring = _values(ids), ring_of(connection)
    triggers: defaultdict[str, list[TriggerEntry]] = defaultdict(list)
    for row in connection.execute(_TRIGGERS, values | {"most": _MOST_TRIGGERS}).mappings():
        triggers[delivery_text(row["delivery_id"])].append(trigger_entry(row, ring))
    telling = {delivery_text(row.delivery_id): row for row in connection.execute(_TELLING, values)}
    found = []
    for entry in [delivery_entry(row, ring) for row in connection.execute(_DELIVERIES, values).mappings()]:
        about = telling.get(entry.id)
        pipeline_id = None if about is None else about.pipeline_id
        job_id, run_id = (about.about_id if about and about.kind == kind else None for kind in ("job", "run"))
        status = None if about is None else about.status
        found.append(Seen(entry, pipeline_id, job_id, run_id, status, tuple(triggers[entry.id])))
    return found


def _values(ids: Collection[str]) -> dict[str, Sequence[int]]:
    return {"ids": [number(id_, "dlv") for id_ in ids]}
