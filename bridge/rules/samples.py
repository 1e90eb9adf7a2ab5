"""Bodies as Planasonix sends them: the one place for their shapes. Pure.

The first is the only one that Planasonix documents whole; the others have documented names, and the fields that its API
documents. `sample` prints them, tests of routes begin with one, `send` gives each of many its own ids.
A field of an event stands at another place in each shape; `changed` knows where.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bridge.rules.yamltree.tree import nearest
from bridge.words.model import EVENT_FIELDS

Json = dict[str, Any]
_CONNECTION = "conn_01jq8k2m3n4p5q6r7s8t9u0v1"
_IDS = ("id", "event_id", "job_id", "run_id")
_SHORT: dict[str, str] = {
    "id": "/id",
    "type": "/type",
    "occurred_at": "/timestamp",
    "job_id": "/job_id",
    "duration_seconds": "/data/summary/duration_seconds",
    "rows_loaded": "/data/summary/total_rows_synced",
    **{
        name: f"/data/{name}"
        for name in EVENT_FIELDS
        if name not in {"id", "type", "occurred_at", "job_id", "duration_seconds", "rows_loaded", "data"}
    },
}
FIELDS = tuple(name for name in EVENT_FIELDS if name in _SHORT)  # that can be changed by their names


@dataclass(frozen=True, slots=True)
class Shape:
    """One body, what it is, and where its fields stand (JSON pointers)."""

    name: str
    about: str
    body: Json
    places: Mapping[str, str]


def _full_job() -> Json:
    data: Json = {
        "id": "job_01jq8syncabc",
        "type": "connection_sync",
        "status": "succeeded",
        "connection_id": _CONNECTION,
        "pipeline_id": "pl_01hqxyz",
        "environment": "production",
        "started_at": "2025-03-27T14:22:12Z",
        "finished_at": "2025-03-27T14:26:20Z",
        "duration_seconds": 248,
        "metrics": {"rows_extracted": 45210, "rows_loaded": 44802, "bytes_read": 67108864},
        "error": None,
        "parameters": {"business_date": "2025-03-27"},
        "metadata": {
            "triggered_by": "airflow_dag_nightly_sales",
            "dag_id": "nightly_sales_to_warehouse",
            "dag_run_id": "scheduled__2025-03-27T02:00:00+00:00",
        },
    }
    return _event("evt_01jq8aa03", "job.succeeded", "2025-03-27T14:26:20Z", data, job_id=data["id"])


def _event(event_id: str, kind: str, timestamp: str, data: Json, **more: str) -> Json:
    return {"id": event_id, "type": kind, "timestamp": timestamp, **more, "data": data}


def _job(event_id: str, kind: str, timestamp: str, job_id: str, **data: Any) -> Json:
    return _event(event_id, kind, timestamp, data, job_id=job_id)


def _loaded(rows: int, seconds: int) -> Json:
    return {"total_rows_synced": rows, "duration_seconds": seconds}


_JOB_FAILED = _job(
    "evt_01jq8aa02",
    "job.failed",
    "2025-03-27T14:30:05Z",
    "job_01jq8fail01",
    status="failed",
    error={"code": "SOURCE_ERROR", "message": "Connection error"},
    summary=_loaded(0, 31),
)
_BACKFILL = _event(
    "evt_01jq8aa04",
    "backfill.completed",
    "2025-03-27T16:02:00Z",
    {
        "id": "bf_01jq8bfill01",
        "connection_id": _CONNECTION,
        "status": "completed",
        "start_at": "2025-01-01T00:00:00Z",
        "end_at": "2025-03-01T00:00:00Z",
        "progress_percent": 100,
        "rows_processed": 4998120,
        "job_ids": ["job_01jq8chunk01", "job_01jq8chunk02"],
        "error": None,
    },
)
_RUN = _event(
    "evt_01jq8aa05",
    "pipeline.run.succeeded",
    "2025-03-27T02:18:42Z",
    {
        "id": "run_01j8k2m4",
        "pipelineId": "pl_02hqabc",
        "pipelineName": "crm_to_warehouse",
        "status": "succeeded",
        "trigger": {"type": "schedule", "scheduleId": "sch_01"},
        "startedAt": "2025-03-27T02:00:00Z",
        "finishedAt": "2025-03-27T02:18:42Z",
        "durationSeconds": 1122,
        "metrics": {"rowsRead": 2450000, "rowsWritten": 2450000},
        "error": None,
    },
)
_GOVERNANCE = _event(
    "evt_01jq8aa07",
    "governance.contract_violation",
    "2025-03-27T03:15:00Z",
    {
        "id": "cvi_01j9ka1b2c3d4e5f6",
        "contract_id": "ctr_01j9k8u9v0w1x2y3",
        "rule_id": "email_format",
        "status": "open",
    },
)
_ACTION: Json = {
    "event": "load.finished",
    "event_id": "orders-2025-03-27",
    "pipeline_id": "pl_inventory_hourly",
    "run_id": "run_01j9k5a0z9y8x7w6",
    "status": "success",
    "business_date": "2025-03-27",
}
_IN_A_RUN = {
    "run_id": "/data/id",
    "pipeline_id": "/data/pipelineId",
    "pipeline_name": "/data/pipelineName",
    "connection_id": "/data/connectionId",
    "started_at": "/data/startedAt",
    "finished_at": "/data/finishedAt",
    "duration_seconds": "/data/durationSeconds",
    "rows_loaded": "/data/metrics/rowsWritten",
}
_DOCUMENTED = _job(
    "evt_abc123",
    "job.completed",
    "2024-01-15T10:30:00Z",
    "job_xyz789",
    status="completed",
    summary=_loaded(48291, 245),
)
_SUCCEEDED = _job(
    "evt_01jq8aa01",
    "job.succeeded",
    "2025-03-27T14:26:20Z",
    "job_01jq8syncabc",
    status="succeeded",
    summary=_loaded(44802, 248),
)
_CANCELLED = _job("evt_01jq8aa06", "job.cancelled", "2025-03-27T14:31:00Z", "job_01jq8syncabc", status="canceled")
_TEST = _job("evt_test_01", "job.succeeded", "2025-03-27T15:12:00Z", "job_test", status="succeeded", test=True)

SHAPES: Mapping[str, Shape] = {
    shape.name: shape
    for shape in (
        Shape("job.completed", "documented whole: a job has ended; names no pipeline", _DOCUMENTED, _SHORT),
        Shape(
            "job.succeeded",
            "a job has succeeded, with all that the API says of it",
            _full_job(),
            _SHORT | {"duration_seconds": "/data/duration_seconds", "rows_loaded": "/data/metrics/rows_loaded"},
        ),
        Shape("job.succeeded.short", "a job has succeeded; names no pipeline", _SUCCEEDED, _SHORT),
        Shape("job.failed", "a job has failed; names no pipeline", _JOB_FAILED, _SHORT),
        Shape("job.cancelled", "a job was cancelled; names no pipeline", _CANCELLED, _SHORT),
        Shape(
            "backfill.completed",
            "a backfill has ended; names a connection and no pipeline",
            _BACKFILL,
            _SHORT
            | {"backfill_id": "/data/id", "rows_loaded": "/data/rows_processed"}
            | {"duration_seconds": "/data/duration_seconds"},
        ),
        Shape("pipeline.run.succeeded", "a pipeline's run has succeeded, in camelCase", _RUN, _SHORT | _IN_A_RUN),
        Shape("governance.contract_violation", "no end of a load: starts nothing", _GOVERNANCE, _SHORT),
        Shape("test", "what `Send test event` may send: starts nothing", _TEST, _SHORT),
        Shape(
            "webhook_action",
            "a Webhook Action of a pipeline: whatever its author wrote",
            _ACTION,
            {name: f"/{name}" for name in FIELDS} | {"id": "/event_id", "type": "/event"},
        ),
    )
}


def test_event(own_id: str, at: str) -> bytes:
    """Return a body that starts no DAG run, whatever the mapping says: it is marked, and names no job, run or pipeline.

    `at` is the instant as `views.instant` spells it. A new id each time, else it is a copy of the one before.
    """
    return compact({"id": own_id, "type": "webhook.test", "timestamp": at, "test": True})


def changed(name: str, changes: Mapping[str, Any]) -> Json:
    """Return the body of a shape with other values: by the field of the event, or by JSON pointer (`/data/x`).

    Raises ValueError for a name or a field that there is not, with the nearest one.
    """
    shape = SHAPES.get(name)
    if shape is None:
        raise ValueError(f'no sample "{name}"' + (nearest(name, list(SHAPES)) or f"; there is {', '.join(SHAPES)}"))
    body = copy.deepcopy(shape.body)
    for word, value in changes.items():
        for pointer in _pointers(shape, word):
            _put(body, pointer, value)
    return body


def compact(body: Json) -> bytes:
    """Spell a body in one line without blanks, as it is sent."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def renamed(body: Json, suffix: str) -> Json:
    """Return a body as another event's: its ids get a suffix, so that it is no duplicate."""
    found = copy.deepcopy(body)
    places = [found, found["data"]] if isinstance(found.get("data"), dict) else [found]
    for place in places:
        for key in _IDS:
            if isinstance(place.get(key), str):
                place[key] += suffix
    return found


