"""Tests of routes: what a file may say, and every way in which a plan can differ from it."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bridge.rules.expecting import Case, Outcome, json_schema, judge, junit, read
from bridge.rules.mapping import read as read_mapping
from bridge.rules.planning import Subject, plan
from bridge.rules.yamltree import parse
from bridge.words.errors import ConfigError

_ROOT = Path(__file__).parents[2]
MAPPING = read_mapping(
    """
routes:
  - {pipeline: pl_1, dag: d1, conf: {n: "{{ event.rows_loaded }}", deep: {a: 1, b: [1, 2]}}, note: "{{ event.id }}"}
  - {name: second, pipeline: pl_1, environment: eu, dag: d1, conf: {k: 2}}
  - {name: third, pipeline: pl_1, environment: eu, dag: d1, conf: {k: 3}}
  - {name: failing, pipeline: pl_2, dag: d2, conf: {x: "{{ event.parameters.x }}"}}
  - {name: off, pipeline: pl_1, dag: d3, enabled: false}
""",
    file="m.yaml",
    airflows=None,
    sources=None,
)


def _nothing_beside(name: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", name)


def _cases(text: str) -> tuple[Case, ...]:
    return read(text, file="t.yaml", open_beside=_nothing_beside).cases


def _outcome(case: Case) -> Outcome:
    form = case.form
    subject = Subject("dlv_0", "planasonix", form.received_at, case.body, form.url_pipeline, form.job)
    made = plan(subject, MAPPING, new_trigger_id=lambda: "trg_0", max_hops=3)
    return judge(case, made)


def _differences(starts: Any, *, pipeline: str = "pl_1", environment: str = "us", **more: Any) -> list[str]:
    """Judge one test whose `starts` stands in line 2."""
    test = {"name": "x", "sample": "job.succeeded", "with": {"pipeline_id": pipeline, "environment": environment}}
    lines = [f"- {json.dumps(test | more)[:-1]},", f'   "starts": {json.dumps(starts)}}}']
    (case,) = _cases("tests:\n" + "\n".join(lines))
    return [str(item) for item in _outcome(case).differences]


@pytest.mark.parametrize(
    "starts",
    [
        "d1",
        ["d1"],
        {"dag": "d1"},
        [{"dag": "d1", "route": "d1", "airflow": "default"}],
        {"dag": "d1", "conf": {}},
        {"dag": "d1", "conf": {"n": 44802.0}},
        {"dag": "d1", "conf": {"deep": {"a": 1}}},
        {"dag": "d1", "conf": {"planasonix": {"status": "succeeded", "parameters": {}}}},
        {"dag": "d1", "conf_exactly": {"n": 44802, "deep": {"a": 1, "b": [1, 2]}}},
        {"dag": "d1", "note": "evt_01jq8aa03"},
        {"dag": "d1", "dag_run_id": "planasonix__job_01jq8syncabc__succeeded__d1"},
    ],
)
def test_what_is_as_expected_passes(starts: Any) -> None:
    """In the short spelling or the long one, whole or in parts."""
    assert _differences(starts) == []


@pytest.mark.parametrize(
    ("starts", "expected"),
    [
        (
            "d2",
            ["3:4: d2 is not started: route failing: pipeline: event has", "3:4: d1 is started too (route d1, m.ya"],
        ),
        ("d3", ["3:4: d3 is not started: route off: the route is not enabled", "3:4: d1 is started too"]),
        (["d1", "zz"], ["3:21: zz is not started: no route has this DAG"]),
        ([], ["3:4: d1 is started too (route d1, m.yaml:3)"]),
        ({"dag": "d1", "route": "x"}, ['3:28: route: expected "x", got "d1"']),
        ({"dag": "d1", "airflow": "eu"}, ['airflow: expected "eu", got "default"']),
        ({"dag": "d1", "conf": {"n": 1}}, ["3:37: conf.n: expected 1, got 44802"]),
        ({"dag": "d1", "conf": {"m": None}}, ["3:37: conf.m: expected null, there is none"]),
        ({"dag": "d1", "conf": {"deep": {"a": True}}}, ["conf.deep.a: expected true, got 1"]),
        ({"dag": "d1", "conf": {"deep": {"b": [1]}}}, ["conf.deep.b: expected [1], got [1, 2]"]),
        ({"dag": "d1", "conf_exactly": {"n": 44802}}, ['conf.deep: expected nothing, got {"a": 1, "b": [1, 2]}']),
        ({"dag": "d1", "note": "x"}, ['note: expected "x", got "evt_01jq8aa03"']),
        ({"dag": "d1", "dag_run_id": "x"}, ['dag_run_id: expected "x", got "planasonix__job']),
        ({"dag": "d1", "reason": "template"}, ["expected reason template, d1 is started"]),
    ],
)
def test_each_difference_is_told_at_its_place(starts: Any, expected: list[str]) -> None:
    """`file:line:column`, what was expected, and what is; for a run that is missing also why."""
    found = _differences(starts)
    assert len(found) == len(expected)
    assert all(part in "\n".join(found) for part in expected), found


def test_a_route_that_fails_is_no_success() -> None:
    """Neither as the DAG that should start, nor unsaid."""
    assert "d2 is failed, template: conf.x:" in _differences("d2", pipeline="pl_2")[0]
    assert "d2 is failed, template" in _differences([], pipeline="pl_2")[0]
    assert _differences({"dag": "d2", "reason": "template"}, pipeline="pl_2") == []


def test_runs_of_one_dag_are_told_apart_whatever_their_order() -> None:
    """An entry that fits several takes none from one that fits that one only."""
    vague, third, second = {"dag": "d1"}, {"dag": "d1", "conf": {"k": 3}}, {"dag": "d1", "conf": {"k": 2}}
    assert _differences([vague, third, second], environment="eu") == []
    assert _differences([second, vague, third], environment="eu") == []
    assert "conf.k: expected 2, there is none" in _differences([second, second, third], environment="eu")[0]


def test_why_nothing_is_started() -> None:
    """The reason, and what single routes say."""
    assert _differences([], pipeline="pl_9", because="no_route", why_not={"second": 'event has "pl_9"'}) == []
    (said,) = _differences([], pipeline="pl_9", because="test_event")
    assert "because: expected test_event, the reason is no_route" in said
    found = _differences([], pipeline="pl_9", why_not={"second": "environment", "nobody": "x"})
    assert 'why_not.second: expected "environment", it is: pipeline: event has "pl_9"' in found[0] + found[1]
    assert 'no route "nobody" was asked' in found[0] + found[1]


def test_a_body_of_any_kind() -> None:
    """Written out, a text that is no JSON, one whose job the API knows, one for the URL of a pipeline."""
    text = """
