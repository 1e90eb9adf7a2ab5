"""Statements on runs of Planasonix whose task waits no longer, until it is known whether they are to be cancelled.

One process at a time judges those of an Airflow (its lease is a duty). A process that has lost the lease may still be
at one: what it writes is guarded by how often the run was looked at and asked to be cancelled.
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, Row, Text, text

from bridge.edges.inbox import auditing, waits
from bridge.edges.inbox.engine.statements import a_list
from bridge.edges.inbox.rows import instant, microseconds
from bridge.words.audit import AuditLine
from bridge.words.waits import Abandoned, TaskKey, Wait

_KEY = "airflow, dag_id, dag_run_id, task_id, map_index, run_id"
_COLUMNS = f"{_KEY}, try_number, pipeline_id, source, gone_at, looks, asked"
_ADD = text(
    f"INSERT INTO abandoned ({_COLUMNS}, due_at) VALUES (:airflow, :dag_id, :dag_run_id, :task_id, :map_index, :run_id,"  # noqa: S608 - our own names
    " :try_number, :pipeline_id, :source, :gone_at, 0, 0, :due_at)"
    f" ON CONFLICT ({_KEY}) DO UPDATE SET try_number = excluded.try_number, gone_at = excluded.gone_at,"
    " due_at = excluded.due_at, looks = 0"
)
_DUE = text(
    f"SELECT {_COLUMNS} FROM abandoned WHERE airflow = :airflow AND due_at <= :now"  # noqa: S608 - our own names
    " AND source NOT IN :but ORDER BY due_at LIMIT :limit"
).bindparams(a_list("but", Text()))
_IS_IT = (
    "airflow = :airflow AND dag_id = :dag_id AND dag_run_id = :dag_run_id AND task_id = :task_id"
    " AND map_index = :map_index AND run_id = :run_id AND looks = :looks AND asked = :asked"
)
_LOOK_AGAIN = text(f"UPDATE abandoned SET looks = looks + 1, due_at = :due_at WHERE {_IS_IT}")  # noqa: S608
_POSTPONE = text(f"UPDATE abandoned SET due_at = :due_at WHERE {_IS_IT}")  # noqa: S608 - our own names
_ASK = text(f"UPDATE abandoned SET asked = asked + 1, due_at = :due_at WHERE {_IS_IT}")  # noqa: S608
_SETTLE = text(f"DELETE FROM abandoned WHERE {_IS_IT}")  # noqa: S608
_IS_WAITED_FOR = text("SELECT 1 FROM waits WHERE run_id = :run_id LIMIT 1")
_HAS_ENDED = text(
    "SELECT 1 FROM completions WHERE about_id = :run_id AND kind = 'run' AND source = :source"
    " AND (pipeline_id IS NULL OR CAST(:pipeline_id AS TEXT) IS NULL OR pipeline_id = :pipeline_id) LIMIT 1"
)
_COUNT = text("SELECT airflow, COUNT(*) AS amount FROM abandoned GROUP BY airflow")


def let_go(
    connection: Connection, *, airflow: str, ended: Collection[Wait], kept: Sequence[Abandoned], due_at: datetime
) -> None:
    """Remove waits that have ended, and keep those runs that perhaps nobody waits for any more."""
    waits.forget(connection, airflow=airflow, tasks=[wait.task for wait in ended])
    if kept:
        due = microseconds(due_at)
        connection.execute(_ADD, [_place(run) | _facts(run) | {"due_at": due} for run in kept])


def due(connection: Connection, *, airflow: str, now: datetime, but: Collection[str], limit: int) -> list[Abandoned]:
    """Return runs whose task is to be looked at, the longest due first; not of the sources `but`."""
    values = {"airflow": airflow, "now": microseconds(now), "but": sorted(but), "limit": limit}
    return [_abandoned(row) for row in connection.execute(_DUE, values)]


def look_again(connection: Connection, run: Abandoned, *, at: datetime) -> None:
    """Nothing was decided: look at its task again then."""
    connection.execute(_LOOK_AGAIN, _guarded(run) | {"due_at": microseconds(at)})


def postpone(connection: Connection, run: Abandoned, *, at: datetime) -> None:
    """Nobody could be asked: the others have their turn first, and nothing is counted."""
    connection.execute(_POSTPONE, _guarded(run) | {"due_at": microseconds(at)})


def ask(connection: Connection, run: Abandoned, *, again_at: datetime) -> bool:
    """Note, before Planasonix is asked to cancel the run, that it is; False: another process has moved it on."""
    return bool(connection.execute(_ASK, _guarded(run) | {"due_at": microseconds(again_at)}).rowcount)


def settle(connection: Connection, run: Abandoned, *, line: AuditLine | None) -> bool:
    """Forget the run, and say in the audit log what was done; False: another process has."""
    if not connection.execute(_SETTLE, _guarded(run)).rowcount:
        return False
    if line is not None:
        auditing.append(connection, [line])
    return True


def is_waited_for(connection: Connection, run_id: str) -> bool:
    """Whether a task that is known to wait, in any Airflow, waits for a run."""
    return connection.execute(_IS_WAITED_FOR, {"run_id": run_id}).first() is not None


def has_ended(connection: Connection, run: Abandoned) -> bool:
    """Whether a webhook told the end of the run."""
    values = {"run_id": run.run_id, "source": run.source, "pipeline_id": run.pipeline_id}
    return connection.execute(_HAS_ENDED, values).first() is not None


def count(connection: Connection) -> dict[str, int]:
    """Return how many runs of each Airflow are not decided yet."""
    return {row.airflow: row.amount for row in connection.execute(_COUNT)}


def _place(run: Abandoned) -> dict[str, str | int | None]:
    return {"airflow": run.airflow, **run.task._asdict(), "run_id": run.run_id}


def _facts(run: Abandoned) -> dict[str, str | int | None]:
    return {
        "try_number": run.try_number,
        "pipeline_id": run.pipeline_id,
        "source": run.source,
        "gone_at": microseconds(run.gone_at),
    }


def _guarded(run: Abandoned) -> dict[str, str | int | None]:
    return _place(run) | {"looks": run.looks, "asked": run.asked}


def _abandoned(row: Row) -> Abandoned:  # type: ignore[type-arg]
    return Abandoned(
        airflow=row.airflow,
        task=TaskKey(row.dag_id, row.dag_run_id, row.task_id, row.map_index),
        try_number=row.try_number,
        run_id=row.run_id,
        pipeline_id=row.pipeline_id,
        source=row.source,
        gone_at=instant(row.gone_at),
        looks=row.looks,
        asked=row.asked,
    )
