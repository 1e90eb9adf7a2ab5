"""The call that a route makes: the DAG run id, the conf and the note, in a form that every Airflow takes."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rules.mapping import DeliveryContext, read
from bridge.rules.mapping.routes import event_fields
from bridge.rules.mapping.runs import clean, rerun_id, run_id
from bridge.words.errors import TemplateError
from bridge.words.model import Call, Event, Status

_EVENT = Event(id="evt_1", type="job.completed", status=Status.SUCCEEDED, job_id="job_1", pipeline_id="pl_1")
_DELIVERY = DeliveryContext(id="dlv_1", received_at="2025-03-27T14:26:20Z", source="planasonix", hops=2)
# As bridge/rules/mapping/runs.py found by running 2.11 to 3.3: pattern, what 3.3 refuses, other databases' length.
_is_legal = re.compile(r"[A-Za-z0-9_.~:+-]{1,250}").fullmatch
_RESERVED = ("scheduled__", "asset_triggered__", "backfill__", "asset_materialization__", "operator_triggered__")


def _call(route: str = "", *, event: Event = _EVENT, **fields: Any) -> Call:
    text = f"routes:\n  - dag: d1\n    {route}\n"
    (found,) = read(text, file="m.yaml", airflows=["default"], sources=["planasonix"]).routes
    return found.call("d1", replace(event, **fields), delivery=_DELIVERY, trigger_id="trg_1")


@pytest.mark.parametrize(
    ("fields", "name", "expected"),
    [
        ({}, "sales", "planasonix__job_1__succeeded__sales"),
        ({"run_id": "run_1", "backfill_id": "bf_1"}, "sales", "planasonix__run_1__succeeded__sales"),
        ({"job_id": None, "backfill_id": "bf_1"}, "sales", "planasonix__bf_1__succeeded__sales"),
        ({"job_id": None}, "sales", "planasonix__evt_1__succeeded__sales"),
        ({"job_id": None, "id": None}, "sales", "planasonix__dlv_1__succeeded__sales"),
        ({"status": Status.FAILED}, "sales", "planasonix__job_1__failed__sales"),
        ({}, "a.b~c:d+e-f", "planasonix__job_1__succeeded__a.b~c:d+e-f"),
    ],
)
def test_the_default_run_id(fields: dict[str, Any], name: str, expected: str) -> None:
    """It is made of the run, job, backfill or event id, the status and the route's name, in exactly this form."""
    assert _call(f"name: {name}", **fields).dag_run_id == expected


def test_an_unnamed_route_is_called_after_its_dag() -> None:
    """So the shortest route's run ids say which DAG it was."""
    assert _call().dag_run_id == "planasonix__job_1__succeeded__d1"


def test_run_again_adds_a_number() -> None:
    """A person's "run again" is another DAG run: its id ends in `__rN`, also if it repeats one that was run again."""
    first = _call("name: sales").dag_run_id

    assert rerun_id(first, rerun_of=0, rerun=3) == "planasonix__job_1__succeeded__sales__r3"
    assert rerun_id(f"{first}__r3", rerun_of=3, rerun=4) == "planasonix__job_1__succeeded__sales__r4"
    assert rerun_id("nightly__r3", rerun_of=0, rerun=1) == "nightly__r3__r1"


@pytest.mark.parametrize(
    "wanted",
    [
        "a b",
        "a/b",
        "a..b",
        "ä",
        "a\n",
        " a",
        "",
        "..",
        "\ud800",
        "x" * 251,
        "scheduled__2025-03-27",
        "backfill__1",
        "asset_triggered__1",
        "operator_triggered__1",
        "asset_materialization__1",
    ],
)
def test_an_illegal_id_is_made_legal_and_keeps_its_own(wanted: str) -> None:
    """Whatever had to be changed ends in a digest, so that two ids never become one."""
    made = run_id(wanted)

    assert _is_legal(made)
    assert ".." not in made
    assert not made.startswith(_RESERVED)
    assert re.search(r"--[0-9a-f]{12}$", made)


