"""Statuses, ids, instants and numbers: how each is found, and what makes a body unreadable."""

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rules.event import Spelling, identity, read, set_aside
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
        ("SUCCEEDED", Status.SUCCEEDED, None),
        ("Success", Status.SUCCEEDED, None),
        ("CANCEL_REQUESTED", None, Reason.STATUS_RUNNING),
        ("Partial", None, Reason.STATUS_UNKNOWN),
    ],
)
def test_four_vocabularies(word: str, status: Status | None, fate: Reason | None) -> None:
    """Each documented word has one meaning wherever it stands, whatever its case; any other triggers nothing."""
    for event in (_read(status=word), _read(data={"status": word}), _read(type="x", status=f" {word} ", data={})):
        assert (event.status, event.status_word, set_aside(event)) == (status, word, fate)


@pytest.mark.parametrize("word", ["", "  ", None])
def test_empty_status_is_none(word: str | None) -> None:
    """It says nothing, so the type decides."""
    event = _read(type="job.failed", status=word)
    assert (event.status, event.status_word) == (Status.FAILED, None)


@pytest.mark.parametrize("word", [{"code": "OK"}, ["succeeded"], True])
def test_status_that_is_no_word_is_unknown(word: object) -> None:
    """No other one counts beside it, not even the type's."""
    event = _read(type="job.succeeded", status=word)
    assert (event.status, set_aside(event)) == (None, Reason.STATUS_UNKNOWN)
    assert event.notes == ("status is not a word",)


def test_status_word_is_fit_for_every_store() -> None:
    """PostgreSQL keeps neither NUL nor half a character, and a word is shown in full."""
    event = read(b'{"status": "a\\u0000b\\ud83d' + b"x" * 200 + b'"}')
    assert event.status_word is not None
    assert event.status_word.startswith("a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}x")
    assert len(event.status_word) == 100


@pytest.mark.parametrize(
    ("event_type", "status", "fate"),
    [
        ("job.succeeded", Status.SUCCEEDED, None),
        ("job.failed", Status.FAILED, None),
        ("job.canceled", Status.CANCELLED, None),
        ("pipeline.run.skipped", Status.SKIPPED, None),
        ("backfill.completed", None, Reason.STATUS_UNKNOWN),
        ("Job.FAILED", Status.FAILED, None),
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
    assert event.status_word == "completed"
    assert (event.origins["status"], event.origins["pipeline_id"]) == ("/data/status", "/data/pipelineId")


@pytest.mark.parametrize(
    ("fields", "origins"),
    [
        ({"type": "job.failed"}, {"type": "/type", "status": "the last word of its type"}),
        ({"event": "job.failed", "status": "failed"}, {"type": "/event", "status": "/status"}),
        ({"type": "job.started"}, {"type": "/type"}),
        ({"event_id": "evt_1"}, {"id": "/event_id"}),
        ({"id": "a b", "eventId": "evt_1"}, {"id": "/eventId"}),
        ({"id": "a b"}, {}),
        ({"data": {"metrics": {"rowsLoaded": 5}}}, {"rows_loaded": "/data/metrics/rowsLoaded"}),
    ],
)
def test_where_a_field_was_found_is_known(fields: dict[str, Any], origins: dict[str, str]) -> None:
    """For `explain`: at the first place that counts, and nowhere if it was not found."""
    assert _read("pl_url", **fields).origins == origins | {"pipeline_id": "the URL that it was sent to"}


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"pipelineId": "pl 1"}, "pipeline_id"),
        ({"data": {"pipeline_id": "pl_1/../x"}}, "pipeline_id"),
        ({"data": {"pipeline_id": ["pl_1"]}}, "pipeline_id"),
        ({"pipeline_id": 1.5}, "pipeline_id"),
        ({"pipeline_id": True}, "pipeline_id"),
        ({"connection_id": "_conn"}, "connection_id"),
        ({"run_id": "run 1"}, "run_id"),
        ({"job_id": "j" * 129}, "job_id"),
        ({"job_id": "jöb"}, "job_id"),
        ({"job_id": 2**63}, "job_id"),
        ({"job_id": -1}, "job_id"),
        ({"type": "backfill.completed", "data": {"id": "a b"}}, "backfill_id"),
        ({"type": "a\x00b"}, "type"),
        ({"event": {"id": "x"}}, "type"),
        ({"pipeline_name": ["x"]}, "pipeline_name"),
        ({"pipelineName": "n" * 257}, "pipeline_name"),
        ({"environment": {"id": "env_1"}}, "environment"),
        ({"data": {"connection_id": "c1", "connectionId": "c2"}}, "connection_id"),
        ({"environment": "env_a", "data": {"environment": "env_b"}}, "environment"),
        ({"parameters": ["a"]}, "parameters"),
        ({"data": {"parameters": "a=b"}}, "parameters"),
        ({"metadata": "x"}, "metadata"),
        ({"timestamp": "yesterday"}, "occurred_at"),
        ({"finished_at": "2025-03-27T14:26:20"}, "finished_at"),
        ({"rows_loaded": "12,000"}, "rows_loaded"),
        ({"duration_seconds": "4m"}, "duration_seconds"),
    ],
)
def test_field_that_cannot_be_read_is_none_with_a_note(fields: dict[str, Any], name: str) -> None:
    """The rest of the event is read all the same, and the note shows no value."""
    event = _read(id="evt_1", status="succeeded", **fields)

    assert (event.id, event.status) == ("evt_1", Status.SUCCEEDED)
    assert getattr(event, name) in (None, {})
    (note,) = event.notes
    assert note.startswith(f"{name} ")
    assert not any(str(value) in note for value in fields.values())


