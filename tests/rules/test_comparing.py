"""What a change of the mapping does: to routes, and to what a body would start."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rules.comparing import (
    Comparison,
    Kind,
    RouteChanges,
    compare_routes,
    compare_triggers,
    conf_changes,
    starts,
    view,
    view_routes,
)
from bridge.rules.mapping import Mapping, read
from bridge.rules.planning import Plan, Subject, plan
from bridge.rules.samples import changed, compact

_TOP = "vars: {team: a, unread: 1}\ndefaults: {environment: production, conf: {shared: 1}}\nroutes:\n"
_ROUTES = """\
  - {pipeline: pl_1, dag: d1, conf: {n: "{{ event.rows_loaded }}"}}
  - {name: second, pipeline: [pl_1, pl_2], dag: d2, when: event.rows_loaded > 10, note: "{{ vars.team }}"}
  - {name: failing, pipeline: pl_3, dag: d3, conf: {x: "{{ event.parameters.x }}"}}
"""


def _mapping(text: str = _TOP + _ROUTES) -> Mapping:
    return read(text, file="m.yaml", airflows=None, sources=None)


def compare_plans(old: Plan, new: Plan) -> Kind:
    """What the two whole plans of a body say."""
    return compare_triggers(old.triggers, new.triggers)


def _edited(old: str, new: str) -> Mapping:
    text = _TOP + _ROUTES
    assert old in text
    return _mapping(text.replace(old, new, 1))


def _routes(new: Mapping) -> RouteChanges:
    return compare_routes(_mapping(), new)


def _subject(**changes: Any) -> Subject:
    return Subject("dlv_0", "planasonix", "2026-08-01T10:00:00Z", compact(changed("job.succeeded", changes)))


def _plan(mapping: Mapping, **changes: Any) -> Plan:
    return plan(_subject(**changes), mapping, new_trigger_id=lambda: "trg_0", max_hops=3)


def test_nothing_differs() -> None:
    """Order, comments, spelling and what is the default anyway are no difference."""
    lines = _ROUTES.splitlines(keepends=True)
    other = (
        _TOP
        + "# a comment\n"
        + "".join(reversed(lines)).replace("pipeline: pl_1,", "pipeline: [pl_1], 'on': succeeded,")
    )
    assert not _routes(_mapping(other))


def test_the_order_of_keys_is_no_difference() -> None:
    """Neither between two routes nor in what would be sent, however deep they stand."""
    conf = "conf: {list: [{a: 1, b: {c: 2, d: 3}}]}"
    turned = "conf: {list: [{b: {d: 3, c: 2}, a: 1}]}"
    old, new = (_mapping(f"routes:\n  - {{pipeline: pl_1, dag: d1, {each}}}\n") for each in (conf, turned))
    assert not compare_routes(old, new)
    assert compare_plans(_plan(old, pipeline_id="pl_1"), _plan(new, pipeline_id="pl_1")) is Kind.SAME
    renamed = _mapping(f"routes:\n  - {{name: other, pipeline: pl_1, dag: d1, {turned}}}\n")
    assert [each.keys for each in compare_routes(old, renamed).renamed] == [()]


def test_routes_that_come_and_go() -> None:
    """By their names."""
    found = _routes(_mapping(_TOP + "".join(_ROUTES.splitlines(keepends=True)[1:]) + "  - {pipeline: pl_9, dag: d9}\n"))
    assert ([item.name for item in found.added], [item.name for item in found.removed]) == (["d9"], ["d1"])
    assert found.changed == found.renamed == ()


@pytest.mark.parametrize(
    ("old", "new", "name", "keys"),
    [
        ("event.rows_loaded > 10", "event.rows_loaded > 20", "second", [("when",)]),
        ("[pl_1, pl_2]", "[pl_1]", "second", [("pipeline", ["pl_1", "pl_2"], ["pl_1"])]),
        (', conf: {n: "{{ event.rows_loaded }}"}', "", "d1", [("conf.n", "{{ event.rows_loaded }}", None)]),
        ("dag: d1", "enabled: false, dag: d1", "d1", [("enabled", True, False)]),
        ("dag: d1", "max_age: 1h, dag: d1", "d1", [("max_age", 86400.0, 3600.0)]),
        ("{team: a", "{team: b", "second", [("vars.team", "a", "b")]),
        ("dag: d1", "airflow: eu, dag: d1", "d1", [("airflow", "default", "eu")]),
        ('"{{ event.rows_loaded }}"', "{m: 1}", "d1", [("conf.n", "{{ event.rows_loaded }}", {"m": 1})]),
    ],
)
def test_a_changed_route_says_what(old: str, new: str, name: str, keys: list[tuple[Any, ...]]) -> None:
    """Each value that differs, with what it was and what it is."""
    found = _routes(_edited(old, new))
    assert [item.route.name for item in found.changed] == [name]
    assert [key[: len(keys[0])] for key in found.changed[0].keys] == keys


def test_what_all_routes_take_over_changes_all() -> None:
    """A default, but not a constant that nobody reads."""
    assert len(_routes(_edited("environment: production", "environment: staging")).changed) == 3
    assert len(_routes(_edited("shared: 1", "shared: 2")).changed) == 3
    assert not _routes(_edited("unread: 1", "unread: 2"))


def test_a_renamed_route_is_recognised() -> None:
    """By all that it says, or by what it asks for; one of two that look alike is not guessed."""
    (found,) = _routes(_edited("name: second", "name: other")).renamed
    assert (found.former_name, found.route.name, found.keys) == ("second", "other", ())
    text = (_TOP + _ROUTES).replace("name: second", "name: other").replace("> 10", "> 20")
    (found,) = _routes(_mapping(text)).renamed
    assert [key for key, *_ in found.keys] == ["when"]
    twice = "  - {name: a, pipeline: p, dag: d}\n  - {name: b, pipeline: p, dag: d, when: event.id}\n"
    others = twice.replace("name: a", "name: c").replace("name: b", "name: e").replace("event.id", "event.type")
    found_of_two = compare_routes(_mapping(_TOP + twice), _mapping(_TOP + others))
    assert [(item.former_name, item.route.name) for item in found_of_two.renamed] == [("a", "c"), ("b", "e")]


_TWO = ("  - {name: x, pipeline: p, dag: d}\n", "  - {name: y, pipeline: p, dag: d}\n")
_ONE = "  - {name: a, pipeline: p, dag: d}\n"


@pytest.mark.parametrize(
    ("old", "new", "added", "removed", "renamed"),
    [
        (_ONE, _TWO[0], [], [], ["x"]),
        (_ONE, "".join(_TWO), ["x", "y"], ["a"], []),
        ("".join(_TWO), _ONE, ["a"], ["x", "y"], []),
        ("".join(_TWO), _TWO[1], [], ["x"], []),
        (_TWO[1], "".join(_TWO), ["x"], [], []),
    ],
)
def test_of_several_that_say_the_same_none_is_taken_for_another(
    old: str, new: str, added: list[str], removed: list[str], renamed: list[str]
) -> None:
    """It could be any of them, so they went and came. Each kind of change is one."""
    found = compare_routes(_mapping(_TOP + old), _mapping(_TOP + new))
    assert found
    assert view_routes(found) == {
        "added": added,
        "removed": removed,
        "changed": [],
        "renamed": [{"name": name, "former_name": "a", "values": []} for name in renamed],
    }
    assert [each.is_renamed for each in found.renamed] == [True] * len(renamed)


def test_a_changed_route_keeps_its_name() -> None:
    """And is a change, though no route went or came."""
    found = _routes(_edited("dag: d1", "enabled: false, dag: d1"))
    assert found
    assert view_routes(found)["changed"] == [
        {"name": "d1", "former_name": "d1", "values": [{"place": "enabled", "old": True, "new": False}]}
    ]
    assert [each.is_renamed for each in found.changed] == [False]


@pytest.mark.parametrize(
    ("old", "new", "changes", "kind"),
    [
        ("name: second", "name: other", {}, Kind.SAME),
        ("pipeline: pl_1, dag: d1", "pipeline: pl_8, dag: d1", {"rows_loaded": 1}, Kind.NOTHING),
        ("pipeline: pl_1, dag: d1", "pipeline: pl_8, dag: d1", {"pipeline_id": "pl_8"}, Kind.SOMETHING),
        ("dag: d1", "dag: d8", {}, Kind.OTHER_DAGS),
        ("dag: d1", "airflow: eu, dag: d1", {}, Kind.OTHER_DAGS),
        ("dag: d1", "dag: [d1, d8]", {}, Kind.OTHER_DAGS),
        ("> 10", "> 100000", {}, Kind.OTHER_DAGS),
        ("event.rows_loaded }}", "event.job_id }}", {}, Kind.OTHER_CONF),
        ("{team: a", "{team: b", {}, Kind.OTHER_CONF),
        ("note:", "dag_run_id: own, note:", {}, Kind.OTHER_CONF),
        ("dag: d1", "dag_run_id: own, dag: d1", {}, Kind.OTHER_CONF),
        ("event.rows_loaded }}", "event.parameters.y }}", {}, Kind.FAILS),
        ("event.rows_loaded > 10", "event.parameters.y > 10", {}, Kind.FAILS),
        ("event.parameters.x", "event.job_id", {"pipeline_id": "pl_3"}, Kind.SOMETHING),
        ("dag: d3", "max_age: 1h, dag: d3", {"pipeline_id": "pl_3"}, Kind.SAME),
        ("dag: d1", "dag: d8", {"pipeline_id": "pl_9"}, Kind.SAME),
    ],
)
def test_what_becomes_of_a_body(old: str, new: str, changes: dict[str, Any], kind: Kind) -> None:
    """The gravest of what happens to it."""
    given = {"pipeline_id": "pl_1", "environment": "production"} | changes
    assert compare_plans(_plan(_mapping(), **given), _plan(_edited(old, new), **given)) is kind


def test_in_which_order_dag_runs_start_is_no_difference() -> None:
    """Of the same routes in another order."""
    turned = _mapping(_TOP + "".join(reversed(_ROUTES.splitlines(keepends=True))))
    given = {"pipeline_id": "pl_1", "environment": "production"}
    assert compare_plans(_plan(_mapping(), **given), _plan(turned, **given)) is Kind.SAME


def test_another_dag_run_id_of_a_routes_own_is_a_difference() -> None:
    """Where both have one."""
    old, new = (_mapping(f"routes:\n  - {{pipeline: pl_1, dag: d1, dag_run_id: {name}}}\n") for name in "ab")
    plans = _plan(old, pipeline_id="pl_1"), _plan(new, pipeline_id="pl_1")
    assert compare_plans(*plans) is Kind.OTHER_CONF
    assert conf_changes(*plans) == (("d1: dag_run_id", "a", "b"),)


@pytest.mark.parametrize(
    ("old", "new", "pipeline", "expected"),
    [
        (
            "event.rows_loaded }}",
            "event.job_id }}",
            "pl_1",
            {
                "kind": "other_conf",
                "now": ("d1 (route d1)", "d2 (route second)"),
                "then": ("d1 (route d1)", "d2 (route second)"),
                "why": ("routed", "routed"),
                "values": [{"place": "d1: conf.n", "old": 44802, "new": "job_01jq8syncabc"}],
            },
        ),
        (
            "[pl_1, pl_2]",
            "[pl_1]",
            "pl_2",
            {
                "kind": "nothing",
                "now": ("d2 (route second)",),
                "then": (),
                "why": ("routed", "no_route"),
                "values": [],
            },
        ),
        (
            "[pl_1, pl_2]",
            "[pl_1, pl_2, pl_4]",
            "pl_4",
            {
                "kind": "something",
                "now": (),
                "then": ("d2 (route second)",),
                "why": ("no_route", "routed"),
                "values": [],
            },
        ),
        (
            "[pl_1, pl_2], dag: d2",
            "[pl_1, pl_2], dag: [d2, d8]",
            "pl_2",
            {
                "kind": "other_dags",
                "now": ("d2 (route second)",),
                "then": ("d2 (route second)", "d8 (route second)"),
                "why": ("routed", "routed"),
                "values": [],
            },
        ),
    ],
)
def test_what_people_read_of_a_body(old: str, new: str, pipeline: str, expected: dict[str, Any]) -> None:
    """What it starts now and then, or why nothing; the values only where the same DAGs start."""
    subject = _subject(pipeline_id=pipeline, environment="production")
    comparison = Comparison.of(_mapping(), _edited(old, new), max_hops=3)
    assert view(comparison.describe("dlv_7", comparison.kind(subject), subject)) == {"body": "dlv_7", **expected}


def test_values_are_told_of_the_same_dags_alone() -> None:
    """Else one would be held against that of another DAG, or lost."""
    with pytest.raises(ValueError, match="zip"):
        conf_changes(_plan(_mapping(), pipeline_id="pl_1"), _plan(_mapping(), pipeline_id="pl_9"))


def test_the_values_that_would_be_sent_otherwise() -> None:
    """At their places, and nothing of the routes' names."""
    old = _plan(_mapping(), pipeline_id="pl_1")
    new = _plan(
        _mapping((_TOP + _ROUTES).replace("team: a", "team: b").replace("name: second", "name: z")), pipeline_id="pl_1"
    )
    assert conf_changes(old, new) == (("d2: note", "a", "b"),)
    assert starts(new) == ("d1 (route d1)", "d2 (route z)")
    assert starts(_plan(_mapping(), pipeline_id="pl_3")) == ("d3 (route failing; failed: template)",)


