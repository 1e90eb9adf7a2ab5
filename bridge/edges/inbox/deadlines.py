"""Statements on triggers whose deadline has passed.

Both read `triggers_late`, which holds what has a deadline, waits, and was never in doubt: so they read no more rows
than they change. What a call may have started is left to firing, which finds out.
"""

from datetime import datetime

from sqlalchemy import Connection, text

from bridge.edges.inbox.engine.statements import locking
from bridge.edges.inbox.rows import microseconds

_IS_LATE = "state IN ('pending','held') AND late_at IS NOT NULL AND late_at <= :now AND doubted_at IS NULL"
_ANY = text(f"SELECT 1 FROM triggers WHERE {_IS_LATE} LIMIT 1")  # noqa: S608
_GIVE_UP = locking(
    "UPDATE triggers SET state = 'cancelled', reason = 'too_late', detail = NULL, settled_at = :now"
    " WHERE id IN {chosen} RETURNING route",
    chosen=f"SELECT id FROM triggers WHERE {_IS_LATE} ORDER BY late_at LIMIT :limit",  # noqa: S608
)


def is_any_late(connection: Connection, *, now: datetime) -> bool:
    """Say whether something that waits is too late by now."""
    return connection.execute(_ANY, {"now": microseconds(now)}).first() is not None


def give_up(connection: Connection, *, now: datetime, limit: int) -> list[str]:
    """Cancel up to `limit` triggers that are too late, the longest first; returns the route of each."""
    values = {"now": microseconds(now), "limit": limit}
    return [row[0] for row in connection.execute(_GIVE_UP.on(connection), values)]
