"""Statements on deliveries that routing has not settled, or has set aside: no completion says which ids they name.

They wait (`received`), cannot be read (`invalid`), start nothing (`ignored`) or are too old (`stale`). Read by the
partial indexes of these states, the newest first. The database leaves out what cannot hold the id; an encrypted body,
or one with an escape, may.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate, takewhile
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, text

from bridge.edges.inbox.browsing import Filter, ids
from bridge.edges.inbox.engine.ids import delivery_text, number
from bridge.edges.inbox.engine.statements import a_list, is_shared
from bridge.edges.inbox.received import may_hold
from bridge.words.model import DeliveryState

LOOKED_AT = 1_000  # of each state, the newest: some milliseconds
_LOOKED_THROUGH = 64 * 1_048_576  # bytes of their bodies
_STATES = (DeliveryState.RECEIVED, DeliveryState.INVALID, DeliveryState.IGNORED, DeliveryState.STALE)
_ANY_ESCAPE = "\\"
_SIZES = text(
    "SELECT id, LENGTH(body) FROM deliveries WHERE id IN :ids AND erased_at IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM completions WHERE delivery_id = deliveries.id) ORDER BY id DESC"
).bindparams(a_list("ids", BigInteger()))


class Near(NamedTuple):
    """Deliveries that may name an id, newest first; `is_cut`: older ones were not looked at."""

    ids: Sequence[str]
    is_cut: bool


def may_name(connection: Connection, id_: str, *, since: datetime | None, until: datetime | None) -> Near:
    """Return the deliveries of a time, of those without a completion, that may name this id."""
    by_state = [
        ids(
            connection,
            table="deliveries",
            wanted=Filter(state=state, since=since, until=until),
            limit=LOOKED_AT + 1,
        )
        for state in _STATES
    ]
    is_cut = any(len(each) > LOOKED_AT for each in by_state)
    near = [number(each, "dlv") for found in by_state for each in found[:LOOKED_AT]]
    rows = connection.execute(_SIZES, {"ids": near}).all() if near else []
    sums = accumulate(row[1] for row in rows)
    small = [row[0] for row, _ in takewhile(lambda each: each[1] <= _LOOKED_THROUGH, zip(rows, sums, strict=True))]
    return Near(_holding(connection, small, id_), is_cut or len(small) < len(rows))


def _holding(connection: Connection, near: Sequence[int], id_: str) -> list[str]:
    if not near:
        return []
    names = {"text_0": id_, "text_1": _ANY_ESCAPE}
    values: dict[str, Any] = names | {f"bytes_{name}": each.encode() for name, each in names.items()}
    condition = may_hold(len(names), is_shared(connection))
    statement = text(f"SELECT id FROM deliveries WHERE id IN :ids AND ({condition}) ORDER BY id DESC")  # noqa: S608 - our own words
    found = connection.execute(statement.bindparams(a_list("ids", BigInteger())), values | {"ids": list(near)})
    return [delivery_text(row[0]) for row in found]
