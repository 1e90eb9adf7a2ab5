"""Which events a route takes: globs, statuses, what is missing, conditions."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rules.event.grammar import id_text
from bridge.rules.mapping import Mapping, Verdict, read
from bridge.rules.mapping.globs import is_literal, mistake
from bridge.words.errors import ConditionError
from bridge.words.model import Event, Status

_EVENT = Event(
    id="evt_1",
    type="job.completed",
    status=Status.SUCCEEDED,
    pipeline_id="pl_inv_1",
    pipeline_name="Sales EU",
    connection_id="conn_sf",
    job_id="job_1",
    environment="production",
    rows_loaded=7,
)


def _mapping(route: str, defaults: str = "{}") -> Mapping:
    text = f"defaults: {defaults}\nroutes:\n  - {{dag: d1, {route}}}\n"
    return read(text, file="m.yaml", airflows=["default"], sources=["planasonix", "other"])


def _verdict(route: str, defaults: str = "{}", source: str = "planasonix", **fields: Any) -> Verdict:
    (verdict,) = _mapping(route, defaults).explain(replace(_EVENT, **fields), source)
    return verdict


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("pl_1", ["pl_1"], ["pl_11", "xpl_1", "PL_1", "pl_1\n"]),
        ("pl_*", ["pl_", "pl_1", "pl_a\nb"], ["pl", "Pl_1", "xpl_1"]),
        ("pl_?", ["pl_1"], ["pl_", "pl_12"]),
        ("*", ["x", ""], []),
        ("pl_[abc]", ["pl_a", "pl_c"], ["pl_d", "pl_A", "pl_"]),
        ("pl_[0-9]", ["pl_0", "pl_9"], ["pl_a", "pl_-"]),
        ("pl_[!0-9]", ["pl_a"], ["pl_0", "pl_"]),
        ("[]]", ["]"], ["[", "[]]"]),
        ("[!]]", ["x"], ["]"]),
        ("[[]x", ["[x"], ["x", "[[]x"]),
        ("a]b", ["a]b"], ["ab", "a"]),
        ("[!a]", ["b", "]"], ["a", ""]),
        ("[a-]", ["a", "-"], ["b"]),
        ("a.b", ["a.b"], ["axb"]),
        ("a|b", ["a|b"], ["a", "b"]),
        ("(a)+", ["(a)+"], ["a", "aa"]),
    ],
)
def test_globs(glob: str, yes: list[str], no: list[str]) -> None:
    """A glob takes the whole text, case counts, and nothing but `*`, `?` and `[...]` is special."""
    route = f"pipeline_name: '{glob}'"

    assert [text for text in yes if not _verdict(route, pipeline_name=text).matches] == []
    assert [text for text in no if _verdict(route, pipeline_name=text).matches] == []


@given(st.text("aZ09_.:-/%ä\x7f", max_size=5) | st.from_regex(r"[a_][b.]{126,130}", fullmatch=True))
def test_a_text_is_refused_as_an_id_if_it_is_none(text: str) -> None:
    """Exactly what a webhook can name may stand in a route: nothing else is called dead, and nothing dead is let in."""
    assert (id_text(text) == text or not text) == (mistake(text, of_an_id=True) is None)


@pytest.mark.parametrize(
    "glob", ["*_a", "?", "[_a]b", "pl_[!0-9]", "?" * 128, "*" * 200, "[a-z]" * 30, "*" + "a" * 128]
)
def test_a_glob_that_an_id_may_fit_is_let_in(glob: str) -> None:
    """What stands in the place of a letter is no letter."""
    assert not is_literal(glob)
    assert mistake(glob, of_an_id=True) is None


@pytest.mark.timeout(120)
def test_globs_take_linear_time() -> None:
    """A glob of many stars on a text that almost fits does not try every way to split it."""
    assert not _verdict(f"pipeline_name: '{'*a' * 60}b'", pipeline_name="a" * 250).matches


@pytest.mark.parametrize(
    ("route", "fields", "matches"),
    [
        ("pipeline: [x, 'pl_*']", {}, True),
        ("pipeline: [x, y]", {}, False),
        ("event: job.*", {}, True),
        ("event: [job.failed, backfill.*]", {}, False),
        ("connection: conn_sf", {}, True),
        ("connection: conn_pg", {}, False),
        ("environment: production", {}, True),
        ("environment: PRODUCTION", {}, False),
        ("source: planasonix", {}, True),
        ("source: other", {}, False),
        ("source: '*'", {}, True),
        ("pipeline: 'pl_*', connection: conn_pg", {}, False),
        ("pipeline: 'pl_*', connection: conn_sf, environment: prod*, event: job.*", {}, True),
        ("enabled: true", {}, True),
        ("enabled: false", {}, False),
        ("on: succeeded", {}, True),
        ("on: failed", {}, False),
        ("on: failed", {"status": Status.FAILED}, True),
        ("on: [failed, cancelled]", {"status": Status.CANCELLED}, True),
        ("on: [failed, cancelled]", {"status": Status.SKIPPED}, False),
        ("on: skipped", {"status": Status.SKIPPED}, True),
        ("enabled: true", {"status": Status.FAILED}, False),
        ("when: event.rows_loaded > 6", {}, True),
        ("when: event.rows_loaded > 7", {}, False),
        ("when: event.run_id is none", {}, True),
        ("when: event.parameters.x is defined", {}, False),
        ("when: \"event.pipeline_id.startswith('pl_')\"", {}, True),
        ("when: delivery.id == ''", {}, True),
        ("when: route.name == 'd1'", {}, True),
    ],
)
def test_tests(route: str, fields: dict[str, Any], matches: bool) -> None:
    """All conditions of a route must hold; several values of one are alternatives; `on` is succeeded unless said."""
    verdict = _verdict(route, **fields)

    assert (verdict.matches, verdict.error) == (matches, None)
    assert (verdict.why_not is None) == matches


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("event", "type"),
        ("pipeline", "pipeline_id"),
        ("pipeline_name", "pipeline_name"),
        ("connection", "connection_id"),
        ("environment", "environment"),
    ],
)
def test_what_the_event_lacks_matches_nothing(key: str, field: str) -> None:
    """Not even `*` takes a missing field, and the verdict says that it is missing and how to get it."""
    verdict = _verdict(f"{key}: '*'", **{field: None})

    assert not verdict.matches
    assert str(verdict.why_not).startswith(f"{key}: the event has none; ")
    assert str(verdict.why_not).endswith(f"body: {{fields: {{{field}: /PLACE}}}}")


@pytest.mark.parametrize(
    "when",
    [
        "event.run_id > 0",
        "event.parameters.missing",
        "event.parameters.missing == 1",
        "event.data.a.b",
        "event.rows_loaded / 0 > 1",
        "event.rows_loaded + event.id == 1",
        "event.metadata['missing'] > 1",
        "event.run_id.startswith('a')",
        "event.rows_loaded ** 99999 > 1",
    ],
)
def test_a_condition_that_errs_is_never_a_silent_no(when: str) -> None:
    """It is an error that the verdict carries and that names the condition."""
    verdict = _verdict(f'when: "{when}"')

    assert not verdict.matches
    assert verdict.why_not is None
    assert isinstance(verdict.error, ConditionError)
    assert str(verdict.error).startswith("when: ")


def test_a_condition_is_asked_last() -> None:
    """A `when` that would err on events of other pipelines is not asked about them."""
    verdict = _verdict('pipeline: other, when: "event.parameters.x > 1"')

    assert (verdict.error, verdict.matches) == (None, False)


@pytest.mark.parametrize(
    ("route", "matches"),
    [("enabled: true", False), ("environment: prod*", True), ("environment: '*'", True)],
)
def test_defaults_hold_unless_the_route_says_otherwise(route: str, matches: bool) -> None:
    """A key of the route replaces the default's, and the others stay."""
    assert _verdict(route, "{environment: staging, on: [succeeded, failed]}", status=Status.FAILED).matches is matches


