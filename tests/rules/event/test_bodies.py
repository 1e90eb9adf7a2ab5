"""The ten published bodies, each with the whole event that it must become."""

import json
from dataclasses import replace
from typing import Any

import pytest

from bridge.rules.event import identity, lacks_status, peek_id, read, set_aside, tells_of_a_completion
from bridge.rules.samples import SHAPES, compact
from bridge.words.model import Event, Status
from bridge.words.reasons import Reason

_METADATA = {
    "triggered_by": "airflow_dag_nightly_sales",
    "dag_id": "nightly_sales_to_warehouse",
    "dag_run_id": "scheduled__2025-03-27T02:00:00+00:00",
}

_EXPECTED: dict[str, tuple[Event, Reason | None, str]] = {
    "job.completed": (
        Event(
            id="evt_abc123",
            type="job.completed",
            status=Status.SUCCEEDED,
            status_word="completed",
            job_id="job_xyz789",
            occurred_at="2024-01-15T10:30:00Z",
            duration_seconds=245,
            rows_loaded=48291,
        ),
        None,
        "job_xyz789",
    ),
    "job.succeeded.short": (
        Event(
            id="evt_01jq8aa01",
            type="job.succeeded",
            status=Status.SUCCEEDED,
            status_word="succeeded",
            job_id="job_01jq8syncabc",
            occurred_at="2025-03-27T14:26:20Z",
            duration_seconds=248,
            rows_loaded=44802,
        ),
        None,
        "job_01jq8syncabc",
    ),
    "job.failed": (
        Event(
            id="evt_01jq8aa02",
            type="job.failed",
            status=Status.FAILED,
            status_word="failed",
            job_id="job_01jq8fail01",
            occurred_at="2025-03-27T14:30:05Z",
            duration_seconds=31,
            rows_loaded=0,
            error={"code": "SOURCE_ERROR", "message": "Connection error"},
        ),
        None,
        "job_01jq8fail01",
    ),
    "job.succeeded": (
        Event(
            id="evt_01jq8aa03",
            type="job.succeeded",
            status=Status.SUCCEEDED,
            status_word="succeeded",
            pipeline_id="pl_01hqxyz",
            connection_id="conn_01jq8k2m3n4p5q6r7s8t9u0v1",
            job_id="job_01jq8syncabc",
            environment="production",
            occurred_at="2025-03-27T14:26:20Z",
            started_at="2025-03-27T14:22:12Z",
            finished_at="2025-03-27T14:26:20Z",
            duration_seconds=248,
            rows_loaded=44802,
            parameters={"business_date": "2025-03-27"},
            metadata=_METADATA,
        ),
        None,
        "job_01jq8syncabc",
    ),
    "backfill.completed": (
        Event(
            id="evt_01jq8aa04",
            type="backfill.completed",
            status=Status.SUCCEEDED,
            status_word="completed",
            connection_id="conn_01jq8k2m3n4p5q6r7s8t9u0v1",
            backfill_id="bf_01jq8bfill01",
            occurred_at="2025-03-27T16:02:00Z",
            rows_loaded=4998120,
        ),
        None,
        "bf_01jq8bfill01",
    ),
    "pipeline.run.succeeded": (
        Event(
            id="evt_01jq8aa05",
            type="pipeline.run.succeeded",
            status=Status.SUCCEEDED,
            status_word="succeeded",
            pipeline_id="pl_02hqabc",
            pipeline_name="crm_to_warehouse",
            run_id="run_01j8k2m4",
            occurred_at="2025-03-27T02:18:42Z",
            started_at="2025-03-27T02:00:00Z",
            finished_at="2025-03-27T02:18:42Z",
            duration_seconds=1122,
            rows_loaded=2450000,
        ),
        None,
        "run_01j8k2m4",
    ),
    "job.cancelled": (
        Event(
            id="evt_01jq8aa06",
            type="job.cancelled",
            status=Status.CANCELLED,
            status_word="canceled",
            job_id="job_01jq8syncabc",
            occurred_at="2025-03-27T14:31:00Z",
        ),
        None,
        "job_01jq8syncabc",
    ),
    "test": (
        Event(
            id="evt_test_01",
            type="job.succeeded",
            status=Status.SUCCEEDED,
            status_word="succeeded",
            is_test=True,
            job_id="job_test",
            occurred_at="2025-03-27T15:12:00Z",
        ),
        Reason.TEST_EVENT,
        "job_test",
    ),
    "governance.contract_violation": (
        Event(
            id="evt_01jq8aa07",
            type="governance.contract_violation",
            status_word="open",
            occurred_at="2025-03-27T03:15:00Z",
        ),
        Reason.STATUS_UNKNOWN,
        "evt_01jq8aa07",
    ),
    "webhook_action": (
        Event(
            id="orders-2025-03-27",
            type="load.finished",
            status=Status.SUCCEEDED,
            status_word="success",
            pipeline_id="pl_inventory_hourly",
            run_id="run_01j9k5a0z9y8x7w6",
        ),
        None,
        "run_01j9k5a0z9y8x7w6",
    ),
}


