"""What a change of the mapping does: to its routes, and to what bodies would start. Pure.

1. Routes of one name are compared by what they say, with the defaults and `vars` in their places. Of the others, an old
   and a new one that say the same are one that was renamed; after them those that ask for the same events and DAGs.
2. A body is planned with both mappings, as the router does it. What matters is what would be started and sent. The name
   of a route alone is no difference: a rename starts nothing twice (`rules/completion`).
"""

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bridge.rules import planning
from bridge.rules.mapping import Mapping as Routes
from bridge.rules.mapping import Route
from bridge.rules.planning import Plan, Planned, Subject
from bridge.words.model import TriggerState

_OWN_KEY = "planasonix"
_WHAT_IT_ASKS = ("source", "event", "pipeline", "pipeline_name", "connection", "environment", "dag", "airflow")
_TRIGGER_ID = "trg_0000000000000000"
_LABELS = ("route", "trigger_id")  # of conf.planasonix: they say nothing of the event


class Kind(StrEnum):
    """What a change does to one body, the gravest first."""

    FAILS = "fails"  # a route fails on it that did not
    NOTHING = "nothing"  # it started something, and would start nothing
    OTHER_DAGS = "other_dags"
    OTHER_CONF = "other_conf"  # the same DAGs; conf, note, or a DAG run id of the route's own
    SOMETHING = "something"  # it started nothing, and would start something
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Difference:
    """What a change does to one body: what it starts now and then (or why nothing), and the values that differ."""

    name: str
    kind: Kind
    now: tuple[str, ...]
    then: tuple[str, ...]
    why: tuple[str, str]
    values: tuple[tuple[str, Any, Any], ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """A route in both mappings: its new form, its old name, and each key that differs as (key, old, new)."""

    route: Route
    former_name: str
    keys: tuple[tuple[str, Any, Any], ...]

    @property
    def is_renamed(self) -> bool:
        """Whether it has another name now."""
        return self.route.name != self.former_name


@dataclass(frozen=True, slots=True)
class RouteChanges:
    """Every route that differs."""

    added: tuple[Route, ...]
    removed: tuple[Route, ...]
    changed: tuple[Changed, ...]
    renamed: tuple[Changed, ...]

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.added or self.removed or self.changed or self.renamed)


def compare_routes(old: Routes, new: Routes) -> RouteChanges:
    """Return what differs between the routes of two mappings."""
    before = {route.name: route for route in old.routes}
    after = {route.name: route for route in new.routes}
    kept = [_changed(before[name], after[name]) for name in after if name in before]
    gone = [route for name, route in before.items() if name not in after]
    come = [route for name, route in after.items() if name not in before]
    renamed: list[Changed] = []
    for key in (_said, _asked):
        for former, route in _pairs(gone, come, key):
            renamed.append(_changed(former, route))
            gone.remove(former)
            come.remove(route)
    return RouteChanges(tuple(come), tuple(gone), tuple(each for each in kept if each.keys), tuple(renamed))


def differing(old: Routes, new: Routes) -> Routes:
    """Return every route that differs, old and new ones: a body that meets none of them is planned the same by both."""
    found = compare_routes(old, new)
    before = {route.name: route for route in old.routes}
    former = [before[each.former_name] for each in (*found.changed, *found.renamed)]
    latter = [each.route for each in (*found.changed, *found.renamed)]
    return Routes.of((*found.removed, *found.added, *former, *latter))


def compare_subject(
    subject: Subject, old: Routes, new: Routes, *, touched: Routes, max_hops: int
) -> tuple[Kind, Plan, Plan] | None:
    """Return what a change does to one body, with the plan of each mapping; None if it does nothing.

    `touched`: the routes that differ (`differing`).
    """
    event = planning.read(subject)
    if isinstance(event, Plan) or not touched.routes or not planning.verdicts(event, subject, touched).fitting:
        return None
    before, after = (
        planning.plan_event(event, subject, routes, new_trigger_id=lambda: _TRIGGER_ID, max_hops=max_hops)
        for routes in (old, new)
    )
    kind = compare_plans(before, after)
    return None if kind is Kind.SAME else (kind, before, after)


def describe(name: str, kind: Kind, before: Plan, after: Plan) -> Difference:
    """Return what people read of a body that a change does something to."""
    return Difference(
        name,
        kind,
        starts(before),
        starts(after),
        (str(before.reason or before.state), str(after.reason or after.state)),
        conf_changes(before, after) if kind is Kind.OTHER_CONF else (),
    )