_WANTED = st.one_of(
    st.text(max_size=300),
    st.text(alphabet="ab._~:+- /\n", max_size=40),
    st.builds(str.__add__, st.sampled_from(_RESERVED), st.text(alphabet="ab.", max_size=250)),
)


@given(wanted=_WANTED, rerun=st.integers(0, 99))
def test_run_ids_are_always_legal(wanted: str, rerun: int) -> None:
    """For any text and any number of reruns: the pattern, no `..`, no reserved prefix, at most 250, and stable."""
    first = run_id(wanted)
    made = rerun_id(first, rerun_of=0, rerun=rerun) if rerun else first

    assert _is_legal(made)
    assert ".." not in made
    assert not made.startswith(_RESERVED)
    assert first == run_id(wanted)


@given(one=_WANTED, other=_WANTED)
def test_distinct_texts_give_distinct_run_ids(one: str, other: str) -> None:
    """However alike two texts become by what is changed or cut."""
    assert (run_id(one) == run_id(other)) == (one == other)


@given(text=st.text(alphabet="ab -", min_size=1, max_size=4), cut=st.integers(0, 3))
def test_texts_that_become_alike_stay_apart(text: str, cut: int) -> None:
    """The same for texts that differ only in what is illegal, or only beyond the cut."""
    alike = {text, text.replace("-", " "), text.replace(" ", "-"), f"{text} "}
    long = {"x" * 300 + text, "x" * 300 + text[:cut]}

    for texts in (alike, long):
        assert len({run_id(item) for item in texts}) == len(texts)


def test_a_run_id_of_the_routes_own() -> None:
    """A route may say another one; a number in it is printed."""
    assert _call("dag_run_id: 'own-{{ event.job_id }}'").dag_run_id == "own-job_1"
    assert _call("dag_run_id: '{{ event.rows_loaded }}'", rows_loaded=7).dag_run_id == "7"


@pytest.mark.parametrize("template", ["{{ event.run_id }}", "own-{{ event.run_id }}", "{{ event.parameters.x }}"])
def test_a_run_id_without_its_value_is_an_error(template: str) -> None:
    """Else all events that lack the value would be one DAG run, and all but the first be lost."""
    with pytest.raises(TemplateError):
        _call(f"dag_run_id: '{template}'")


_CARRIED = {
    "delivery_id": "dlv_1",
    "source": "planasonix",
    "event_id": "evt_1",
    "event_type": "job.completed",
    "status": "succeeded",
    "pipeline_id": "pl_1",
    "pipeline_name": None,
    "connection_id": None,
    "run_id": None,
    "job_id": "job_1",
    "environment": None,
    "occurred_at": None,
    "parameters": {},
    "route": "d1",
    "trigger_id": "trg_1",
    "hops": 3,
}


def test_conf_is_the_routes_and_the_bridges_key() -> None:
    """Under `planasonix` stand exactly the contract's keys; the status is plain text."""
    conf = _call("conf: {a: '{{ event.job_id }}', b: [1, {c: '{{ event.run_id }}'}], d: null}").conf

    assert conf == {"a": "job_1", "b": [1, {"c": None}], "d": None, "planasonix": _CARRIED}
    assert type(conf["planasonix"]["status"]) is str
    assert json.loads(json.dumps(conf)) == conf


@pytest.mark.parametrize("text", ["a\x00b", f"a{chr(0xD800)}b", f"a{chr(0xDFFF)}b"])
def test_what_no_database_keeps_is_replaced_at_every_depth(text: str) -> None:
    """NUL and halves of characters become U+FFFD: in values, in keys, in lists, under `planasonix`, in the note."""
    parameters = {"p": {"k": [text, {text: text}]}}
    call = _call(
        "conf: {a: '{{ event.parameters.p }}'}\n    note: '{{ event.pipeline_name }}'",
        pipeline_name=text,
        parameters=parameters,
    )

    cleaned = {"k": ["a\ufffdb", {"a\ufffdb": "a\ufffdb"}]}
    assert call.conf["a"] == cleaned
    assert call.conf["planasonix"]["parameters"] == {"p": cleaned}
    assert call.conf["planasonix"]["pipeline_name"] == "a\ufffdb"
    assert call.note == "a\ufffdb"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(_JSON)
