"""Statements on what was put back for a DAG that takes no calls: find it, and make it due once more.

It was put back by whichever replica, and is found by what is stored alone: held as `throttled` or `airflow_forbidden`
with no detail. What was refused itself has a detail, and keeps its own wait. Found beside the writer, a stretch of an
index at a time, since what is held of the same route may wait for other things.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Connection, text

from bridge.edges.inbox.engine.ids import number, trigger_text
from bridge.edges.inbox.engine.statements import a_list, locking
from bridge.edges.inbox.rows import instant, microseconds

_WAITS_WITH_ITS_DAG = "reason IN ('throttled','airflow_forbidden') AND detail IS NULL"
_IS_PUT_BACK = f"state = 'held' AND {_WAITS_WITH_ITS_DAG}"
_STRETCH = text(  # by the index `triggers_held`
    f"SELECT id, due_at, dag_id = :dag_id AND {_WAITS_WITH_ITS_DAG} AS is_put_back FROM triggers"  # noqa: S608
    " WHERE airflow = :airflow AND state = 'held' AND route = :route AND due_at > :after AND due_at <= :until"
    " ORDER BY due_at LIMIT :limit"
)
_MAKE_DUE = locking(
    "UPDATE triggers SET state = 'pending', reason = NULL, due_at = CASE WHEN age_from < :oldest THEN :oldest"
    " WHEN age_from > :now THEN :now ELSE age_from END WHERE id IN {chosen}",
    a_list("ids", BigInteger()),
    chosen=f"SELECT id FROM triggers WHERE id IN :ids AND {_IS_PUT_BACK} AND due_at > :now",  # noqa: S608
)


def put_back(
    connection: Connection, *, airflow: str, dag_id: str, route: str, after: datetime, until: datetime, limit: int
) -> tuple[list[str], datetime | None]:
    """Return what was put back for a DAG, of the `limit` held triggers of a route that are due first in a span.

    And `after` for the next stretch, once these are made due; None if nothing is behind this one.
    """
    values = {"airflow": airflow, "dag_id": dag_id, "route": route, "limit": limit}
    span = {"after": microseconds(after), "until": microseconds(until)}
    rows = connection.execute(_STRETCH, values | span).all()
    found = [trigger_text(row.id) for row in rows if row.is_put_back]
    if len(rows) < limit:
        return found, None
    # What is due at the same instant as the last may be cut off: the next stretch begins with that.
    last = rows[-1].due_at
    return found, instant(last - 1 if found or rows[0].due_at < last else last)


def make_due(connection: Connection, ids: Collection[str], *, now: datetime, within: timedelta) -> int:
    """Make triggers that were put back due at once, by their age, so that the oldest go first; returns how many.

    None becomes due longer ago than `within`.
    """
    values = {
        "ids": [number(id_, "trg") for id_ in ids],
        "now": microseconds(now),
        "oldest": microseconds(now - within),
    }
    return connection.execute(_MAKE_DUE.on(connection), values).rowcount
