"""What the Planasonix API tells about a job fills an event, and never changes what was signed."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rules.event import is_of_same_end, lacks_status, merge, read, set_aside
from bridge.words.model import Event, Status
from bridge.words.reasons import Reason

_EVENT = Event(
    id="evt_abc123",
    type="job.completed",
    status=Status.SUCCEEDED,
    status_word="completed",
    job_id="job_xyz789",
    rows_loaded=48291,
    duration_seconds=245,
)
_JOB: dict[str, Any] = {
    "id": "job_xyz789",
    "type": "connection_sync",
    "status": "succeeded",
    "connection_id": "conn_1",
    "pipeline_id": "pl_1",
    "started_at": "2024-01-15T10:25:55Z",
    "finished_at": "2024-01-15T10:30:00Z",
    "duration_seconds": 300,
    "metrics": {"rows_loaded": 7},
    "error": None,
    "parameters": {"business_date": "2024-01-15"},
}


def test_fills_what_is_missing_and_nothing_else() -> None:
    """Pipeline, connection, instants and parameters come from the job; what the event said stays."""
    merged = merge(_EVENT, _JOB)

    assert merged == replace(
        _EVENT,
        pipeline_id="pl_1",
        connection_id="conn_1",
        started_at="2024-01-15T10:25:55Z",
        finished_at="2024-01-15T10:30:00Z",
        parameters={"business_date": "2024-01-15"},
    )
    assert set(merged.origins) == {"pipeline_id", "connection_id", "started_at", "finished_at", "parameters"}


def test_camel_case_fills_the_same() -> None:
    """The other casing of the API is read as well."""
    merged = merge(_EVENT, {"id": "job_xyz789", "pipelineId": "pl_1", "pipelineName": "sales", "startedAt": "x"})

    assert (merged.pipeline_id, merged.pipeline_name, merged.started_at) == ("pl_1", "sales", None)


def test_merging_twice_changes_nothing_more() -> None:
    """The merge is idempotent."""
    assert merge(merge(_EVENT, _JOB), _JOB) == merge(_EVENT, _JOB)


@pytest.mark.parametrize(
    ("known", "job", "name"),
    [
        ({"pipeline_id": "pl_2"}, {"pipeline_id": "pl_1"}, "pipeline_id"),
        ({"connection_id": "conn_2"}, {"connectionId": "conn_1"}, "connection_id"),
        ({"status": "failed"}, {"status": "succeeded"}, "status"),
        ({"status": "completed"}, {"status": "canceled"}, "status"),
    ],
)
def test_what_is_signed_is_right_about_its_moment(known: dict[str, Any], job: dict[str, Any], name: str) -> None:
    """A job that failed and was tried again is `succeeded` by the time of the look-up; the event still failed."""
    event = read(json.dumps({"id": "evt_1", "type": "job.completed", "job_id": "job_xyz789", **known}).encode())

    merged = merge(event, {**job, "environment": "production"})

    assert getattr(merged, name) == getattr(event, name)
    assert (merged.environment, merged.notes) == ("production", ())


def test_answer_about_another_job_adds_nothing() -> None:
    """It is said, and the event stays as it was."""
    merged = merge(_EVENT, {"id": "job_other", "pipeline_id": "pl_1"})

    assert merged.pipeline_id is None
    assert merged.notes == ("lookup adds nothing: the Planasonix API answered for another job",)


@pytest.mark.parametrize("word", ["running", "queued", "archived", None])
def test_job_that_lags_behind_contradicts_nothing(word: str | None) -> None:
    """The API may answer from before the end, or with a word that nobody knows."""
    assert merge(_EVENT, {"status": word}).status is Status.SUCCEEDED


def test_neutral_type_says_nothing_about_success() -> None:
    """`job.completed` without a status waits for what the API says; with an error in it, too."""
    silent = read(b'{"type":"job.completed","job_id":"job_1","error":{"code":"X"}}')
    sure = read(b'{"type":"job.succeeded","job_id":"job_1"}')

    assert (silent.status, set_aside(silent), lacks_status(silent)) == (None, Reason.STATUS_UNKNOWN, True)
    assert merge(silent, {"status": "failed"}).status is Status.FAILED
    assert merge(silent, {"status": "failed"}).status_word == "failed"
    assert merge(silent, {"status": "running"}).status is None
    assert (merge(sure, {"status": "failed"}).status, lacks_status(sure)) == (Status.SUCCEEDED, False)


def test_status_of_the_job_fills_an_event_without_one() -> None:
    """Only when the event says nothing at all; an unknown word of its own stays unknown."""
    silent = read(b'{"type":"load.done","job_id":"job_1"}')
    unknown = read(b'{"type":"load.done","job_id":"job_1","status":"open"}')

    assert merge(silent, {"status": "failed"}).status is Status.FAILED
    assert merge(unknown, {"status": "failed"}).status is None


@pytest.mark.parametrize(
    ("job", "name"),
    [
        ({"pipeline_id": []}, "pipeline_id"),
        ({"pipeline_id": "a", "pipelineId": "b"}, "pipeline_id"),
        ({"parameters": "x"}, "parameters"),
        ({"started_at": "x"}, "started_at"),
    ],
)
def test_misspelled_answer_is_a_note(job: dict[str, Any], name: str) -> None:
    """What cannot be read there stops nothing else, and the note says where it stands."""
    merged = merge(Event(job_id="job_1"), {**job, "environment": "production"})
    assert merged.environment == "production"
    assert merged.unreadable[name].endswith("(in the Planasonix API's answer)")


@pytest.mark.parametrize("job", [{"environment": ""}, {"status": []}, {"id": "a b"}])
def test_answer_that_says_nothing_of_it_stops_nothing(job: dict[str, Any]) -> None:
    """An empty text and an unreadable status or id add nothing."""
    assert merge(_EVENT, {**job, "pipeline_id": "pl_1"}).pipeline_id == "pl_1"


_JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just({}) | st.just([])


@given(st.dictionaries(st.sampled_from([*_JOB, "summary", "pipelineId", "environment"]), _JSON, max_size=6))
def test_any_answer_merges(job: dict[str, Any]) -> None:
    """Also NaN and infinite numbers, which an HTTP client's JSON lets through."""
    merged = merge(_EVENT, job)
    assert merged.id == _EVENT.id
    assert merged.status is Status.SUCCEEDED