@pytest.mark.parametrize("pipeline", ["pl_1", "pl_2", "pl_3", "pl_9", None])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dag: d1", "dag: other"),
        ("event.rows_loaded > 10", "event.rows_loaded > 10**9"),
        ("parameters.x", "rows_loaded"),
        ("{team: a", "{team: b"),
        ("environment: production", "environment: staging"),
        ("name: second", "name: renamed"),
        ("pipeline: pl_1", "pipeline: pl_9"),
        ("dag: d3", "dag: d4"),
    ],
)
def test_one_look_at_the_routes_that_differ_is_enough(old: str, new: str, pipeline: str | None) -> None:
    """What is said of a body is what its two whole plans say."""
    before, after = _mapping(), _edited(old, new)
    changes = {"pipeline_id": pipeline, "rows_loaded": 44802}
    about = Subject("dlv_0", "planasonix", "2026-08-01T10:00:00Z", compact(changed("job.succeeded", changes)))
    comparison = Comparison.of(before, after, max_hops=3)
    plans = _plan(before, **changes), _plan(after, **changes)
    kind = comparison.kind(about)
    assert kind is compare_plans(*plans)
    if kind is not Kind.SAME:
        said = comparison.describe("dlv_0", kind, about)
        assert (said.now, said.then) == (starts(plans[0]), starts(plans[1]))


