"""Statements for retention: forget what has ended long ago, a little at a time.

A little is bounded by deliveries, by their attempts and by bytes: SQLite overwrites what it frees with zeros, and
webhooks wait meanwhile.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BigInteger, Connection, text

from bridge.edges.inbox.engine.ids import first_id
from bridge.edges.inbox.engine.statements import Pair, a_list, is_shared
from bridge.edges.inbox.rows import microseconds

_HAS_ENDED = (
    "state <> 'received' AND NOT EXISTS"
    " (SELECT 1 FROM triggers WHERE delivery_id = deliveries.id AND state IN ('pending','held','firing'))"
)
# Ids grow with time, so the oldest rows stand at the beginning of the table. The length of a body stands in its row:
# SQLite takes it from the record's header, and PostgreSQL from the pointer to what it keeps elsewhere. No body is read.
_OLD = (
    f"SELECT id, {_HAS_ENDED}, length(body)"  # noqa: S608
    " + (SELECT COALESCE(SUM(length(conf)), 0) FROM triggers WHERE delivery_id = deliveries.id),"
    " (SELECT COUNT(*) FROM triggers JOIN attempts ON trigger_id = triggers.id WHERE delivery_id = deliveries.id)"
    " FROM deliveries WHERE id > :after AND id < :before{folded} ORDER BY id LIMIT :limit"
)
_FOUND = Pair(
    sqlite=text(_OLD.format(folded=" AND id <= (SELECT upto FROM folded)")),
    postgresql=text(_OLD.format(folded="")),
)
_MAX_BYTES = 4_194_304  # of bodies and conf removed in one transaction, so that intake never waits long
_MAX_ATTEMPTS = 2_000  # removed in one transaction
_IDS = a_list("ids", BigInteger())
_STILL = f"SELECT id FROM deliveries WHERE id IN :ids AND {_HAS_ENDED}"  # noqa: S608
_ENDED = Pair(
    sqlite=text(_STILL).bindparams(_IDS),
    postgresql=text(f"{_STILL} FOR UPDATE OF deliveries SKIP LOCKED").bindparams(_IDS),
)
_ATTEMPTS = text(
    "DELETE FROM attempts WHERE trigger_id IN (SELECT id FROM triggers WHERE delivery_id IN :ids)"
).bindparams(_IDS)
_TRIGGERS = text("DELETE FROM triggers WHERE delivery_id IN :ids").bindparams(_IDS)
_KEYS = text(
    "DELETE FROM dedup WHERE delivery_id IN :ids AND dedup_key IN (SELECT dedup_key FROM deliveries WHERE id IN :ids)"
).bindparams(_IDS)
_COMPLETIONS = text("DELETE FROM completions WHERE delivery_id IN :ids").bindparams(_IDS)
_COMPLETION_IDS = text("DELETE FROM completion_ids WHERE delivery_id IN :ids").bindparams(_IDS)
_DELIVERIES = text("DELETE FROM deliveries WHERE id IN :ids").bindparams(_IDS)


def old(connection: Connection, *, before: datetime, after: int, limit: int) -> tuple[list[int], int | None]:
    """Look at the next deliveries received before an instant: which have ended, and the last one seen.

    `limit` of them at most, and no more once what has ended holds more than `_MAX_BYTES` or `_MAX_ATTEMPTS`; one at
    least.

    To be read beside the writer, and from `after` on: whatever still waits stays, however old, and is not read again
    for each batch. None at the end.
    """
    values = {"before": first_id(microseconds(before)), "after": after, "limit": limit}
    ended: list[int] = []
    last: int | None = None
    size = tries = 0
    for id_, has_ended, length, attempts in connection.execute(_FOUND.on(connection), values).all():
        if has_ended:
            if ended and (size + length > _MAX_BYTES or tries + attempts > _MAX_ATTEMPTS):
                break
            size += length
            tries += attempts
            ended.append(id_)
        last = id_
    return ended, last


def prune(connection: Connection, ids: Sequence[int]) -> int:
    """Delete deliveries with their triggers and attempts, those that have still ended; returns how many."""
    gone = list(connection.execute(_ENDED.on(connection), {"ids": list(ids)}).scalars())
    if gone:
        keys = () if is_shared(connection) else (_KEYS,)
        for statement in (_ATTEMPTS, _TRIGGERS, _COMPLETIONS, _COMPLETION_IDS, *keys, _DELIVERIES):
            connection.execute(statement, {"ids": gone})
    return len(gone)
