"""What differs between the routes of two mappings, with the defaults and `vars` in their places.

1. Routes of one name are compared by what they say.
2. Of the others, an old and a new one that say the same are one that was renamed; after them those that ask for the
   same events and DAGs. Where several say the same, none is taken for another.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.rules.comparing.values import differences, spell, view_values
from bridge.rules.mapping import Mapping as Routes
from bridge.rules.mapping import Route

_WHAT_IT_ASKS = ("source", "event", "pipeline", "pipeline_name", "connection", "environment", "dag", "airflow")


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


def view_routes(found: RouteChanges) -> dict[str, Any]:
    """Return what differs between the routes as plain JSON values."""
    return {
        "added": [route.name for route in found.added],
        "removed": [route.name for route in found.removed],
        "changed": [_view_changed(each) for each in found.changed],
        "renamed": [_view_changed(each) for each in found.renamed],
    }


def _view_changed(changed: Changed) -> dict[str, Any]:
    return {
        "name": changed.route.name,
        "former_name": changed.former_name,
        "values": view_values(changed.keys),
    }


def _pairs(
    gone: Sequence[Route], come: Sequence[Route], key: Callable[[Route], Hashable]
) -> Iterator[tuple[Route, Route]]:
    """Return old and new routes with the same key; where several have it, none is taken for another."""
    counts = Counter(map(key, gone)), Counter(map(key, come))
    by_key = {key(route): route for route in come}
    pairs = [(former, by_key.get(key(former))) for former in gone if counts[0][key(former)] == 1]
    yield from ((former, route) for former, route in pairs if route is not None and counts[1][key(route)] == 1)


def _said(route: Route) -> str:
    return spell(route.written)


def _asked(route: Route) -> str:
    return spell({key: route.written.get(key) for key in _WHAT_IT_ASKS})


def _changed(former: Route, route: Route) -> Changed:
    return Changed(route, former.name, tuple(differences(former.written, route.written)))
