"""Tests of routes: what a file may say, and every way in which a plan can differ from it."""

import json
import xml.etree.ElementTree as ET
from itertools import permutations
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
  - {name: one, pipeline: pl_4, dag: d4, conf: {x: 1, y: 1}}
  - {name: two, pipeline: pl_4, dag: d4, conf: {x: 1, y: 2}}
  - {name: three, pipeline: pl_4, dag: d4, conf: {x: 2, y: 3}}
  - {name: unsure, pipeline: pl_5, dag: d5, when: event.parameters.x > 1}
  - {name: lists, pipeline: pl_6, dag: d6, conf: {list: [{a: 1, b: 2}, [1]]}}
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


_LIST = '[{"a": 1, "b": 2}, [1]]'


@pytest.mark.parametrize(
    ("wanted", "is_same"),
    [
        ([{"b": 2.0, "a": 1}, [1]], True),
        ([{"a": 1}, [1]], False),
        ([{"a": 1, "b": 3}, [1]], False),
        ([{"a": 1, "b": 2, "c": 3}, [1]], False),
        ([{"a": True, "b": 2}, [1]], False),
        ([{"a": 1, "b": 2}, [1, 1]], False),
        ([{"a": 1, "b": 2}, [2]], False),
        ([{"a": 1, "b": 2}, {}], False),
        ([{"a": 1, "b": 2}, 1], False),
        ([[], [1]], False),
        ([1, [1]], False),
        (1, False),
        ({"a": 1}, False),
    ],
)
def test_a_list_is_the_same_if_each_of_its_values_is(wanted: Any, is_same: bool) -> None:
    """Whole, unlike `conf`; the order of keys and the spelling of a number say nothing."""
    found = _differences({"dag": "d6", "conf": {"list": wanted}}, pipeline="pl_6")
    said = f"t.yaml:3:37: conf.list: expected {json.dumps(wanted)}, got {_LIST}"
    assert found == ([] if is_same else [said])


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ({"deep": {"a": {"z": 1}}}, 'conf.deep.a: expected {"z": 1}, got 1'),
        ({"deep": 1}, 'conf.deep: expected 1, got {"a": 1, "b": [1, 2]}'),
        ({"n": [1]}, "conf.n: expected [1], got 44802"),
        ({"n": {}}, "conf.n: expected {}, got 44802"),
    ],
)
def test_an_object_is_no_other_value(conf: dict[str, Any], said: str) -> None:
    """Both are shown."""
    assert [text.partition(": ")[2] for text in _differences({"dag": "d1", "conf": conf})] == [said]


@pytest.mark.parametrize(
    ("note", "shown"),
    [("é" * 198, f'"{"é" * 198}"'), ("é" * 199, f'"{"é" * 196}...')],
)
def test_a_long_value_is_shown_with_its_first_200_characters(note: str, shown: str) -> None:
    """Letters of any language as they are."""
    assert _differences({"dag": "d1", "note": note}) == [f't.yaml:3:28: note: expected {shown}, got "evt_01jq8aa03"']


def test_a_route_that_fails_is_no_success() -> None:
    """Neither as the DAG that should start, nor unsaid."""
    failed = 'd2 is failed, template: conf.x: there is no "x"'
    assert _differences("d2", pipeline="pl_2") == [f"t.yaml:3:4: {failed}"]
    assert _differences([], pipeline="pl_2") == [f"t.yaml:3:4: {failed} too (route failing, m.yaml:6)"]
    assert _differences({"dag": "d2", "reason": "template"}, pipeline="pl_2") == []
    assert _differences({"dag": "d1", "reason": "template"}) == ["t.yaml:3:28: expected reason template, d1 is started"]


@pytest.mark.parametrize(
    ("starts", "said"),
    [
        ("d3", "d3 is not started: route off: the route is not enabled"),
        ({"dag": "d3", "route": "off"}, "d3 is not started: route off: the route is not enabled"),
        ({"dag": "d2", "route": "off"}, 'd2 is not started: no route "off" has this DAG'),
        ("zz", "zz is not started: no route has this DAG"),
        ({"dag": "d1", "route": "off"}, "d1 is not started once more: nothing asks for it but route d1"),
    ],
)
def test_what_is_not_started_says_what_its_own_routes_say(starts: Any, said: str) -> None:
    """Of the DAG, and of the route if one is named."""
    assert _differences(["d1", starts]) == [f"t.yaml:3:21: {said}"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sample: test", "test_event: It is a test event: it proves the way here and starts nothing."),
        ('body: "{"', "unreadable_json: Line 1, column 2: Expecting property name enclosed in double quotes."),
    ],
)
def test_what_no_route_may_see_says_why(body: str, said: str) -> None:
    """The detail of the body, or what the reason means."""
    (case,) = _cases(f"tests:\n- {{name: x, starts: d1, {body}}}\n")
    outcome = _outcome(case)
    assert [each.what for each in outcome.differences] == [f"d1 is not started: {said}"]
    assert not outcome.has_passed
    assert case.line == 2


