"""What routing says of a delivery that it has stored: one line, and one for each trigger that will not be fired.

Never a silent no: what starts nothing since it is taken for a copy of another delivery's says of which, as a warning.
So does what was given up because the Planasonix API gave no answer, or does not know the job or run.
"""

import threading
from collections.abc import Callable, Iterable
from datetime import datetime

import structlog

from bridge.edges.inbox.adding import NewTrigger
from bridge.edges.inbox.deliveries import Routing
from bridge.edges.metrics import Metrics
from bridge.rules.completion import Completion, Kind
from bridge.words.causes import LOOKUPS_GIVEN_UP
from bridge.words.model import Delivery, Event
from bridge.words.reasons import Reason

_MOST_SEEN = 10_000
_log = structlog.get_logger("bridge.routing")


class Reporting:
    """Counts and logs; called by the routing thread and by those that look up."""

    def __init__(self, metrics: Metrics, learn: Callable[[Delivery, Event | None], None] = lambda *_: None) -> None:
        """Nothing has been seen yet. `learn` takes in how each body is spelled."""
        self._metrics, self._learn = metrics, learn
        self._lock = threading.Lock()
        self._kinds: dict[tuple[str, str], set[Kind]] = {}  # by route and pipeline

    def report(self, delivery: Delivery, event: Event | None, stored: Routing, stored_at: datetime) -> None:
        """Report a delivery that was routed."""
        self._learn(delivery, event)
        self._metrics.routed.labels(delivery.source, stored.state).inc()
        self._metrics.routed_seconds.observe(max(0.0, (stored_at - delivery.received_at).total_seconds()))
        is_copy, is_given_up = stored.reason is Reason.SAME_EVENT, stored.reason in LOOKUPS_GIVEN_UP
        is_unknown = stored.reason is Reason.STATUS_UNKNOWN
        is_odd = is_copy or is_given_up or is_unknown
        more = {"next_step": stored.reason.next_step} if stored.reason and is_odd else {}
        if is_copy:
            more["same_as"] = stored.detail or ""
        if is_given_up:
            self._metrics.lookups_given_up.labels(delivery.source).inc()
        notes = [] if event is None else list(event.notes)
        if is_unknown:
            self._metrics.status_unknown.labels(delivery.source).inc()
        say = _log.warning if is_odd or notes else _log.info
        say(
            "delivery_routed",
            delivery_id=delivery.id,
            source=delivery.source,
            event_id=delivery.event_id,
            state=str(stored.state),
            reason=str(stored.reason) if stored.reason else None,
            triggers=[trigger.id for trigger in stored.triggers],
            notes=notes,
            **more,
        )
        for trigger in stored.triggers:
            self._report_trigger(trigger)
        if stored.completion is not None:
            self._look_for_two_kinds(stored.completion, (each for each in stored.triggers if each.owner is None))

    def _report_trigger(self, trigger: NewTrigger) -> None:
        """Tell of a trigger that will not be fired; every other one is told of when it is."""
        self._metrics.count_ended(trigger.call.route, trigger.state, trigger.reason)
        if trigger.reason is None:
            return
        owner = trigger.owner
        # A delivery that was routed again, and whose own trigger stands, is nothing to look at.
        say = _log.info if owner is not None and owner.delivery_id == trigger.delivery_id else _log.warning
        say(
            "trigger_not_fired",
            trigger_id=trigger.id,
            delivery_id=trigger.delivery_id,
            route=trigger.call.route,
            dag_id=trigger.call.dag_id,
            state=str(trigger.state),
            reason=str(trigger.reason),
            next_step=trigger.reason.next_step,
            **({"chain": trigger.detail} if trigger.reason is Reason.LOOP_GUARD else {}),
            **({} if owner is None else {"same_as": owner.id, "same_as_delivery": owner.delivery_id}),
        )

    def _look_for_two_kinds(self, completion: Completion, triggers: Iterable[NewTrigger]) -> None:
        """Say once if a route is started for one pipeline by events of two kinds: a load that sends both runs twice."""
        if completion.pipeline_id is None:
            return
        for trigger in triggers:
            route, pipeline_id = trigger.call.route, completion.pipeline_id
            with self._lock:
                if len(self._kinds) >= _MOST_SEEN:
                    self._kinds.clear()
                kinds = self._kinds.setdefault((route, pipeline_id), set())
                is_second = len(kinds) == 1 and completion.kind not in kinds
                kinds.add(completion.kind)
            if is_second:
                _log.warning(
                    "two_kinds",
                    route=route,
                    pipeline_id=pipeline_id,
                    kinds=sorted(kinds),
                    next_step=f'subscribe to one kind only, or add to the route: event: "{_pattern(kinds)}"',
                )


def _pattern(kinds: Iterable[Kind]) -> str:
    """Return what a route matches to see events of one of these kinds only."""
    return "pipeline.run.*" if Kind.RUN in kinds and Kind.JOB not in kinds else "job.*"
