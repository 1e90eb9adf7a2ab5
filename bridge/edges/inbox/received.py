"""Statements on what was received, body by body and the oldest first: for what compares mappings, beside the service.

A page is cut by its bytes too: their sizes are read first, which needs no body. Left out is what no route ever saw
(`stale`), and what was erased.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from bridge.edges.inbox.engine.ids import delivery_text, first_id, number
from bridge.edges.inbox.rows import instant, microseconds
from bridge.edges.inbox.vault import opened, place, ring_of
from bridge.words.errors import Locked

_MOST_BYTES = 8 * 1_048_576  # of a page, and one body more
_GREATEST = (1 << 63) - 1
_AMONG = "id > :after AND id < :before AND state <> 'stale' AND erased_at IS NULL ORDER BY id LIMIT :limit"
_SIZES = text(f"SELECT id, LENGTH(body) FROM deliveries WHERE {_AMONG}")  # noqa: S608 - our own words
_PAGE = text(f"SELECT id, source, received_at, path_pipeline_id, body, lookup FROM deliveries WHERE {_AMONG}")  # noqa: S608


@dataclass(frozen=True, slots=True)
class Received:
    """A delivery as planning needs it; `body` is None where no configured key opens it."""

    id: str
    source: str
    received_at: datetime
    path_pipeline_id: str | None
    body: bytes | None
    lookup: Mapping[str, Any] | None


def bodies(
    connection: Connection, *, since: datetime | None, until: datetime | None, after: str | None, limit: int
) -> tuple[list[Received], str | None]:
    """Return a page, the oldest first, and the `after` of the following one; None at the end. NotThere for no id."""
    begin = 0 if since is None else first_id(microseconds(since))
    values = {
        "after": max(begin - 1, 0 if after is None else number(after, "dlv")),
        "before": _GREATEST if until is None else first_id(microseconds(until)),
        "limit": limit,
    }
    total, last, amount = 0, None, 0
    for row in connection.execute(_SIZES, values):
        total, last, amount = total + row[1], row[0], amount + 1
        if total > _MOST_BYTES:
            break
    if last is None:
        return [], None
    found = [_received(connection, row) for row in connection.execute(_PAGE, values | {"limit": amount})]
    return found, delivery_text(last)


def _received(connection: Connection, row: Any) -> Received:
    ring, body, lookup = ring_of(connection), None, None
    try:
        body = ring.open(bytes(row.body), place("deliveries", "body", row.id))
        lookup = opened(ring, row.lookup, place("deliveries", "lookup", row.id))
    except Locked:
        body = None
    return Received(
        id=delivery_text(row.id),
        source=row.source,
        received_at=instant(row.received_at),
        path_pipeline_id=row.path_pipeline_id,
        body=body,
        lookup=None if lookup is None else json.loads(lookup),
    )
