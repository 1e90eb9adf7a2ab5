"""Statements on sources that may not be silent for long: how long, and when each was heard last.

Deliveries have no index by source. So what was found is kept, and the next search begins shortly before the last one.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from bridge.edges.inbox.engine.ids import delivery_text, made_at
from bridge.edges.inbox.rows import first_since, instant, instant_or_none, microseconds
from bridge.words.silences import Silence
from bridge.words.via import RECONCILED_KEY

_KNOWN = text("SELECT source, after_seconds, since, heard_at, looked_at FROM silences ORDER BY source")
# Only webhooks count: what the bridge asked the Planasonix API for is no sign of life of the sender.
_NEWEST = text(
    "SELECT MAX(id) FROM (SELECT id, source, key_id FROM deliveries WHERE id >= :begin ORDER BY id DESC LIMIT :limit)"
    " AS latest WHERE source = :source AND key_id <> :reconciled"
)
_KEEP = text(
    "INSERT INTO silences (source, after_seconds, since, heard_at, looked_at)"
    " VALUES (:source, :after, :since, :heard_at, :looked_at)"
    " ON CONFLICT (source) DO UPDATE SET after_seconds = excluded.after_seconds, looked_at = excluded.looked_at,"
    " since = CASE WHEN silences.since > excluded.since THEN silences.since ELSE excluded.since END,"
    " heard_at = CASE WHEN excluded.heard_at IS NULL OR silences.heard_at > excluded.heard_at"
    " THEN silences.heard_at ELSE excluded.heard_at END"
)
_FORGET = text("DELETE FROM silences WHERE source = :source")


def known(connection: Connection) -> list[Silence]:
    """Return what is known of each source that may not be silent for long."""
    return [
        Silence(
            row.source,
            timedelta(seconds=row.after_seconds),
            instant(row.since),
            instant_or_none(row.heard_at),
            instant(row.looked_at),
        )
        for row in connection.execute(_KNOWN)
    ]


def newest(connection: Connection, source: str, *, since: datetime | None, limit: int) -> datetime | None:
    """Return when the newest webhook of a source came, among the newest `limit` deliveries since then; None: none."""
    values = {"source": source, "reconciled": RECONCILED_KEY, "limit": limit, "begin": first_since(since)}
    found = connection.execute(_NEWEST, values).scalar_one()
    return None if found is None else instant(made_at(delivery_text(found)))


def keep(connection: Connection, found: Sequence[Silence]) -> None:
    """Keep what was found; a later webhook that another replica has seen stands, and so does a later `since`."""
    for each in found:
        values = {
            "source": each.source,
            "after": round(each.after.total_seconds()),
            "since": microseconds(each.since),
            "heard_at": None if each.heard_at is None else microseconds(each.heard_at),
            "looked_at": microseconds(each.looked_at),
        }
        connection.execute(_KEEP, values)


def forget(connection: Connection, sources: Collection[str]) -> None:
    """Forget sources that may be silent again for as long as they like."""
    for source in sources:
        connection.execute(_FORGET, {"source": source})
