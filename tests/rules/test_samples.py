"""Bodies as Planasonix sends them: with other values, wherever a shape keeps them, and as another event's."""

import json
from datetime import datetime
from typing import Any

import pytest

from bridge.rules import samples
from bridge.rules.event import identity, peek_id, read
from bridge.rules.mapping import read as read_mapping
from bridge.rules.planning import Subject, plan
from bridge.words.model import DeliveryState, Status

_VALUES: dict[str, Any] = {
    "id": "evt_other",
    "type": "job.finished",
    "job_id": "job_other",
    "run_id": "run_other",
    "backfill_id": "bf_other",
    "pipeline_id": "pl_other",
    "pipeline_name": "other name",
    "connection_id": "conn_other",
    "environment": "staging",
    "occurred_at": "2026-01-02T03:04:05Z",
    "started_at": "2026-01-02T03:04:06Z",
    "finished_at": "2026-01-02T03:04:07Z",
    "duration_seconds": 17,
    "rows_loaded": 4,
    "parameters": {"a": 1},
    "metadata": {"b": 2},
    "error": {"code": "X"},
}


def test_every_field_of_an_event_can_be_changed() -> None:
    """All that templates see but `data`, which is the body itself; the status needs the shape that fits it."""
    assert {*_VALUES, "status"} == set(samples.FIELDS)


@pytest.mark.parametrize("field", _VALUES)
@pytest.mark.parametrize("name", samples.SHAPES)
def test_a_changed_field_is_what_the_event_says(name: str, field: str) -> None:
    """Wherever the shape keeps it, and nothing contradicts it."""
    event = read(samples.compact(samples.changed(name, {field: _VALUES[field]})))
    assert getattr(event, field) == _VALUES[field]
    assert event.notes == ()


def _leaves(value: Any, at: str = "") -> dict[str, Any]:
    if not value or not isinstance(value, dict | list):
        return {at: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {place: leaf for name, item in items for place, leaf in _leaves(item, f"{at}/{name}").items()}


@pytest.mark.parametrize("name", samples.SHAPES)
def test_a_change_changes_nothing_else(name: str) -> None:
    """Only the id of a job stands twice in a body, and only in one."""
    for field in samples.FIELDS:
        leaves = _leaves(samples.changed(name, {field: "other"}))
        twice = ["/data/id"] if (name, field) == ("job.succeeded", "job_id") else []
        found = [place for place, value in leaves.items() if value == "other"]
        assert sorted(found) == sorted([samples.SHAPES[name].places[field], *twice])


def test_what_succeeded_is_complete() -> None:
    """All that was read was written, of all that there was, in the time between its two instants."""
    run, backfill = (samples.SHAPES[name].body["data"] for name in ("pipeline.run.succeeded", "backfill.completed"))
    assert run["metrics"]["rowsRead"] == run["metrics"]["rowsWritten"]
    assert backfill["progress_percent"] == 100
    for name in ("pipeline.run.succeeded", "job.succeeded"):
        event = read(samples.compact(samples.SHAPES[name].body))
        assert event.started_at
        assert event.finished_at
        took = datetime.fromisoformat(event.finished_at) - datetime.fromisoformat(event.started_at)
        assert took.total_seconds() == event.duration_seconds


def test_a_body_is_sent_as_it_is_spelled() -> None:
    """Without blanks, letters as they are, even half of one."""
    assert samples.compact({"a": ["ü", 1], "b": "\ud83d"}) == b'{"a":["\xc3\xbc",1],"b":"\xed\xa0\xbd"}'


def test_the_status_is_changed_where_it_stands() -> None:
    """A Webhook Action's own word, for one."""
    event = read(samples.compact(samples.changed("webhook_action", {"status": "FAILED"})))
    assert event.status is Status.FAILED


def test_a_pointer_changes_any_value() -> None:
    """What is missing on the way is made; items of a list have numbers; `~1` is a slash."""
    changes = {"/data/a~1b/c": 1, "/data/job_ids/1": "job_2", "/data/error/code": "X"}
    body = samples.changed("backfill.completed", changes)
    assert body["data"]["a/b"] == {"c": 1}
    assert body["data"]["job_ids"] == ["job_01jq8chunk01", "job_2"]
    assert body["data"]["error"] == {"code": "X"}


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("job.suceeded", {}, 'no sample "job.suceeded", did you mean "job.succeeded"?'),
        ("zzz", {}, 'no sample "zzz"; there is job.completed, '),
        ("test", {"pipline_id": "x"}, 'no field "pipline_id", did you mean "pipeline_id"?'),
        ("test", {"zzz": "x"}, "or a JSON pointer like /data/metrics/rows"),
        ("backfill.completed", {"/data/job_ids/2": "x"}, '"/data/job_ids/2": there is no item 2'),
        ("backfill.completed", {"/data/job_ids/\u0661": "x"}, '"/data/job_ids/\u0661": there is no item \u0661'),
        ("backfill.completed", {"/data/job_ids/-1": "x"}, '"/data/job_ids/-1": there is no item -1'),
        ("backfill.completed", {"/data/job_ids/x/y": "x"}, '"/data/job_ids/x/y": there is no item x'),
    ],
)
def test_what_is_not_there_is_said(name: str, changes: dict[str, Any], message: str) -> None:
    """With the nearest word."""
    with pytest.raises(ValueError, match="no ") as error:
        samples.changed(name, changes)
    assert message in str(error.value)


