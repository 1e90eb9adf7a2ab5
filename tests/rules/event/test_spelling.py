"""A sender that spells its bodies in its own way needs a setting and no code."""

import json
import re
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rules import hops
from bridge.rules.event import Redaction, Spelling, merge, peek_id, read, set_aside
from bridge.rules.event.pointers import spell_pointer
from bridge.rules.event.reader import spellings
from bridge.rules.event.spelling import FIELDS, read_fields, read_places, read_words
from bridge.words.errors import Unreadable
from bridge.words.model import Event, Status
from bridge.words.reasons import Reason

_OWN = Spelling(
    fields=read_fields({"id": "/meta/uuid", "pipeline_id": "/data/pipeline/uuid", "status": "/data/result/code"}),
    words=read_words({"succeeded": ["OK", "DONE"], "failed": ["KO"], "running": ["WIP"]}),
)
_JOB: dict[str, Any] = {
    "job_id": "job_1",
    "pipeline_id": "pl_1",
    "pipeline_name": "orders",
    "connection_id": "conn_1",
    "environment": "production",
    "started_at": "2025-03-27T14:22:12Z",
    "finished_at": "2025-03-27T14:26:20Z",
    "duration_seconds": 248,
    "rows_loaded": 44802,
    "parameters": {"business_date": "2025-03-27"},
    "status": "succeeded",
}
_ENVELOPE = {"id": "evt_1", "type": "job.completed", "timestamp": "2025-03-27T14:26:21Z"}
_WORDS = {"usual": ["succeeded", "success", "Completed"], "own": ["OK", "done", "Gut"]}
_OWN_WORDS = read_words({"succeeded": ["ok", "Done", "GUT"]})


def _read(body: dict[str, Any], spelling: Spelling = _OWN) -> Event:
    return read(json.dumps(body).encode(), spelling=spelling)


def test_a_field_is_found_where_the_source_says() -> None:
    """And where it was found is known, for `explain`."""
    event = _read({"meta": {"uuid": "e-7"}, "data": {"pipeline": {"uuid": "pl_7"}, "result": {"code": "done"}}})
    assert (event.id, event.pipeline_id, event.status) == ("e-7", "pl_7", Status.SUCCEEDED)
    assert event.origins["pipeline_id"] == "/data/pipeline/uuid"
    assert (event.origins["id"], event.origins["status"]) == ("/meta/uuid", "/data/result/code")


def test_the_sources_place_counts_before_the_usual_name() -> None:
    """What stands under the usual name beside it is something else, and contradicts nothing."""
    event = _read(
        {
            "pipeline_id": "tenant_1",
            "status": "queued",
            "data": {"pipeline": {"uuid": "pl_7"}, "result": {"code": "KO"}},
        }
    )
    assert (event.pipeline_id, event.status, event.is_running) == ("pl_7", Status.FAILED, False)


@pytest.mark.parametrize("there", [{}, {"pipeline": None}, {"pipeline": {"uuid": " "}}, {"pipeline": ["x"]}])
def test_where_nothing_stands_there_the_usual_names_count(there: dict[str, Any]) -> None:
    """So one setting does for a sender that has two kinds of bodies."""
    event = _read({"id": "evt_1", "status": "success", "data": there | {"pipelineId": "pl_1"}})
    assert (event.id, event.pipeline_id, event.status) == ("evt_1", "pl_1", Status.SUCCEEDED)
    assert event.origins["pipeline_id"] == "/data/pipelineId"


def test_what_cannot_be_read_there_is_noted_with_the_place_and_without_the_value() -> None:
    """And no other value is guessed in its stead."""
    event = _read({"pipeline_id": "pl_1", "data": {"pipeline": {"uuid": "no id!"}}})
    assert event.pipeline_id is None
    assert event.unreadable["pipeline_id"].endswith("(at /data/pipeline/uuid)")
    assert "no id!" not in str(event.unreadable)


def test_a_word_of_the_source_counts_more_than_the_usual_one() -> None:
    """In any case; all others keep their meaning."""
    spelling = Spelling(words=read_words({"failed": ["completed_with_errors", "Success"]}))
    assert _read({"status": "Completed_With_Errors"}, spelling).status is Status.FAILED
    assert _read({"status": "SUCCESS"}, spelling).status is Status.FAILED
    assert _read({"status": "succeeded"}, spelling).status is Status.SUCCEEDED