def test_every_body_is_expected() -> None:
    """No published body is without its expectation."""
    assert set(SHAPES) == set(_EXPECTED)
    assert len(_EXPECTED) == 10


@pytest.mark.parametrize("name", _EXPECTED)
def test_published_body_becomes_this_event(name: str) -> None:
    """Each body gives exactly this event, fate, identity and peeked id."""
    body = compact(SHAPES[name].body)
    expected, fate, same = _EXPECTED[name]
    sent = json.loads(body)

    event = read(body)

    assert replace(event, data={}) == replace(expected, data={})
    assert event.data == sent.get("data", sent)
    assert set_aside(event) is fate
    assert identity(event) == same
    assert peek_id(body) == event.id


def _camel(value: Any) -> Any:
    if isinstance(value, list):
        return [_camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    keep = ("parameters", "metadata")
    return {
        name.split("_")[0] + name.title().replace("_", "")[len(name.split("_")[0]) :]: item
        if name in keep
        else _camel(item)
        for name, item in value.items()
    }


@pytest.mark.parametrize("name", _EXPECTED)
def test_camel_case_says_the_same(name: str) -> None:
    """The same body in camelCase becomes the same event, but for the raw `data`."""
    sent = json.loads(compact(SHAPES[name].body))

    event = read(json.dumps(_camel(sent)).encode())

    assert replace(event, data={}) == replace(_EXPECTED[name][0], data={})


@pytest.mark.parametrize("name", ["job.completed", "job.succeeded.short", "job.failed", "job.cancelled"])
def test_flat_says_the_same(name: str) -> None:
    """The fields of `data` at the top instead say the same."""
    sent = json.loads(compact(SHAPES[name].body))
    flat = {**sent.pop("data"), **sent}

    event = read(json.dumps(flat).encode())

    assert replace(event, data={}) == replace(_EXPECTED[name][0], data={})
    assert event.data == flat


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"run_id": "run_1"}, True),
        ({"job_id": "job_1"}, True),
        ({"backfill_id": "bf_1"}, True),
        ({"pipeline_id": "pl_1"}, False),
        ({"pipeline_id": "pl_1", "status": "odd"}, True),
        ({"pipeline_id": "pl_1", "status": 5.5}, True),
        ({"pipeline_id": "pl_1", "status": ["odd"]}, True),
        ({"pipeline_id": "pl_1", "type": "pipeline.run.succeeded"}, True),
        ({"pipeline_id": "pl_1", "status": "failed"}, True),
        ({"pipeline_id": "pl_1", "event": "job.completed"}, True),
        ({"status": "odd"}, False),
        ({}, False),
    ],
)
def test_an_end_is_of_a_run_a_job_a_backfill_or_of_a_pipeline_with_a_word_for_it(
    body: dict[str, Any], expected: bool
) -> None:
    """Other news name no end, so that no word is missing in them."""
    assert tells_of_a_completion(read(json.dumps(body).encode())) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"type": "job.completed"}, True),
        ({}, False),
        ({"type": "job.completed", "status": "odd"}, False),
        ({"type": "job.completed", "status": 5}, False),
        ({"type": "job.completed", "status": "succeeded"}, False),
        ({"type": "job.succeeded"}, False),
        ({"type": "job.completed", "status": "running"}, False),
    ],
)
def test_only_an_end_without_any_word_for_it_is_asked_for(body: dict[str, Any], expected: bool) -> None:
    """A word that nobody understands is the sender's own, and no answer changes it."""
    assert lacks_status(read(json.dumps({"job_id": "job_1"} | body).encode())) is expected
