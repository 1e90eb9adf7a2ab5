"""What the Planasonix API tells about a job fills an event, and never changes what was signed."""

from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rules.event import merge, read
from bridge.words.errors import Unreadable
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

    assert asdict(merged) == {
        **asdict(_EVENT),
        "pipeline_id": "pl_1",
        "connection_id": "conn_1",
        "started_at": "2024-01-15T10:25:55Z",
        "finished_at": "2024-01-15T10:30:00Z",
        "parameters": {"business_date": "2024-01-15"},
    }


def test_camel_case_fills_the_same() -> None:
    """The other casing of the API is read as well."""
    merged = merge(_EVENT, {"id": "job_xyz789", "pipelineId": "pl_1", "pipelineName": "sales", "startedAt": "x"})

    assert (merged.pipeline_id, merged.pipeline_name, merged.started_at) == ("pl_1", "sales", None)


def test_merging_twice_changes_nothing_more() -> None:
    """The merge is idempotent."""
    assert merge(merge(_EVENT, _JOB), _JOB) == merge(_EVENT, _JOB)


@pytest.mark.parametrize(
    ("known", "job"),
    [
        ({"pipeline_id": "pl_2"}, {"pipeline_id": "pl_1"}),
        ({"connection_id": "conn_2"}, {"connectionId": "conn_1"}),
        ({}, {"id": "job_other"}),
        ({}, {"status": "failed"}),
        ({}, {"status": "canceled"}),
    ],
)
def test_contradictions(known: dict[str, Any], job: dict[str, Any]) -> None:
    """Another pipeline, connection, job or ended status than the signed one is a CONTRADICTION."""
    event = read(
        b'{"id":"evt_1","type":"job.completed","job_id":"job_xyz789","status":"completed"'
        + "".join(f',"{name}":"{text}"' for name, text in known.items()).encode()
        + b"}"
    )

    with pytest.raises(Unreadable) as unreadable:
        merge(event, job)

    assert unreadable.value.reason is Reason.CONTRADICTION


@pytest.mark.parametrize("word", ["running", "queued", "archived", None])
def test_job_that_lags_behind_contradicts_nothing(word: str | None) -> None:
    """The API may answer from before the end, or with a word that nobody knows."""
    assert merge(_EVENT, {"status": word}).status is Status.SUCCEEDED


def test_status_that_only_a_neutral_type_suggested_gives_way() -> None:
    """`job.completed` without a status is a success until the API says how the job ended."""
    guessed = read(b'{"type":"job.completed","job_id":"job_1"}')
    sure = read(b'{"type":"job.succeeded","job_id":"job_1"}')

    assert guessed.status is Status.SUCCEEDED
    assert merge(guessed, {"status": "failed"}).status is Status.FAILED
    assert merge(guessed, {"status": "failed"}).status_word == "failed"
    assert merge(guessed, {"status": "running"}).status is Status.SUCCEEDED
    with pytest.raises(Unreadable):
        merge(sure, {"status": "failed"})


def test_status_of_the_job_fills_an_event_without_one() -> None:
    """Only when the event says nothing at all; an unknown word of its own stays unknown."""
    silent = read(b'{"type":"load.done","job_id":"job_1"}')
    unknown = read(b'{"type":"load.done","job_id":"job_1","status":"open"}')

    assert merge(silent, {"status": "failed"}).status is Status.FAILED
    assert merge(unknown, {"status": "failed"}).status is None


@pytest.mark.parametrize("job", [{"pipeline_id": 5}, {"status": []}, {"id": "a b"}, {"parameters": "x"}])
def test_misspelled_answer(job: dict[str, Any]) -> None:
    """An answer that cannot be read is UNREADABLE_FIELD, like a body's."""
    with pytest.raises(Unreadable) as unreadable:
        merge(Event(), job)

    assert unreadable.value.reason is Reason.UNREADABLE_FIELD


_JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just({}) | st.just([])


@given(st.dictionaries(st.sampled_from([*_JOB, "summary", "pipelineId", "environment"]), _JSON, max_size=6))
def test_any_answer_merges_or_is_unreadable(job: dict[str, Any]) -> None:
    """Also NaN and infinite numbers, which an HTTP client's JSON lets through."""
    try:
        merged = merge(_EVENT, job)
    except Unreadable:
        return
    assert merged.id == _EVENT.id
    assert merged.status is Status.SUCCEEDED
