"""Statements on when each source was heard last: when it last sent a webhook with a right signature, a copy too.

Deliveries have no index by source. So every process keeps what it heard, in one row for each source (chores/heard).
What came since then is among the newest deliveries.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from bridge.edges.inbox.rows import instant, microseconds
from bridge.words.via import RECONCILED_KEY

_NEWEST = 1000  # deliveries: of five seconds, at 200 a second
_AHEAD = timedelta(minutes=5)  # what is later than that was written by a clock that ran ahead
# Only webhooks count: what the bridge asked the Planasonix API for does not show that the secret is right.
_LAST = text(
    "SELECT source, MAX(at) FROM (SELECT source, received_at AS at FROM"
    " (SELECT source, received_at, key_id FROM deliveries ORDER BY id DESC LIMIT :newest) AS newest"
    " WHERE key_id <> :reconciled UNION ALL SELECT source, at FROM heard) AS found WHERE at <= :ahead"
    " GROUP BY source"
)
_KEEP = text(
    "INSERT INTO heard (source, at) VALUES (:source, :at)"
    " ON CONFLICT (source) DO UPDATE SET at = excluded.at WHERE excluded.at > heard.at OR heard.at > :ahead"
)


def last(connection: Connection, *, now: datetime, newest: int = _NEWEST) -> dict[str, datetime]:
    """Return when each source was heard last, as it was kept and as the `newest` deliveries tell.

    What a clock wrote that ran ahead is left out: it would hide a wrong secret until that time has come.
    """
    values = {"newest": newest, "reconciled": RECONCILED_KEY, "ahead": microseconds(now + _AHEAD)}
    return {source: instant(at) for source, at in connection.execute(_LAST, values)}


def keep(connection: Connection, found: Mapping[str, datetime], *, now: datetime) -> None:
    """Keep when sources were heard; what another process heard later stands. Idempotent."""
    ahead = microseconds(now + _AHEAD)
    for source, at in sorted(found.items()):  # in one order, so that two processes never wait for each other
        connection.execute(_KEEP, {"source": source, "at": microseconds(at), "ahead": ahead})
