"""A route that has been checked and compiled: whether it matches, and the call it makes."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bridge.rules.completion import default_run_id
from bridge.rules.event import identity
from bridge.rules.mapping.lacking import SENTENCES
from bridge.rules.mapping.runs import clean, run_id
from bridge.rules.rendering import Condition, Template, Unread
from bridge.words.errors import ConditionError, TemplateError
from bridge.words.holds import IfPaused, Release
from bridge.words.model import EVENT_FIELDS, Call, Event, Limits

_MAX_NOTE = 1000
_MOST_SAID = 3
_NONE: Mapping[str, str] = MappingProxyType({})
# Keys of conf["planasonix"] that are fields of the event (docs/mapping.md, "What the DAG gets").
_CARRIED = ("pipeline_id", "pipeline_name", "connection_id", "run_id", "job_id", "environment", "occurred_at")


@dataclass(frozen=True, slots=True)
class DeliveryContext:
    """What templates and conf need of the delivery; its id also names the runs of an event without any id."""

    id: str
    received_at: str
    source: str
    hops: int


@dataclass(frozen=True, slots=True)
class Test:
    """One condition on one field: the field's name in the mapping, the words of the route, and the check."""

    key: str
    wanted: tuple[str, ...]
    accepts: Callable[[str], object]

    def __str__(self) -> str:
        """Return it as a person would say it, with the first of many words."""
        more = f" and {len(self.wanted) - _MOST_SAID} more" if len(self.wanted) > _MOST_SAID else ""
        return f"{self.key}: {', '.join(map(_quoted, self.wanted[:_MOST_SAID]))}{more}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one route says to one event: it matches, or why not, or its `when` failed."""

    route: "Route"
    why_not: str | None = None
    error: ConditionError | None = None

    @property
    def matches(self) -> bool:
        """Whether nothing speaks against it."""
        return self.why_not is None and self.error is None

    @property
    def because(self) -> str:
        """What speaks against it; all that it asks for, if nothing does."""
        if not self.matches:
            return self.why_not or str(self.error)
        asks = [*map(str, self.route.tests), *(["when: is true"] if self.route.condition else [])]
        return "; ".join(asks)


