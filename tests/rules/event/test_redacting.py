"""Named values are gone before anything is written, and what the bridge needs is still there."""

import json
import re
from typing import Any

import pytest

from bridge.rules import event, hops
from bridge.rules.event import Redaction
from bridge.rules.event.redacting import MARKER
from bridge.words.errors import Unreadable

CANARY = "canary-7f3a"


def redacted(body: Any, *pointers: str) -> Any:
    """Return what is stored of a JSON body, decoded."""
    return json.loads(Redaction.of(pointers).body(json.dumps(body).encode()))


@pytest.mark.parametrize(
    ("pointer", "body"),
    [
        ("/email", {"email": CANARY}),
        ("/data/email", {"data": {"email": CANARY}}),
        ("/data/customer", {"data": {"customer": {CANARY: [CANARY]}}}),
        ("/data/rows/0/name", {"data": {"rows": [{"name": CANARY}]}}),
        ("/data/rows/1", {"data": {"rows": ["kept", CANARY]}}),
        ("/data/parameters", {"data": {"parameters": {CANARY: CANARY}}}),
        ("/a~1b/m~0n", {"a/b": {"m~n": CANARY}}),
        ("/", {"": CANARY}),
        ("/error", {"error": {"message": CANARY}}),
    ],
)
def test_the_value_is_gone(pointer: str, body: dict[str, Any]) -> None:
    """Whatever type it has, a marker stands in its place."""
    text = json.dumps(redacted({"id": "evt_1", **body}, pointer))
    assert CANARY not in text
    assert MARKER in text


def test_every_pointer_counts() -> None:
    """All of them are taken out, not only the first that hits."""
    body = {"id": "evt_1", "data": {"a": CANARY, "b": CANARY, "c": "kept"}}
    assert redacted(body, "/data/a", "/data/b")["data"] == {"a": MARKER, "b": MARKER, "c": "kept"}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/data/email", None),
        ("/data/email", ""),
        ("/data/email", {CANARY: CANARY}),
        ("/data/parameters", [CANARY]),
        ("/data/parameters", None),
    ],
)
def test_the_marker_takes_the_place_of_the_whole_value(pointer: str, value: object) -> None:
    """Also of an empty one, as that says something, too."""
    name = pointer.rpartition("/")[2]
    assert redacted({"id": "evt_1", "data": {name: value}}, pointer)["data"] == {name: MARKER}


def test_all_else_stays_as_it_was_sent() -> None:
    """Letters of any language, and the order of the fields."""
    body = '{"id":"evt_1","name":"Größe","email":"x","last":1}'.encode()
    kept = Redaction.of(["/email"]).body(body)
    assert kept == '{"id":"evt_1","name":"Größe","email":"[redacted]","last":1}'.encode()


def test_the_marker_of_a_body_without_an_id_carries_a_digest() -> None:
    """Twelve digits of it, which say nothing of the value."""
    assert re.fullmatch(r"\[redacted [0-9a-f]{12}\]", redacted({"email": CANARY}, "/email")["email"])


def test_a_source_has_1_to_100_pointers() -> None:
    """One that stands twice counts once."""
    pointers = [f"/data/x{number}" for number in range(101)]
    assert len(Redaction.of([*pointers[:100], *pointers[:100]]).paths) == 100
    for wrong in ([], pointers):
        with pytest.raises(ValueError, match=r"^give 1 to 100 JSON pointers$"):
            Redaction.of(wrong)


@pytest.mark.parametrize(
    "pointer", ["/data/none", "/data/rows/1", "/data/rows/9", "/data/rows/x", "/data/rows/01", "/data/text/0"]
)
def test_a_body_without_the_value_stays_as_it_is(pointer: str) -> None:
    """Byte for byte, so that redaction changes nothing where there is nothing."""
    body = b'{ "id": "evt_1",  "data": {"rows": ["kept"], "text": "kept"} }'
    assert Redaction.of([pointer]).body(body) == body


@pytest.mark.parametrize("body", [b'{"email": "canary-7f3a"', b'{"a": 1, "a": "canary-7f3a"}', b"\xff canary-7f3a"])
def test_what_cannot_be_read_is_not_kept(body: bytes) -> None:
    """Only its length and digest are, and reading that is `invalid` with the reason why."""
    kept = Redaction.of(["/email"]).body(body)
    assert CANARY.encode() not in kept
    assert f"{len(body)} bytes".encode() in kept
    with pytest.raises(Unreadable, match="not stored"):
        event.read(kept)


