"""What a person looks for among deliveries and triggers, as the WHERE of a statement.

The conditions of the partial indexes stand in it word for word, so that what waits, or went wrong, is found without
reading history. A pipeline, job or run is found by the table of completions: so by what routing read in the event.
What stands in another table than the one that is listed is looked up row by row, by its key, and never joined: a
database that joins may read a table whole.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bridge.edges.inbox.engine.ids import first_id, number
from bridge.edges.inbox.rows import microseconds
from bridge.words.errors import BadFilter
from bridge.words.model import DeliveryState, Status, TriggerState
from bridge.words.reasons import Reason
from bridge.words.runs import OPEN, RunState


@dataclass(frozen=True, slots=True)
class Filter:
    """What to show; None leaves a condition out. `since` is inclusive, `until` exclusive.

    An event of `among` sources is found by its key, at once; without them every delivery is looked at. `is_latest`
    leaves out what was run again. `edge` is the last row that is looked at, `is_busy` that the pipeline has many
    completions (see walking).
    """

    state: str | None = None
    source: str | None = None
    route: str | None = None
    dag_id: str | None = None
    delivery_id: str | None = None
    event_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: str | None = None
    run_state: str | None = None
    among: tuple[str, ...] = ()
    reason: str | None = None
    airflow: str | None = None
    pipeline_id: str | None = None
    job_id: str | None = None
    run_id: str | None = None
    status: str | None = None
    is_latest: bool = False
    edge: str | None = None
    is_busy: bool = False


_TELLING_OF = "{delivery} IN (SELECT delivery_id FROM completions WHERE "
_SOURCE_OF = "(SELECT came.source FROM deliveries AS came WHERE came.id = triggers.delivery_id)"
_STATUS_OF = "(SELECT told.status FROM completions AS told WHERE told.delivery_id = {delivery})"
_NAMES = {
    "dlv": {"delivery": "deliveries.id", "source": "source"},
    "trg": {"delivery": "triggers.delivery_id", "source": _SOURCE_OF},
}
_CONDITIONS = {
    "state": "state = :state",
    "source": "{source} = :source",
    "route": "route = :route",
    "dag_id": "dag_id = :dag_id",
    "delivery_id": "delivery_id = :delivery_id",
    "event_id": "event_id = :event_id",
    "since": "{id} >= :since",
    "until": "{id} < :until",
    "after": "{id} < :after",
    "edge": "{id} >= :edge",
    "run_state": "run_state = :run_state AND state = 'fired'",
    "reason": "reason = :reason",
    "airflow": "airflow = :airflow",
    "pipeline_id": _TELLING_OF + "pipeline_id = :pipeline_id{within})",
    "job_id": _TELLING_OF + "about_id = :job_id AND kind = 'job')",
    "run_id": _TELLING_OF + "about_id = :run_id AND kind = 'run')",
    "status": _STATUS_OF + " = :status",
}
_BOUNDS = ("since", "until", "after", "edge")
# Of a pipeline that has more than a stretch of completions: each row is looked up, instead of reading all of those.
_OF_BUSY_PIPELINE = (
    "EXISTS (SELECT 1 FROM completions WHERE completions.delivery_id = {delivery}"
    " AND completions.pipeline_id = :pipeline_id)"
)
LATEST = (
    "NOT EXISTS (SELECT 1 FROM triggers AS later WHERE later.delivery_id = triggers.delivery_id"
    " AND later.route = triggers.route AND later.airflow = triggers.airflow AND later.dag_id = triggers.dag_id"
    " AND later.rerun > triggers.rerun)"
)
# The conditions of the partial indexes, word for word: SQLite takes one for nothing less, and not for a parameter.
_INDEXED = {
    "dlv": ("state = 'received'", "state IN ('unrouted','ignored','invalid','stale')"),
    "trg": ("state = 'firing'", "state IN ('held','failed','cancelled')", "state IN ('pending','held')"),
}
_RUNS = ("run_state IN ('failed','deleted','unknown')", "run_due_at IS NOT NULL AND run_state IN ('queued','running')")
# The indexes of what waits are not in the order of ids: `+` keeps SQLite from walking the table instead. Nor are the
# triggers of what tells of one job, run or quiet pipeline.
_UNORDERED = frozenset({DeliveryState.RECEIVED, TriggerState.PENDING, TriggerState.FIRING})
_BY_ID = ("job_id", "run_id")
_BY_COMPLETION = frozenset({"pipeline_id", *_BY_ID})
_OF_BOTH = frozenset({"state", "source", "status", "since", "until", "after", "reason"}) | _BY_COMPLETION
DELIVERY_FILTERS = _OF_BOTH | {"event_id"}
TRIGGER_FILTERS = _OF_BOTH | {"route", "dag_id", "delivery_id", "run_state", "airflow", "is_latest"}
# What only a trigger can have as its reason: a list of deliveries by one of these is empty, whatever there is.
TRIGGER_REASONS = frozenset(
    {
        *(Reason.AIRFLOW_DOWN, Reason.AIRFLOW_UNAUTHORIZED, Reason.AIRFLOW_FORBIDDEN, Reason.AIRFLOW_MISCONFIGURED),
        *(Reason.DAG_NOT_FOUND, Reason.DAG_REFUSES_RUNS, Reason.DAG_PAUSED, Reason.LOOP_GUARD, Reason.HOURLY_CEILING),
        *(Reason.THROTTLED, Reason.ANSWER_LOST, Reason.CALL_BLOCKED, Reason.AIRFLOW_ERROR),
        *(Reason.ALREADY_THERE, Reason.SAME_COMPLETION),
        *(Reason.TEMPLATE, Reason.CONDITION, Reason.CONF_REFUSED, Reason.CONF_TOO_LARGE, Reason.RUN_ID_CONFLICT),
        *(Reason.TOO_MANY_ATTEMPTS, Reason.HELD_TOO_LONG, Reason.EXPIRED, Reason.UNKNOWN_AIRFLOW),
        *(Reason.DUPLICATE_RUN, Reason.SUPERSEDED, Reason.TOO_LATE, Reason.BY_OPERATOR),
    }
)
# What either can have.
REASONS_OF_BOTH = frozenset({Reason.PAUSED_BY_PERSON, Reason.KEY_MISSING, Reason.INTERNAL_ERROR})


def where(wanted: Filter, allowed: frozenset[str], prefix: str) -> tuple[str, dict[str, Any]]:
    """Return the WHERE clause and its values; BadFilter for a condition or a state that the table lacks."""
    given = {name: value for name in _CONDITIONS if (value := getattr(wanted, name)) is not None}
    what, states = ("deliveries", DeliveryState) if prefix == "dlv" else ("triggers", TriggerState)
    if wanted.state is not None and wanted.state not in set(states):
        raise BadFilter(f"no such state of {what}: {wanted.state}; there is {', '.join(states)}")
    if wanted.run_state is not None and wanted.run_state not in set(RunState):
        raise BadFilter(f"no such state of DAG runs: {wanted.run_state}; there is {', '.join(RunState)}")
    if wanted.status is not None and wanted.status not in set(Status):
        raise BadFilter(f"no such status of an event: {wanted.status}; there is {', '.join(Status)}")
    if surplus := given.keys() - allowed - {"edge"}:
        raise BadFilter(f"{what} cannot be filtered by {', '.join(sorted(surplus))}")
    values = {name: _value(name, value, prefix) for name, value in given.items()}
    names = _NAMES[prefix] | {"id": order(wanted, prefix), "within": ""}
    if prefix == "dlv":
        names |= {"within": bounds(wanted, "delivery_id", prefix)[0]}
    conditions = _CONDITIONS | ({"pipeline_id": _OF_BUSY_PIPELINE} if wanted.is_busy else {})
    clauses = [conditions[name].format(**names) for name in values]
    if wanted.state is not None:
        clauses += [indexed for indexed in _INDEXED[prefix] if f"'{wanted.state}'" in indexed][:1]
    clauses += [indexed for indexed in _RUNS if f"'{wanted.run_state}'" in indexed]
    clauses += [LATEST] if wanted.is_latest and prefix == "trg" else []
    return (" WHERE " + " AND ".join(clauses) if clauses else ""), values


def bounds(wanted: Filter, column: str, prefix: str) -> tuple[str, dict[str, Any]]:
    """Return what times, `after` and `edge` mean for a column of ids, each with its AND, and the values."""
    given = {name: value for name in _BOUNDS if (value := getattr(wanted, name)) is not None}
    clauses = (f" AND {_CONDITIONS[name].format(id=column)}" for name in given)
    return "".join(clauses), {name: _value(name, value, prefix) for name, value in given.items()}


def order(wanted: Filter, prefix: str) -> str:
    """Return the id by which rows are put in order and compared."""
    looked_up = _BY_ID if wanted.is_busy else _BY_COMPLETION
    is_found = prefix == "trg" and any(getattr(wanted, name) is not None for name in looked_up)
    return "+id" if wanted.state in _UNORDERED or wanted.run_state in OPEN or is_found else "id"


def _value(name: str, value: Any, prefix: str) -> Any:
    if name in ("since", "until"):
        return first_id(microseconds(value))
    if name in ("after", "edge"):
        return number(value, prefix)
    return number(value, "dlv") if name == "delivery_id" else value
