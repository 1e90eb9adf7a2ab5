"""The mapping: which events start which DAGs. Pure; the file's text comes in as a parameter.

    read      text -> Mapping, or ConfigError with every mistake at its place
    explain   event -> one Verdict per route; the router, the CLI and the API all ask this one function. Only the routes
              that may fit are judged at once, so that thousands of them cost the router nothing (`verdicts`)

All matching routes fire. Order means nothing but the order of the answer.
"""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from bridge.rules.mapping.compiling import Compiler
from bridge.rules.mapping.doubts import Written, doubts
from bridge.rules.mapping.routes import DeliveryContext, Route, Test, Verdict, event_fields, namespace
from bridge.rules.mapping.schema import MappingForm, json_schema, published_schema, readable_part
from bridge.rules.mapping.verdicts import Index, Verdicts
from bridge.rules.yamltree import config_error, parse, validate
from bridge.words.errors import ConfigError, Problem
from bridge.words.model import Event

__all__ = [
    "DeliveryContext",
    "Mapping",
    "Route",
    "Test",
    "Verdict",
    "Verdicts",
    "event_fields",
    "json_schema",
    "published_schema",
    "read",
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
    """All routes of one file; `digest` tells two files apart."""

    routes: tuple[Route, ...]
    digest: str
    index: Index
    warnings: tuple[Problem, ...] = ()  # what is valid and yet hardly meant

    def explain(self, event: Event, source: str, delivery: DeliveryContext = _IMAGINED) -> Verdicts:
        """Return what each route says to an event, in the file's order."""
        facts = {
            "source": source,
            "event": event.type,
            "pipeline": event.pipeline_id,
            "pipeline_name": event.pipeline_name,
            "connection": event.connection_id,
            "environment": event.environment,
            "on": None if event.status is None else str(event.status),
        }

        def context(route: Route) -> Any:
            return namespace(route, event, delivery)

        unreadable = {key: event.unreadable[name] for key, name in _FIELDS.items() if name in event.unreadable}

        def judge(route: Route) -> Verdict:
            return route.judge(facts, context, unreadable)

        candidates = {position: judge(self.routes[position]) for position in self.index.positions(facts)}
        return Verdicts(self.routes, candidates, judge)


def read(
    text: str,
    *,
    file: str,
    airflows: Collection[str] | None,
    sources: Collection[str] | None,
    pages_url: str | None = None,
) -> Mapping:
    """Read mapping.yaml. Raises ConfigError with every mistake: `file:line:column: what, and the nearest word`.

    `airflows` and `sources` are the names that bridge.yaml defines; with None any name will do. `pages_url`: where the
    pages of the bridge are; a route without a `note` links to the delivery's there.
    """
    tree = parse(text, file=file)
    problems: list[Problem] = []
    try:
        validate(MappingForm, tree)
    except ConfigError as error:
        problems = error.problems
    constants, defaults, routes = readable_part(tree.value)
    compiler = Compiler(constants, defaults, tree, airflows, sources, pages_url=pages_url)
    compiled = tuple(compiler.route(route, index) for index, route in routes.items())
    if problems or compiler.problems:
        raise config_error([*problems, *compiler.problems])
    written = [
        Written(route, ("routes", index), form.form.when)
        for route, (index, form) in zip(compiled, routes.items(), strict=True)
    ]
    return Mapping(compiled, hashlib.sha256(text.encode()).hexdigest()[:12], Index(compiled), doubts(written, tree))
