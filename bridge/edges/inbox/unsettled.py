"""Statements on deliveries that routing has not settled, or has set aside: no completion says which ids they name.

They wait (`received`), cannot be read (`invalid`), start nothing (`ignored`) or are too old (`stale`). Read by the
partial indexes of these states, the newest first; what waits by when it is due, the last first, since its index has no
other order. The database leaves out what cannot hold the id; an encrypted body, or one with an escape, may.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import accumulate, takewhile
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, String, text

from bridge.edges.inbox.browsing import Filter, ids
from bridge.edges.inbox.engine.ids import delivery_text, number
from bridge.edges.inbox.engine.statements import a_list, is_shared
from bridge.edges.inbox.received import may_hold
from bridge.edges.inbox.rows import first_from, first_since
from bridge.words.model import DeliveryState
from bridge.words.reasons import Reason

LOOKED_AT = 1_000  # of each state, the newest: some milliseconds
_LOOKED_THROUGH = 64 * 1_048_576  # bytes of their bodies
_ASIDE = (DeliveryState.INVALID, DeliveryState.IGNORED, DeliveryState.STALE)
# The literal state lets the databases use the partial index `deliveries_waiting`.
_WAITING = text("SELECT id FROM deliveries WHERE state = 'received' ORDER BY due_at DESC LIMIT :limit")
_ANY_ESCAPE = "\\"
_SIZES = text(
    "SELECT id, LENGTH(body) FROM deliveries WHERE id IN :ids AND erased_at IS NULL"
    " AND (reason IS NULL OR reason NOT IN :skipped)"
    " AND NOT EXISTS (SELECT 1 FROM completions WHERE delivery_id = deliveries.id) ORDER BY id DESC"
).bindparams(a_list("ids", BigInteger()), a_list("skipped", String()))


class Near(NamedTuple):
    """Deliveries that may name an id, newest first, of so many; `is_cut`: older ones were not looked at."""

    ids: Sequence[str]
    looked_at: int
    is_cut: bool


def may_name(
    connection: Connection,
    id_: str,
    *,
    since: datetime | None,
    until: datetime | None,
    skipped: Collection[Reason] = (),
) -> Near:
    """Return the deliveries of a time that may name this id, of those without a completion or a `skipped` reason."""
    waiting, is_cut = _waiting(connection, since, until)
    by_state = [
        ids(
            connection,
            table="deliveries",
            wanted=Filter(state=state, since=since, until=until),
            limit=LOOKED_AT + 1,
        )
        for state in _ASIDE
    ]
    is_cut = is_cut or any(len(each) > LOOKED_AT for each in by_state)
    near = waiting + [number(each, "dlv") for found in by_state for each in found[:LOOKED_AT]]
    values = {"ids": near, "skipped": [str(reason) for reason in skipped]}
    rows = connection.execute(_SIZES, values).all() if near else []
    sums = accumulate(row[1] for row in rows)
    small = [row[0] for row, _ in takewhile(lambda each: each[1] <= _LOOKED_THROUGH, zip(rows, sums, strict=True))]
    return Near(_holding(connection, small, id_), len(small), is_cut or len(small) < len(rows))


def _waiting(connection: Connection, since: datetime | None, until: datetime | None) -> tuple[list[int], bool]:
    """Return what waits, of that time, and whether more waits than was looked at."""
    rows: Sequence[int] = connection.execute(_WAITING, {"limit": LOOKED_AT + 1}).scalars().all()
    begin, end = first_since(since), first_from(until)
    return [row for row in rows[:LOOKED_AT] if begin <= row < end], len(rows) > LOOKED_AT


def _holding(connection: Connection, near: Sequence[int], id_: str) -> list[str]:
    if not near:
        return []
    names = {"text_0": id_, "text_1": _ANY_ESCAPE}
    values: dict[str, Any] = names | {f"bytes_{name}": each.encode() for name, each in names.items()}
    condition = may_hold(len(names), is_shared(connection))
    statement = text(f"SELECT id FROM deliveries WHERE id IN :ids AND ({condition}) ORDER BY id DESC")  # noqa: S608 - our own words
    found = connection.execute(statement.bindparams(a_list("ids", BigInteger())), values | {"ids": list(near)})
    return [delivery_text(row) for row in found.scalars()]