def test_a_dag_that_is_expected_too_often_is_told_with_the_routes_that_say_why_not() -> None:
    """If there are none, with the routes that do start it."""
    why = 'environment: event has "us", route wants "eu"'
    assert _differences(["d1", "d1"]) == [f"t.yaml:3:21: d1 is not started: route second: {why}; route third: {why}"]
    assert _differences(["d4"] * 4, pipeline="pl_4") == [
        "t.yaml:3:33: d4 is not started once more: nothing asks for it but route one, route two, route three"
    ]


def test_a_run_that_fits_another_expectation_is_given_up_for_it() -> None:
    """Whatever their order, and however long the chain."""
    starts = [{"dag": "d4"}, {"dag": "d4", "conf": {"x": 1}}, {"dag": "d4", "conf": {"y": 1}}]
    for order in permutations(starts):
        assert _differences(list(order), pipeline="pl_4") == []
    assert _differences(starts[2:], pipeline="pl_4") == [
        "t.yaml:3:4: d4 is started too (route three, m.yaml:10)",
        "t.yaml:3:4: d4 is started too (route two, m.yaml:9)",
    ]


def test_runs_of_one_dag_are_told_apart_whatever_their_order() -> None:
    """An entry that fits several takes none from one that fits that one only."""
    vague, third, second = {"dag": "d1"}, {"dag": "d1", "conf": {"k": 3}}, {"dag": "d1", "conf": {"k": 2}}
    assert _differences([vague, third, second], environment="eu") == []
    assert _differences([second, vague, third], environment="eu") == []
    assert _differences([second, second, third], environment="eu") == ["t.yaml:3:71: conf.k: expected 2, there is none"]


def test_why_nothing_is_started() -> None:
    """The reason, and what single routes say."""
    assert _differences([], pipeline="pl_9", because="no_route", why_not={"second": 'event has "pl_9"'}) == []
    said = ["t.yaml:2:98: because: expected test_event, the reason is no_route"]
    assert _differences([], pipeline="pl_9", because="test_event") == said
    assert _differences([], because="no_route") == ["t.yaml:3:4: d1 is started too (route d1, m.yaml:3)"]
    assert _differences([], pipeline="pl_9", why_not={"second": "environment", "nobody": "x"}) == [
        't.yaml:2:110: why_not.second: expected "environment", it is: pipeline: event has "pl_9", route wants "pl_1"',
        't.yaml:2:135: no route "nobody" was asked about this body',
    ]
    assert _differences("d1", why_not={"d1": "x"}) == ['t.yaml:2:110: why_not.d1: expected "x", it is: it matches']
    assert _differences({"dag": "d5", "reason": "condition"}, pipeline="pl_5", why_not={"unsure": "x2"}) == [
        't.yaml:2:110: why_not.unsure: expected "x2", it is: when: there is no "x"'
    ]


def test_why_nothing_is_started_says_the_detail() -> None:
    """Where there is one."""
    (case,) = _cases('tests:\n- {name: x, body: "{", starts: [], because: no_route}\n')
    assert [each.what for each in _outcome(case).differences] == [
        "because: expected no_route, the reason is unreadable_json"
        " (Line 1, column 2: Expecting property name enclosed in double quotes.)"
    ]


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


def test_all_mistakes_of_a_test_are_told_at_once() -> None:
    """Of a sample, of its changes, and of any other word."""
    with pytest.raises(ConfigError) as error:
        _cases("tests:\n- {name: x, sample: tst, with: {pipline_id: x, /a/b: 1}, starts: [], because: no_rout}\n")
    said = "".join(f"{problem}\n" for problem in error.value.problems)
    assert said.count("\n") == 3
    assert all(part in said for part in ('no sample "tst"', 'no field "pipline_id"', '"no_rout" is not valid here'))


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("sampel: test, starts: []", 'unknown key "sampel", did you mean "sample"?'),
        ("sample: tst, starts: []", 'no sample "tst", did you mean "test"?'),
        ("sample: test, with: {pipline_id: x}, starts: []", 'no field "pipline_id", did you mean "pipeline_id"?'),
        ("sample: backfill.completed, with: {/data/job_ids/9: x}, starts: []", '"/data/job_ids/9": there is no item 9'),
        ("sample: test, with: , starts: []", '"with" has no value'),
        ("sample: , starts: []", '"sample" has no value; give it one, or take the key away'),
        ("sample: 5, starts: []", '"sample" must be a string; put it in quotes: "5"'),
        ("sample: test, with: 5, starts: []", '"with" must hold keys with values'),
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


def test_two_tests_of_one_line_have_two_names() -> None:
    """Else nobody knows which of them failed."""
    with pytest.raises(ConfigError) as error:
        _cases("tests: [{name: a, sample: test, starts: []}, {name: a, sample: test, starts: []}]\n")
    assert [str(each) for each in error.value.problems] == ['t.yaml:1:47: the name "a" is taken by the test of line 1']


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
