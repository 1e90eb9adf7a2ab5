"""Statements that find what an id means: a delivery, trigger, event, job, run, backfill, DAG run or pipeline.

Each is a look-up by an index, but the last. In this order, and the first that finds something counts:

    dlv_..., trg_...      by the primary key, if it has the form of ours: a sender's id may begin alike
    an event              by its keys among the sources that are configured
    a job, run, backfill  by the completions that deliveries tell of
    a DAG run             by the live triggers of each DAG; one that is named as usual also by its completion
    a pipeline            by the index of completions on it, the newest first
    a DAG run             once more, among the newest triggers that failed or were cancelled: no index has their ids
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, CursorResult, text

from bridge.edges.inbox.browsing import Filter, deliveries
from bridge.edges.inbox.engine.ids import delivery_text, number, prefix_of
from bridge.edges.inbox.rows import first_from, first_since
from bridge.rules.completion import DEFAULT_PREFIX
from bridge.words.errors import NotThere
from bridge.words.model import Status, TriggerState

_OF_TRIGGER = text("SELECT delivery_id FROM triggers WHERE id = :id")
_THERE = text("SELECT id FROM deliveries WHERE id = :id")
_TELLING_OF = text(
    "SELECT delivery_id, kind FROM completions WHERE about_id = :about_id AND delivery_id >= :since"
    " AND delivery_id < :until ORDER BY delivery_id DESC LIMIT :limit"
)
_OF_PIPELINE = text(
    "SELECT delivery_id FROM completions WHERE pipeline_id = :pipeline_id AND delivery_id >= :since"
    " AND delivery_id < :until ORDER BY delivery_id DESC LIMIT :limit"
)
_COPIES = text(
    "SELECT other.delivery_id FROM completions AS mine JOIN completions AS other ON other.about_id = mine.about_id"
    " AND other.kind = mine.kind AND other.source = mine.source AND other.status = mine.status"
    " AND (mine.pipeline_id IS NULL OR other.pipeline_id IS NULL OR other.pipeline_id = mine.pipeline_id)"
    " WHERE mine.delivery_id = :id AND other.delivery_id <> :id ORDER BY other.delivery_id DESC LIMIT :limit"
)
# The literal conditions let the databases use the partial index `triggers_live`.
_LIVE = "state <> 'cancelled' AND state <> 'failed' AND dag_run_id IS NOT NULL"
_NEXT_AIRFLOW = text(f"SELECT MIN(airflow) FROM triggers WHERE {_LIVE} AND airflow > :airflow")  # noqa: S608
_NEXT_DAG = text(f"SELECT MIN(dag_id) FROM triggers WHERE {_LIVE} AND airflow = :airflow AND dag_id > :dag_id")  # noqa: S608
_OF_RUN = text(
    f"SELECT delivery_id FROM triggers WHERE {_LIVE} AND airflow = :airflow AND dag_id = :dag_id"  # noqa: S608
    " AND dag_run_id = :dag_run_id"
)
_MOST_DAGS = 2000  # a look-up each
_OF_ENDED = text(
    "SELECT delivery_id FROM (SELECT delivery_id, dag_run_id FROM triggers WHERE state = :state"
    " AND state IN ('held','failed','cancelled') ORDER BY id DESC LIMIT :most) AS newest"
    " WHERE dag_run_id = :dag_run_id"
)
_ENDED = (TriggerState.FAILED, TriggerState.CANCELLED)
MOST_ENDED = 20_000  # rows of each state: 0.1 s on one core
_USUAL = re.compile(rf"{DEFAULT_PREFIX}(.+)__({'|'.join(Status)})__")


@dataclass(frozen=True, slots=True)
class Found:
    """What an id means, and the deliveries that have it, newest first. `kind` is None if nothing has."""

    kind: str | None
    deliveries: tuple[str, ...]


def find(
    connection: Connection,
    id_: str,
    *,
    sources: Collection[str],
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 5,
) -> Found:
    """Return what an id means. A time narrows down jobs and pipelines. Raises NotThere for our own ids."""
    if (prefix := prefix_of(id_)) in ("dlv", "trg"):
        return _own(connection, id_, prefix)
    bounds = {"since": first_since(since), "until": first_from(until), "limit": limit}
    for kind, found in _ways(connection, id_, sources, bounds):
        if found:
            return Found(kind, tuple(found))
    if id_.startswith(("dlv_", "trg_")):
        number(id_, id_[:3])  # raises: it says the form that ours have, which helps whoever mistyped one
    return Found(None, ())


def _own(connection: Connection, id_: str, prefix: str) -> Found:
    if prefix == "trg":
        row = connection.execute(_OF_TRIGGER, {"id": number(id_, "trg")}).scalar()
        kind = "trigger"
    else:
        row = connection.execute(_THERE, {"id": number(id_, "dlv")}).scalar()
        kind = "delivery"
    if row is None:
        raise NotThere(f"no {kind} {id_}")
    return Found(kind, (delivery_text(row),))


def _ways(
    connection: Connection, id_: str, sources: Collection[str], bounds: dict[str, int]
) -> Iterator[tuple[str, list[str]]]:
    wanted = Filter(event_id=id_, among=tuple(sources))
    if sources:
        yield "event", [each.id for each in deliveries(connection, wanted=wanted, limit=bounds["limit"])]
    yield from _telling_of(connection, id_, bounds)
    yield "dag_run", _of_run(connection, id_)
    if (usual := _USUAL.match(id_)) is not None:
        yield "dag_run", [each for _, found in _telling_of(connection, usual[1], bounds) for each in found]
    yield "pipeline", _texts(connection.execute(_OF_PIPELINE, bounds | {"pipeline_id": id_}))
    yield "dag_run", _of_ended(connection, id_)[: bounds["limit"]]


def _telling_of(connection: Connection, about_id: str, bounds: dict[str, int]) -> Iterator[tuple[str, list[str]]]:
    rows = connection.execute(_TELLING_OF, bounds | {"about_id": about_id}).all()
    if rows:
        yield rows[0].kind, list(dict.fromkeys(delivery_text(row.delivery_id) for row in rows))


def _of_run(connection: Connection, dag_run_id: str) -> list[str]:
    """Return the deliveries of the live triggers of a DAG run: one probe for each DAG that has any."""
    found: set[str] = set()
    for airflow, dag_id in _dags(connection):
        values = {"airflow": airflow, "dag_id": dag_id, "dag_run_id": dag_run_id}
        found |= set(_texts(connection.execute(_OF_RUN, values)))
    return sorted(found, reverse=True)


def _of_ended(connection: Connection, dag_run_id: str) -> list[str]:
    """Return the deliveries of the newest triggers that failed or were cancelled under this DAG run id."""
    values = {"dag_run_id": dag_run_id, "most": MOST_ENDED}
    found = [id_ for state in _ENDED for id_ in _texts(connection.execute(_OF_ENDED, values | {"state": state}))]
    return sorted(set(found), reverse=True)


def _dags(connection: Connection) -> list[tuple[str, str]]:
    """Return the DAGs that have live triggers, by stepping through the index."""
    found: list[tuple[str, str]] = []
    airflow: str | None = ""
    while airflow is not None and len(found) < _MOST_DAGS:
        airflow = connection.execute(_NEXT_AIRFLOW, {"airflow": airflow}).scalar()
        dag_id: str | None = "" if airflow is not None else None
        while dag_id is not None and len(found) < _MOST_DAGS:
            dag_id = connection.execute(_NEXT_DAG, {"airflow": airflow, "dag_id": dag_id}).scalar()
            if airflow is not None and dag_id is not None:
                found.append((airflow, dag_id))
    return found


def copies(connection: Connection, delivery_id: str, *, limit: int = 20) -> list[str]:
    """Return the other deliveries that tell of the same completion, newest first."""
    values = {"id": number(delivery_id, "dlv"), "limit": limit}
    return _texts(connection.execute(_COPIES, values))


def _texts(result: CursorResult[Any]) -> list[str]:
    return [delivery_text(row) for row in result.scalars()]