def test_all_routes_answer_in_the_order_of_the_file() -> None:
    """All that match fire; one verdict per route."""
    text = "routes: [{name: a, dag: d1}, {name: b, dag: d2, on: failed}, {name: c, dag: d1}]"
    verdicts = read(text, file="m", airflows=["default"], sources=["planasonix"]).explain(_EVENT, "planasonix")

    assert [(verdict.route.name, verdict.matches) for verdict in verdicts] == [("a", True), ("b", False), ("c", True)]


def test_a_route_that_matches_says_by_what() -> None:
    """All that it asks for, with the first of many words: a person sees which condition to narrow."""
    text = """
routes:
  - {name: few, pipeline: pl_1, when: "event.rows_loaded is not none", dag: d1}
  - {name: many, pipeline: [pl_1, "pl_2*", pl_3, pl_4, pl_5], environment: production, on: [failed, succeeded], dag: d1}
  - {name: no, pipeline: pl_2, dag: d1}
"""
    mapping = read(text, file="m", airflows=["default"], sources=["planasonix"])
    verdicts = mapping.explain(replace(_EVENT, pipeline_id="pl_1", environment="production"), "planasonix")
    assert [each.because for each in verdicts] == [
        'pipeline: "pl_1"; on: "succeeded"; when: is true',
        'pipeline: "pl_1", "pl_2*", "pl_3" and 2 more; environment: "production"; on: "failed", "succeeded"',
        'pipeline: event has "pl_1", route wants "pl_2"',
    ]


