"""Statements on tasks that wait for a completion, and on what the store knows of their runs.

One process at a time keeps the waits of an Airflow (its lease is a duty), so nothing here is guarded. What is looked
for is read beside the writer: for each wait a few steps of an index.
"""

from collections.abc import Collection, Iterable
from datetime import timedelta

from sqlalchemy import Connection, Row, text

from bridge.edges.inbox.engine.ids import delivery_text, first_id
from bridge.edges.inbox.engine.statements import announce
from bridge.edges.inbox.rows import instant, microseconds
from bridge.words.waits import Fact, OpenWaits, TaskKey, Wait

_SLACK = timedelta(minutes=5)  # between Airflow's clock and ours
_OF_TASK = "airflow = :airflow AND dag_id = :dag_id AND dag_run_id = :dag_run_id AND task_id = :task_id"
_COLUMNS = "airflow, dag_id, dag_run_id, task_id, map_index, try_number, run_id, pipeline_id, source, since, is_own"
_WAIT = ", ".join(f"w.{name}" for name in _COLUMNS.split(", "))
_KNOWN = text(f"SELECT {_COLUMNS} FROM waits WHERE airflow = :airflow")  # noqa: S608 - our own names
_ADD = text(
    f"INSERT INTO waits ({_COLUMNS}, first_id) VALUES (:airflow, :dag_id, :dag_run_id, :task_id, :map_index,"  # noqa: S608
    " :try_number, :run_id, :pipeline_id, :source, :since, :is_own, :first_id)"
    " ON CONFLICT (airflow, dag_id, dag_run_id, task_id, map_index) DO UPDATE SET try_number = excluded.try_number,"
    " run_id = excluded.run_id, pipeline_id = excluded.pipeline_id, source = excluded.source, since = excluded.since,"
    " is_own = excluded.is_own, first_id = excluded.first_id"
)
_FORGET = text(f"DELETE FROM waits WHERE {_OF_TASK} AND map_index = :map_index")  # noqa: S608 - our own names
_AGREES = (
    "(w.source IS NULL OR w.source = c.source)"
    " AND (w.pipeline_id IS NULL OR c.pipeline_id IS NULL OR w.pipeline_id = c.pipeline_id)"
)
_OWN = text(
    f"SELECT {_WAIT}, c.delivery_id, c.status AS status FROM waits AS w"  # noqa: S608 - our own names
    f" JOIN completions AS c ON c.about_id = w.run_id WHERE w.airflow = :airflow AND {_AGREES}"
    " AND c.kind IN ('run','job','backfill') ORDER BY c.delivery_id"
)
_BESIDE = text(
    f"SELECT {_WAIT}, c.delivery_id, NULL AS status FROM waits AS w"  # noqa: S608 - our own names
    " JOIN completion_ids AS n ON n.id = w.run_id JOIN completions AS c ON c.delivery_id = n.delivery_id"
    f" WHERE w.airflow = :airflow AND {_AGREES} ORDER BY c.delivery_id"
)
_NEWEST = (
    "SELECT delivery_id FROM completions WHERE pipeline_id = w.pipeline_id AND pipeline_id IS NOT NULL"
    " AND delivery_id >= w.first_id ORDER BY delivery_id DESC LIMIT 1"
)
_OF_PIPELINE = text(
    f"SELECT {_WAIT}, c.delivery_id, NULL AS status FROM waits AS w"  # noqa: S608 - our own names
    f" JOIN completions AS c ON c.delivery_id = ({_NEWEST}) WHERE w.airflow = :airflow AND w.pipeline_id IS NOT NULL"
    f" AND {_AGREES} AND c.kind IN ('job','event','delivery')"
    " AND NOT EXISTS (SELECT 1 FROM completion_ids AS n WHERE n.delivery_id = c.delivery_id)"
)
_COUNT = text("SELECT airflow, COUNT(*), MIN(since) FROM waits GROUP BY airflow")
_ALSO = text("INSERT INTO completion_ids (id, delivery_id) VALUES (:id, :delivery_id) ON CONFLICT DO NOTHING")


def known(connection: Connection, *, airflow: str) -> dict[TaskKey, Wait]:
    """Return the waits of an Airflow, as they were last seen."""
    return {found.task: found for row in connection.execute(_KNOWN, {"airflow": airflow}) for found in [_wait(row)]}


def add(connection: Connection, waits: Iterable[Wait]) -> None:
    """Store waits that are new, or are for another run than before."""
    rows = [
        _place(each.airflow, each.task)
        | {
            "try_number": each.try_number,
            "run_id": each.run_id,
            "pipeline_id": each.pipeline_id,
            "source": each.source,
            "since": microseconds(each.since),
            "is_own": int(each.is_own),
            "first_id": first_id(microseconds(each.since - _SLACK)),
        }
        for each in waits
    ]
    if rows:
        connection.execute(_ADD, rows)


def forget(connection: Connection, *, airflow: str, tasks: Collection[TaskKey]) -> None:
    """Remove waits that have ended."""
    if tasks:
        connection.execute(_FORGET, [_place(airflow, task) for task in tasks])


def facts(connection: Connection, *, airflow: str) -> list[Fact]:
    """Return what is known of the runs that are waited for; of one wait the last counts, a status before a look."""
    looks = [_fact(row) for statement in (_OF_PIPELINE, _BESIDE) for row in connection.execute(statement, _of(airflow))]
    ends = [_fact(row) for row in connection.execute(_OWN, _of(airflow))]
    return list({fact.wait.task: fact for fact in [*looks, *ends]}.values())


def count(connection: Connection) -> list[OpenWaits]:
    """Return how many tasks wait."""
    return [OpenWaits(airflow, amount, instant(oldest)) for airflow, amount, oldest in connection.execute(_COUNT)]


def tell_also(connection: Connection, delivery: int, ids: Collection[str]) -> None:
    """Keep the ids that an event names beside the one that it tells of."""
    if ids:
        connection.execute(_ALSO, [{"id": each, "delivery_id": delivery} for each in sorted(ids)])


def _of(airflow: str) -> dict[str, str]:
    return {"airflow": airflow}


def _place(airflow: str, task: TaskKey) -> dict[str, str | int | None]:
    return {"airflow": airflow, **task._asdict()}


def _fact(row: Row) -> Fact:  # type: ignore[type-arg]
    return Fact(_wait(row), delivery_text(row.delivery_id), row.status)


def _wait(row: Row) -> Wait:  # type: ignore[type-arg]
    return Wait(
        airflow=row.airflow,
        task=TaskKey(row.dag_id, row.dag_run_id, row.task_id, row.map_index),
        try_number=row.try_number,
        run_id=row.run_id,
        pipeline_id=row.pipeline_id,
        source=row.source,
        since=instant(row.since),
        is_own=bool(row.is_own),
    )


def announce_news(connection: Connection) -> None:
    """Wake every replica: one of them keeps the waits, and something was routed here."""
    announce(connection)