@pytest.mark.parametrize("body", [b'{"email": "canary-7f3a"', b'{"email": "canary-7f3a"}'])
def test_bodies_without_an_id_stay_apart(body: bytes) -> None:
    """Two that differ only in what is taken out are still two, and copies are still the same."""
    redaction = Redaction.of(["/email"])
    assert redaction.body(body) != redaction.body(body.replace(b"7f3a", b"7f3b"))
    assert redaction.body(body) == redaction.body(body)


@pytest.mark.parametrize(
    "pointer",
    [
        "/id",
        "/event_id",
        "/eventId",
        "/type",
        "/event",
        "/status",
        "/data",
        "/data/id",
        "/data/status",
        "/jobId",
        "/data/job_id",
        "/data/pipelineId",
        "/environment",
        "/metadata",
        "/data/metadata/planasonix",
        "/metadata/hops",
        "/data/metadata/dag_id",
        "/metadata/planasonix.hops",
        "/data/parameters/planasonix",
        "/parameters/planasonix/trigger_id",
        "/data/parameters/planasonix.hops",
        "/test",
    ],
)
def test_what_the_bridge_needs_cannot_be_named(pointer: str) -> None:
    """The message tells what the pointer covers."""
    with pytest.raises(ValueError, match="which the bridge needs"):
        Redaction.of([pointer])


@pytest.mark.parametrize("pointer", ["", "data/email", "$.data.email", "/data/~2", "/data/~"])
def test_what_is_no_pointer_is_refused(pointer: str) -> None:
    """With an example of one."""
    with pytest.raises(ValueError, match="is not a JSON pointer like"):
        Redaction.of([pointer])


def test_the_event_keeps_what_routes_use() -> None:
    """Everything that is not named reads as before; `parameters` stays an object that templates can look into."""
    body = {
        "id": "evt_1",
        "type": "job.succeeded",
        "data": {"status": "succeeded", "job_id": "job_1", "parameters": {"email": CANARY}, "rows_loaded": 5},
    }
    found = event.read(Redaction.of(["/data/parameters", "/data/rows_loaded"]).body(json.dumps(body).encode()))
    assert (found.id, found.status, found.job_id, found.rows_loaded) == ("evt_1", "succeeded", "job_1", None)
    assert found.parameters == {MARKER: MARKER}


_TRIGGER = "trg_0000000000000001"


@pytest.mark.parametrize(
    "passed_on",
    [
        {"planasonix": {"trigger_id": _TRIGGER, "hops": 2, "source": CANARY}},
        {"planasonix.trigger_id": _TRIGGER, "planasonix.hops": "2", "planasonix.source": CANARY},
    ],
    ids=["nested", "flat"],
)
def test_parameters_that_are_taken_out_keep_what_the_loop_guard_counts(passed_on: dict[str, Any]) -> None:
    """In the body and in the answer of the API; nothing else of them."""
    redaction = Redaction.of(["/data/parameters"])
    parameters = {"email": CANARY, **passed_on}
    body = {"id": "evt_1", "type": "job.succeeded", "data": {"job_id": "job_1", "parameters": parameters}}
    kept = redaction.body(json.dumps(body).encode())
    found = event.read(kept)
    assert (hops.claimed(found), hops.cause(found)) == (2, hops.Cause((_TRIGGER,)))
    answer = redaction.answer({"id": "job_1", "parameters": parameters})
    assert answer["parameters"] == found.parameters
    assert CANARY not in kept.decode() + json.dumps(answer)


@pytest.mark.parametrize("private", [CANARY, {"x": CANARY}, [CANARY], True, 1.5, 12_345_678, "12345678", None])
def test_what_is_no_count_and_no_trigger_is_taken_out(private: object) -> None:
    """Anybody may use the names of the loop guard for something private."""
    given = {"planasonix": {"trigger_id": private, "hops": private}, "planasonix.hops": private}
    kept = redacted({"id": "evt_1", "data": {"parameters": given}}, "/data/parameters")
    assert kept["data"]["parameters"] == {MARKER: MARKER}


def test_the_answer_of_the_api_is_redacted_too() -> None:
    """It is flat, so a pointer below `data` means the same field of it; the answer itself is left alone."""
    job = {"id": "job_1", "parameters": {"email": CANARY, "kept": 1}}
    assert Redaction.of(["/data/parameters/email"]).answer(job)["parameters"] == {"email": MARKER, "kept": 1}
    assert job["parameters"] == {"email": CANARY, "kept": 1}