def test_an_event_is_asked_of_the_routes_of_its_pipeline_alone() -> None:
    """Of 500 routes only those whose pipelines begin as its own does are judged for the router."""
    spelled = "".join(f"  - {{name: r{number}, pipeline: [pl_{number}, x], dag: d1}}\n" for number in range(500))
    globs = "  - {name: glob, pipeline: 'pl_4*', dag: d1}\n  - {name: far, pipeline: 'q*', dag: d1}\n"
    text = f"routes:\n{spelled}{globs}"
    mapping = read(text, file="m", airflows=["default"], sources=["planasonix"])

    verdicts = mapping.explain(replace(_EVENT, pipeline_id="pl_471"), "planasonix")

    judged = [verdict.route.name for verdict in verdicts.candidates.values()]
    assert judged == ["r4", "r47", "r471", "glob"]
    assert [verdict.route.name for verdict in verdicts.fitting] == ["r471", "glob"]
    assert len(verdicts) == 502
    assert verdicts[0].why_not is not None
    assert [verdict.route.name for verdict in verdicts[1:3]] == ["r1", "r2"]


_TEXTS = st.sampled_from(["a", "ab", "b", "a*", "ab*", "a?", "*", "[ab]", "?"])
_TEST = st.lists(_TEXTS, min_size=1, max_size=2, unique=True)
_ROUTES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "pipeline": _TEST,
            "pipeline_name": _TEST,
            "connection": _TEST,
            "enabled": st.booleans(),
            "when": st.sampled_from(["event.parameters.x", "event.id == 'evt_1'"]),
        },
    ),
    max_size=6,
)
_GIVEN = st.sampled_from([None, "a", "ab", "abc", "b", "c", ""])


@given(routes=_ROUTES, pipeline=_GIVEN, name=_GIVEN, connection=_GIVEN)
def test_what_fits_is_the_same_with_and_without_the_index(
    routes: list[dict[str, Any]], pipeline: str | None, name: str | None, connection: str | None
) -> None:
    """The router starts exactly what `explain` shows a person, route by route and in the same order."""
    given = [{"name": f"r{place}", "dag": "d1", **route} for place, route in enumerate(routes)]
    mapping = read(json.dumps({"routes": given}), file="m", airflows=["default"], sources=["planasonix"])
    event = replace(_EVENT, pipeline_id=pipeline, pipeline_name=name, connection_id=connection)

    verdicts = mapping.explain(event, "planasonix")

    fitting = [(verdict.route.name, verdict.matches) for verdict in verdicts.fitting]
    shown = [(verdict.route.name, verdict.matches) for verdict in verdicts if verdict.matches or verdict.error]
    judged = [verdicts.judge(route) for route in mapping.routes]
    assert fitting == shown == [(each.route.name, each.matches) for each in judged if each.matches or each.error]


def test_a_field_that_cannot_be_read_hides_no_other_condition() -> None:
    """A route that another condition rules out is none of this event, and no error."""
    verdict = _verdict(
        "environment: production, on: failed", environment=None, unreadable={"environment": "is a number"}
    )
    assert not verdict.matches
    assert verdict.error is None
    assert verdict.why_not == 'on: event has "succeeded", route wants "failed"'