def view_routes(found: RouteChanges) -> dict[str, Any]:
    """Return what differs between the routes as plain JSON values."""
    return {
        "added": [route.name for route in found.added],
        "removed": [route.name for route in found.removed],
        "changed": [_view_changed(each) for each in found.changed],
        "renamed": [_view_changed(each) for each in found.renamed],
    }


def view(found: Difference) -> dict[str, Any]:
    """Return what a change does to one body as plain JSON values."""
    return {
        "body": found.name,
        "kind": str(found.kind),
        "now": found.now,
        "then": found.then,
        "why": found.why,
        "values": _view_values(found.values),
    }


def _view_changed(changed: Changed) -> dict[str, Any]:
    return {
        "name": changed.route.name,
        "former_name": changed.former_name,
        "values": _view_values(changed.keys),
    }


def _view_values(values: Sequence[tuple[str, Any, Any]]) -> list[dict[str, Any]]:
    return [{"place": place, "old": old, "new": new} for place, old, new in values]


def compare_plans(old: Plan, new: Plan) -> Kind:
    """Return what a change does to one body."""
    if _failing(new) - _failing(old):
        return Kind.FAILS
    before, after = _dags(old), _dags(new)
    if before != after:
        return Kind.NOTHING if not after else Kind.SOMETHING if not before else Kind.OTHER_DAGS
    return Kind.SAME if _calls(old) == _calls(new) else Kind.OTHER_CONF


def starts(made: Plan) -> tuple[str, ...]:
    """Return what a plan starts, and what fails, for people: a DAG and its route."""
    return tuple(
        f"{planned.dag_id} (route {planned.route.name}"
        + (")" if planned.state is TriggerState.PENDING else f"; {planned.state}: {planned.reason})")
        for planned in made.triggers
    )


def conf_changes(old: Plan, new: Plan) -> tuple[tuple[str, Any, Any], ...]:
    """Return the values of the calls that differ, as (place, old, new); for plans that start the same DAGs."""

    def place_of(planned: Planned) -> tuple[str, ...]:
        return (planned.route.airflow, planned.dag_id, _spelled_call(planned))

    pairs = zip(*(sorted(_pending(made), key=place_of) for made in (old, new)), strict=True)
    return tuple(
        (f"{first.dag_id}: {place}", before, after)
        for first, second in pairs
        for place, before, after in _differences(_call(first), _call(second))
    )


def _pairs(
    gone: Sequence[Route], come: Sequence[Route], key: Callable[[Route], Hashable]
) -> Iterator[tuple[Route, Route]]:
    """Return old and new routes with the same key; where several have it, none is taken for another."""
    counts = Counter(map(key, gone)), Counter(map(key, come))
    by_key = {key(route): route for route in come}
    pairs = [(former, by_key.get(key(former))) for former in gone if counts[0][key(former)] == 1]
    yield from ((former, route) for former, route in pairs if route is not None and counts[1][key(route)] == 1)


def _said(route: Route) -> str:
    return _spell(route.written)


def _asked(route: Route) -> str:
    return _spell({key: route.written.get(key) for key in _WHAT_IT_ASKS})


def _changed(former: Route, route: Route) -> Changed:
    return Changed(route, former.name, tuple(_differences(former.written, route.written)))


def _differences(old: Any, new: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Return every value that differs, as (place, old, new); None for what is not there."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from _differences(old.get(key), new.get(key), f"{place}.{key}" if place else str(key))
    elif _spell(old) != _spell(new):
        yield place, old, new


def _pending(made: Plan) -> list[Planned]:
    return [planned for planned in made.triggers if planned.state is TriggerState.PENDING]


def _dags(made: Plan) -> Counter[tuple[str, str]]:
    return Counter((planned.route.airflow, planned.dag_id) for planned in _pending(made))


def _failing(made: Plan) -> Counter[tuple[str, str, str]]:
    return Counter(
        (planned.route.airflow, planned.dag_id, str(planned.reason))
        for planned in made.triggers
        if planned.state is TriggerState.FAILED
    )


def _calls(made: Plan) -> list[str]:
    return sorted(map(_spelled_call, _pending(made)))


def _spelled_call(planned: Planned) -> str:
    return _spell(_call(planned))


def _call(planned: Planned) -> dict[str, Any]:
    """Return what is sent, without the labels of the route."""
    call = planned.call
    assert call is not None  # noqa: S101 - what is pending has one
    own = {key: value for key, value in call.conf[_OWN_KEY].items() if key not in _LABELS}
    return {
        "airflow": call.airflow,
        "dag": call.dag_id,
        "conf": {**call.conf, _OWN_KEY: own},
        "note": call.note,
        "dag_run_id": None if planned.route.dag_run_id is None else call.dag_run_id,
    }


def _spell(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=dict)