def test_a_word_that_means_running_starts_nothing() -> None:
    """As the usual ones do."""
    assert set_aside(_read({"data": {"result": {"code": "wip"}}})) is Reason.STATUS_RUNNING


def test_without_a_preset_nothing_but_the_named_places_is_read() -> None:
    """Else `jobId` of a sender whose jobs run again and again would be taken for the job that ended."""
    spelling = Spelling(fields=read_fields({"run_id": "/data/runId", "status": "/data/runStatus"}), is_usual=False)
    event = _read(
        {"id": "evt_1", "eventId": "e", "data": {"jobId": "123", "runId": "7", "runStatus": "Success"}}, spelling
    )
    assert (event.id, event.job_id, event.run_id) == (None, None, "7")
    assert (event.status, event.status_word) == (None, "Success")  # its words are named, too
    known = replace(spelling, words=read_words({"succeeded": ["success"]}))
    assert _read({"data": {"runStatus": "Success"}}, known).status is Status.SUCCEEDED


@given(
    st.recursive(
        st.none() | st.text(max_size=5) | st.integers(0, 9),
        lambda inner: st.dictionaries(st.sampled_from(["meta", "uuid", "id"]), inner) | st.lists(inner, max_size=3),
    )
)
def test_the_id_before_the_commit_is_the_id_after_it(value: Any) -> None:
    """Whatever stands at the place of the id."""
    body = json.dumps({"meta": value, "id": "evt_1"}).encode()
    for spelling in (_OWN, replace(_OWN, is_usual=False), Spelling()):
        try:
            assert peek_id(body, spelling) == read(body, spelling=spelling).id
        except Unreadable:
            assert peek_id(body, spelling) in (None, "evt_1")


def test_without_a_preset_the_id_before_the_commit_is_that_of_the_source_alone() -> None:
    """Else two events of one such sender would be taken for one."""
    assert peek_id(b'{"id":"evt_1"}', Spelling(is_usual=False)) is None
    assert peek_id(b'{"id":"evt_1"}', Spelling(words=_OWN_WORDS)) == "evt_1"


@pytest.mark.parametrize(
    "spelling",
    [
        _OWN,
        Spelling(),
        Spelling(zone=ZoneInfo("Europe/Berlin")),
        Spelling(fields=read_fields({"run_id": ["/a~1b/c", "/d"]}), is_usual=False),
    ],
)
def test_a_setting_survives_being_written(spelling: Spelling) -> None:
    """As `diff` gets it from a running bridge."""
    assert Spelling.of_written(json.loads(json.dumps(spelling.written()))) == spelling


def test_a_setting_is_written_as_it_stands_in_bridge_yaml() -> None:
    """But for the words, each with its meaning; what an older bridge leaves out is the default."""
    assert replace(_OWN, zone=ZoneInfo("Asia/Tokyo"), is_usual=False).written() == {
        "timezone": "Asia/Tokyo",
        "preset": "none",
        "fields": {"id": ["/meta/uuid"], "pipeline_id": ["/data/pipeline/uuid"], "status": ["/data/result/code"]},
        "statuses": {"ok": "succeeded", "done": "succeeded", "ko": "failed", "wip": "running"},
    }
    assert Spelling.of_written({}) == Spelling()


