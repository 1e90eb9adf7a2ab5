"""When a route's triggers started, for its hourly ceiling."""

from datetime import datetime

from sqlalchemy import Connection, text

from bridge.edges.inbox.engine.ids import first_id
from bridge.edges.inbox.rows import instant, microseconds
from bridge.edges.inbox.triggers import NEVER

# Read once per route and process; ids grow with time, so that history is not read.
_STARTS = text(
    "SELECT due_at FROM triggers WHERE id >= :oldest AND route = :route AND state <> 'cancelled' AND state <> 'failed'"
    " AND due_at > :since AND due_at < :never ORDER BY due_at DESC LIMIT :limit"
)


def recent_starts(
    connection: Connection, *, route: str, since: datetime, oldest: datetime, limit: int
) -> list[datetime]:
    """Return when a route's triggers made after `oldest` started or will, the latest `limit` that are after `since`."""
    parameters = {
        "route": route,
        "since": microseconds(since),
        "oldest": first_id(microseconds(oldest)),
        "never": microseconds(NEVER),
        "limit": limit,
    }
    return [instant(row.due_at) for row in connection.execute(_STARTS, parameters)]
