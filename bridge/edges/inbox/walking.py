"""How far a list is read whose filter no index knows: a stretch of rows at a time, the newest first.

The list shows what it found in the stretch, and goes on below it where a person asks for more. So a filter that fits
nothing costs as much as one that fits a little. What an index finds is cut too where it may be most of history: what
matched no route, or is of one pipeline.
"""

from sqlalchemy import Connection, text

from bridge.edges.inbox.engine.ids import delivery_text, trigger_text
from bridge.edges.inbox.filtering import DELIVERY_FILTERS, TRIGGER_FILTERS, Filter, bounds, where
from bridge.words.model import DeliveryState, TriggerState
from bridge.words.runs import OPEN, RunState

STRETCH = 20_000  # rows: 30 ms on one core
_SELDOM = ("source", "reason", "status", "route", "dag_id", "airflow")  # which no index begins with
_NAMED = ("event_id", "delivery_id", "job_id", "run_id")  # of which there are few
# What waits is little, and its indexes are not in the order of ids.
_WAITING = frozenset({DeliveryState.RECEIVED, TriggerState.PENDING, TriggerState.FIRING})
_UNINDEXED = frozenset({DeliveryState.ROUTED, TriggerState.FIRED})  # every other state has a partial index
_EDGE = "SELECT MIN(id), COUNT(*) FROM (SELECT id FROM {table}{where} ORDER BY id DESC LIMIT :stretch) AS newest"
_EDGE_OF_PIPELINE = (
    "SELECT MIN(delivery_id), COUNT(*) FROM (SELECT delivery_id FROM completions"
    " WHERE pipeline_id = :pipeline_id{bounds} ORDER BY delivery_id DESC LIMIT :stretch) AS newest"
)
_TABLES = {"deliveries": (DELIVERY_FILTERS, "dlv", delivery_text), "triggers": (TRIGGER_FILTERS, "trg", trigger_text)}


def edge(connection: Connection, *, table: str, wanted: Filter, stretch: int = STRETCH) -> str | None:
    """Return the id of the last row of `deliveries` or `triggers` that this part of a list may look at.

    None: an index finds what is wanted, or there is no more than a stretch.
    """
    is_little = wanted.state in _WAITING or wanted.run_state in OPEN
    if is_little or any(getattr(wanted, name) is not None for name in _NAMED):
        return None
    if wanted.pipeline_id is not None:
        return _edge_of_pipeline(connection, table, wanted, stretch)
    is_seldom = any(getattr(wanted, name) is not None for name in _SELDOM)
    is_walked = is_seldom or wanted.run_state == RunState.SUCCESS
    return _edge(connection, table, wanted, stretch) if is_walked else None


def _edge(connection: Connection, table: str, wanted: Filter, stretch: int) -> str | None:
    """Walk the table, or the index of a state if there is one."""
    allowed, prefix, spell = _TABLES[table]
    state = None if wanted.state in _UNINDEXED else wanted.state
    run_state = None if wanted.run_state == RunState.SUCCESS else wanted.run_state
    walked = Filter(state, since=wanted.since, until=wanted.until, after=wanted.after, run_state=run_state)
    clause, values = where(walked, allowed, prefix)
    statement = text(_EDGE.format(table=table, where=clause))
    last, count = connection.execute(statement, values | {"stretch": stretch}).one()
    return spell(last) if count == stretch else None


def _edge_of_pipeline(connection: Connection, table: str, wanted: Filter, stretch: int) -> str | None:
    """Walk the completions of a pipeline; its triggers, which are in another order, only if there are more of those."""
    is_delivery = table == "deliveries"
    clauses, values = bounds(wanted, "delivery_id", "dlv") if is_delivery else ("", {})
    values |= {"pipeline_id": wanted.pipeline_id, "stretch": stretch}
    last, count = connection.execute(text(_EDGE_OF_PIPELINE.format(bounds=clauses)), values).one()
    if count < stretch:
        return None
    return delivery_text(last) if is_delivery else _edge(connection, table, wanted, stretch)
