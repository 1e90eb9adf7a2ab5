"""How far a list is read whose filter no index knows: a stretch of rows at a time, the newest first.

The list shows what it found in the stretch, and goes on below it where a person asks for more. So a filter that fits
nothing costs as much as one that fits a little. What an index finds is cut too where it may be most of history: what
matched no route, or is of one pipeline.
"""

from dataclasses import replace

from sqlalchemy import Connection, text

from bridge.edges.inbox.engine.ids import delivery_text, trigger_text
from bridge.edges.inbox.filtering import DELIVERY_FILTERS, TRIGGER_FILTERS, Filter, bounds, where
from bridge.words.model import DeliveryState, TriggerState
from bridge.words.runs import OPEN, RunState

STRETCH = 20_000  # rows: 30 ms on one core
_SELDOM = ("source", "reason", "status", "route", "dag_id", "airflow")  # which no index begins with
_NAMED = ("event_id", "delivery_id", "job_id", "run_id")  # of which there are few
# Found by indexes that are not in the order of ids, so a stretch of them cannot be cut off: all of it is read, which is
# much while a source or an Airflow is paused for days.
_WAITING = frozenset({DeliveryState.RECEIVED, TriggerState.PENDING, TriggerState.FIRING})
_UNINDEXED = frozenset({DeliveryState.ROUTED, TriggerState.FIRED})  # every other state has a partial index
_EDGE = "SELECT MIN(id), COUNT(*) FROM (SELECT id FROM {table}{where} ORDER BY id DESC LIMIT :stretch) AS newest"
_EDGE_OF_PIPELINE = (
    "SELECT MIN(delivery_id), COUNT(*) FROM (SELECT delivery_id FROM completions"
    " WHERE pipeline_id = :pipeline_id{bounds} ORDER BY delivery_id DESC LIMIT :stretch) AS newest"
)
_TABLES = {"deliveries": (DELIVERY_FILTERS, "dlv", delivery_text), "triggers": (TRIGGER_FILTERS, "trg", trigger_text)}


def part(connection: Connection, *, table: str, wanted: Filter, stretch: int = STRETCH) -> Filter:
    """Return the filter of this part of a list of `deliveries` or `triggers`, with `edge` and `is_busy`.

    `edge` is the id of the last row that it may look at. None: an index finds what is wanted, or there is no more than
    a stretch.
    """
    is_waiting = wanted.state in _WAITING or wanted.run_state in OPEN
    is_found = is_waiting or any(getattr(wanted, name) is not None for name in _NAMED)
    if wanted.pipeline_id is not None and table == "deliveries" and not is_found:
        return replace(wanted, edge=_edge_of_pipeline(connection, wanted, stretch))
    wanted = replace(wanted, is_busy=is_busy(connection, wanted, stretch))
    if is_found or not (wanted.is_busy or _is_walked(wanted)):
        return wanted
    return replace(wanted, edge=_edge(connection, table, wanted, stretch))


def is_busy(connection: Connection, wanted: Filter, stretch: int = STRETCH) -> bool:
    """Return whether the pipeline that is wanted has so many completions that reading them all is no look-up."""
    if wanted.pipeline_id is None:
        return False
    values = {"pipeline_id": wanted.pipeline_id, "stretch": stretch}
    _, count = connection.execute(text(_EDGE_OF_PIPELINE.format(bounds="")), values).one()
    return bool(count == stretch)


def _is_walked(wanted: Filter) -> bool:
    """Whether no index has what is wanted; what a quiet pipeline has is looked up."""
    is_seldom = any(getattr(wanted, name) is not None for name in _SELDOM)
    is_unindexed = wanted.state in _UNINDEXED or wanted.run_state == RunState.SUCCESS
    return wanted.pipeline_id is None and (is_seldom or is_unindexed)


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


def _edge_of_pipeline(connection: Connection, wanted: Filter, stretch: int) -> str | None:
    """Walk the completions of a pipeline, which are in the order of deliveries."""
    clauses, values = bounds(wanted, "delivery_id", "dlv")
    values |= {"pipeline_id": wanted.pipeline_id, "stretch": stretch}
    last, count = connection.execute(text(_EDGE_OF_PIPELINE.format(bounds=clauses)), values).one()
    return delivery_text(last) if count == stretch else None