@pytest.mark.parametrize(
    ("given_words", "message"),
    [
        ({"succeeded": ["OK"], "failed": ["ok"]}, "'ok' stands under succeeded and under failed"),
        ({"failed": [" "]}, "failed: a status word is not empty"),
        ({"succeeded": [True]}, "succeeded: 'True' is not a word; put it in quotes"),
        ({"succeeded": None}, "succeeded: 'None' is not a word; put it in quotes"),
        ({"failed": ["KO", ["x" * 30]]}, f'failed: "[\'{"x" * 18}" is not a word; put it in quotes'),
        ({"failed": [f"w{n}" for n in range(201)]}, "give at most 200 status words"),
    ],
)
def test_a_word_means_one_thing(given_words: dict[str, Any], message: str) -> None:
    """Two meanings, no word, or too many of them, is a mistake at start."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read_words(given_words)


def test_status_words_are_a_list_or_one_and_may_be_numbers() -> None:
    """200 at most; one that stands twice under the same status counts once."""
    assert [(word, meaning.value) for word, meaning in read_words({"succeeded": 0, "failed": ["KO", "ko", 1.5]})] == [
        ("0", "succeeded"),
        ("ko", "failed"),
        ("1.5", "failed"),
    ]
    assert len(read_words({"failed": [f"w{n}" for n in range(200)]})) == 200


@pytest.mark.parametrize("where", [None, 5, {}, {"/a": 1}, [], [5], ["/a", None]])
def test_a_place_is_a_pointer_or_a_list_of_them(where: object) -> None:
    """Anything else says how to write one."""
    expected = "give a JSON pointer such as /data/pipeline/uuid, or a list of them"
    with pytest.raises(ValueError, match=f"^{expected}$"):
        read_places(where)


def test_every_field_but_the_rest_may_have_places() -> None:
    """Also the mark of a test, which is no field of an event. `data` is what is around them."""
    assert {"id", "type", "status", "pipeline_id", "parameters", "metadata", "error", "test"} < set(FIELDS)
    assert "data" not in FIELDS


def test_a_field_has_8_places_at_most() -> None:
    """They are kept in their order."""
    places = [f"/a/{number}" for number in range(9)]
    assert list(map(spell_pointer, read_places(places[:8]))) == places[:8]
    with pytest.raises(ValueError, match=r"^give at most 8 JSON pointers$"):
        read_places(places)


def test_what_is_redacted_is_no_field_that_is_needed() -> None:
    """Where the source spells it."""
    assert Redaction.of(["/data/pipeline"]).hides(_OWN) is not None
    assert Redaction.of(["/data/pipeline/owner"]).hides(_OWN) is None
    assert Redaction.of(["/data/pipeline"]).hides(Spelling()) is None


@pytest.mark.parametrize(
    ("pointer", "covered"),
    [
        ("/run/options", None),
        ("/run/options/email", None),
        ("/run/options/planasonix", "/run/options/planasonix/trigger_id"),
        ("/run/options/planasonix/hops", "/run/options/planasonix/hops"),
        ("/run", "/run/labels/planasonix/trigger_id"),
        ("/run/labels", "/run/labels/planasonix/trigger_id"),
        ("/run/labels/dag_id", "/run/labels/dag_id"),
        ("/run/labels/email", None),
    ],
)
def test_what_the_loop_guard_counts_stays_where_the_source_spells_it(pointer: str, covered: str | None) -> None:
    """As it does at the usual places: a whole `parameters` may be taken out, and keeps what is counted."""
    own = Spelling(fields=read_fields({"parameters": "/run/options", "metadata": "/run/labels"}))
    hidden = Redaction.of([pointer]).hides(own)
    assert (None if hidden is None else hidden.split()[2]) == (covered and f"{covered},")


_PASSED_ON: dict[str, Any] = {"planasonix": {"trigger_id": "trg_0000000000000001", "hops": 3}}


@pytest.mark.parametrize(
    ("place", "pointer"),
    [
        ("/run/options", "/run/options"),
        ("/run/options", "/run"),
        ("/run/0/options", "/run/0/options"),
        ("/run/0/options", "/run/0"),
        ("/run/0/options", "/run"),
    ],
)
def test_parameters_keep_what_the_loop_guard_counts_also_if_more_is_taken_out(place: str, pointer: str) -> None:
    """A pointer at them, or at what has them inside, in objects and lists. Nothing else of it stays."""
    own = Spelling(fields=read_fields({"parameters": place}))
    inner = {"options": {"email": "a@b.c", "planasonix": {"hops": 2}}}
    body = {"id": "e", "run": inner if place == "/run/options" else [inner]}
    redaction = Redaction.of([pointer])
    assert redaction.hides(own) is None
    kept = redaction.body(json.dumps(body).encode(), own)
    assert read(kept, spelling=own).parameters == {"[redacted]": "[redacted]", "planasonix": {"hops": 2}}
    assert b"a@b.c" not in kept


@pytest.mark.parametrize(
    ("places", "pointer", "body"),
    [
        (["/data/parameters/inner"], "/data/parameters", {"data": {"parameters": {"inner": _PASSED_ON}}}),
        (["/data/parameters/inner"], "/data/parameters", {"data": {"parameters": _PASSED_ON}}),
        (["/data/parameters/inner"], "/data/parameters", {"data": {"parameters": {"inner": None, **_PASSED_ON}}}),
        (["/run/old", "/run/args"], "/run", {"run": {"old": None, "args": _PASSED_ON}}),
        (["/run/old", "/run/args"], "/run", {"run": {"old": " ", "args": _PASSED_ON}}),
        (["/run/old", "/run/args"], "/run/old", {"run": {"old": None, "args": _PASSED_ON}}),
        (["/run/old", "/run/args"], "/run/old", {"run": {"old": "", "args": _PASSED_ON}}),
        (["/run/old"], "/run/old", {"run": {"old": None}, "parameters": _PASSED_ON}),
    ],
)
def test_what_the_loop_guard_counts_is_found_at_the_same_place_after_redaction(
    places: list[str], pointer: str, body: dict[str, Any]
) -> None:
    """One place inside another, and one that says nothing before the next."""
    own = Spelling(fields=read_fields({"parameters": places}))
    redaction = Redaction.of([pointer])
    assert redaction.hides(own) is None
    before = json.dumps({"id": "e", **body}).encode()
    kept = redaction.body(before, own)
    assert [hops.claimed(read(each, spelling=own)) for each in (before, kept)] == [3, 3]
    assert hops.cause(read(kept, spelling=own)) == hops.Cause((_PASSED_ON["planasonix"]["trigger_id"],))


def test_two_redacted_bodies_without_a_usual_id_stay_what_they_are() -> None:
    """The marker of a body with an id of its own spelling carries no digest."""
    kept = Redaction.of(["/secret"]).body(b'{"meta":{"uuid":"e-7"},"secret":1}', _OWN)
    assert json.loads(kept)["secret"] == "[redacted]"


def _place(name: str, draw: st.DrawFn) -> tuple[str, ...]:
    box = draw(st.sampled_from([(), ("data",), ("data", "job"), ("payload", "a/b~c")]))
    return (*box, f"x_{name}")


def _put(body: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for step in path[:-1]:
        body = body.setdefault(step, {})
    body[path[-1]] = value


@st.composite
def _variants(draw: st.DrawFn) -> tuple[dict[str, Any], Spelling, dict[str, Any] | None]:
    """One job in any shape: each field by a usual name in either casing, at the source's own place, or looked up."""
    body: dict[str, Any] = {"data": {}, **_ENVELOPE} if draw(st.booleans()) else dict(_ENVELOPE)
    boxes = [body, body["data"]] if "data" in body else [body]
    fields, answer = {}, {}
    may_look_up = draw(st.booleans())
    for name, value in _JOB.items():
        ways = ["usual", "own", *(["api"] if may_look_up and name not in ("job_id", "status") else [])]
        way = draw(st.sampled_from(ways))
        sent = draw(st.sampled_from(_WORDS[way])) if name == "status" else value
        if way == "own":
            path = _place(name, draw)
            fields[name] = spell_pointer(path)
            _put(body, path, sent)
        else:
            where = answer if way == "api" else draw(st.sampled_from(boxes))
            where[draw(st.sampled_from(spellings(name)))] = sent
    asked = {**answer, "id": "job_1", "status": "succeeded"} if may_look_up else None
    return body, Spelling(fields=read_fields(fields), words=_OWN_WORDS), asked


@given(_variants())
def test_for_every_shape_of_one_job_the_completed_event_is_the_same(
    variant: tuple[dict[str, Any], Spelling, dict[str, Any] | None],
) -> None:
    """Flat or wrapped, either casing, any place, any of its words, or partly looked up."""
    body, spelling, answer = variant
    event = _read(body, spelling)
    if answer is not None:
        event = merge(event, answer, spelling=spelling)
    plain = _read({**_ENVELOPE, "data": _JOB}, Spelling())
    emptied: dict[str, Any] = {"unreadable": {}, "data": {}, "status_word": None}
    assert event.unreadable == {}
    assert replace(event, **emptied) == replace(plain, **emptied)