def test_clean_json_can_always_be_stored(value: Any) -> None:
    """What comes out is UTF-8 without NUL, and cleaning it again changes nothing."""
    cleaned = clean(value)

    assert b"\\u0000" not in json.dumps(cleaned).encode("utf-8")
    json.dumps(cleaned, ensure_ascii=False).encode("utf-8")
    assert clean(cleaned) == cleaned


@pytest.mark.parametrize(
    ("template", "note"),
    [
        ("of {{ event.job_id }}", "of job_1"),
        ("{{ event.rows_loaded }}", "7"),
        ("{{ 'x' * 1 if false else event.pipeline_id }}", "pl_1"),
    ],
)
def test_notes(template: str, note: str) -> None:
    """A note is text."""
    assert _call(f'note: "{template}"', rows_loaded=7).note == note


@pytest.mark.parametrize(
    ("defaults", "route", "note"),
    [
        ("", "", "Planasonix bridge: https://bridge.example.com/ops/deliveries/dlv_1"),
        ("", "note: '{{ event.job_id }}'", "job_1"),
        ("", "note: ''", ""),
        ("defaults: {note: of everybody}\n", "", "of everybody"),
        ("defaults: {note: ''}\n", "", ""),
    ],
)
def test_a_note_links_to_the_delivery_unless_the_mapping_says_another(defaults: str, route: str, note: str) -> None:
    """Only where it is known under which URL people find the pages."""
    text = f"{defaults}routes:\n  - dag: d1\n    {route}\n"
    for pages_url, expected in (("https://bridge.example.com/ops", note), (None, note if "note" in text else None)):
        names = {"airflows": ["default"], "sources": ["planasonix"]}
        (found,) = read(text, file="m.yaml", pages_url=pages_url, **names).routes
        assert found.call("d1", _EVENT, delivery=_DELIVERY, trigger_id="trg_1").note == expected


def test_a_note_is_cut() -> None:
    """Airflow takes a thousand characters; 3.2 on PostgreSQL answers a longer one with a 500."""
    note = _call("note: '{{ event.parameters.x }}'", parameters={"x": "y" * 1001}).note

    assert note == "y" * 1000


def test_the_rest_of_the_call() -> None:
    """DAG, Airflow, route and limits are the mapping's, whatever the event says."""
    call = _call("name: sales\n    max_age: 15m\n    max_attempts: 3\n    concurrency: 2\n    max_per_hour: 7")

    assert (call.dag_id, call.airflow, call.route) == ("d1", "default", "sales")
    assert (call.limits.max_age_seconds, call.limits.max_attempts, call.limits.concurrency) == (900, 3, 2)
    assert call.limits.max_per_hour == 7
    assert _call().limits.max_age_seconds == 86_400


def test_the_latest_is_per_route_dag_pipeline_and_environment() -> None:
    """Two calls are of one series only if all of these, and the source, are the same."""
    latest = "release: latest"
    item = _call(latest).series
    assert item is not None
    assert len(item) == 16
    assert _call(latest, job_id="job_2", status=Status.FAILED).series == item
    others = [
        _call("release: latest\n    name: other"),
        _call(latest, pipeline_id="pl_2"),
        _call(latest, environment="staging"),
        _call("release: latest\n    airflow: default", pipeline_id=None, pipeline_name="orders"),
    ]
    assert len({item, *(call.series for call in others)}) == 5


def test_what_names_no_pipeline_is_of_no_series() -> None:
    """Nobody could say which others it takes the place of. Neither is what a route wants all of."""
    assert _call("release: latest", pipeline_id=None).series is None
    assert _call("release: all").series is None


@pytest.mark.parametrize(("status", "text"), [(None, None), (Status.FAILED, "failed")])
def test_templates_see_the_status_as_plain_text(status: Status | None, text: str | None) -> None:
    """Or none."""
    found = event_fields(Event(status=status))["status"]
    assert (found, type(found)) == (text, type(text))
