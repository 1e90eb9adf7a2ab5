"""Statement that finds which live trigger has a DAG run id, and for which completion.

It never judges by the name alone: what the release before has made is judged by its conf.
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

# The literal states let the databases use the partial index `triggers_live`.
_HOLDER = text(
    "SELECT t.id, t.delivery_id, t.route, t.airflow, t.dag_id, t.rerun, t.state, t.conf, d.source,"
    " c.delivery_id AS told FROM triggers AS t JOIN deliveries AS d ON d.id = t.delivery_id"
    " LEFT JOIN completions AS c ON c.delivery_id = t.delivery_id"
    " WHERE t.airflow = :airflow AND t.dag_id = :dag_id AND t.dag_run_id = :dag_run_id"
    " AND t.state <> 'cancelled' AND t.state <> 'failed' AND t.id <> :id"
)


def holder_of(
    connection: Connection, run_id: str, call: Call, completion: Completion | None, *, beside: str
) -> tuple[Standing, bool] | None:
    """Return the live trigger that has a DAG run id at a call's DAG, and whether it is of this completion.

    `beside` is the trigger that asks. Only what the release before has made can be of this completion: everything else
    is known as its trigger already, and is False.
    """
    values = {"airflow": call.airflow, "dag_id": call.dag_id, "dag_run_id": run_id, "id": number(beside, "trg")}
    row = connection.execute(_HOLDER, values).mappings().first()
    if row is None:
        return None
    standing = Standing(
        trigger_text(row["id"]),
        delivery_text(row["delivery_id"]),
        row["route"],
        row["airflow"],
        row["dag_id"],
        row["rerun"],
        TriggerState(row["state"]),
        None,
    )
    if completion is None or row["told"] is not None:
        return standing, False
    return standing, is_same(completion, _carried(connection, row), source=row["source"])


def _carried(connection: Connection, row: Mapping[Any, Any]) -> Mapping[str, Any] | None:
    """Return what the conf of a stored trigger says of its event; None when that was erased or cannot be opened."""
    try:
        conf = json.loads(ring_of(connection).open_text(row["conf"], place("triggers", "conf", row["id"])))
    except Locked:
        return None
    carried = conf.get("planasonix")
    return carried if isinstance(carried, dict) else None
