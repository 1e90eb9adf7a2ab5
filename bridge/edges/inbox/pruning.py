"""Statements for retention: forget what has ended long ago, a little at a time."""

from datetime import datetime

from sqlalchemy import BigInteger, Connection, text

from bridge.edges.inbox.engine.ids import first_id
from bridge.edges.inbox.engine.statements import Pair, a_list, is_shared
from bridge.edges.inbox.rows import microseconds

# Ids grow with time, so the oldest rows stand at the beginning of the table.
_OLD = (
    "SELECT id FROM deliveries WHERE id < :before AND state <> 'received'{folded} AND NOT EXISTS"
    " (SELECT 1 FROM triggers WHERE delivery_id = deliveries.id AND state IN ('pending','held','firing'))"
    " ORDER BY id LIMIT :limit{lock}"
)
_FOUND = Pair(
    sqlite=text(_OLD.format(folded=" AND id <= (SELECT upto FROM folded)", lock="")),
    postgresql=text(_OLD.format(folded="", lock=" FOR UPDATE OF deliveries SKIP LOCKED")),
)
_IDS = a_list("ids", BigInteger())
_ATTEMPTS = text(
    "DELETE FROM attempts WHERE trigger_id IN (SELECT id FROM triggers WHERE delivery_id IN :ids)"
).bindparams(_IDS)
_TRIGGERS = text("DELETE FROM triggers WHERE delivery_id IN :ids").bindparams(_IDS)
_KEYS = text(
    "DELETE FROM dedup WHERE delivery_id IN :ids AND dedup_key IN (SELECT dedup_key FROM deliveries WHERE id IN :ids)"
).bindparams(_IDS)
_COMPLETIONS = text("DELETE FROM completions WHERE delivery_id IN :ids").bindparams(_IDS)
_NAMESAKES = text("DELETE FROM namesakes WHERE delivery_id IN :ids").bindparams(_IDS)
_DELIVERIES = text("DELETE FROM deliveries WHERE id IN :ids").bindparams(_IDS)


def prune(connection: Connection, *, before: datetime, limit: int) -> int:
    """Delete up to `limit` deliveries received before an instant, with their triggers and attempts.

    Whatever still waits stays, however old. Returns how many deliveries went.
    """
    values = {"before": first_id(microseconds(before)), "limit": limit}
    ids = [row[0] for row in connection.execute(_FOUND.on(connection), values)]
    if ids:
        keys = () if is_shared(connection) else (_KEYS,)
        for statement in (_ATTEMPTS, _TRIGGERS, _COMPLETIONS, _NAMESAKES, *keys, _DELIVERIES):
            connection.execute(statement, {"ids": ids})
    return len(ids)