@pytest.mark.parametrize(
    ("fields", "name", "value"),
    [
        ({"run_id": 4711}, "run_id", "4711"),
        ({"run_id": 0}, "run_id", "0"),
        ({"run_id": 2**63 - 1}, "run_id", "9223372036854775807"),
        ({"pipeline_id": 7}, "pipeline_id", "7"),
        ({"id": 12}, "id", "12"),
        ({"pipeline_id": " pl_1 "}, "pipeline_id", "pl_1"),
        ({"run_id": "run_1\n"}, "run_id", "run_1"),
        ({"type": 5}, "type", "5"),
        ({"environment": 2}, "environment", "2"),
        ({"type": "job.succeeded", "data": {"id": 5}}, "job_id", "5"),
        ({"run_id": ["x"], "data": {"run_id": "run_1"}}, "run_id", "run_1"),
        ({"rows_loaded": "44802"}, "rows_loaded", 44802),
        ({"duration_seconds": "245"}, "duration_seconds", 245),
        ({"duration_seconds": " 1.5 "}, "duration_seconds", 1.5),
    ],
)
def test_what_can_mean_one_thing_only_is_mended(fields: dict[str, Any], name: str, value: object) -> None:
    """A number where an id belongs is that number as text; digits in quotes are a number; outer blanks go."""
    event = _read(**fields)
    assert (getattr(event, name), event.notes) == (value, ())
    assert type(getattr(event, name)) is type(value)


@pytest.mark.parametrize("nothing", ["", "   ", None])
@pytest.mark.parametrize(
    "name",
    ["id", "type", "run_id", "pipeline_id", "connection_id", "environment", "finished_at", "rows_loaded", "parameters"],
)
def test_empty_is_absent(name: str, nothing: str | None) -> None:
    """As if the field were not there, so that the pipeline of the URL counts, too."""
    event = _read("pl_url", status="succeeded", **{name: nothing})
    assert event.notes == ()
    assert event.pipeline_id == "pl_url"
    assert getattr(event, name) in (None, {}, "pl_url")


def test_empty_list_is_an_empty_object() -> None:
    """Some senders cannot spell an empty object."""
    event = _read(parameters=[], metadata=[])
    assert (event.parameters, event.metadata, event.notes) == ({}, {}, ())


