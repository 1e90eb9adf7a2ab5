"""Statements that count what came in an hour, by ranges of ids, since ids tell the time. Read only, no payload."""

from datetime import datetime, timedelta
from statistics import median

from sqlalchemy import Connection, text

from bridge.edges.inbox.engine.ids import delivery_text, first_id, made_at
from bridge.edges.inbox.rows import microseconds
from bridge.words.history import Hour

HOUR = timedelta(hours=1)
_SAMPLE = 1000  # DAG runs of an hour, the newest, whose median is shown
_CAME = text("SELECT COUNT(*) FROM deliveries WHERE id >= :begin AND id < :end")
_ENDED = text("SELECT state, COUNT(*) FROM triggers WHERE id >= :begin AND id < :end GROUP BY state")
_READY = text(
    "SELECT delivery_id, run_ended_at FROM triggers WHERE id >= :begin AND id < :end AND state = 'fired'"
    " AND run_state = 'success' AND run_ended_at IS NOT NULL ORDER BY id DESC LIMIT :limit"
)


def hour(connection: Connection, *, begin: datetime) -> Hour:
    """Return what came in the hour from an instant on."""
    values = {"begin": first_id(microseconds(begin)), "end": first_id(microseconds(begin + HOUR))}
    ended = {state: count for state, count in connection.execute(_ENDED, values)}  # noqa: C416
    ready = [end - made_at(delivery_text(row)) for row, end in connection.execute(_READY, values | {"limit": _SAMPLE})]
    return Hour(
        begin_at=begin,
        accepted=connection.execute(_CAME, values).scalar_one(),
        fired=ended.get("fired", 0),
        failed=ended.get("failed", 0),
        ready_seconds=max(0.0, median(ready) / 1_000_000) if ready else None,
    )
