"""A block that is proposed from bodies makes the bridge read these bodies."""

import json
from typing import Any

import pytest

from bridge.rules.event import Spelling, read
from bridge.rules.event.reading import FROM_TYPE
from bridge.rules.event.spelling import read_fields, read_words
from bridge.rules.inferring import Proposal, propose
from bridge.rules.samples import SHAPES, compact
from bridge.words.errors import Unreadable
from bridge.words.model import Status


def _proposed(*bodies: dict[str, Any]) -> Proposal:
    return propose([json.dumps(body).encode() for body in bodies])


def _foreign(code: str, pipeline: str = "pl_1") -> dict[str, Any]:
    return {
        "event": {"uuid": "1f0c", "type": "load.ended"},
        "payload": {
            "pipeline": {"uuid": pipeline, "name": "orders"},
            "result": {"code": code},
            "endTime": "2025-03-27T14:26:20Z",
        },
    }


def test_the_proposed_block_makes_the_bodies_readable() -> None:
    """Pipeline and status, each with its words."""
    bodies = [_foreign("OK"), _foreign("KO"), _foreign("done")]
    found = _proposed(*bodies)
    assert found.is_complete
    assert found.fields["pipeline_id"] == "/payload/pipeline/uuid"
    assert found.statuses == {"succeeded": ["OK", "done"], "failed": ["KO"]}
    spelling = Spelling(fields=read_fields(found.fields), words=read_words(found.statuses))
    events = [read(json.dumps(body).encode(), spelling=spelling) for body in bodies]
    assert {event.pipeline_id for event in events} == {"pl_1"}
    assert [event.status for event in events] == [Status.SUCCEEDED, Status.FAILED, Status.SUCCEEDED]
    assert {event.finished_at for event in events} == {"2025-03-27T14:26:20Z"}


def test_a_word_that_nobody_knows_is_for_a_person() -> None:
    """It is never placed by a guess."""
    found = _proposed(_foreign("XYZ"), _foreign("OK"))
    assert (found.unknown, found.is_complete) == (["XYZ"], False)


def test_nothing_is_proposed_for_what_is_read_anyway() -> None:
    """A whole body as Planasonix documents it."""
    body = {
        "id": "evt_1",
        "type": "job.succeeded",
        "data": {"status": "succeeded", "pipeline_id": "pl_1", "job_id": "job_1"},
    }
    found = _proposed(body)
    assert (found.fields, found.statuses, found.unknown, found.missing) == ({}, {}, [], [])
    assert found.found["pipeline_id"] == ["/data/pipeline_id"]


def test_a_field_that_stands_nowhere_is_named() -> None:
    """The documented body has no pipeline."""
    found = propose([compact(SHAPES["job.completed"].body)])
    assert (found.missing, found.is_complete) == (["pipeline_id"], False)


_USUAL = {"id": "evt_1", "type": "job.succeeded", "status": "succeeded"}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"pipeline": {"id": "pl_1"}}, "/pipeline/id"),
        ({"pipelineKey": "pl_1"}, "/pipelineKey"),
        ({"dataflow": {"UUID": "pl_1"}, "flow": {"key": "pl_2"}}, "/flow/key"),
        ({"a": {"pipeline": {"id": "pl_1"}}, "pipeline": {"id": "pl_2"}}, "/pipeline/id"),
        ({"a": {"b": {"c": {"d": {"pipeline": {"id": "pl_1"}}}}}}, "/a/b/c/d/pipeline/id"),
        ({"a": {"b": {"c": {"d": {"e": {"pipeline": {"id": "pl_1"}}}}}}}, None),
        ({"pipeline": {"info": {"id": "pl_1"}}}, None),
        ({"pipeline_id_of": {"x": "pl_1"}}, None),
        ({"customer": {"id": "pl_1"}}, None),
        ({"pipeline": {"id": "no id!"}}, None),
        ({"pipeline": {"id": {}}}, None),
        ({"pipeline": {"id": ["pl_1"]}}, None),
    ],
)
def test_a_path_that_speaks_of_the_field_is_proposed(body: dict[str, Any], place: str | None) -> None:
    """By its last step and the one before, six steps deep; the best words first, then the shortest path."""
    found = _proposed({**_USUAL, **body})
    assert found.fields.get("pipeline_id") == place
    assert found.missing == ([] if place else ["pipeline_id"])


def test_the_place_that_the_greatest_number_of_bodies_has_is_proposed() -> None:
    """Before the one whose path says it best. An empty value is none, and one that does not fit rules its place out."""
    bodies: list[dict[str, Any]] = [
        {**_USUAL, "pipeline": {"id": None}, "flow": {"id": "f_1"}},
        {**_USUAL, "pipeline": {"id": " "}, "flow": {"id": "f_1"}},
        {**_USUAL, "pipeline": {"id": "pl_1"}, "flow": {}},
    ]
    assert _proposed(*bodies).fields == {"pipeline_id": "/flow/id"}
    assert _proposed(*bodies, {**_USUAL, "flow": {"id": "no id!"}}).fields == {"pipeline_id": "/pipeline/id"}


def test_one_place_is_proposed_for_one_field() -> None:
    """What is the id of the event is not that of the run as well."""
    found = _proposed({"type": "load.ended", "status": "succeeded", "pipeline_id": "pl_1", "run": {"uuid": "r_1"}})
    assert found.fields == {"id": "/run/uuid"}


@pytest.mark.parametrize("body", [{"status": "XYZ"}, {"data": {"status": "XYZ"}}, {"status": "XYZ", "data": {"a": 1}}])
def test_an_unknown_word_under_the_usual_name_is_for_a_person_too(body: dict[str, Any]) -> None:
    """Wherever it stands; what has no word at all has a type that says it."""
    found = _proposed({"id": "e", "pipeline_id": "pl_1", **body}, {"type": "job.failed", "pipeline_id": "pl_1"})
    assert (found.unknown, found.statuses, found.missing) == (["XYZ"], {}, [])
    assert found.found["status"] == sorted(["/data/status" if "status" not in body else "/status", FROM_TYPE])


def test_what_is_no_body_is_refused() -> None:
    """Nothing can be proposed from it."""
    with pytest.raises(Unreadable):
        propose([b"[]"])
