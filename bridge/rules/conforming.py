"""Whether the conf of a route fits the params of its DAG, as far as it can be told before there is an event. Pure.

    1. A key that the DAG has no param for is a mistake: Airflow would take it, and nobody would read it.
    2. A value that the mapping spells out must be valid by the param's JSON Schema.
    3. A template that gives text needs a param that takes text. What one single expression gives, only an event says.

Required params that conf lacks are a mistake of every route (`says_lacking`), whatever its `conf_schema`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bridge.rules.mapping import Route
from bridge.rules.rendering import Gives, Template
from bridge.rules.yamltree import nearest
from bridge.words.dags import DagParams

_UNKNOWN = object()
_SHOWN = 200


def says_lacking(route: Route, required: Iterable[str]) -> str | None:
    """Return in words which required params of a DAG conf lacks, None if it has them all."""
    names = route.lacks(required)
    return f"route {route.name}: conf lacks the DAG's required params {', '.join(names)}" if names else None


def lacking(
    routes: Iterable[Route], params: Mapping[tuple[str, str], DagParams]
) -> dict[tuple[str, str], dict[str, str]]:
    """Return by Airflow and DAG what its routes leave out: a sentence for each route that is on, by its name."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for route in routes:
        for dag_id in route.dags if route.enabled else ():
            place = (route.airflow, dag_id)
            says = says_lacking(route, params[place].required) if place in params else None
            if says is not None:
                found.setdefault(place, {})[route.name] = says
    return found


def mistakes(route: Route, params: Mapping[str, Any]) -> Iterator[str]:
    """Yield what does not fit, each with the place in conf. `params`: the JSON Schema of each param of the DAG."""
    for key, value in route.conf.items():
        if key not in params:
            hint = nearest(key, list(params)) or (f"; it has {', '.join(params)}" if params else "; it has none")
            yield f'conf.{key}: the DAG has no param "{key}"{hint}'
        elif (mistake := _mistake(value, params[key])) is not None:
            yield f"conf.{key}: {mistake}"


def _mistake(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Return why a value cannot be valid, None if it may be."""
    if isinstance(value, Template) and value.gives is Gives.TEXT:
        return None if _takes_text(schema) else f"this template gives text, and the param wants {_types(schema)}"
    known = _known(value)
    if known is _UNKNOWN:
        return None
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415 - up to 2 s of every start, for one check

    try:
        Draft202012Validator.check_schema(schema)
        error = next(Draft202012Validator(schema).iter_errors(known), None)
    except SchemaError:
        return None  # Airflow judges by what it makes of it; nothing can be said here
    return None if error is None else error.message[:_SHOWN]


def _known(value: Any) -> Any:
    """Return what the mapping spells out, _UNKNOWN where an event has a say in it."""
    if isinstance(value, Template):
        return value.render({}) if value.gives is Gives.CONSTANT else _UNKNOWN
    if isinstance(value, Mapping):
        items = {key: _known(item) for key, item in value.items()}
        return _UNKNOWN if _UNKNOWN in items.values() else items
    if isinstance(value, list):
        listed = [_known(item) for item in value]
        return _UNKNOWN if _UNKNOWN in listed else listed
    return value


def _takes_text(schema: Mapping[str, Any]) -> bool:
    types = _types_of(schema)
    return not types or "string" in types


def _types_of(schema: Mapping[str, Any]) -> Sequence[Any]:
    types = schema.get("type", [])
    return types if isinstance(types, list) else [types]


def _types(schema: Mapping[str, Any]) -> str:
    return " or ".join(map(str, _types_of(schema)))
