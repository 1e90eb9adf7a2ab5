"""Statements that find which trigger has a DAG run id, and for which completion.

They never judge by the name alone: what the release before has made is judged by its conf. Only a route's own name says
what is the same. There also what a person cancelled, or what gave way to a newer one, keeps it until a person asks.
"""

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from bridge.edges.inbox.engine.ids import delivery_text, number, trigger_text
from bridge.edges.inbox.vault import place, ring_of
from bridge.rules.completion import Completion, Standing, is_same
from bridge.words.errors import Locked
from bridge.words.model import Call, TriggerState
from bridge.words.reasons import Reason

# The literal states let the databases use the partial index `triggers_live`.
_HOLDER = text(
    "SELECT t.id, t.delivery_id, t.route, t.airflow, t.dag_id, t.rerun, t.state, t.conf, d.source,"
    " c.delivery_id AS told FROM triggers AS t JOIN deliveries AS d ON d.id = t.delivery_id"
    " LEFT JOIN completions AS c ON c.delivery_id = t.delivery_id"
    " WHERE t.airflow = :airflow AND t.dag_id = :dag_id AND t.dag_run_id = :dag_run_id"
    " AND t.state <> 'cancelled' AND t.state <> 'failed' AND t.id <> :id"
)
# What a replay took back is of no series. The first two conditions let the databases use the partial index
# `triggers_stopped`.
_STOPPED = text(
    "SELECT id, delivery_id, route, airflow, dag_id, rerun, state, reason FROM triggers"
    " WHERE airflow = :airflow AND dag_id = :dag_id AND dag_run_id = :dag_run_id AND state = 'cancelled'"
    " AND reason IN ('by_operator','superseded') AND (reason = 'by_operator' OR series IS NOT NULL) AND id <> :id"
    " LIMIT 1"
)


def holder_of(
    connection: Connection, run_id: str, call: Call | Standing, completion: Completion | None, *, beside: str
) -> tuple[Standing, bool] | None:
    """Return the live trigger that has a DAG run id at a call's DAG, and whether it is of this completion.

    `beside` is the trigger that asks. Only what the release before has made can be of this completion: everything else
    is known as its trigger already, and is False.
    """
    row = connection.execute(_HOLDER, _values(run_id, call, beside)).mappings().first()
    if row is None:
        return None
    standing = _standing(row, reason=None)
    if completion is None or row["told"] is not None:
        return standing, False
    return standing, is_same(completion, _carried(connection, row), source=row["source"])


def stopped_under(connection: Connection, call: Call, *, beside: str) -> Standing | None:
    """Return a trigger that was stopped under a call's DAG run id, whatever completion it is of: it owns that name."""
    row = connection.execute(_STOPPED, _values(call.dag_run_id, call, beside)).mappings().first()
    return None if row is None else _standing(row, reason=Reason.of(row["reason"]))


def _values(run_id: str, call: Call | Standing, beside: str) -> dict[str, Any]:
    return {"airflow": call.airflow, "dag_id": call.dag_id, "dag_run_id": run_id, "id": number(beside, "trg")}


def _standing(row: Mapping[Any, Any], *, reason: Reason | None) -> Standing:
    return Standing(
        trigger_text(row["id"]),
        delivery_text(row["delivery_id"]),
        row["route"],
        row["airflow"],
        row["dag_id"],
        row["rerun"],
        TriggerState(row["state"]),
        reason,
    )


def _carried(connection: Connection, row: Mapping[Any, Any]) -> Mapping[str, Any] | None:
    """Return what the conf of a stored trigger says of its event; None when that was erased or cannot be opened."""
    try:
        conf = json.loads(ring_of(connection).open_text(row["conf"], place("triggers", "conf", row["id"])))
    except Locked:
        return None
    carried = conf.get("planasonix")
    return carried if isinstance(carried, dict) else None