_ROUTE_LINES = st.builds(
    "  - {{name: {0}, {1}, dag: {2}, {3}}}\n".format,
    st.sampled_from(["a", "b", "c", "d"]),
    st.sampled_from(
        [
            "pipeline: pl_1",
            "pipeline: [pl_2, 'p*_3']",
            "pipeline: '*'",
            "pipeline: pl_1, enabled: false",
            "pipeline: 'pl_[12]', event: 'job.*'",
            "pipeline_name: 'Orders*'",
            "connection: co_1",
            "pipeline: pl_2, environment: production",
        ]
    ),
    st.sampled_from(["d1", "d2", "[d1, d3]"]),
    st.sampled_from(
        [
            "note: n",
            "conf: {n: '{{ event.rows_loaded }}'}",
            "conf: {n: '{{ event.parameters.x }}'}",
            "when: event.rows_loaded > 10",
            "when: event.parameters.x > 1, dag_run_id: '{{ event.id }}'",
            "dag_run_id: own, 'on': failed",
            "conf: {n: '{{ vars.team }}'}",
        ]
    ),
)
_MAPPINGS = st.builds(
    "vars: {{team: {0}}}\ndefaults: {{conf: {{shared: {1}}}}}\nroutes:\n{2}".format,
    st.sampled_from("xy"),
    st.sampled_from("12"),
    st.lists(_ROUTE_LINES, min_size=1, max_size=4, unique_by=lambda line: line.split(",")[0]).map("".join),
)
_VALUES = st.fixed_dictionaries(
    {},
    optional={
        "pipeline_id": st.sampled_from(["pl_1", "pl_2", "pl_2_3", "pl_9", 3, None, ["pl_1"]]),
        "pipeline_name": st.sampled_from(["Orders of today", "Other", ["no text"], None]),
        "connection_id": st.sampled_from(["co_1", "co_2", {}]),
        "environment": st.sampled_from(["production", "staging", None]),
        "rows_loaded": st.sampled_from([1, 44802, "many"]),
        "parameters": st.sampled_from([{"x": 1}, {"x": 3}, {}, {"said": "pl_1"}]),
        "status": st.sampled_from(["succeeded", "failed", "running"]),
    },
)