def test_the_shapes_stay_as_they_are() -> None:
    """A changed body shares nothing with the shape."""
    before = json.dumps(samples.SHAPES["job.succeeded"].body)
    body = samples.changed("job.succeeded", {"/data/parameters/x": 1})
    samples.renamed(body, "_2")
    assert json.dumps(samples.SHAPES["job.succeeded"].body) == before


@pytest.mark.parametrize("name", samples.SHAPES)
def test_a_renamed_body_is_another_event(name: str) -> None:
    """Another id, another completion, and it does not contradict itself."""
    shape = samples.SHAPES[name]
    sent, other = samples.compact(shape.body), samples.compact(samples.renamed(shape.body, "-2"))
    assert peek_id(other) == f"{peek_id(sent)}-2"
    assert identity(read(other)) == f"{identity(read(sent))}-2"


def test_a_test_event_starts_nothing() -> None:
    """Whatever a route asks for: its body is marked, and names no job, run or pipeline."""
    body = samples.test_event("evt_mine", "2026-01-02T03:04:05.000Z")
    mapping = read_mapping("routes: [{dag: load, event: '*'}]", file="m", airflows=None, sources=None)
    about = Subject("dlv_0", "planasonix", "2026-01-02T03:04:05.000Z", body)
    planned = plan(about, mapping, new_trigger_id=str, max_hops=1)
    assert (planned.state, list(planned.triggers)) == (DeliveryState.IGNORED, [])
    assert peek_id(body) == "evt_mine"
    assert json.loads(body)["test"] is True


@pytest.mark.parametrize(
    ("body", "renamed"),
    [
        ({"id": "a", "data": {"id": "b", "run_id": 5}}, {"id": "a-2", "data": {"id": "b-2", "run_id": 5}}),
        ({"event_id": "a", "data": None}, {"event_id": "a-2", "data": None}),
        ({"job_id": "a", "data": ["id"]}, {"job_id": "a-2", "data": ["id"]}),
        ({"run_id": "a", "pipeline_id": "p"}, {"run_id": "a-2", "pipeline_id": "p"}),
    ],
)
def test_only_ids_that_are_texts_get_a_suffix(body: dict[str, Any], renamed: dict[str, Any]) -> None:
    """Those of the event and of what it tells of, wherever they stand."""
    assert samples.renamed(body, "-2") == renamed
