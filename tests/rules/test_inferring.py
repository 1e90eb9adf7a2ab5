"""A block that is proposed from bodies makes the bridge read these bodies."""

import json
from typing import Any

import pytest

from bridge.rules.event import Spelling, read
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


def test_what_is_no_body_is_refused() -> None:
    """Nothing can be proposed from it."""
    with pytest.raises(Unreadable):
        propose([b"[]"])