@given(_MAPPINGS, _MAPPINGS, _VALUES, st.sampled_from([None, "pl_1", "pl_2"]), st.booleans())
def test_the_quick_way_says_what_two_whole_plans_say(
    old: str, new: str, values: dict[str, Any], url: str | None, is_looked_up: bool
) -> None:
    """Of any two mappings and any body, also of one that cannot be read, or that was completed by a look-up."""
    before, after = _mapping(old), _mapping(new)
    body = compact({"type": "job.succeeded", "id": "evt_1", "job_id": "job_1", "data": values})
    lookup = {"pipelineId": "pl_1", "jobId": "job_1"} if is_looked_up else None
    about = Subject("dlv_0", "planasonix", "2026-08-01T10:00:00Z", body, url, lookup)
    comparison = Comparison.of(before, after, max_hops=3)
    plans = [plan(about, each, new_trigger_id=lambda: "trg_0", max_hops=3) for each in (before, after)]
    kind = comparison.kind(about)
    assert kind is compare_plans(*plans)
    said = comparison.describe("dlv_0", kind, about)
    assert (said.now, said.then) == (starts(plans[0]), starts(plans[1]))


def test_a_body_that_meets_no_route_that_differs_is_not_read() -> None:
    """What it mentions says so; a route without a pipeline may be met by any."""
    near = Comparison.of(_mapping(), _edited("dag: d3", "dag: d4"), max_hops=3)
    assert near.texts == {"pl_3"}
    named = "  - {pipeline_name: Orders, dag: d9}\n"
    assert Comparison.of(_mapping(), _mapping(_TOP + _ROUTES + named), max_hops=3).texts is None
    switched_off = "  - {pipeline_name: Orders, dag: d9, enabled: false}\n"
    assert Comparison.of(_mapping(), _mapping(_TOP + _ROUTES + switched_off), max_hops=3).texts == frozenset()
    any_id = "  - {pipeline: '*', dag: d9}\n"
    assert Comparison.of(_mapping(), _mapping(_TOP + _ROUTES + any_id), max_hops=3).texts is None
    wide = "  - {pipeline: 'pl_*', dag: d9}\n  - {pipeline: pl_77, dag: d8}\n"
    assert Comparison.of(_mapping(), _mapping(_TOP + _ROUTES + wide), max_hops=3).texts == {"pl_"}


