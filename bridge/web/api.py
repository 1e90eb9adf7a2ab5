"""What the JSON API answers. Synchronous: every method runs in a thread and returns plain JSON values.

Each method takes the path's parameters, the query and the body; BadFilter for anything it cannot read.
"""

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from bridge.chores.mapping_file import MappingFile
from bridge.edges.inbox import Inbox, deliveries
from bridge.edges.metrics import Metrics
from bridge.flows.counting import Counting
from bridge.flows.routing.tracing import plan_traced
from bridge.rules import comparing, counts, views
from bridge.rules.event import USUAL
from bridge.rules.mapping import Mapping as RouteMap
from bridge.rules.mapping import read
from bridge.rules.planning import Plan, Subject
from bridge.rules.sources import Source
from bridge.web.queries import json_object, words
from bridge.words.errors import BadFilter, Forbidden, InboxUnavailable, NotThere
from bridge.words.model import Delivery
from bridge.words.roles import Caller, Role

_LONGEST_MAPPING = 262_144


class Api:
    """The admin API over the objects of one process."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        mapping: MappingFile,
        counting: Counting,
        metrics: Metrics,
        sources: Mapping[str, Source],
        airflows: Collection[str],
        max_hops: int,
    ) -> None:
        """`sources` by name, `airflows` the names of those that are configured."""
        self._inbox = inbox
        self._mapping = mapping
        self._counting = counting
        self._metrics = metrics
        self._sources = sources
        self._airflows = airflows
        self._max_hops = max_hops

    @property
    def source_names(self) -> list[str]:
        """The names of the sources that are configured."""
        return list(self._sources)

    def exposition(self) -> bytes:
        """Return the metrics; nothing is asked of the store, so that scrapes cost it nothing (see watching)."""
        return self._metrics.exposition()

    def routes(self, **_: Any) -> views.Json:
        """Return the routes in use, each with what it has started in the last 24 hours (`fired`, `failed`, `others`).

        `last_at`: when it last started something, as far as is stored and was looked at. `has_none`: it has matched
        nothing that is stored. All of these are null while the store is away: the mapping is known all the same.
        """
        in_use = self._mapping.current().routes
        try:
            started = self._counting.routes(in_use)
        except InboxUnavailable:
            started = {item.name: counts.UNKNOWN for item in in_use}
        return {"routes": [views.route(item) | started[item.name] for item in in_use]}

    def explain(self, *, body: bytes, caller: Caller, **_: Any) -> views.Json:
        """Return what the mapping makes of `{"payload": {...}, "source": ...}` or `{"delivery_id": ...}`.

        With `"mapping": "routes: ..."` it is that text, of at most 256 kB, instead of the mapping in use, and `changes`
        says what it changes: of the routes, and for this body.
        """
        order = json_object(body, "payload", "source", "delivery_id", "mapping")
        routes = self._mapping.current() if (text := words(order, "mapping")) is None else self._pasted(text)
        if "delivery_id" in order:
            if not caller.sees_payloads:
                raise Forbidden(Role.OPERATOR)
            found = self._inbox.read(deliveries.get, str(order["delivery_id"]))
            if found is None:
                raise NotThere(f"no delivery {order['delivery_id']}")
            known = self._sources.get(found.source)
            about = Subject.of(found, spelling=known.spelling if known else USUAL)
        else:
            about = self._imagined(order)
        answer = views.plan(plan_traced(self._inbox, about, routes, max_hops=self._max_hops))
        return answer | {"changes": None if text is None else self._changes(about, routes)}

    def _changes(self, about: Subject, then: RouteMap) -> views.Json:
        """Return what a mapping that nobody uses yet changes."""
        now = self._mapping.current()
        comparison = comparing.Comparison.of(now, then, max_hops=self._max_hops)
        kind = comparison.kind(about)
        is_same = kind is comparing.Kind.SAME
        here = None if is_same else comparing.view(comparison.describe(about.id, kind, about))
        return {"routes": comparing.view_routes(comparing.compare_routes(now, then)), "body": here}

    def plan_of(self, delivery: Delivery) -> Plan:
        """Return what the mapping in use makes of a stored delivery. Raises Locked and InboxUnavailable."""
        known = self._sources.get(delivery.source)
        about = Subject.of(delivery, spelling=known.spelling if known else USUAL)
        return plan_traced(self._inbox, about, self._mapping.current(), max_hops=self._max_hops)

    def _pasted(self, text: str) -> RouteMap:
        """Read a mapping that nobody uses yet. Raises ConfigError with every mistake in it."""
        if len(text) > _LONGEST_MAPPING:
            raise BadFilter(f"the mapping is longer than {_LONGEST_MAPPING} characters")
        return read(text, file="mapping", airflows=self._airflows, sources=list(self._sources))

    def _imagined(self, order: Mapping[str, Any]) -> Subject:
        if not isinstance(order.get("payload"), dict):
            raise BadFilter('send {"payload": {...}} or {"delivery_id": "dlv_..."}')
        source = order.get("source", next(iter(self._sources)))
        if not isinstance(source, str) or source not in self._sources:
            raise BadFilter(f"no source {source!r}; there is {', '.join(self._sources)}")
        return Subject(
            id="dlv_0000000000000000",
            source=source,
            received_at=views.instant(datetime.now(UTC)) or "",
            body=self._sources[source].kept(json.dumps(order["payload"]).encode()),
            spelling=self._sources[source].spelling,
        )