def _pointers(shape: Shape, word: str) -> tuple[str, ...]:
    if word.startswith("/"):
        return (word,)
    if word not in FIELDS:
        hint = nearest(word, FIELDS) or f"; there is {', '.join(FIELDS)}, or a JSON pointer like /data/metrics/rows"
        raise ValueError(f'no field "{word}"{hint}')
    # A job's event may name the job twice, and would contradict itself with two.
    is_twice = word == "job_id" and "id" in shape.body.get("data", {}) and shape.body.get("job_id") is not None
    return (shape.places[word], "/data/id") if is_twice else (shape.places[word],)


def _put(body: Json, pointer: str, value: Any) -> None:
    """Set the value at a JSON pointer; what is missing on the way to it is made."""
    *way, last = (step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/"))
    place: Any = body
    for step in way:
        if isinstance(place, list):
            place = place[_index(place, step, pointer)]
        else:
            if not isinstance(place.get(step), dict | list):
                place[step] = {}
            place = place[step]
    if isinstance(place, list):
        place[_index(place, last, pointer)] = value
    else:
        place[last] = value


def _index(items: list[Any], step: str, pointer: str) -> int:
    if not (step.isascii() and step.isdigit() and int(step) < len(items)):
        raise ValueError(f'"{pointer}": there is no item {step}')
    return int(step)
