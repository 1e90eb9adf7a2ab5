"""Statements on what was received, body by body and the oldest first: for what compares mappings, beside the service.

A page is of deliveries that follow each other. With `naming` only those are read that may name such a pipeline
(`bridge.rules.mentions`): the database looks itself at what it holds as plain text, and what is encrypted is looked at
here. A page is cut by its bytes too: their sizes are read first, which needs no body. Left out is what no route ever
saw (`stale`), and what was erased.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Connection, TextClause, text

from bridge.edges.inbox.engine.ids import delivery_text, made_at, number
from bridge.edges.inbox.engine.statements import a_list, is_shared
from bridge.edges.inbox.rows import first_from, first_since, instant
from bridge.edges.inbox.vault import opened, place, ring_of
from bridge.rules.mentions import ESCAPE, mentions
from bridge.rules.sealing import PLAIN
from bridge.words.errors import Locked
from bridge.words.via import Via, via

_MOST_BYTES = 8 * 1_048_576  # of a page, and one body more
_LOOKED_AT = 5_000  # deliveries of which a page has those that may name a pipeline: a few milliseconds
_LOOKED_THROUGH = 64 * 1_048_576  # bytes of their bodies
_COLUMNS = "id, source, received_at, path_pipeline_id, key_id, body, lookup"
_AMONG = "id > :after AND id < :before AND state <> 'stale' AND erased_at IS NULL ORDER BY id LIMIT :looked_at"
_PAGE = text(f"SELECT {_COLUMNS} FROM deliveries WHERE id IN :ids ORDER BY id").bindparams(  # noqa: S608 - our own words
    a_list("ids", BigInteger())
)
_SEEN = text(
    f"SELECT COUNT(*), MAX(id), SUM(LENGTH(body)) FROM (SELECT id, body FROM deliveries WHERE {_AMONG}) AS near"  # noqa: S608 - our own words
)


@dataclass(frozen=True, slots=True)
class Received:
    """A delivery as planning needs it; `body` is None where no configured key opens it."""

    id: str
    source: str
    received_at: datetime
    path_pipeline_id: str | None
    via: Via
    body: bytes | None
    lookup: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Page:
    """Deliveries, the oldest first, and how many were passed over between them.

    `last` is the last one that was looked at, the `after` of the following page, and `reached_at` when it was received;
    None: there is none.
    """

    found: Sequence[Received]
    passed: int
    last: str | None
    reached_at: datetime | None


def bodies(
    connection: Connection,
    *,
    since: datetime | None,
    until: datetime | None,
    after: str | None,
    limit: int,
    naming: Sequence[str] = (),
) -> Page:
    """Return a page of at most `limit` deliveries; of all, or of those that may name such a pipeline.

    Raises NotThere if `after` is no id.
    """
    values: dict[str, Any] = {
        "after": max(first_since(since) - 1, 0 if after is None else number(after, "dlv")),
        "before": first_from(until),
        "looked_at": _LOOKED_AT if naming else limit,
    }
    if naming:  # the end of the page first: what is committed meanwhile is rather found than passed over
        seen, last = _seen(connection, values)
        values["before"] = 0 if last is None else last + 1
    ids, is_cut = _choose(connection, values, limit, naming)
    if not naming:
        seen, last = len(ids), ids[-1] if ids else None
    elif is_cut:
        seen, last = _seen(connection, values | {"before": ids[-1] + 1})
    rows, texts = _rows(connection, ids), frozenset(naming)
    found = [item for row in rows if (item := _received(connection, row, texts)) is not None]
    if last is None:
        return Page((), 0, None, None)
    return Page(found, max(0, seen - len(found)), delivery_text(last), instant(made_at(delivery_text(last))))


def _seen(connection: Connection, values: Mapping[str, Any]) -> tuple[int, int | None]:
    """Return how many deliveries are looked at, and the last of them; fewer where their bodies are large."""
    amount, last, size = connection.execute(_SEEN, values).one()
    while amount > 1 and size > _LOOKED_THROUGH:
        fewer = {"looked_at": max(1, amount * _LOOKED_THROUGH // int(size))}
        amount, last, size = connection.execute(_SEEN, {**values, **fewer}).one()
    return amount, last


def _choose(
    connection: Connection, values: Mapping[str, Any], limit: int, naming: Sequence[str]
) -> tuple[list[int], bool]:
    """Return the ids of a page, and whether there may be more among those that are looked at."""
    texts = {f"text_{place}": each for place, each in enumerate((*naming, ESCAPE) if naming else ())}
    given = texts | {f"bytes_{name}": each.encode() for name, each in texts.items()}
    statement = _sizes(len(texts), is_shared(connection))
    ids: list[int] = []
    total = 0
    for id_, size in connection.execute(statement, {**values, **given, "limit": limit}):
        ids.append(id_)
        total += size
        if total > _MOST_BYTES:
            return ids, True
    return ids, len(ids) == limit


def _rows(connection: Connection, ids: Sequence[int]) -> Sequence[Any]:
    return connection.execute(_PAGE, {"ids": ids}).all() if ids else ()


@cache
def _sizes(texts: int, is_shared: bool) -> TextClause:
    """Return the statement for the ids and sizes of a page; with `texts`, of what is encrypted or holds one of them.

    All of it but the last `limit` is on the rows that are looked at, so that a page costs the same whatever it finds.
    """
    if not texts:
        return text(f"SELECT id, LENGTH(body) FROM deliveries WHERE {_AMONG}")  # noqa: S608 - our own words
    near = f"SELECT id, body, path_pipeline_id, lookup, sealed_with FROM deliveries WHERE {_AMONG}"  # noqa: S608 - our own words
    return text(
        f"SELECT id, LENGTH(body) FROM ({near}) AS near WHERE {may_hold(texts, is_shared)} ORDER BY id LIMIT :limit"  # noqa: S608 - our own words
    )


def may_hold(texts: int, is_shared: bool) -> str:
    """Return the condition on a delivery that it is encrypted, or holds one of so many texts.

    Their values are `text_0`, `text_1` and so on, and each as bytes: `bytes_text_0`.
    """
    names = [f"text_{place}" for place in range(texts)]
    holds = "POSITION(:{0} IN {1}) > 0" if is_shared else "INSTR({1}, :{0}) > 0"
    wanted = [holds.format(f"bytes_{name}", "body") for name in names]
    wanted += [holds.format(name, column) for column in ("path_pipeline_id", "lookup") for name in names]
    return f"COALESCE(sealed_with, '{PLAIN}') <> '{PLAIN}' OR {' OR '.join(wanted)}"


def _received(connection: Connection, row: Any, naming: frozenset[str]) -> Received | None:
    """Open a row; None if it names no such pipeline, which only now can be seen of what is encrypted."""
    ring, body, lookup = ring_of(connection), None, None
    try:
        body = ring.open(bytes(row.body), place("deliveries", "body", row.id))
        lookup = opened(ring, row.lookup, place("deliveries", "lookup", row.id))
    except Locked:
        body, lookup = None, None
    url = row.path_pipeline_id
    if naming and body is not None and not mentions(naming, body=body, url_pipeline=url, lookup=lookup):
        return None
    return Received(
        id=delivery_text(row.id),
        source=row.source,
        received_at=instant(row.received_at),
        path_pipeline_id=url,
        via=via(row.key_id),
        body=body,
        lookup=None if lookup is None else json.loads(lookup),
    )
