"""Statements on how sources spell their bodies (bridge.rules.drift): what is known of each, and what has changed.

What is known is read, thought over beside the writer, and written only if nobody else has written meanwhile. So each
change is said by one replica, and a slow thought holds up no webhook.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from bridge.edges.inbox.rows import instant, microseconds
from bridge.rules.drift import Learned
from bridge.words.drifts import Change, Drifted, DriftKind

KEPT = timedelta(days=7)
_MAX_ROWS = 5000  # rows that a look reads; a source can have 1000
_KNOWN = text("SELECT revision, known FROM shapes WHERE source = :source")
_FIRST = text("INSERT INTO shapes (source, revision, known) VALUES (:source, 1, :known) ON CONFLICT DO NOTHING")
_NEXT = text(
    "UPDATE shapes SET revision = revision + 1, known = :known WHERE source = :source AND revision = :revision"
)
_PUT = text(
    "INSERT INTO drifts (source, kind, about, path, change, delivery_id, at)"
    " VALUES (:source, :kind, :of, :path, :change, :delivery_id, :at)"
    " ON CONFLICT (source, kind, about, path) DO UPDATE SET change = excluded.change,"
    " delivery_id = excluded.delivery_id, at = excluded.at"
)
_OVER = text("DELETE FROM drifts WHERE source = :source AND kind = :kind AND about = :of AND path = :path")
_FORGET = text("DELETE FROM drifts WHERE source = :source AND at < :before")
_RECENT = text(
    "SELECT source, kind, change, path, delivery_id, at FROM drifts WHERE at >= :since ORDER BY at, path LIMIT :most"
)


def known(connection: Connection, source: str) -> tuple[int, str | None]:
    """Return the revision of what is known of a source, and that; 0 and None: nothing is."""
    row = connection.execute(_KNOWN, {"source": source}).first()
    return (0, None) if row is None else (row.revision, row.known)


def keep(connection: Connection, source: str, learned: Learned, *, revision: int, now: datetime) -> bool:
    """Keep what was learned from a revision, and what has changed; False: another process was quicker, nothing is kept.

    What was said seven days ago is forgotten.
    """
    values = {"source": source, "known": learned.known, "revision": revision}
    if not connection.execute(_NEXT if revision else _FIRST, values).rowcount:
        return False
    for kind, of, path in learned.over:
        connection.execute(_OVER, {"source": source, "kind": kind, "of": of, "path": path})
    if learned.drifts:
        connection.execute(_FORGET, {"source": source, "before": microseconds(now - KEPT)})
        same = {"source": source, "at": microseconds(now)}
        rows = [
            same | {"kind": each.kind, "of": each.of, "path": each.path, "change": each.change,
                    "delivery_id": each.delivery_id}
            for each in learned.drifts
        ]  # fmt: skip
        connection.execute(_PUT, rows)
    return True


def recent(connection: Connection, *, since: datetime) -> list[Drifted]:
    """Return what has changed since an instant: a line for each source, kind and change."""
    found: dict[tuple[str, str, str], list[Row[Any]]] = {}
    for row in connection.execute(_RECENT, {"since": microseconds(since), "most": _MAX_ROWS}):
        found.setdefault((row.source, row.kind, row.change), []).append(row)
    return [_drifted(rows) for _, rows in sorted(found.items())]


def _drifted(rows: list[Row[Any]]) -> Drifted:
    last = rows[-1]
    return Drifted(
        last.source,
        DriftKind(last.kind),
        Change(last.change),
        last.path,
        last.delivery_id,
        len(rows),
        instant(rows[0].at),
        instant(last.at),
    )