@dataclass(frozen=True, slots=True)
class Route:
    """One rule of the mapping, compiled."""

    name: str
    line: int
    enabled: bool
    airflow: str
    dags: tuple[str, ...]
    tests: tuple[Test, ...]
    condition: Condition | None
    conf: Mapping[str, Any]  # values are Templates, or dicts and lists of them, or plain
    note: Template | None
    dag_run_id: Template | None
    limits: Limits
    follow: bool
    file: str
    owner: str | None
    # What the file says of it: its own keys, the defaults', and the `vars` that it reads.
    written: Mapping[str, Any]
    if_paused: IfPaused
    release: Release
    holds_to_params: bool  # `conf_schema: dag`
    is_named: bool  # else its name hangs on its DAGs, and on the routes above it

    @property
    def conf_keys(self) -> tuple[str, ...]:
        """The top-level keys of conf that this route sends."""
        return (*self.conf, "planasonix")

    def lacks(self, required: Iterable[str]) -> list[str]:
        """Return which of the params that a DAG requires this route leaves out of conf."""
        return sorted(set(required) - set(self.conf_keys))

    def judge(
        self,
        facts: Mapping[str, str | None],
        context: Callable[["Route"], Mapping[str, Any]],
        unreadable: Mapping[str, str] = _NONE,
    ) -> Verdict:
        """Return whether it matches; `facts` are the event's values by mapping key, `unreadable` why one is missing.

        A test of a field that cannot be read is an error and never a no, if all other tests fit. For the pipeline it is
        a no: every route names one, and the delivery as a whole says that nobody knows which.
        """
        why_not = self._why_not(facts, unreadable)
        if why_not is not None:
            return Verdict(self, why_not=why_not)
        for test in self.tests:
            if test.key in unreadable:
                error = ConditionError(f"{test.key}: the event's one {unreadable[test.key]}")
                return Verdict(self, error=error)
        if self.condition is None:
            return Verdict(self)
        try:
            is_so = self.condition.holds(context(self))
        except ConditionError as error:
            return Verdict(self, error=error)
        return Verdict(self, why_not=None if is_so else "when: is false for this event")

    def _why_not(self, facts: Mapping[str, str | None], unreadable: Mapping[str, str]) -> str | None:
        """Return the first thing that does not fit, None if all of it does."""
        if not self.enabled:
            return "the route is not enabled"
        for test in self.tests:
            given = facts[test.key]
            if given is None and test.key in unreadable:
                if test.key == "pipeline":
                    return f"pipeline: the event's one {unreadable[test.key]}"
                continue
            if given is None:
                return SENTENCES.get(test.key, f"{test.key}: the event has none")
            if not test.accepts(given):
                return f'{test.key}: event has "{given}", route wants {", ".join(map(_quoted, test.wanted))}'
        return None

    def lacks_only(self, keys: Collection[str], facts: Mapping[str, str | None]) -> bool:
        """Whether it would match but for values of these keys, which the event does not have."""
        missing = [test.key for test in self.tests if facts[test.key] is None]
        others = (test.accepts(given) for test in self.tests if (given := facts[test.key]) is not None)
        return self.enabled and bool(missing) and set(missing) <= set(keys) and all(others)

    def call(self, dag_id: str, event: Event, *, delivery: DeliveryContext, trigger_id: str) -> Call:
        """Return the exact call for one DAG. Raises TemplateError, with the template's place in its text."""
        context = namespace(self, event, delivery)
        conf = clean(_render(self.conf, context))
        note = None if self.note is None else self.note.render(context)
        return Call(
            route=self.name,
            airflow=self.airflow,
            dag_id=dag_id,
            dag_run_id=self._run_id(event, delivery, context),
            conf=conf | {"planasonix": clean(self._carried(event, delivery, trigger_id))},
            note=None if note is None else clean(str(note))[:_MAX_NOTE],
            limits=self.limits,
            follow=self.follow,
            if_paused=self.if_paused,
            series=self._series(dag_id, event, delivery) if self.release is Release.LATEST else None,
        )

    def _series(self, dag_id: str, event: Event, delivery: DeliveryContext) -> bytes | None:
        """Return what is the same for triggers of which the latest counts; None if the event names no pipeline.

        A digest, since it is stored in plain text beside what may be encrypted.
        """
        pipeline = event.pipeline_id or event.pipeline_name
        if pipeline is None:
            return None
        parts = (delivery.source, self.name, self.airflow, dag_id, pipeline, event.environment)
        return hashlib.sha256(json.dumps(parts).encode()).digest()[:16]

    def _run_id(self, event: Event, delivery: DeliveryContext, context: Mapping[str, Any]) -> str:
        if self.dag_run_id is not None:
            wanted = self.dag_run_id.render(context)
            if not wanted.strip():
                raise TemplateError("dag_run_id: gives no text, so all events would share one DAG run")
            return run_id(wanted)
        return run_id(default_run_id(identity(event) or delivery.id, event.status, self.name))

    def _carried(self, event: Event, delivery: DeliveryContext, trigger_id: str) -> dict[str, Any]:
        return {
            "delivery_id": delivery.id,
            "source": delivery.source,
            "event_id": event.id,
            "event_type": event.type,
            "status": str(event.status),
            **{name: getattr(event, name) for name in _CARRIED},
            "parameters": event.parameters,
            "route": self.name,
            "trigger_id": trigger_id,
            "hops": delivery.hops + 1,
        }


def _quoted(word: str) -> str:
    return f'"{word}"'


def namespace(route: Route, event: Event, delivery: DeliveryContext) -> Mapping[str, Any]:
    """Return what templates see (docs/mapping.md, "Templates")."""
    unread = {name: Unread(f"{name} {why}") for name, why in event.unreadable.items() if name in EVENT_FIELDS}
    return {
        "event": event_fields(event) | unread,
        "delivery": {"id": delivery.id, "received_at": delivery.received_at},
        "route": {"name": route.name},
    }


def event_fields(event: Event) -> dict[str, Any]:
    """Return the event as templates see it; the status as plain text."""
    fields = {name: getattr(event, name) for name in EVENT_FIELDS}
    return fields | {"status": None if event.status is None else str(event.status)}


def _render(value: Any, context: Mapping[str, Any]) -> Any:
    if isinstance(value, Template):
        return value.render(context)
    if isinstance(value, Mapping):
        return {key: _render(item, context) for key, item in value.items()}
    if isinstance(value, list):
        return [_render(item, context) for item in value]
    return value
