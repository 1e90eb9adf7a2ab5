"""Statuses, ids, instants and numbers: how each is found, and what makes a body unreadable."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rules.event import identity, read, set_aside
from bridge.words.errors import Unreadable
from bridge.words.model import Event, Status
from bridge.words.reasons import Reason


def _read(path_pipeline_id: str | None = None, **fields: Any) -> Event:
    return read(json.dumps(fields).encode(), path_pipeline_id=path_pipeline_id)


def _problem(path_pipeline_id: str | None = None, **fields: Any) -> Unreadable:
    with pytest.raises(Unreadable) as unreadable:
        _read(path_pipeline_id, **fields)
    return unreadable.value


@pytest.mark.parametrize(
    ("word", "status", "fate"),
    [
        ("succeeded", Status.SUCCEEDED, None),
        ("success", Status.SUCCEEDED, None),
        ("completed", Status.SUCCEEDED, None),
        ("failed", Status.FAILED, None),
        ("cancelled", Status.CANCELLED, None),
        ("canceled", Status.CANCELLED, None),
        ("skipped", Status.SKIPPED, None),
        ("queued", None, Reason.STATUS_RUNNING),
        ("running", None, Reason.STATUS_RUNNING),
        ("cancelling", None, Reason.STATUS_RUNNING),
        ("cancel_requested", None, Reason.STATUS_RUNNING),
        ("partial", None, Reason.STATUS_UNKNOWN),
        ("", None, Reason.STATUS_UNKNOWN),
        ("SUCCEEDED", None, Reason.STATUS_UNKNOWN),
        ("succeeded ", None, Reason.STATUS_UNKNOWN),
    ],
)
def test_four_vocabularies(word: str, status: Status | None, fate: Reason | None) -> None:
    """Each documented word has one meaning wherever it stands; any other is recorded and triggers nothing."""
    for event in (_read(status=word), _read(data={"status": word}), _read(type="x", status=word, data={})):
        assert (event.status, event.status_word, set_aside(event)) == (status, word, fate)


@pytest.mark.parametrize(
    ("event_type", "status", "fate"),
    [
        ("job.succeeded", Status.SUCCEEDED, None),
        ("job.failed", Status.FAILED, None),
        ("job.canceled", Status.CANCELLED, None),
        ("pipeline.run.skipped", Status.SKIPPED, None),
        ("backfill.completed", Status.SUCCEEDED, None),
        ("failed", Status.FAILED, None),
        ("job.running", None, Reason.STATUS_RUNNING),
        ("load.finished", None, Reason.STATUS_UNKNOWN),
        ("job.started", None, Reason.STATUS_UNKNOWN),
        ("job.not_failed", None, Reason.STATUS_UNKNOWN),
        ("governance.contract_violation", None, Reason.STATUS_UNKNOWN),
    ],
)
def test_type_tells_the_status_when_the_body_has_none(
    event_type: str, status: Status | None, fate: Reason | None
) -> None:
    """The last word of the type counts when no status is given, and then there is no status word."""
    for event in (_read(type=event_type), _read(event=event_type), _read(type=event_type, data={"status": None})):
        assert (event.type, event.status, event.status_word, set_aside(event)) == (event_type, status, None, fate)


@pytest.mark.parametrize(
    ("event_type", "word", "status"),
    [
        ("job.completed", "failed", Status.FAILED),
        ("job.completed", "canceled", Status.CANCELLED),
        ("job.finished", "skipped", Status.SKIPPED),
        ("job.completed", "success", Status.SUCCEEDED),
        ("job.succeeded", "completed", Status.SUCCEEDED),
        ("job.cancelled", "canceled", Status.CANCELLED),
        ("job.succeeded", "partial", None),
    ],
)
def test_word_in_the_body_counts_more(event_type: str, word: str, status: Status | None) -> None:
    """`completed` and `finished` in a type agree with every status; an unknown word hides behind no type."""
    assert _read(type=event_type, data={"status": word}).status is status


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "job.failed", "data": {"status": "succeeded"}},
        {"type": "job.succeeded", "status": "failed"},
        {"type": "job.succeeded", "data": {"status": "running"}},
        {"type": "job.queued", "data": {"status": "completed"}},
        {"status": "succeeded", "data": {"status": "failed"}},
        {"status": "succeeded", "data": {"status": "partial"}},
        {"pipeline_id": "pl_1", "data": {"pipeline_id": "pl_2"}},
        {"pipeline_id": "pl_1", "pipelineId": "pl_2"},
        {"data": {"connection_id": "c1", "connectionId": "c2"}},
        {"job_id": "job_1", "data": {"job_id": "job_2"}},
        {"run_id": "run_1", "data": {"runId": "run_2"}},
    ],
)
def test_contradictions(fields: dict[str, Any]) -> None:
    """Two specific statuses, or two ids where one belongs, start nothing: the delivery is invalid."""
    assert _problem(**fields).reason is Reason.CONTRADICTION


def test_saying_the_same_twice_is_no_contradiction() -> None:
    """Equal ids and synonymous statuses at both levels are fine."""
    event = _read(status="success", pipeline_id="pl_1", data={"status": "completed", "pipelineId": "pl_1"})

    assert (event.status, event.pipeline_id) == (Status.SUCCEEDED, "pl_1")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"pipeline_id": 7}, "pipeline_id"),
        ({"pipeline_id": ""}, "pipeline_id"),
        ({"pipelineId": "pl 1"}, "pipeline_id"),
        ({"data": {"pipeline_id": "pl_1/../x"}}, "pipeline_id"),
        ({"data": {"pipeline_id": ["pl_1"]}}, "pipeline_id"),
        ({"connection_id": "_conn"}, "connection_id"),
        ({"run_id": "run_1\n"}, "run_id"),
        ({"job_id": "j" * 129}, "job_id"),
        ({"job_id": "jöb"}, "job_id"),
        ({"type": "job.succeeded", "data": {"id": 5}}, "data.id"),
        ({"type": "backfill.completed", "data": {"id": "a b"}}, "data.id"),
        ({"type": 5}, "type"),
        ({"type": ""}, "type"),
        ({"type": "a\x00b"}, "type"),
        ({"event": {"id": "x"}}, "type"),
        ({"pipeline_name": ["x"]}, "pipeline_name"),
        ({"pipelineName": "n" * 257}, "pipeline_name"),
        ({"environment": {"id": "env_1"}}, "environment"),
        ({"status": 200}, "status"),
        ({"data": {"status": True}}, "status"),
        ({"parameters": []}, "parameters"),
        ({"data": {"parameters": "a=b"}}, "parameters"),
        ({"metadata": "x"}, "metadata"),
        ({"metadata": {}, "data": {"metadata": 0}}, "metadata"),
    ],
)
def test_field_that_routes_must_be_right(fields: dict[str, Any], field: str) -> None:
    """A wrong type or spelling is UNREADABLE_FIELD, named without its value."""
    problem = _problem(**fields)

    assert problem.reason is Reason.UNREADABLE_FIELD
    assert f"`{field}`" in problem.detail


def test_null_is_absent() -> None:
    """A null is the same as nothing, for every field."""
    nothing = dict.fromkeys(
        [
            "id",
            "type",
            "event",
            "status",
            "pipeline_id",
            "pipeline_name",
            "connection_id",
            "run_id",
            "job_id",
            "environment",
            "parameters",
            "metadata",
            "test",
            "timestamp",
            "error",
            "data",
            "metrics",
            "summary",
        ]
    )

    event = _read(**nothing)

    assert event == Event(data=nothing)


def test_metadata_and_parameters_are_objects() -> None:
    """They are found in `data` first, then at the top."""
    event = _read(parameters={"a": 1}, metadata={"b": 2}, data={"parameters": {"c": 3}})

    assert (event.parameters, event.metadata) == ({"c": 3}, {"b": 2})


@pytest.mark.parametrize(
    ("event_type", "inner", "ids"),
    [
        ("job.succeeded", {"id": "job_1"}, (None, "job_1", None)),
        ("job.succeeded", {"id": "other", "job_id": "job_1"}, (None, "job_1", None)),
        ("pipeline.run.failed", {"id": "run_1"}, ("run_1", None, None)),
        ("backfill.completed", {"id": "bf_1"}, (None, None, "bf_1")),
        ("backfill.completed", {"id": "x", "backfillId": "bf_1"}, (None, None, "bf_1")),
        ("governance.contract_violation", {"id": "cvi_1"}, (None, None, None)),
        ("pipeline.created", {"id": "pl_1"}, (None, None, None)),
        ("jobs", {"id": "x y"}, (None, None, None)),
    ],
)
def test_inner_id_is_what_the_type_is_about(
    event_type: str, inner: dict[str, Any], ids: tuple[str | None, str | None, str | None]
) -> None:
    """`data.id` is the job, run or backfill that the type names, unless that is named outright."""
    event = _read(id="evt_1", type=event_type, data=inner)

    assert (event.run_id, event.job_id, event.backfill_id) == ids


def test_id_of_a_flat_body_is_the_event() -> None:
    """Without `data` the top-level id is never taken for a job."""
    assert _read(id="evt_1", type="job.failed").job_id is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"id": "e", "run_id": "r", "job_id": "j", "backfill_id": "b"}, "r"),
        ({"id": "e", "job_id": "j", "backfill_id": "b"}, "j"),
        ({"id": "e", "backfill_id": "b"}, "b"),
        ({"id": "e"}, "e"),
        ({}, None),
    ],
)
def test_identity_in_order(fields: dict[str, Any], expected: str | None) -> None:
    """Run, job, backfill, event: the first that is known."""
    assert identity(_read(**fields)) == expected


@pytest.mark.parametrize(
    ("fields", "is_test"),
    [
        ({"type": "test"}, True),
        ({"type": "ping"}, True),
        ({"event": "webhook.test"}, True),
        ({"test": True}, True),
        ({"test": 1}, True),
        ({"data": {"test": "true"}}, True),
        ({"type": "job.test"}, False),
        ({"test": False}, False),
        ({"test": 0}, False),
        ({"test": "false"}, False),
        ({"test": None}, False),
        ({"data": {"test": False}}, False),
        ({"id": "evt_test_01"}, False),
    ],
)
def test_test_events(fields: dict[str, Any], is_test: bool) -> None:
    """The types `test`, `ping`, `webhook.test` and a truthy `test` mark a test, which outranks its status."""
    event = _read(status="succeeded", **fields) if "status" not in fields else _read(**fields)

    assert event.is_test is is_test
    assert set_aside(event) is (Reason.TEST_EVENT if is_test else None)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("2025-03-27T14:26:20Z", "2025-03-27T14:26:20Z"),
        ("2025-03-27t14:26:20z", "2025-03-27T14:26:20Z"),
        ("2025-03-27 14:26:20Z", "2025-03-27T14:26:20Z"),
        ("2025-03-27T16:26:20+02:00", "2025-03-27T14:26:20Z"),
        ("2025-03-27T00:26:20-05:30", "2025-03-27T05:56:20Z"),
        ("2025-03-27T14:26:20.120Z", "2025-03-27T14:26:20.12Z"),
        ("2025-03-27T14:26:20.000Z", "2025-03-27T14:26:20Z"),
        ("2025-03-27T14:26:20.123456789Z", "2025-03-27T14:26:20.123456Z"),
        ("2025-03-27T14:26:20", None),
        ("2025-03-27", None),
        ("2025-02-30T00:00:00Z", None),
        ("2025-03-27T25:00:00Z", None),
        ("2025-03-27T14:26:60Z", None),
        ("0001-01-01T00:00:00+05:00", None),
        ("9999-12-31T23:59:59-05:00", None),
        ("2025-W13-4T14:26:20Z", None),
        ("\u0662025-03-27T14:26:20Z", None),
        ("yesterday", None),
        ("", None),
        (1705314600, None),
        (["2025-03-27T14:26:20Z"], None),
    ],
)
def test_instants_are_utc_or_none(sent: object, expected: str | None) -> None:
    """Any offset becomes `...Z`; what is no instant, or has no offset, is None and makes nothing invalid."""
    event = _read(timestamp=sent, data={"started_at": sent, "finishedAt": sent})

    assert (event.occurred_at, event.started_at, event.finished_at) == (expected,) * 3


@pytest.mark.parametrize(
    "fields",
    [
        {"rows_loaded": 12},
        {"rowsLoaded": 12},
        {"metrics": {"rows_loaded": 12}},
        {"data": {"metrics": {"rowsLoaded": 12, "rowsWritten": 13}}},
        {"data": {"metrics": {"rowsWritten": 12}}},
        {"data": {"summary": {"total_rows_synced": 12}}},
        {"summary": {"totalRowsSynced": 12.0}},
        {"data": {"rows_processed": 12}},
        {"recordsWritten": 12},
        {"rows_loaded": "many", "data": {"metrics": None, "summary": [], "rows_processed": 12}},
    ],
)
def test_rows_loaded_wherever_it_stands(fields: dict[str, Any]) -> None:
    """Every published place is found; the number is an int, for `when`."""
    rows = _read(**fields).rows_loaded

    assert rows == 12
    assert type(rows) is int


@pytest.mark.parametrize("sent", ["12", True, 1.5, [12], {"n": 12}])
def test_other_rows_are_none(sent: object) -> None:
    """What is no whole number is None."""
    assert _read(rows_loaded=sent).rows_loaded is None


@pytest.mark.parametrize(("sent", "expected"), [(248, 248), (1.5, 1.5), ("248", None), (False, None)])
def test_duration_stays_as_sent(sent: object, expected: object) -> None:
    """An int stays an int, a fraction a fraction, anything else is None."""
    for fields in ({"duration_seconds": sent}, {"data": {"summary": {"durationSeconds": sent}}}):
        duration = _read(**fields).duration_seconds
        assert duration == expected
        assert type(duration) is type(expected)


def test_error_of_either_spelling() -> None:
    """`error` of any form, or the runs API's `errorMessage`."""
    assert _read(data={"error": {"code": "X"}}).error == {"code": "X"}
    assert _read(error="boom").error == "boom"
    assert _read(errorMessage="boom").error == "boom"