@pytest.mark.parametrize(("number", "is_looked_for"), [(500, True), (501, False)])
def test_500_pipelines_at_the_utmost_are_looked_for(number: int, is_looked_for: bool) -> None:
    """With more it is quicker to read each body."""
    lines = "".join(f"  - {{pipeline: pl_{1000 + index}, dag: d{index}}}\n" for index in range(number))
    texts = Comparison.of(_mapping(), _mapping(_TOP + _ROUTES + lines), max_hops=3).texts
    assert texts == ({f"pl_{1000 + index}" for index in range(number)} if is_looked_for else None)


def test_a_body_whose_pipeline_the_api_knows_is_looked_at_with_its_answer() -> None:
    """It names none itself."""
    body = compact({"type": "job.succeeded", "id": "evt_1", "job_id": "job_1"})
    subject = Subject(
        "dlv_0", "planasonix", "2026-08-01T10:00:00Z", body, None, {"pipelineId": "pl_1", "environment": "production"}
    )
    comparison = Comparison.of(_mapping(), _edited("dag: d1", "dag: d8"), max_hops=3)
    assert comparison.kind(subject) is Kind.OTHER_DAGS
    assert comparison.kind(replace(subject, lookup=None)) is Kind.SAME


def test_a_route_without_a_pipeline_may_meet_any_body() -> None:
    """So each is read."""
    named = "  - {pipeline_name: Orders, environment: production, dag: d9}\n"
    comparison = Comparison.of(_mapping(), _mapping(_TOP + _ROUTES + named), max_hops=3)
    given = {"pipeline_id": "pl_77", "environment": "production"}
    assert comparison.kind(_subject(**given, pipeline_name="Orders")) is Kind.SOMETHING
    assert comparison.kind(_subject(**given, pipeline_name="Other")) is Kind.SAME
