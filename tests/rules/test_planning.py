"""From a body to triggers: every delivery has a fate, and no body raises."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.mapping import Mapping, read
from bridge.model import DeliveryState, TriggerState
from bridge.planning import Plan, Subject, plan
from bridge.reasons import Reason

_ROUTES = """
routes:
  - {name: sales, pipeline: pl_1, dag: [d1, d2], conf: {rows: "{{ event.rows_loaded }}"}}
  - {name: strict, pipeline: pl_2, dag: d3, conf: {a: "{{ event.parameters.x }}"}}
  - {name: asks, pipeline: pl_3, dag: d4, when: event.parameters.x > 1}
  - {name: incident, on: failed, dag: open_incident}
  - {name: off, pipeline: pl_1, dag: d5, enabled: false}
"""


def _mapping(text: str = _ROUTES) -> Mapping:
    return read(text, file="m.yaml", airflows=["default"], sources=["planasonix"])


def _plan(body: bytes, mapping: Mapping | None = None, *, max_hops: int = 5, **subject: Any) -> Plan:
    numbers = itertools.count(1)
    return plan(
        Subject(id="dlv_1", source="planasonix", received_at="2025-03-27T14:26:20Z", body=body, **subject),
        _mapping() if mapping is None else mapping,
        new_trigger_id=lambda: f"trg_{next(numbers)}",
        max_hops=max_hops,
    )


def _body(**fields: Any) -> bytes:
    return json.dumps(
        {"id": "evt_1", "type": "job.completed", "status": "succeeded", "job_id": "job_1"} | fields
    ).encode()


@pytest.mark.parametrize(
    ("body", "state", "reason"),
    [
        (_body(pipeline_id="pl_1"), DeliveryState.ROUTED, None),
        (_body(pipeline_id="pl_9"), DeliveryState.UNROUTED, Reason.NO_ROUTE),
        (_body(), DeliveryState.UNROUTED, Reason.NO_ROUTE),
        (_body(pipeline_id="pl_1", test=True), DeliveryState.IGNORED, Reason.TEST_EVENT),
        (_body(pipeline_id="pl_1", status="running"), DeliveryState.IGNORED, Reason.STATUS_RUNNING),
        (_body(pipeline_id="pl_1", status="partial"), DeliveryState.IGNORED, Reason.STATUS_UNKNOWN),
        (b"not json", DeliveryState.INVALID, Reason.UNREADABLE_JSON),
        (_body(pipeline_id=5), DeliveryState.INVALID, Reason.UNREADABLE_FIELD),
    ],
)
def test_the_fate_of_a_delivery(body: bytes, state: DeliveryState, reason: Reason | None) -> None:
    """Routed, unrouted, ignored or invalid, with the reason."""
    found = _plan(body)

    assert (found.state, found.reason) == (state, reason)


def test_every_dag_of_every_matching_route_is_a_trigger() -> None:
    """All matching routes fire, each with its own trigger id, which the conf carries."""
    found = _plan(_body(pipeline_id="pl_1", rows_loaded=7))

    assert [(planned.route.name, planned.dag_id, planned.state) for planned in found.triggers] == [
        ("sales", "d1", TriggerState.PENDING),
        ("sales", "d2", TriggerState.PENDING),
    ]
    for planned in found.triggers:
        assert planned.call is not None
        assert planned.call.conf["rows"] == 7
        assert planned.call.conf["planasonix"]["trigger_id"] == planned.id
    assert len({planned.id for planned in found.triggers}) == 2


@pytest.mark.parametrize(
    ("pipeline", "reason", "detail"),
    [("pl_2", Reason.TEMPLATE, "conf.a: "), ("pl_3", Reason.CONDITION, "when: ")],
)
def test_what_fails_in_the_mapping_is_a_failed_trigger(pipeline: str, reason: Reason, detail: str) -> None:
    """A template or a condition that errs is never a silent no."""
    (planned,) = _plan(_body(pipeline_id=pipeline)).triggers

    assert (planned.state, planned.reason, planned.call) == (TriggerState.FAILED, reason, None)
    assert planned.detail is not None
    assert planned.detail.startswith(detail)


def test_one_failing_route_holds_no_other_back() -> None:
    """The routes of one delivery are independent."""
    found = _plan(
        _body(pipeline_id="pl_2", type="job.failed", status="failed"),
        _mapping(_ROUTES.replace("dag: d3,", "dag: d3, on: failed,")),
    )

    assert [(planned.route.name, planned.state) for planned in found.triggers] == [
        ("strict", TriggerState.FAILED),
        ("incident", TriggerState.PENDING),
    ]


@pytest.mark.parametrize(
    ("hops", "state"), [(0, TriggerState.PENDING), (4, TriggerState.PENDING), (5, TriggerState.HELD)]
)
def test_a_circle_is_held(hops: int, state: TriggerState) -> None:
    """As many DAG runs behind the event as allowed: it starts no other one by itself."""
    found = _plan(_body(pipeline_id="pl_1", metadata={"hops": hops}))

    assert {planned.state for planned in found.triggers} == {state}


def test_an_event_without_any_id_has_the_same_run_for_every_copy() -> None:
    """Its bytes tell it; other bytes are another run."""
    bodies = [
        b'{"type":"job.completed","status":"succeeded","pipeline_id":"pl_1"%s}' % more for more in (b"", b"", b" ")
    ]
    ids = [planned.call.dag_run_id for body in bodies for planned in _plan(body).triggers[:1] if planned.call]

    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("body", "subject", "wants"),
    [
        (_body(), {}, True),
        (_body(pipeline_id="pl_1"), {}, False),
        (_body(job_id=None), {}, False),
        (_body(), {"lookup": {"id": "job_1", "pipeline_id": "pl_1"}}, False),
        (_body(), {"path_pipeline_id": "pl_1"}, False),
    ],
)
def test_when_to_ask_the_api(body: bytes, subject: dict[str, Any], wants: bool) -> None:
    """Only for a job without a pipeline, and only until it has answered."""
    assert _plan(body, **subject).wants_lookup is wants


_ID = st.sampled_from(["pl_1", "pl_2", "pl_3", "x", "", "a b", "\x00", 5, None, {}, []])
_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = st.fixed_dictionaries(
    {"status": st.sampled_from(["succeeded", "failed", "completed", "running", 1, None])},
    optional={
        "id": _ID,
        "type": st.text(max_size=10) | st.sampled_from(["job.completed", "job.failed", "test", 5]),
        "pipeline_id": _ID,
        "pipelineId": _ID,
        "job_id": _ID,
        "environment": _ANYTHING,
        "timestamp": _ANYTHING,
        "parameters": st.fixed_dictionaries({}, optional={"x": _ANYTHING}) | _ANYTHING,
        "metadata": st.fixed_dictionaries({}, optional={"hops": _ANYTHING, "planasonix": _ANYTHING}) | _ANYTHING,
        "rows_loaded": _ANYTHING,
        "data": _ANYTHING,
        "error": _ANYTHING,
    },
)
_BODIES = st.binary(max_size=60) | _FIELDS.map(lambda fields: json.dumps(fields).encode())
_EVERY_FIELD = _mapping(
    """
