"""Statements for whoever takes everything out: pages of whole deliveries, triggers and attempts, the oldest first.

A page is bounded thrice: by rows, by bytes (sizes are read first, which needs no payload), and by how much of history
is walked for it. So a filter that means little costs no more than one that means all: the page is short, or empty, and
`next` goes on behind what was walked. All read only.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, RowMapping, text

from bridge.edges.inbox.engine.ids import delivery_text, number, trigger_text
from bridge.edges.inbox.engine.statements import a_list
from bridge.edges.inbox.filtering import DELIVERY_FILTERS, TRIGGER_FILTERS, Filter, where
from bridge.edges.inbox.rows import (
    DELIVERY_COLUMNS,
    TRIGGER_COLUMNS,
    attempt,
    delivery,
    first_from,
    first_since,
    trigger,
)
from bridge.edges.inbox.vault import ring_of
from bridge.edges.inbox.walking import is_busy
from bridge.words.model import Attempt, Delivery, Trigger

_END = (
    "SELECT MAX(id), COUNT(*) FROM"
    " (SELECT id FROM {table} WHERE id > :begin AND id < :before ORDER BY id LIMIT :walked) AS walk"
)
_ATTEMPTS = text("SELECT * FROM attempts WHERE trigger_id IN :ids ORDER BY trigger_id, id").bindparams(
    a_list("ids", BigInteger())
)


class Bounds(NamedTuple):
    """How far a page may go."""

    walked: int = 20_000  # rows: 10 ms
    most_bytes: int = 8 * 1_048_576  # and one payload more


_BOUNDS = Bounds()


class Tried(NamedTuple):
    """An attempt, and whose it is."""

    delivery_id: str
    trigger_id: str
    attempt: Attempt


class _Table(NamedTuple):
    name: str
    prefix: str
    filters: frozenset[str]
    size: str
    columns: str
    spell: Callable[[int], str]


_DELIVERIES = _Table("deliveries", "dlv", DELIVERY_FILTERS, "LENGTH(body)", DELIVERY_COLUMNS, delivery_text)
_TRIGGERS = _Table("triggers", "trg", TRIGGER_FILTERS, "LENGTH(conf)", TRIGGER_COLUMNS, trigger_text)


def deliveries(
    connection: Connection, *, wanted: Filter, limit: int, bounds: Bounds = _BOUNDS
) -> tuple[list[Delivery], str | None]:
    """Return a page, and the `after` of the following one; None at the end."""
    rows, following = _page(connection, _DELIVERIES, wanted, limit, bounds)
    ring = ring_of(connection)
    return [delivery(row, ring) for row in rows], following


def triggers(
    connection: Connection, *, wanted: Filter, limit: int, bounds: Bounds = _BOUNDS
) -> tuple[list[Trigger], str | None]:
    """Return a page, and the `after` of the following one; None at the end."""
    rows, following = _page(connection, _TRIGGERS, wanted, limit, bounds)
    ring = ring_of(connection)
    return [trigger(row, ring) for row in rows], following


def attempts(
    connection: Connection, *, wanted: Filter, limit: int, bounds: Bounds = _BOUNDS
) -> tuple[list[Tried], str | None]:
    """Return the attempts of a page of triggers, and the `after` of the following one; None at the end."""
    ids, following = _ids(connection, _TRIGGERS, wanted, limit, bounds)
    of = {row.id: row.delivery_id for row in connection.execute(_OF, {"ids": ids})} if ids else {}
    ring = ring_of(connection)
    rows = connection.execute(_ATTEMPTS, {"ids": ids}).mappings() if ids else ()
    found = [
        Tried(delivery_text(of[row["trigger_id"]]), trigger_text(row["trigger_id"]), attempt(row, ring)) for row in rows
    ]
    return found, following


_OF = text("SELECT id, delivery_id FROM triggers WHERE id IN :ids").bindparams(a_list("ids", BigInteger()))


def _page(
    connection: Connection, table: _Table, wanted: Filter, limit: int, bounds: Bounds
) -> tuple[list[RowMapping], str | None]:
    ids, following = _ids(connection, table, wanted, limit, bounds)
    if not ids:
        return [], following
    statement = text(f"SELECT {table.columns} FROM {table.name} WHERE id IN :ids ORDER BY id")  # noqa: S608 - our own
    rows = connection.execute(statement.bindparams(a_list("ids", BigInteger())), {"ids": ids})
    return list(rows.mappings()), following


def _ids(
    connection: Connection, table: _Table, wanted: Filter, limit: int, bounds: Bounds
) -> tuple[list[int], str | None]:
    """Return the rows of a page, and where the following one begins."""
    meant = replace(wanted, after=None, is_busy=is_busy(connection, wanted))
    clause, values = where(meant, table.filters, table.prefix)
    begin = max(first_since(wanted.since) - 1, 0 if wanted.after is None else number(wanted.after, table.prefix))
    walk: dict[str, Any] = {"begin": begin, "before": first_from(wanted.until), "walked": bounds.walked}
    end, amount = connection.execute(text(_END.format(table=table.name)), walk).one()
    if end is None:
        return [], None
    statement = (
        f"SELECT id, {table.size} FROM {table.name}{clause or ' WHERE 1 = 1'}"  # noqa: S608 - our own words
        " AND id > :begin AND id <= :end ORDER BY id LIMIT :limit"
    )
    found: list[int] = []
    total = 0
    for id_, size in connection.execute(text(statement), values | {"begin": begin, "end": end, "limit": limit}):
        found.append(id_)
        total += size
        if total > bounds.most_bytes or len(found) == limit:
            return found, table.spell(id_)
    return found, table.spell(end) if amount == bounds.walked else None
