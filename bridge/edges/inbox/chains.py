"""Statements that follow a chain back: delivery <- DAG run <- trigger <- delivery. Each step is a look-up by a key.

What an event names is never searched for, and the steps are bounded. All read only, beside the writer.
"""

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, RowMapping, Text, text

from bridge.edges.inbox.engine.ids import delivery_text, number, trigger_text
from bridge.edges.inbox.engine.statements import a_list
from bridge.edges.inbox.vault import place, ring_of
from bridge.rules.hops import MOST_LINKS, Cause, Chain, Link, carried
from bridge.words.errors import Locked, NotThere

_COLUMNS = "t.id, t.delivery_id, t.route, t.airflow, t.dag_id, t.dag_run_id, d.caused_by"
_FROM = f"SELECT {_COLUMNS} FROM triggers AS t LEFT JOIN deliveries AS d ON d.id = t.delivery_id WHERE"  # noqa: S608
_BY_ID = text(f"{_FROM} t.id = :id")
# The literal states let the databases use the partial index `triggers_live`. Of two Airflows the newest trigger counts.
_BY_RUN = text(
    f"{_FROM} t.airflow IN :airflows AND t.dag_id = :dag_id AND t.dag_run_id = :dag_run_id"
    " AND t.state <> 'cancelled' AND t.state <> 'failed' ORDER BY t.id DESC"
).bindparams(a_list("airflows", Text()))
_CONF = text("SELECT conf FROM triggers WHERE id = :id")
_CAUSED_BY = text("SELECT caused_by FROM deliveries WHERE id = :id")


def trace(connection: Connection, cause: Cause, *, airflows: Collection[str]) -> Chain:
    """Return the chain that ends with what an event names; empty if that is no trigger of this store."""
    row = _named(connection, cause, airflows)
    if row is None:
        return Chain()
    return Chain(_walk(connection, row), _carried(connection, row["id"]))


def behind(connection: Connection, delivery_id: str) -> Chain:
    """Return the chain that led to a delivery, as routing noted it."""
    caused_by = connection.execute(_CAUSED_BY, {"id": number(delivery_id, "dlv")}).scalar()
    row = None if caused_by is None else _by_id(connection, caused_by)
    return Chain() if row is None else Chain(_walk(connection, row), _carried(connection, row["id"]))


def _named(connection: Connection, cause: Cause, airflows: Collection[str]) -> RowMapping | None:
    for trigger_id in cause.trigger_ids:
        try:
            row = _by_id(connection, number(trigger_id, "trg"))
        except NotThere:  # larger than any id
            continue
        if row is not None:
            return row
    if cause.dag_id is None or not airflows:
        return None
    values = {"airflows": list(airflows), "dag_id": cause.dag_id, "dag_run_id": cause.dag_run_id}
    return connection.execute(_BY_RUN, values).mappings().first()


def _by_id(connection: Connection, row: int) -> RowMapping | None:
    return connection.execute(_BY_ID, {"id": row}).mappings().first()


def _walk(connection: Connection, row: RowMapping) -> tuple[Link, ...]:
    """Follow from trigger to trigger, each once: who forges an id can close the chain."""
    found: dict[int, Link] = {}
    following: RowMapping | None = row
    while following is not None and following["id"] not in found and len(found) < MOST_LINKS:
        found[following["id"]] = _link(following)
        caused_by = following["caused_by"]
        following = None if caused_by is None else _by_id(connection, caused_by)
    return tuple(found.values())


def _link(row: RowMapping) -> Link:
    ids = trigger_text(row["id"]), delivery_text(row["delivery_id"])
    return Link(*ids, row["route"], row["airflow"], row["dag_id"], row["dag_run_id"] or "")


def _carried(connection: Connection, row: int) -> int:
    """Return the hops in a trigger's conf, as the bridge wrote them; 0 if they were erased or cannot be opened."""
    sealed = connection.execute(_CONF, {"id": row}).scalar()
    try:
        conf = json.loads(ring_of(connection).open_text(str(sealed), place("triggers", "conf", row)))
    except Locked:
        return 0
    own: Any = conf.get("planasonix")
    return (carried(own.get("hops")) or 0) if isinstance(own, dict) else 0
