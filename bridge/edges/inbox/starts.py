"""When the triggers of routes started, for their hourly ceilings."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, Text, text

from bridge.edges.inbox.engine.ids import first_id
from bridge.edges.inbox.engine.statements import a_list
from bridge.edges.inbox.rows import instant, microseconds
from bridge.edges.inbox.triggers import NEVER

# No index begins with what has a ceiling, so every trigger after `oldest` is read: once for all routes together. Ids
# grow with time, so that history is not read.
_STARTS = text(
    "SELECT route, due_at FROM"
    " (SELECT route, due_at, ROW_NUMBER() OVER (PARTITION BY route ORDER BY due_at DESC) AS nth FROM triggers"
    " WHERE id >= :oldest AND route IN :routes AND state <> 'cancelled' AND state <> 'failed'"
    " AND due_at > :since AND due_at < :never) AS ranked WHERE nth <= :limit ORDER BY route, due_at DESC"
).bindparams(a_list("routes", Text()))


def recent_starts(
    connection: Connection, *, routes: Collection[str], since: datetime, oldest: datetime, limit: int
) -> dict[str, list[datetime]]:
    """Return when the triggers of routes made after `oldest` started or will, the latest first.

    Of each route the latest `limit` that are after `since`.
    """
    parameters = {
        "routes": sorted(routes),
        "since": microseconds(since),
        "oldest": first_id(microseconds(oldest)),
        "never": microseconds(NEVER),
        "limit": limit,
    }
    found: dict[str, list[datetime]] = {route: [] for route in routes}
    for row in connection.execute(_STARTS, parameters):
        found[row.route].append(instant(row.due_at))
    return found
