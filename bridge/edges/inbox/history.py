"""Statements that count what came in an hour, by ranges of ids, since ids tell the time. Read only, no payload."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import Connection, Row, text

from bridge.edges.inbox.engine.ids import delivery_text, made_at, number, trigger_text
from bridge.edges.inbox.rows import first_from, first_since, instant
from bridge.words.history import Hour, Started

HOUR = timedelta(hours=1)
_SAMPLE = 1000  # DAG runs of an hour, the newest, whose median is shown
_ACCEPTED = text("SELECT COUNT(*) FROM deliveries WHERE id >= :begin AND id < :end")
_ENDED = text(
    "SELECT route, state, COUNT(*) AS amount, MAX(id) AS newest,"
    " MAX(CASE WHEN state = 'fired' AND run_due_at IS NULL THEN 0 ELSE 1 END) AS may_change"
    " FROM triggers WHERE id >= :begin AND id < :end"
    " GROUP BY route, state"
)
_NEWEST = text(
    "SELECT route, MAX(id) AS newest, MIN(id) AS oldest, COUNT(*) AS amount FROM (SELECT id, route FROM triggers"
    " WHERE id < :before ORDER BY id DESC LIMIT :limit) AS stretch GROUP BY route"
)
_READY = text(
    "SELECT delivery_id, settled_at, run_ended_at FROM triggers WHERE id >= :begin AND id < :end AND state = 'fired'"
    " AND run_state = 'success' AND run_ended_at IS NOT NULL ORDER BY id DESC LIMIT :limit"
)


def hour(connection: Connection, *, begin: datetime) -> Hour:
    """Return what came in the hour from an instant on."""
    values = {"begin": first_since(begin), "end": first_from(begin + HOUR)}
    rows = connection.execute(_ENDED, values).all()
    routes = _by_route(rows)
    ended = connection.execute(_READY, values | {"limit": _SAMPLE})
    # By Airflow's clock, which may be behind: no run ends before it was fired.
    ready = [max(fired or 0, end) - made_at(delivery_text(row)) for row, fired, end in ended]
    return Hour(
        begin_at=begin,
        accepted=connection.execute(_ACCEPTED, values).scalar_one(),
        fired=sum(each.fired for each in routes.values()),
        failed=sum(each.failed for each in routes.values()),
        ready_seconds=max(0.0, median(ready) / 1_000_000) if ready else None,
        may_change=any(row.may_change for row in rows),
        by_route=routes,
    )


def _by_route(rows: Sequence[Row[Any]]) -> dict[str, Started]:
    found: dict[str, Started] = {}
    for row in rows:
        before = found.get(row.route) or Started(instant(0))
        name = row.state if row.state in ("fired", "failed") else "others"
        last_at = max(before.last_at, _made_at(row.newest))
        found[row.route] = replace(before, last_at=last_at, **{name: getattr(before, name) + row.amount})
    return found


def newest(connection: Connection, *, before: str | None, limit: int) -> tuple[dict[str, datetime], str | None]:
    """Return when each route's newest trigger was made, of the `limit` newest triggers before one, None: of all.

    And before which one to go on; None if there are no older ones.
    """
    values = {"before": first_from(None) if before is None else number(before, "trg"), "limit": limit}
    rows = connection.execute(_NEWEST, values).all()
    is_all = sum(row.amount for row in rows) < limit
    oldest = None if is_all else trigger_text(min(row.oldest for row in rows))
    return {row.route: _made_at(row.newest) for row in rows}, oldest


def _made_at(row: int) -> datetime:
    return instant(made_at(trigger_text(row)))
