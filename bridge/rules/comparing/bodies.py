"""What a change of the mapping does to single bodies, of which there may be a million.

1. Of each route that differs and is enabled, take a text that stands in every pipeline id which it accepts. A body that
   mentions none of these texts meets no such route (`rules/mentions`): it is not even read.
2. Read the body, and ask the routes that differ, old and new. If none of them fits, nothing changes.
3. Make the calls of those that fit, and compare them. What the other routes start is asked only where these start
   nothing.
4. For people, and so for a few only: both plans in whole.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from bridge.rules import planning
from bridge.rules.comparing.plans import Difference, Kind, compare_triggers, describe, starts_any
from bridge.rules.comparing.routes import compare_routes
from bridge.rules.mapping import Mapping as Routes
from bridge.rules.mapping import Route
from bridge.rules.mapping.globs import certain
from bridge.rules.mentions import mentions
from bridge.rules.planning import Plan, Planned, Subject
from bridge.words.model import Event

_MOST_TEXTS = 500  # beyond, to look for them costs as much as to read the body
_TRIGGER_ID = "trg_0000000000000000"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two mappings, the routes that differ, and those that do not.

    `texts`: what a body mentions that meets a route that differs; None: any body may meet one.
    """

    old: Routes
    new: Routes
    former: Routes
    latter: Routes
    shared: Routes
    texts: frozenset[str] | None
    max_hops: int

    @classmethod
    def of(cls, old: Routes, new: Routes, *, max_hops: int) -> "Comparison":
        """Find the routes that differ."""
        found = compare_routes(old, new)
        kept = (*found.changed, *found.renamed)
        gone = {route.name for route in found.removed} | {each.former_name for each in kept}
        former = [route for route in old.routes if route.name in gone]
        shared = [route for route in old.routes if route.name not in gone]
        latter = [*found.added, *(each.route for each in kept)]
        texts = _texts((*former, *latter))
        return cls(old, new, Routes.of(former), Routes.of(latter), Routes.of(shared), texts, max_hops)

    def kind(self, subject: Subject) -> Kind:
        """Return what the change does to one body."""
        if not self._may_matter(subject):
            return Kind.SAME
        event = planning.read(subject)
        if isinstance(event, Plan):
            return Kind.SAME
        before, after = (self._triggers(event, subject, routes) for routes in (self.former, self.latter))
        if not before and not after:
            return Kind.SAME
        return compare_triggers(
            before, after, others_start=lambda: starts_any(self._triggers(event, subject, self.shared))
        )

    def describe(self, name: str, kind: Kind, subject: Subject) -> Difference:
        """Return what people read of a body, called `name`, that the change does this to."""
        before, after = (
            planning.plan(subject, routes, new_trigger_id=lambda: _TRIGGER_ID, max_hops=self.max_hops)
            for routes in (self.old, self.new)
        )
        return describe(name, kind, before, after)

    def _may_matter(self, subject: Subject) -> bool:
        if self.texts is None:
            return True
        lookup = None if subject.lookup is None else json.dumps(subject.lookup)
        return mentions(self.texts, body=subject.body, url_pipeline=subject.path_pipeline_id, lookup=lookup)

    def _triggers(self, event: Event, subject: Subject, routes: Routes) -> tuple[Planned, ...]:
        asked = planning.ask(event, subject, routes, new_trigger_id=lambda: _TRIGGER_ID, max_hops=self.max_hops)
        return asked[1]


def _texts(routes: Sequence[Route]) -> frozenset[str] | None:
    """Return texts, one of which stands in each pipeline id that these routes accept; None: there are none, or many."""
    found: set[str] = set()
    for route in routes:
        if route.enabled:
            pieces = {certain(glob) for test in route.tests if test.key == "pipeline" for glob in test.wanted}
            if not pieces or "" in pieces:
                return None
            found |= pieces
    if len(found) > _MOST_TEXTS:
        return None
    return frozenset(text for text in found if not any(other in text for other in found - {text}))
