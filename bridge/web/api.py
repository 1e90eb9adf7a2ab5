"""What the JSON API answers. Synchronous: every method runs in a thread and returns plain JSON values.

Each method takes the path's parameters, the query and the body; BadFilter for anything it cannot read.
"""

import json
from collections.abc import Mapping
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
from bridge.rules.mapping import join
from bridge.rules.planning import ERASED, Plan, Subject
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
        max_hops: int,
    ) -> None:
        """`sources` by name."""
        self._inbox = inbox
        self._mapping = mapping
        self._counting = counting
        self._metrics = metrics
        self._sources = sources
        self._max_hops = max_hops

    @property
    def source_names(self) -> list[str]:
        """The names of the sources that are configured."""
        return list(self._sources)

    @property
    def mapping_files(self) -> list[str]:
        """The files of the mapping, as messages call them; also those of which nothing is in use."""
        return [each.file for each in self._mapping.state.files]

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
        says what it changes: of the routes, and for this body. `"file": "..."`, as `status` names the files of the
        mapping: the text is that file alone, and what is in use of the others stays beside it.
        """
        order = json_object(body, "payload", "source", "delivery_id", "mapping", "file")
        text, file = words(order, "mapping"), words(order, "file")
        if file is not None and text is None:
            raise BadFilter("file says which file the text of mapping replaces: send both")
        routes = self._mapping.current() if text is None else self._pasted(text, file)
        about = self._stored(order, caller) if "delivery_id" in order else self._imagined(order)
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
        return plan_traced(self._inbox, self._subject(delivery), self._mapping.current(), max_hops=self._max_hops)

    def _pasted(self, text: str, file: str | None) -> RouteMap:
        """Read a mapping that nobody uses yet, all of it or one file. Raises ConfigError with every mistake in it."""
        if len(text) > _LONGEST_MAPPING:
            raise BadFilter(f"the mapping is longer than {_LONGEST_MAPPING} characters")
        if file is None:
            return join([self._mapping.read_part(text, file="mapping")])
        parts = {each.file: each.part for each in self._mapping.state.files}
        if file not in parts:
            raise BadFilter(f"the mapping has no file {file!r}; there is {', '.join(parts)}")
        others = [part for name, part in parts.items() if part is not None and name != file]
        return join([*others, self._mapping.read_part(text, file=file)])  # last: a name taken twice is its mistake

    def _stored(self, order: Mapping[str, Any], caller: Caller) -> Subject:
        if not caller.sees_payloads:
            raise Forbidden(Role.OPERATOR)
        found = self._inbox.read(deliveries.get, str(order["delivery_id"]))
        if found is None:
            raise NotThere(f"no delivery {order['delivery_id']}")
        if found.erased_at is not None:
            raise BadFilter(f"{found.id}: {ERASED}")
        return self._subject(found)

    def _subject(self, delivery: Delivery) -> Subject:
        known = self._sources.get(delivery.source)
        return Subject.of(delivery, spelling=known.spelling if known else USUAL)

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
