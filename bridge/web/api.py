"""What the JSON API answers. Synchronous: every method runs in a thread and returns plain JSON values.

Each method takes the path's parameters, the query and the body; BadFilter for anything it cannot read.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bridge import __version__
from bridge.chores.encryption import Encryption
from bridge.chores.key_sets import KeySetState
from bridge.chores.mapping_file import FileState, MappingFile, MappingState
from bridge.chores.secret_files import SecretsState
from bridge.edges.inbox import Inbox, browsing, dags, deliveries
from bridge.edges.metrics import Metrics
from bridge.flows import awaiting
from bridge.flows.erasing import Erasure, erase, facts, look
from bridge.flows.firing import Dispatcher
from bridge.flows.pausing import Pausing
from bridge.flows.routing.tracing import plan_traced
from bridge.rules import views
from bridge.rules.mapping import Mapping as RouteMap
from bridge.rules.mapping import read
from bridge.rules.planning import Subject
from bridge.rules.sources import Source
from bridge.web.queries import flag, json_object, waited_for, words
from bridge.words.errors import BadFilter, Forbidden, NotThere
from bridge.words.roles import Caller, Role

_LONGEST_MAPPING = 262_144


class Api:
    """The admin API over the objects of one process."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        mapping: MappingFile,
        dispatcher: Dispatcher,
        metrics: Metrics,
        sources: Mapping[str, Source],
        encryption: Encryption,
        pausing: Pausing,
        max_hops: int,
        secrets: Callable[[], SecretsState],
        key_sets: Callable[[], Sequence[KeySetState]],
    ) -> None:
        """`sources` by name."""
        self._inbox = inbox
        self._mapping = mapping
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._sources = sources
        self._encryption = encryption
        self._pausing = pausing
        self._secrets = secrets
        self._key_sets = key_sets
        self._max_hops = max_hops

    @property
    def source_names(self) -> list[str]:
        """The names of the sources that are configured."""
        return list(self._sources)

    def exposition(self) -> bytes:
        """Return the metrics; nothing is asked of the store, so that scrapes cost it nothing (see watching)."""
        return self._metrics.exposition()

    def status(self, **_: Any) -> views.Json:
        """Return where everything stands."""
        waiting = self._inbox.read(browsing.waiting)
        return {
            "version": __version__,
            "mapping": _mapping(self._mapping.state),
            "secrets": {
                "loaded_at": views.instant(self._secrets().loaded_at),
                "problems": [str(problem) for problem in self._secrets().problems],
            },
            "key_sets": [item._asdict() | {"loaded_at": views.instant(item.loaded_at)} for item in self._key_sets()],
            "airflows": [self._airflow(name) for name in self._dispatcher.lanes],
            "dags": [dag for name in self._dispatcher.lanes for dag in self._dags(name)],
            "paused": [views.pause(item, is_gone=is_gone) for item, is_gone in self._pausing.shown()],
            "waiting": {
                str(name): {"count": count, "oldest": views.instant(oldest)}
                for name, (count, oldest) in waiting.items()
            },
            "encryption": self._encryption.status(),
            "ended": dict(self._inbox.read(browsing.odd)),
        }

    def _airflow(self, name: str) -> views.Json:
        lane = self._dispatcher.lanes[name]
        breaker, now = lane.breaker, time.monotonic()
        return {
            "name": name,
            "is_available": not breaker.is_open,
            **views.reason(breaker.reason if breaker.is_open else None, breaker.detail if breaker.is_open else None),
            "calls_under_way": len(lane.under_way),
            "pace": lane.easing.facts(now),
        }

    def _dags(self, airflow: str) -> list[views.Json]:
        """Return what an Airflow says of the DAGs that the mapping names, as it was last asked."""
        known, params = self._inbox.read(dags.known, airflow=airflow), self._inbox.read(dags.params, airflow=airflow)
        routes = self._mapping.current().routes
        return [views.dag(item, params.get(item.dag_id), routes) for item in sorted(known, key=lambda dag: dag.dag_id)]

    def routes(self, **_: Any) -> views.Json:
        """Return the routes in use."""
        return {"routes": [views.route(item) for item in self._mapping.current().routes]}

    def wait(self, *, query: Mapping[str, str], **_: Any) -> views.Json:
        """Return how `?delivery=dlv_...` or `?job=...&since=...` stands: `open`, `success` or `failed`, and why.

        It answers at once; `planasonix-bridge wait --url` asks again and again. `since` is a day ago unless given.
        """
        delivery_id, job_id, since = waited_for(query)
        if delivery_id is not None:
            return views.judgement(awaiting.of_delivery(self._inbox, delivery_id)())
        return views.judgement(awaiting.of_told_job(self._inbox, str(job_id), since=since))

    def explain(self, *, body: bytes, caller: Caller, **_: Any) -> views.Json:
        """Return what the mapping makes of `{"payload": {...}, "source": ...}` or `{"delivery_id": ...}`.

        With `"mapping": "routes: ..."` it is that text, of at most 256 kB, instead of the mapping in use.
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
            about = Subject.of(found, zone=known.zone if known else None)
        else:
            about = self._imagined(order)
        return views.plan(plan_traced(self._inbox, about, routes, max_hops=self._max_hops))

    def _pasted(self, text: str) -> RouteMap:
        """Read a mapping that nobody uses yet. Raises ConfigError with every mistake in it."""
        if len(text) > _LONGEST_MAPPING:
            raise BadFilter(f"the mapping is longer than {_LONGEST_MAPPING} characters")
        return read(text, file="mapping", airflows=list(self._dispatcher.lanes), sources=list(self._sources))

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
            zone=self._sources[source].zone,
        )

    def erase(self, *, body: bytes, caller: Caller, **_: Any) -> views.Json:
        """Erase `{"source": ..., "event_id": ..., "reason": ...}`; `"dry_run": true` only tells what there is."""
        order = json_object(body, "source", "event_id", "reason", "cancel", "dry_run")
        source, event_id, reason = (words(order, name) for name in ("source", "event_id", "reason"))
        if source is None or event_id is None:
            raise BadFilter('send {"source": "...", "event_id": "...", "reason": "..."}')
        is_dry, is_cancelling = flag(order, "dry_run"), flag(order, "cancel")
        found = look(self._inbox, source=source, event_id=event_id)
        if is_dry:
            return facts(found) | {"erased": False}
        if reason is None:
            raise BadFilter("reason must be text: it goes to the audit log")
        erasure = Erasure(actor=caller.name, reason=reason, is_cancelling=is_cancelling)
        found, is_clean = erase(self._inbox, source=source, event_id=event_id, erasure=erasure)
        return facts(found) | {"erased": True, "is_clean": is_clean}


def _mapping(state: MappingState) -> views.Json:
    return {
        "digest": state.mapping.digest,
        "routes": len(state.mapping.routes),
        "loaded_at": views.instant(state.loaded_at),
        "problems": [str(problem) for problem in state.problems],
        "warnings": [str(warning) for warning in state.mapping.warnings],
        "files": [_file(item) for item in state.files],
    }


def _file(item: FileState) -> views.Json:
    """Return a file of the mapping: what of it is in use, and what is wrong with what it holds now."""
    part = item.part
    return {
        "file": item.file,
        "owner": None if part is None else part.owner,
        "in_use": "nothing" if part is None else "last_good" if item.problems else "newest",
        "digest": None if part is None else part.digest,
        "routes": 0 if part is None else len(part.routes),
        "loaded_at": views.instant(item.loaded_at if part is not None else None),
        "problems": [str(problem) for problem in item.problems],
    }
