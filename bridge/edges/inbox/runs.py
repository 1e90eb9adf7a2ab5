"""Statements on DAG runs of fired triggers: which are due for a look, and what a look showed.

A run is open while `run_due_at` is set. Every change is guarded by the `run_due_at` that was read, or by its being set
at all, so a replay or another replica is never overwritten and an end is stored once.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, text

from bridge.edges.inbox.engine.ids import delivery_text, made_at, number, trigger_text
from bridge.edges.inbox.rows import (
    TRIGGER_ENTRY_COLUMNS,
    instant,
    instant_or_none,
    microseconds,
    run_state,
    trigger_entry,
)
from bridge.edges.inbox.vault import ring_of
from bridge.words.model import TriggerEntry
from bridge.words.reasons import Reason
from bridge.words.runs import OpenRun, OpenRuns, Progress, RunSeen, RunState

_COLUMNS = (
    "id, delivery_id, route, dag_id, dag_run_id, rerun, created_at, age_from, settled_at, run_state, run_after,"
    " run_started_at, run_due_at, reason"
)
# The literal conditions let the databases use the partial indexes `triggers_open` and `triggers_live`.
_OPEN = "state = 'fired' AND run_due_at IS NOT NULL"
_DUE = text(
    f"SELECT {_COLUMNS} FROM triggers WHERE {_OPEN} AND airflow = :airflow AND run_due_at <= :now"  # noqa: S608
    " ORDER BY run_due_at LIMIT :limit"
)
_NAMED = text(
    f"SELECT {_COLUMNS} FROM triggers WHERE {_OPEN} AND airflow = :airflow AND dag_id = :dag_id"  # noqa: S608
    " AND dag_run_id = :dag_run_id AND state <> 'cancelled' AND state <> 'failed' AND dag_run_id IS NOT NULL"
)
_STANDING = text(
    f"SELECT {TRIGGER_ENTRY_COLUMNS} FROM triggers WHERE airflow = :airflow AND dag_id = :dag_id"  # noqa: S608
    " AND dag_run_id = :dag_run_id AND state <> 'cancelled' AND state <> 'failed' AND dag_run_id IS NOT NULL"
    " ORDER BY id LIMIT 1"
)
# By the last look at the DAG: it may have been paused, or unpaused, after the run was started.
_DAG = "EXISTS (SELECT 1 FROM dags WHERE dags.airflow = triggers.airflow AND dags.dag_id = triggers.dag_id AND "
_IS_PAUSED = f"{_DAG} dags.state = 'paused')"
_IS_UNPAUSED = f"{_DAG} dags.state = 'ok' AND dags.read_at > triggers.settled_at)"
_PROGRESS = text(
    "UPDATE triggers SET run_state = :state, run_after = :run_after, run_started_at = :started_at,"  # noqa: S608
    f" reason = CASE WHEN reason = 'dag_paused' AND (:has_moved = 1 OR {_IS_UNPAUSED}) THEN NULL"
    f" WHEN reason IS NULL AND :has_moved = 0 AND {_IS_PAUSED} THEN 'dag_paused' ELSE reason END,"
    f" run_ended_at = :ended_at, run_due_at = :due_at WHERE id = :id AND {_OPEN} AND run_due_at = :was"
)
_COUNT = text(
    f"SELECT airflow, run_state, COUNT(*), MIN(settled_at) FROM triggers WHERE {_OPEN} GROUP BY airflow, run_state"  # noqa: S608
)


def due(connection: Connection, *, airflow: str, now: datetime, limit: int) -> list[OpenRun]:
    """Return up to `limit` open runs of an Airflow that are due for a look, the longest due first."""
    values = {"airflow": airflow, "now": microseconds(now), "limit": limit}
    return [_open(row) for row in connection.execute(_DUE, values).mappings()]


def named(connection: Connection, *, airflow: str, dag_id: str, dag_run_id: str) -> list[OpenRun]:
    """Return the open runs with this id; none if it has ended, or is not the bridge's."""
    values = {"airflow": airflow, "dag_id": dag_id, "dag_run_id": dag_run_id}
    return [_open(row) for row in connection.execute(_NAMED, values).mappings()]


def store(connection: Connection, looks: Sequence[Progress]) -> list[Progress]:
    """Store what looks showed; returns those that counted, since nobody was quicker. Idempotent."""
    return [look for look in looks if connection.execute(_PROGRESS, _values(look)).rowcount]


def standing(connection: Connection, *, airflow: str, dag_id: str, dag_run_id: str) -> TriggerEntry | None:
    """Return the trigger that stands for a DAG run."""
    values = {"airflow": airflow, "dag_id": dag_id, "dag_run_id": dag_run_id}
    row = connection.execute(_STANDING, values).mappings().first()
    return None if row is None else trigger_entry(row, ring_of(connection))


def take_in(
    connection: Connection, *, airflow: str, seen: Sequence[RunSeen], judge: Callable[[OpenRun, RunSeen], Progress]
) -> list[Progress]:
    """Store what is reported of runs, as far as they are open; returns what counted. Idempotent."""
    looks: list[Progress] = []
    for item in seen:
        found = named(connection, airflow=airflow, dag_id=item.dag_id, dag_run_id=item.dag_run_id)
        looks += store(connection, [judge(run, item) for run in found])
    return looks


def count(connection: Connection) -> list[OpenRuns]:
    """Return how many runs are open; reads those and nothing that has ended."""
    return [
        OpenRuns(airflow, run_state(state), amount, instant(oldest))
        for airflow, state, amount, oldest in connection.execute(_COUNT)
    ]


def _values(look: Progress) -> dict[str, str | int | None]:
    def moment(value: datetime | None) -> int | None:
        return None if value is None else microseconds(value)

    return {
        "id": number(look.open.trigger_id, "trg"),
        "was": microseconds(look.open.due_at),
        "state": look.state,
        "has_moved": int(look.state is not RunState.QUEUED),
        "run_after": moment(look.run_after),
        "started_at": moment(look.started_at),
        "ended_at": moment(look.ended_at),
        "due_at": moment(look.due_at),
    }


def _open(row: RowMapping) -> OpenRun:
    delivery_id = delivery_text(row["delivery_id"])
    is_first = not row["rerun"] and row["age_from"] == row["created_at"]
    return OpenRun(
        trigger_id=trigger_text(row["id"]),
        delivery_id=delivery_id,
        route=row["route"],
        dag_id=row["dag_id"],
        dag_run_id=row["dag_run_id"],
        state=run_state(row["run_state"]),
        asked_at=instant(made_at(delivery_id) if is_first else row["age_from"]),
        fired_at=instant(row["settled_at"]),
        due_at=instant(row["run_due_at"]),
        run_after=instant_or_none(row["run_after"]),
        started_at=instant_or_none(row["run_started_at"]),
        is_copys=row["reason"] == Reason.SAME_COMPLETION,
    )
