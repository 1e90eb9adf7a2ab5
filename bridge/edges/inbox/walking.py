"""How far a list is read whose filter no index knows: a stretch of rows at a time, the newest first.

The list shows what it found in the stretch, and goes on below it where a person asks for more. So a filter that fits
nothing costs as much as one that fits a little.
"""

from sqlalchemy import Connection, text

from bridge.edges.inbox.engine.ids import delivery_text, trigger_text
from bridge.edges.inbox.filtering import DELIVERY_FILTERS, TRIGGER_FILTERS, Filter, where
from bridge.words.model import DeliveryState, TriggerState

STRETCH = 20_000  # rows: 30 ms on one core
_SELDOM = ("source", "reason", "route", "dag_id", "airflow")  # which no index begins with
_INDEXED = ("run_state", "event_id", "delivery_id", "pipeline_id", "job_id", "run_id")
_USUAL = (DeliveryState.ROUTED, TriggerState.FIRED, None)  # every other state has a partial index
_EDGE = "SELECT MIN(id), COUNT(*) FROM (SELECT id FROM {table}{where} ORDER BY id DESC LIMIT :stretch) AS newest"
_TABLES = {"deliveries": (DELIVERY_FILTERS, "dlv", delivery_text), "triggers": (TRIGGER_FILTERS, "trg", trigger_text)}


def edge(connection: Connection, *, table: str, wanted: Filter, stretch: int = STRETCH) -> str | None:
    """Return the id of the last row of `deliveries` or `triggers` that this part of a list may look at.

    None: an index finds what is wanted, or there is no more than a stretch.
    """
    if not _is_walked(wanted):
        return None
    allowed, prefix, spell = _TABLES[table]
    clause, values = where(Filter(since=wanted.since, until=wanted.until, after=wanted.after), allowed, prefix)
    statement = text(_EDGE.format(table=table, where=clause))
    last, count = connection.execute(statement, values | {"stretch": stretch}).one()
    return spell(last) if count == stretch else None


def _is_walked(wanted: Filter) -> bool:
    is_seldom = any(getattr(wanted, name) is not None for name in _SELDOM)
    is_indexed = any(getattr(wanted, name) is not None for name in _INDEXED)
    return is_seldom and not is_indexed and wanted.state in _USUAL