def test_unreadable_pipeline_is_not_replaced_by_the_urls() -> None:
    """The signed body names one, so the URL, which is not signed, does not count."""
    event = _read("pl_url", pipeline_id="pl 1")
    assert event.pipeline_id is None
    assert "pipeline_id" in event.unreadable


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
        ("2025-03-27T14:26:20+0000", "2025-03-27T14:26:20Z"),
        ("2025-03-27T16:26:20+0200", "2025-03-27T14:26:20Z"),
        ("2025-03-27 14:26:20 UTC", "2025-03-27T14:26:20Z"),
        ("2025-03-27T14:26:20,5Z", "2025-03-27T14:26:20.5Z"),
        (1743085580, "2025-03-27T14:26:20Z"),
        ("1743085580", "2025-03-27T14:26:20Z"),
        (1743085580.25, "2025-03-27T14:26:20.25Z"),
        (1743085580123, "2025-03-27T14:26:20.123Z"),
        ("2025-03-27T14:26:20", None),
        ("2025-03-27 14:26:20", None),
        ("2025-03-27", None),
        (20250327, None),
        (True, None),
        (0, None),
        ("2025-02-30T00:00:00Z", None),
        ("2025-03-27T25:00:00Z", None),
        ("2025-03-27T14:26:60Z", None),
        ("0001-01-01T00:00:00+05:00", None),
        ("9999-12-31T23:59:59-05:00", None),
        ("2025-W13-4T14:26:20Z", None),
        ("\u0662025-03-27T14:26:20Z", None),
        ("yesterday", None),
        (["2025-03-27T14:26:20Z"], None),
    ],
)
def test_instants_are_utc_or_none(sent: object, expected: str | None) -> None:
    """Any offset and Unix time become `...Z`; what is no instant, or has no offset, is None with a note."""
    event = _read(timestamp=sent, data={"started_at": sent, "finishedAt": sent})

    assert (event.occurred_at, event.started_at, event.finished_at) == (expected,) * 3
    assert set(event.unreadable) == (set() if expected else {"occurred_at", "started_at", "finished_at"})


@pytest.mark.parametrize(
    ("sent", "expected", "why"),
    [
        ("2025-03-27T14:26:20", "2025-03-27T13:26:20Z", None),
        ("2025-07-27 14:26:20.5", "2025-07-27T12:26:20.5Z", None),
        ("2025-07-27 14:26:20+0000", "2025-07-27T14:26:20Z", None),
        ("2025-10-26T02:30:00", None, "skip or repeat"),
        ("2025-03-30T02:30:00", None, "skip or repeat"),
    ],
)
def test_instants_of_a_source_with_a_time_zone(sent: str, expected: str | None, why: str | None) -> None:
    """Without an offset they are of that zone, but for the hours in which its clock changes."""
    event = read(json.dumps({"finished_at": sent}).encode(), spelling=Spelling(ZoneInfo("Europe/Berlin")))
    assert event.finished_at == expected
    assert (why or "") in event.unreadable.get("finished_at", "")


def test_envelope_knows_when_it_happened() -> None:
    """`data` may hold the time of something else; it counts only if the envelope has none."""
    outer, inner = "2025-03-27T14:26:20Z", "2025-03-27T10:00:00Z"
    assert _read(timestamp=outer, data={"timestamp": inner}).occurred_at == outer
    assert _read(data={"timestamp": inner}).occurred_at == inner


def test_note_says_what_is_missing() -> None:
    """An instant without an offset is nearly one; the note says what to do."""
    event = _read(finished_at="2025-03-27T14:26:20")
    assert event.notes == (
        "finished_at is not an instant: it has no offset from UTC; send one, or set `timezone` of the source",
    )


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


@pytest.mark.parametrize("sent", ["12,000", "1e3", True, 1.5, [12], {"n": 12}])
def test_other_rows_are_none(sent: object) -> None:
    """What is no whole number is None."""
    assert _read(rows_loaded=sent).rows_loaded is None


@pytest.mark.parametrize(("sent", "expected"), [(248, 248), (1.5, 1.5), ("248", 248), (False, None)])
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