tests:
  - {name: a, body: {id: e, type: job.succeeded, data: {status: succeeded, pipeline_id: pl_1}}, starts: d1}
  - {name: b, body: "{", starts: [], because: unreadable_json}
  - {name: c, sample: job.completed, job: {id: job_xyz789, pipeline_id: pl_1}, starts: d1}
  - {name: d, sample: job.completed, url_pipeline: pl_1, starts: d1}
  - {name: e, sample: job.succeeded, url_pipeline: pl_1, starts: [], because: contradiction}
"""
    assert [str(item) for case in _cases(text) for item in _outcome(case).differences] == []


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("sampel: test, starts: []", 'unknown key "sampel", did you mean "sample"?'),
        ("sample: tst, starts: []", 'no sample "tst", did you mean "test"?'),
        ("sample: test, with: {pipline_id: x}, starts: []", 'no field "pipline_id", did you mean "pipeline_id"?'),
        ("sample: backfill.completed, with: {/data/job_ids/9: x}, starts: []", '"/data/job_ids/9": there is no item 9'),
        ("sample: test, with: , starts: []", '"with" has no value'),
        ("sample: test, expect: []", 'unknown key "expect", did you mean "starts"?'),
        ("sample: test", 'the key "starts" is missing'),
        ("starts: []", "say which body, with exactly one of"),
        ("sample: test, body: {}, starts: []", "say which body, with exactly one of"),
        ("body: {}, with: {id: x}, starts: []", "`with` changes a `sample`"),
        ("body_file: nowhere.json, starts: []", "nowhere.json cannot be read: No such file"),
        ("sample: test, starts: [], because: no_rout", '"no_rout" is not valid here, did you mean "no_route"?'),
        ("sample: test, starts: d1, because: no_route", "`starts` lists something"),
        ("sample: test, starts: {dag_id: d1}", 'unknown key "dag_id", did you mean "dag"?'),
        ("sample: test, starts: {dag: d1, conf: 1}", '"conf" must hold keys with values'),
        ("sample: test, starts: {dag: d1, reason: templat}", '"templat" is not valid here, did you mean "template"?'),
        ("sample: test, starts: 1", '"starts" must be a list'),
        ("name: again, sample: test, starts: []", 'the name "again" is taken by the test of line 2'),
    ],
)
def test_each_mistake_of_a_file_is_told(test: str, message: str) -> None:
    """With its line and the nearest word."""
    name = "" if test.startswith("name:") else "name: x, "
    text = f"tests:\n  - {{name: again, sample: test, starts: []}}\n  - {{{name}{test}}}\n"
    with pytest.raises(ConfigError) as error:
        _cases(text)
    assert any(problem.line == 3 and message in problem.what for problem in error.value.problems), error.value


def test_no_test_at_all_is_a_mistake() -> None:
    """A file that tests nothing would pass for ever."""
    with pytest.raises(ConfigError):
        _cases("tests: []\n")


def test_the_shipped_schema_is_the_generated_one() -> None:
    """`make schema` has been run since the model changed; it is a schema, with an id and a word on every key."""
    shipped = json.loads((_ROOT / "config" / "tests.schema.json").read_text("utf-8"))
    assert shipped == json_schema()
    Draft202012Validator.check_schema(shipped)
    assert shipped["$id"] == "urn:planasonix-bridge:tests"
    properties = [item for form in shipped["$defs"].values() for item in form["properties"].items()]
    assert [key for key, value in properties if not value.get("description")] == []


def test_the_schema_takes_what_is_read() -> None:
    """The shipped tests, and every spelling of `starts`; not an unknown key."""
    schema = Draft202012Validator(json_schema())
    shipped = (_ROOT / "config" / "tests" / "mapping.yaml").read_text("utf-8")
    assert list(schema.iter_errors(parse(shipped, file="t").value)) == []
    for starts in ("d1", ["d1", {"dag": "d2"}], {"dag": "d1"}, []):
        assert schema.is_valid({"tests": [{"name": "x", "sample": "test", "starts": starts}]})
    assert not schema.is_valid({"tests": [{"name": "x", "sample": "test", "starts": [{"dagg": "d1"}]}]})


def test_junit_is_xml_whatever_a_name_holds() -> None:
    """A suite a file, with the place of each test and its differences."""
    name = 'a <b> & "c" \\u0001 é'
    text = (
        f'tests:\n  - {{name: "{name}", sample: job.succeeded, starts: d1}}\n  - {{name: y, sample: test, starts: []}}'
    )
    outcomes = [_outcome(case) for case in _cases(text.replace('"c"', "'c'"))]
    (suite,) = ET.fromstring(junit({"t.yaml": outcomes}))  # noqa: S314 - our own
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("t.yaml", "2", "1")
    first, second = suite
    assert (first.get("name"), first.get("line")) == ("a <b> & 'c' \ufffd é", "2")
    assert "d1 is not started" in str(first[0].text)
    assert len(second) == 0
