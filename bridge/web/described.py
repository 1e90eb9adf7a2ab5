"""What the admin API takes and answers, path by path: the table from which its OpenAPI document is written. Pure.

Tests hold it to the code: every path of the application stands here and none more, each with the query that it takes,
and schemathesis holds the answers of a running bridge to it. Objects may have more fields than are named: a newer
release adds some.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.edges.inbox.browsing import DELIVERY_FILTERS, TRIGGER_FILTERS
from bridge.edges.inbox.grouping import FILTERS as CAUSE_FILTERS
from bridge.web.audit import QUERY as AUDIT_QUERY
from bridge.web.bodies import QUERY as BODIES_QUERY
from bridge.web.queries import MAX_LIMIT
from bridge.web.refusals import QUERY as REFUSAL_QUERY
from bridge.web.stream import FILTERS as STREAM_FILTERS
from bridge.web.telling import QUERY as COMPLETION_QUERY

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
YES_OR_NO: Schema = {"type": "boolean"}
YES_OR_NULL: Schema = {"type": ["boolean", "null"]}
NUMBER: Schema = {"type": "integer"}
NUMBER_OR_NULL: Schema = {"type": ["integer", "null"]}
INSTANT: Schema = {"type": ["string", "null"], "format": "date-time"}
ANY_OBJECT: Schema = {"type": "object"}
LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}


def record(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """Return the schema of an object that has these fields, and may have others."""
    return {"type": "object", "required": sorted(required), "properties": {**required, **(optional or {})}}


def order_of(required: Mapping[str, Schema], optional: Mapping[str, Schema]) -> Schema:
    """Return the schema of the body of a change: a field that is not named is refused."""
    return record(required, optional) | {"additionalProperties": False}


def many(item: Schema) -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": item}


def page_of(name: str, item: Schema) -> Schema:
    """Return the schema of a page of a list."""
    return record({name: many(item), "next": TEXT_OR_NULL})


DELIVERY = record({"id": TEXT, "source": TEXT, "state": TEXT, "reason": TEXT_OR_NULL, "received_at": INSTANT})
TRIGGER = record(
    {"id": TEXT, "delivery_id": TEXT, "route": TEXT, "airflow": TEXT, "dag_id": TEXT, "dag_run_id": TEXT_OR_NULL}
    | {"state": TEXT, "reason": TEXT_OR_NULL, "run_state": TEXT_OR_NULL, "created_at": INSTANT}
)
ATTEMPT = record({"number": NUMBER, "started_at": INSTANT, "outcome": TEXT, "reason": TEXT_OR_NULL})
PAUSE = record({"kind": TEXT, "name": TEXT, "is_gone": YES_OR_NO, "paused_at": INSTANT, "ends_at": INSTANT})
ORDER = record(
    {"id": TEXT, "action": TEXT, "state": TEXT, "actor": TEXT, "count": NUMBER, "done": NUMBER, "outcomes": ANY_OBJECT}
)
ROUTE = record(
    {
        "name": TEXT,
        "is_named": YES_OR_NO,
        "enabled": YES_OR_NO,
        "airflow": TEXT,
        "dags": many(TEXT),
        "matches": ANY_OBJECT,
    }
    | {"fired": NUMBER_OR_NULL, "failed": NUMBER_OR_NULL, "others": NUMBER_OR_NULL}
    | {"last_at": INSTANT, "has_none": {"type": ["boolean", "null"]}}
)
EXAMINATION = record(
    {"is_running": YES_OR_NO, "findings": many(ANY_OBJECT), "started_at": INSTANT, "ended_at": INSTANT}
)
REPLICA = {"replica": TEXT, "host": TEXT_OR_NULL, "mapping": TEXT_OR_NULL, "loaded_at": INSTANT}
PAUSE_OR_NULL: Schema = PAUSE | {"type": ["object", "null"]}
SOURCE = record(
    {"name": TEXT, "last_delivery": INSTANT, "last_refusal": INSTANT, "last_refusal_reason": TEXT_OR_NULL}
    | {"paused": PAUSE_OR_NULL, "silent_since": INSTANT}
)
AIRFLOW = record({"name": TEXT, "is_available": YES_OR_NO, "reason": TEXT_OR_NULL, "paused": PAUSE_OR_NULL})
ERROR = record({"error": TEXT, "detail": TEXT}, {"next_step": TEXT})
_CHOICE: Mapping[str, Schema] = {
    "ids": many(TEXT),
    "filter": ANY_OBJECT,
    "limit": {"type": "integer", "minimum": 1, "maximum": 100_000},
    "dry_run": YES_OR_NO,
    "expected": TEXT_OR_NULL,
    "reason": TEXT_OR_NULL,
    "idempotency_key": TEXT_OR_NULL,
}
_KIND: Schema = {"type": "string", "enum": ["route", "source", "airflow"]}
_TIMES = ("since", "until")


@dataclass(frozen=True, slots=True)
class Described:
    """One path and method: what its query may have, what its body must be, what it answers."""

    answer: Schema
    query: Collection[str] = ()
    body: Schema | None = None
    is_order: bool = False  # may go on: 202
    is_stream: bool = False
    again: str = "Sent again it changes nothing more."  # what a second time does, of what is no order


def _placed(name: str) -> Schema:
    return record({"count": NUMBER, name: ANY_OBJECT}, {"order": ORDER, "is_repeat": YES_OR_NO, "expected": TEXT})


DESCRIBED: Mapping[str, Described] = {
    "GET /status": Described(
        record(
            {"is_well": YES_OR_NO, "needs": many(ANY_OBJECT), "version": TEXT}
            | {"sources": many(SOURCE), "airflows": many(AIRFLOW), "replicas": many(record(REPLICA))}
        )
    ),
    "GET /deliveries": Described(page_of("deliveries", DELIVERY), {*DELIVERY_FILTERS, "limit"}),
    "GET /deliveries/{id}": Described(
        record({"id": TEXT, "triggers": many(TRIGGER), "lookups": NUMBER, "is_answered": YES_OR_NULL})
    ),
    "GET /triggers": Described(page_of("triggers", TRIGGER), {*TRIGGER_FILTERS, "limit"}),
    "GET /triggers/{id}": Described(
        record({"id": TEXT, "attempt_log": many(ATTEMPT), "waits_for_dag": YES_OR_NO, "dag_next_step": TEXT_OR_NULL})
    ),
    "GET /stream": Described(TEXT, STREAM_FILTERS, is_stream=True),
    "GET /verify": Described(TEXT, ("since",), is_stream=True),
    "GET /replicas": Described(record({"replicas": many(record(REPLICA | {"keys": many(ANY_OBJECT)}))})),
    "GET /missed": Described(
        record(
            {"source": TEXT, "missed": many(ANY_OBJECT), "is_behind": YES_OR_NO, "next": TEXT_OR_NULL}
            | {"has_types": YES_OR_NO, "stopped_types": many(TEXT)}
        ),
        ("source", "after", *_TIMES),
    ),
    "GET /examination": Described(EXAMINATION),
    "POST /examine": Described(
        EXAMINATION,
        body=order_of({}, {}),
        again="While one runs, no second one is started; afterwards it starts another.",
    ),
    "GET /why/{id}": Described(record({"id": TEXT, "stories": many(ANY_OBJECT), "is_cut": YES_OR_NO}), _TIMES),
    "GET /causes": Described(
        record({"causes": many(ANY_OBJECT), "count": NUMBER, "left_out": NUMBER, "is_whole": YES_OR_NO}), CAUSE_FILTERS
    ),
    "GET /routes": Described(record({"routes": many(ROUTE)})),
    "GET /history": Described(record({"hours": many(ANY_OBJECT)})),
    "GET /wait": Described(record({"outcome": TEXT, "why": TEXT}), ("delivery", "trigger", "job", "since")),
    "GET /completion": Described(
        record({"outcome": TEXT, "delivery_id": TEXT_OR_NULL, "status": TEXT_OR_NULL}), COMPLETION_QUERY
    ),
    "POST /explain": Described(
        record({"triggers": many(ANY_OBJECT)}, {"changes": {"type": ["object", "null"]}}),
        body=order_of(
            {},
            {"payload": ANY_OBJECT, "source": TEXT, "delivery_id": TEXT}
            | {"mapping": TEXT_OR_NULL, "file": TEXT_OR_NULL},
        ),
    ),
    "POST /replay": Described(
        _placed("replayed"), body=order_of({}, {**_CHOICE, "run_again": YES_OR_NO}), is_order=True
    ),
    "POST /cancel": Described(_placed("cancelled"), body=order_of({}, _CHOICE), is_order=True),
    "GET /pauses": Described(record({"pauses": many(PAUSE)})),
    "POST /pause": Described(
        record({"paused": PAUSE}),
        body=order_of(
            {"kind": _KIND, "name": TEXT}, {"for": {"type": ["string", "number", "null"]}, "reason": TEXT_OR_NULL}
        ),
        again="The same sent again within a minute changes nothing more.",
    ),
    "POST /resume": Described(
        record({"resumed": ANY_OBJECT}), body=order_of({"kind": _KIND, "name": TEXT}, {"reason": TEXT_OR_NULL})
    ),
    "GET /orders": Described(page_of("orders", ORDER), ("after", "limit")),
    "GET /orders/{id}": Described(ORDER),
    "POST /orders/{id}/stop": Described(ORDER, body=order_of({}, {"reason": TEXT_OR_NULL})),
    "GET /refusals": Described(page_of("refusals", ANY_OBJECT), REFUSAL_QUERY),
    "GET /bodies": Described(
        record({"bodies": many(ANY_OBJECT), "passed": NUMBER, "reached_at": TEXT_OR_NULL, "next": TEXT_OR_NULL}),
        BODIES_QUERY,
    ),
    "GET /export/{id}": Described(page_of("lines", ANY_OBJECT), {*DELIVERY_FILTERS, *TRIGGER_FILTERS, "limit"}),
    "GET /audit": Described(page_of("audit", ANY_OBJECT), AUDIT_QUERY),
    "POST /erase": Described(
        record({"deliveries": many(TEXT), "erased": YES_OR_NO}),
        body=order_of(
            {"source": TEXT, "event_id": TEXT}, {"reason": TEXT_OR_NULL, "cancel": YES_OR_NO, "dry_run": YES_OR_NO}
        ),
    ),
    "POST /outcomes": Described(
        record({"taken": NUMBER, "not_open": NUMBER}),
        body=order_of({"runs": many(ANY_OBJECT)}, {"airflow": TEXT_OR_NULL}),
    ),
    "GET /openapi.json": Described(record({"openapi": TEXT, "paths": ANY_OBJECT})),
}
