"""Whether a route's conf fits the params of its DAG, before there is an event."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.rules.conforming import lacking, mistakes, says_lacking
from bridge.rules.mapping import Route, read
from bridge.words.dags import DagParams

_PARAMS: dict[str, Any] = {
    "city": {"type": "string", "minLength": 1},
    "limit": {"type": "integer", "minimum": 1},
    "mode": {"enum": ["full", "delta"], "type": ["null", "string"]},
    "where": {"type": "object", "properties": {"day": {"format": "date", "type": "string"}, "n": {"type": "integer"}}},
    "anything": {},
}
_TEXT = "conf.limit: this template gives text, and the param wants integer"
_LESS = "conf.limit: 0 is less than the minimum of 1"


def _route(conf: str) -> Route:
    text = f"vars: {{town: Kiel}}\nroutes: [{{pipeline: p, dag: d, conf_schema: dag, conf: {conf}}}]\n"
    return read(text, file="m.yaml", airflows=None, sources=None).routes[0]


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ("{city: Kiel, limit: 5, mode: full, where: {n: 1}, anything: [1]}", []),
        ("{citty: Kiel}", ['conf.citty: the DAG has no param "citty", did you mean "city"?']),
        ("{zzz: 1}", ['conf.zzz: the DAG has no param "zzz"; it has city, limit, mode, where, anything']),
        ("{limit: many}", ["conf.limit: 'many' is not of type 'integer'"]),
        ("{limit: 0}", [_LESS]),
        ("{mode: all}", ["conf.mode: 'all' is not one of ['full', 'delta']"]),
        ("{where: {n: x}}", ["conf.where: 'x' is not of type 'integer'"]),
        ("{limit: '{{ event.rows_loaded }} rows'}", [_TEXT]),
        ("{limit: '{% if event.rows_loaded %}1{% endif %}'}", [_TEXT]),
        ("{city: '{{ event.environment }}-x', mode: '{{ event.environment }}-x', anything: '{{ event.id }}-x'}", []),
        ("{limit: '{{ event.rows_loaded }}'}", []),
        ("{where: {n: '{{ event.rows_loaded }}'}}", []),
        ("{where: {n: [1, '{{ event.rows_loaded }}']}}", []),
        ("{city: [1, 2]}", ["conf.city: [1, 2] is not of type 'string'"]),
        ("{limit: 0, city: 4}", [_LESS, "conf.city: 4 is not of type 'string'"]),
    ],
)
def test_conf_is_held_to_the_params(conf: str, said: list[str]) -> None:
    """Every mistake is said; what only an event can tell is none."""
    assert list(mistakes(_route(conf), _PARAMS)) == said


def test_a_dag_without_params_takes_no_conf() -> None:
    """It would not read it."""
    assert list(mistakes(_route("{city: Kiel}"), {})) == ['conf.city: the DAG has no param "city"; it has none']


def test_a_schema_that_is_none_is_not_judged() -> None:
    """Airflow refused such a DAG already, or makes something of it that nobody here knows."""
    assert list(mistakes(_route("{city: Kiel}"), {"city": {"type": 5}})) == []


def test_only_who_asks_is_held_to_them() -> None:
    """Conf may hold more than params by default, as Airflow takes it."""
    text = "defaults: {conf_schema: dag}\nroutes: [{pipeline: p, dag: d}]\n"
    assert read(text, file="m.yaml", airflows=None, sources=None).routes[0].holds_to_params
    text = "routes: [{pipeline: p, dag: d}]\n"
    assert not read(text, file="m.yaml", airflows=None, sources=None).routes[0].holds_to_params


def test_at_most_200_characters_are_said_of_a_value() -> None:
    """A long one would fill the page."""
    (said,) = mistakes(_route(f"{{mode: {'x' * 300}}}"), _PARAMS)
    assert said == f"conf.mode: '{'x' * 199}"


def test_what_routes_leave_out_is_said_by_their_dags() -> None:
    """Of each that is on and whose DAG is known, by its name; nothing of one that has all."""
    lines = (
        "{name: a, dag: d, event: a, conf: {city: Kiel}}",
        "{name: b, dag: [d, e, f], event: b}",
        "{name: c, dag: d, event: c}",
        "{name: off, dag: d, event: d, enabled: false}",
    )
    routes = read(f"routes: [{', '.join(lines)}]", file="m.yaml", airflows=None, sources=None).routes
    known = {("default", "d"): ("city", "day"), ("default", "e"): ()}
    params = {place: DagParams({}, required, datetime(2025, 3, 27, tzinfo=UTC)) for place, required in known.items()}
    assert lacking(routes, params) == {
        ("default", "d"): {
            "a": "route a: conf lacks the DAG's required params day",
            "b": "route b: conf lacks the DAG's required params city, day",
            "c": "route c: conf lacks the DAG's required params city, day",
        }
    }


def test_what_a_conf_lacks_is_said() -> None:
    """Nothing if it has all."""
    assert says_lacking(_route("{city: Kiel}"), ("city",)) is None
    assert says_lacking(_route("{}"), ("city",)) == "route d: conf lacks the DAG's required params city"