routes:
  - dag: d1
    on: [succeeded, failed, cancelled, skipped]
    when: event.parameters.x is undefined or event.parameters.x != event.rows_loaded
    dag_run_id: "own-{{ event.id }}-{{ event.parameters.x | default(event.type) }}"
    note: "{{ event.error }} {{ event.data }}"
    conf: {all: "{{ event }}", x: "{{ event.parameters.x | default(none) }}", text: "{{ event.metadata }}!"}
"""
)


@given(body=_BODIES, path=st.none() | st.text(max_size=8), lookup=st.none() | st.dictionaries(st.text(), _ANYTHING))
@example(body=b"", path=None, lookup=None)
@example(body=b"[" * 10_000, path=None, lookup=None)
@example(body=b"{}", path="", lookup={})
def test_no_body_raises(body: bytes, path: str | None, lookup: dict[str, Any] | None) -> None:
    """Whatever an authentic sender writes, the delivery gets a state, and every call can be stored and sent."""
    for mapping in (_mapping(), _EVERY_FIELD):
        found = _plan(body, mapping, path_pipeline_id=path, lookup=lookup)

        for planned in found.triggers:
            assert (planned.call is None) == (planned.state is TriggerState.FAILED)
            if planned.call is not None:
                json.dumps(planned.call.conf, allow_nan=False, ensure_ascii=False).encode("utf-8")
                assert len(planned.call.dag_run_id) <= 250
