"""Statements on what Airflow says about DAGs.

A look is stored only if nobody stored another one meanwhile (`read_at` as it was read), so that a DAG that is back
counts once, and its time away is not added twice.
"""

import json
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, Text, text

from bridge.edges.inbox.engine.statements import a_list
from bridge.edges.inbox.rows import instant, microseconds
from bridge.words.dags import DagFacts, DagParams, DagState, KnownDag

_COLUMNS = "airflow, dag_id, state, since, read_at, away_seconds, freed"
_ALL = text(f"SELECT {_COLUMNS} FROM dags")  # noqa: S608
_OF = text(f"SELECT {_COLUMNS} FROM dags WHERE airflow = :airflow")  # noqa: S608
_GET = text(f"SELECT {_COLUMNS} FROM dags WHERE airflow = :airflow AND dag_id = :dag_id")  # noqa: S608
_ADD = text(
    "INSERT INTO dags (airflow, dag_id, state, since, read_at, away_seconds, freed)"
    " VALUES (:airflow, :dag_id, :state, :since, :read_at, :away_seconds, :freed) ON CONFLICT DO NOTHING"
)
_LOOK = text(
    "UPDATE dags SET state = :state, since = :since, read_at = :read_at, away_seconds = :away_seconds, freed = :freed"
    " WHERE airflow = :airflow AND dag_id = :dag_id AND read_at = :was"
)
_FORGET = text("DELETE FROM dags WHERE airflow = :airflow AND dag_id IN :dag_ids").bindparams(a_list("dag_ids", Text()))
_PARAMS = text("SELECT dag_id, params, params_at FROM dags WHERE airflow = :airflow AND params IS NOT NULL")
_WITHOUT_PARAMS = text(
    "SELECT dag_id FROM dags WHERE airflow = :airflow AND state IN ('ok','paused')"
    " AND (params_at IS NULL OR params_at < :before) ORDER BY COALESCE(params_at, 0) LIMIT :limit"
)
_SET_PARAMS = text(
    "UPDATE dags SET params = COALESCE(:params, params), params_at = :now WHERE airflow = :airflow AND dag_id = :dag_id"
)


def known(connection: Connection, *, airflow: str | None = None) -> list[KnownDag]:
    """Return what is known of every DAG, or of those of one Airflow; without params."""
    found = connection.execute(_ALL) if airflow is None else connection.execute(_OF, {"airflow": airflow})
    return [_known(row) for row in found.mappings()]


def get(connection: Connection, *, airflow: str, dag_id: str) -> KnownDag | None:
    """Return what is known of one DAG."""
    row = connection.execute(_GET, {"airflow": airflow, "dag_id": dag_id}).mappings().first()
    return None if row is None else _known(row)


def store(connection: Connection, looks: Sequence[tuple[KnownDag, KnownDag | None]]) -> list[KnownDag]:
    """Store looks, each with what was known before; returns those that counted, since nobody was quicker."""
    return [look for look, before in looks if _is_stored(connection, look, before)]


def forget(connection: Connection, *, airflow: str, dag_ids: Collection[str]) -> int:
    """Remove DAGs that nobody names any more; returns how many."""
    return connection.execute(_FORGET, {"airflow": airflow, "dag_ids": list(dag_ids)}).rowcount


def params(connection: Connection, *, airflow: str) -> dict[str, DagParams]:
    """Return the params of an Airflow's DAGs, as far as they were read."""
    found: dict[str, DagParams] = {}
    for row in connection.execute(_PARAMS, {"airflow": airflow}):
        stored = json.loads(row.params)
        found[row.dag_id] = DagParams(stored["schemas"], tuple(stored["required"]), instant(row.params_at))
    return found


def without_params(connection: Connection, *, airflow: str, before: datetime, limit: int) -> list[str]:
    """Return DAGs that are there and whose params were not asked for since `before`, the longest unread first."""
    values = {"airflow": airflow, "before": microseconds(before), "limit": limit}
    return list(connection.execute(_WITHOUT_PARAMS, values).scalars())


def set_params(connection: Connection, *, airflow: str, dag_id: str, found: DagFacts | None, now: datetime) -> None:
    """Keep the params of a DAG, and that they were asked for; None: Airflow did not tell them."""
    stored = None
    if found is not None:
        stored = json.dumps({"schemas": dict(found.params), "required": list(found.required)})
    values = {"airflow": airflow, "dag_id": dag_id, "params": stored, "now": microseconds(now)}
    connection.execute(_SET_PARAMS, values)


def _is_stored(connection: Connection, look: KnownDag, before: KnownDag | None) -> bool:
    values = {
        "airflow": look.airflow,
        "dag_id": look.dag_id,
        "state": look.state,
        "since": microseconds(look.since),
        "read_at": microseconds(look.read_at),
        "away_seconds": look.away_seconds,
        "freed": look.freed,
    }
    if before is None:
        return bool(connection.execute(_ADD, values).rowcount)
    return bool(connection.execute(_LOOK, values | {"was": microseconds(before.read_at)}).rowcount)


def _known(row: RowMapping) -> KnownDag:
    return KnownDag(
        airflow=row["airflow"],
        dag_id=row["dag_id"],
        state=DagState(row["state"]),
        since=instant(row["since"]),
        read_at=instant(row["read_at"]),
        away_seconds=row["away_seconds"],
        freed=row["freed"],
    )