@pytest.mark.parametrize("inner", [[], "text", 5, True])
def test_data_that_is_no_object_is_no_wrapper(inner: object) -> None:
    """A user-written body may use the word for something else; then the whole body is the data."""
    event = _read(data=inner, pipeline_id="pl_1")

    assert event.data == {"data": inner, "pipeline_id": "pl_1"}
    assert event.pipeline_id == "pl_1"


def test_pipeline_of_the_url_fills_the_gap_only() -> None:
    """It is used when the signed body names none, agrees when equal, and contradicts when different."""
    assert _read("pl_url", id="evt_1").pipeline_id == "pl_url"
    assert _read("pl_url", data={"pipelineId": "pl_url"}).pipeline_id == "pl_url"
    assert _problem("pl_url", pipeline_id="pl_body").reason is Reason.CONTRADICTION
    assert _problem("pl url", id="evt_1").reason is Reason.UNREADABLE_FIELD


_NAMES = st.sampled_from(
    [
        "id",
        "type",
        "event",
        "status",
        "data",
        "job_id",
        "jobId",
        "run_id",
        "pipeline_id",
        "connectionId",
        "test",
        "timestamp",
        "finished_at",
        "metrics",
        "duration_seconds",
        "summary",
        "rows_loaded",
        "rowsWritten",
        "parameters",
        "metadata",
        "environment",
        "error",
    ]
)
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["job.failed", "backfill.completed", "succeeded", "pl_1", "2025-03-27T14:26:20Z", "\x00", ""]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_NAMES, inner, max_size=5),
    max_leaves=12,
)


@given(st.dictionaries(_NAMES, _VALUES, max_size=8), st.none() | st.text(max_size=5))
def test_any_object_is_an_event_or_unreadable(fields: dict[str, Any], path: str | None) -> None:
    """No object makes anything but an event, with one fate and one identity, or Unreadable."""
    try:
        event = _read(path, **fields)
    except Unreadable:
        return
    assert set_aside(event) in (None, Reason.TEST_EVENT, Reason.STATUS_RUNNING, Reason.STATUS_UNKNOWN)
    assert identity(event) is None or isinstance(identity(event), str)