@pytest.mark.parametrize("word", ["succeeded", "running"])
def test_the_outcome_of_another_try_is_not_added(word: str) -> None:
    """A failure keeps its moment: end and rows of the try that followed would be taken for its own."""
    failed = Event(type="job.failed", status=Status.FAILED, status_word="failed", job_id="job_xyz789")

    merged = merge(failed, _JOB | {"status": word})

    assert (merged.status, merged.pipeline_id) == (Status.FAILED, "pl_1")
    assert (merged.started_at, merged.finished_at, merged.duration_seconds, merged.rows_loaded) == (None,) * 4
    assert merge(failed, _JOB | {"status": "failed"}).finished_at == "2024-01-15T10:30:00Z"


_BY_RUN = Event(id="evt_1", type="load.finished", status=Status.SUCCEEDED, status_word="success", run_id="run_1")


def test_a_run_fills_an_event_that_names_a_run() -> None:
    """`GET /api/runs/{id}` has the run's id as `id`, and no job; nothing of it is taken for a job."""
    merged = merge(_BY_RUN, {"id": "run_1", "pipelineId": "pl_1", "status": "succeeded", "finishedAt": "x"})
    assert (merged.pipeline_id, merged.run_id, merged.job_id) == ("pl_1", "run_1", None)


def test_an_answer_that_names_another_job_under_its_own_name_adds_nothing() -> None:
    """As `job_id`, without an `id`."""
    merged = merge(_EVENT, {"jobId": "job_other", "pipeline_id": "pl_1"})
    assert (merged.pipeline_id, merged.run_id) == (None, None)
    assert merged.notes == ("lookup adds nothing: the Planasonix API answered for another job",)


def test_what_cannot_be_read_in_an_answer_is_no_note_where_the_event_knows_it() -> None:
    """Nothing is missing then."""
    merged = merge(replace(_EVENT, pipeline_id="pl_2"), {"pipeline_id": [], "rows_loaded": "many"})
    assert (merged.pipeline_id, merged.notes) == ("pl_2", ())


@pytest.mark.parametrize("sent", [float("inf"), float("-inf"), float("nan")])
def test_a_number_without_an_end_is_none(sent: float) -> None:
    """Python's JSON reads it, and no database keeps it."""
    note = "is not a number: digits, and a full stop before decimals (in the Planasonix API's answer)"
    merged = merge(Event(job_id="job_1"), {"duration_seconds": sent, "rows_loaded": sent})
    assert merged.unreadable == {"duration_seconds": note, "rows_loaded": note}


def test_an_answer_without_a_status_is_of_the_same_end() -> None:
    """It says nothing of another try, so what it tells of the outcome counts."""
    assert merge(_EVENT, {"id": "job_xyz789", "finished_at": "2024-01-15T10:30:00Z"}).finished_at is not None


def test_an_event_of_a_job_that_runs_takes_no_status() -> None:
    """Its end has an event of its own."""
    running = read(b'{"type":"job.running","job_id":"job_1"}')
    assert merge(running, {"id": "job_1", "status": "succeeded"}).status is None


def test_another_run_adds_nothing() -> None:
    """As for a job."""
    merged = merge(_BY_RUN, {"id": "run_2", "pipelineId": "pl_1"})
    assert merged.pipeline_id is None
    assert "another run" in merged.unreadable["lookup"]


@pytest.mark.parametrize(
    ("event", "answer", "fits"),
    [
        (_EVENT, _JOB, True),
        (_EVENT, {}, False),
        (_EVENT, {"id": "job_xyz789", "pipeline_id": "pl_1"}, True),
        (_EVENT, _JOB | {"id": "job_other"}, False),
        (_EVENT, _JOB | {"status": "running"}, False),
        (_EVENT, _JOB | {"status": "failed"}, False),
        (replace(_EVENT, status=None, status_word=None), _JOB, True),
        (replace(_EVENT, status=None, status_word=None), _JOB | {"status": "running"}, False),
        (_BY_RUN, {"id": "run_1", "pipelineId": "pl_1", "status": "succeeded"}, True),
        (_BY_RUN, {"id": "run_2", "pipelineId": "pl_1", "status": "succeeded"}, False),
        (replace(_BY_RUN, job_id="job_1"), {"id": "run_1", "status": "succeeded"}, True),
    ],
)
def test_an_answer_stands_for_other_events_of_the_same_end(event: Event, answer: dict[str, Any], fits: bool) -> None:
    """Of this job or run, and ended as this event says; else the API is asked anew."""
    assert is_of_same_end(event, answer) is fits
