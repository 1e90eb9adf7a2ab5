"""The mapping: which events start which DAGs. Pure; the file's text comes in as a parameter.

    read      text of one file -> Mapping, or ConfigError with every mistake at its place
    join      several files, each read by `read_part` -> Mapping
    explain   event -> one Verdict per route; the router, the CLI and the API all ask this one function. Only the routes
              that may fit are judged at once, so that thousands of them cost the router nothing (`verdicts`)

All matching routes fire. Order means nothing but the order of the answer.
"""

from collections.abc import Collection, Sequence
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field
from typing import Any

from bridge.rules.mapping.choosing import Choice, choose
from bridge.rules.mapping.doubts import doubts
from bridge.rules.mapping.files import Part, joint_digest, read_part, taken
from bridge.rules.mapping.lacking import IN_ANSWERS
from bridge.rules.mapping.routes import DeliveryContext, Route, Test, Verdict, event_fields, namespace
from bridge.rules.mapping.schema import json_schema, published_schema
from bridge.rules.mapping.verdicts import Index, Verdicts
from bridge.rules.yamltree import config_error
from bridge.words.errors import Problem
from bridge.words.model import Event

__all__ = [
    "Choice",
    "DeliveryContext",
    "Mapping",
    "Part",
    "Route",
    "Test",
    "Verdict",
    "Verdicts",
    "choose",
    "event_fields",
    "join",
    "json_schema",
    "published_schema",
    "read",
    "read_part",
]

# The fields of the event that routes test, by the key of the test.
_FIELDS = {
    "event": "type",
    "pipeline": "pipeline_id",
    "pipeline_name": "pipeline_name",
    "connection": "connection_id",
    "environment": "environment",
}
_IMAGINED = DeliveryContext(id="", received_at="", source="", hops=0)


@dataclass(frozen=True, slots=True)
class Mapping:
    """All routes of the mapping, of one file or several; `digest` tells two mappings apart."""

    routes: tuple[Route, ...]
    digest: str
    index: Index
    owners: AnyMapping[str, str] = field(default_factory=dict)  # by the route's name, of those that have one
    warnings: tuple[Problem, ...] = ()  # what is valid and yet hardly meant

    @classmethod
    def of(cls, routes: Sequence[Route]) -> "Mapping":
        """Return a mapping of some routes, which may have one name: for what is asked of them and of no other."""
        return cls(tuple(routes), "", Index(routes))

    def explain(self, event: Event, source: str, delivery: DeliveryContext = _IMAGINED) -> Verdicts:
        """Return what each route says to an event, in the order of the files."""
        facts = _facts(event, source)

        def context(route: Route) -> Any:
            return namespace(route, event, delivery)

        unreadable = {key: event.unreadable[name] for key, name in _FIELDS.items() if name in event.unreadable}

        def judge(route: Route) -> Verdict:
            return route.judge(facts, context, unreadable)

        candidates = {position: judge(self.routes[position]) for position in self.index.positions(facts)}
        return Verdicts(self.routes, candidates, judge)

    def unjudged(self, event: Event, source: str) -> tuple[str, ...]:
        """Return the routes that lack only what the Planasonix API has: nobody knows whether they match. Asks each."""
        facts = _facts(event, source)
        return tuple(route.name for route in self.routes if route.lacks_only(IN_ANSWERS, facts))


def _facts(event: Event, source: str) -> dict[str, str | None]:
    """Return an event's values by the key of the test."""
    values = {key: getattr(event, name) for key, name in _FIELDS.items()}
    return {"source": source, **values, "on": None if event.status is None else str(event.status)}


def read(
    text: str,
    *,
    file: str,
    airflows: Collection[str] | None,
    sources: Collection[str] | None,
    pages_url: str | None = None,
) -> Mapping:
    """Read a mapping of one file. ConfigError has every mistake: `file:line:column: what, and the nearest word`.

    `airflows` and `sources` are the names that bridge.yaml defines; with None any name will do. `pages_url`: where the
    pages of the bridge are; a route without a `note` links to the delivery's there.
    """
    part = read_part(text, file=file, airflows=airflows, sources=sources, pages_url=pages_url)
    return join([part])


def join(parts: Sequence[Part]) -> Mapping:
    """Return the mapping that these files make together. Raises ConfigError for names that several of them have.

    Each such name is the mistake of the later file.
    """
    clashes = [problem for index, part in enumerate(parts) for problem in taken(part, parts[:index])]
    if clashes:
        raise config_error(clashes)
    routes = tuple(route for part in parts for route in part.routes)
    begin = [Problem(part.file, *part.place, "") for part in parts[:1]]
    of_texts = [warning for part in parts for warning in part.warnings]
    warnings = doubts([item for part in parts for item in part.written], begin, of_texts)
    owners = {route.name: route.owner for route in routes if route.owner is not None}
    return Mapping(routes, joint_digest(parts), Index(routes), owners, warnings)
