"""What the Planasonix API answered for other events of the same job or run. Read beside the writer."""

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Text, text

from bridge.edges.inbox.engine.ids import first_id
from bridge.edges.inbox.engine.statements import a_list
from bridge.edges.inbox.rows import microseconds
from bridge.edges.inbox.vault import opened, place, ring_of
from bridge.words.errors import Locked

_LIMIT = 8
_ANSWERS = text(
    "SELECT deliveries.id, deliveries.lookup FROM completions"
    " JOIN deliveries ON deliveries.id = completions.delivery_id"
    " WHERE completions.about_id IN :names AND completions.source = :source AND completions.delivery_id >= :since"
    " AND deliveries.lookup IS NOT NULL ORDER BY completions.delivery_id DESC LIMIT :most"
).bindparams(a_list("names", Text()))


def answers(connection: Connection, *, source: str, names: Collection[str], since: datetime) -> list[Mapping[str, Any]]:
    """Return what was answered for deliveries since an instant that tell of one of these ids, the newest first."""
    values = {"names": sorted(names), "source": source, "since": first_id(microseconds(since)), "most": _LIMIT}
    ring, found = ring_of(connection), []
    for row in connection.execute(_ANSWERS, values):
        try:
            lookup = opened(ring, row.lookup, place("deliveries", "lookup", row.id))
        except Locked:
            continue
        found.append(json.loads(lookup or "{}"))
    return found
