"""From a stored delivery to its triggers. Runs after the answer, since it may need a look-up that is slow or down.

One thread reads what is due, plans it (bridge.planning) and stores state and triggers together, a batch per
transaction. Routing a delivery twice makes no second trigger, so nothing here needs a lease. A delivery that
cannot be routed now first moves its own due time forward; it never blocks the others.

While webhooks crowd, intake comes first: after each batch the thread rests 19 times as long as the batch took, so
that it takes a twentieth of one core. A backlog that they left behind is routed without a rest.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from bridge import backoff
from bridge.errors import InboxUnavailable, LookupNotFound, LookupUnavailable
from bridge.inbox import Inbox
from bridge.inbox.deliveries import Postponed, Routing, due, postpone, settle_routing
from bridge.inbox.triggers import NewTrigger
from bridge.mapping import Mapping as RouteMap
from bridge.metrics import Metrics
from bridge.model import Delivery, DeliveryState, Limits
from bridge.planasonix import PlanasonixClient
from bridge.planning import Plan, Planned, Subject, plan
from bridge.reasons import Reason

BATCH = 100
_POLL_SECONDS = 1.0
_REST = 19.0  # measured at full load: 0.53 of a bare server; 0.49 with 9, 0.45 with 4, 0.59 without routing
_LONGEST_REST_SECONDS = 1.0
_LOOKUPS_AT_ONCE = 4
_LOOKUPS_QUEUED = 16
_LOOKUP_LEASE_SECONDS = 120.0  # longer than the longest queue of look-ups that all time out
_FAILED_SECONDS = 60.0
_LOOKUP_AGE_SECONDS = 86_400.0
_log = structlog.get_logger("bridge.routing")


def subject(delivery: Delivery) -> Subject:
    """Return what planning has to know of a stored delivery."""
    return Subject(
        id=delivery.id,
        source=delivery.source,
        received_at=delivery.received_at.isoformat().replace("+00:00", "Z"),
        body=delivery.body,
        path_pipeline_id=delivery.path_pipeline_id,
        lookup=delivery.lookup,
    )


class Router:
    """The routing thread and its look-ups."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        mapping: Callable[[], RouteMap],
        apis: Mapping[str, PlanasonixClient],
        metrics: Metrics,
        on_routed: Callable[[], None],
        max_hops: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`mapping` returns the one in use; `apis` by source; `on_routed` wakes firing."""
        self._inbox = inbox
        self._mapping = mapping
        self._apis = apis
        self._metrics = metrics
        self._on_routed = on_routed
        self._max_hops = max_hops
        self._clock = clock
        self._asked: dict[str, Delivery] = {}  # whose look-ups are queued or under way
        self._wake = threading.Event()
        self._is_stopping = False
        self._lookups = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="lookup")
        self._thread = threading.Thread(target=self._run, name="routing", daemon=True)

    def start(self) -> None:
        """Begin to route what waits."""
        self._thread.start()

    def wake(self) -> None:
        """Look now instead of at the next poll; cheap, from any thread."""
        self._wake.set()

    def stop(self) -> None:
        """End after the batch under way; what waits stays in the store, and look-ups that did not begin are due."""
        self._is_stopping = True
        self._wake.set()
        self._thread.join()
        self._lookups.shutdown(wait=True, cancel_futures=True)
        if left := list(self._asked.values()):
            with suppress(InboxUnavailable):  # then they are due when their look-up lease ends
                self._inbox.write(postpone, [_postponed(one, self._clock(), 0.0, None) for one in left])

    def _run(self) -> None:
        while not self._is_stopping:
            self._wake.clear()
            began = time.monotonic()
            try:
                amount = self.route_due()
            except InboxUnavailable:
                amount = 0
            except Exception:  # noqa: BLE001 - see below
                # The last guard of the thread: whatever it is, deliveries must go on being routed.
                _log.exception("routing_failed")
                self._metrics.failures.labels("routing").inc()
                amount = 0
            if amount and self._inbox.is_crowded:
                time.sleep(min(_REST * (time.monotonic() - began), _LONGEST_REST_SECONDS))
            elif not amount:
                self._wake.wait(_POLL_SECONDS)

    def route_due(self) -> int:
        """Route one batch of what is due; returns how many deliveries were looked at."""
        waiting = self._inbox.read(due, now=self._clock(), most=BATCH, node=self._inbox.node)
        if waiting:
            self._route([(delivery, self._plan(delivery)) for delivery in waiting])
        return len(waiting)

    def _plan(self, delivery: Delivery) -> Plan | None:
        """Plan one delivery; None when the bridge itself failed on it."""
        try:
            return plan(
                subject(delivery), self._mapping(), new_trigger_id=self._inbox.new_trigger_id, max_hops=self._max_hops
            )
        except Exception:  # noqa: BLE001 - see below
            # One poisonous delivery must not stop the others; it moves its own due time forward.
            _log.exception("planning_failed", delivery_id=delivery.id)
            self._metrics.failures.labels("planning").inc()
            return None

    def _route(self, plans: Sequence[tuple[Delivery, Plan | None]]) -> None:
        """Store what was planned, send what has to be looked up on its way, put the rest off.

        Whatever leaves for a look-up moves its due time forward first, so that neither a crash nor a slow API
        can make it block the others.
        """
        now = self._clock()
        ready: list[tuple[Delivery, Plan]] = []
        asking: list[Delivery] = []
        later: list[Postponed] = []
        for delivery, made in plans:
            if made is None:
                later.append(_postponed(delivery, now, _FAILED_SECONDS, Reason.INTERNAL_ERROR))
            elif not self._asks(delivery, made):
                ready.append((delivery, made))
            elif len(self._asked) + len(asking) < _LOOKUPS_QUEUED:
                asking.append(delivery)
                later.append(_postponed(delivery, now, _LOOKUP_LEASE_SECONDS, None, is_lookup=True))
            else:
                later.append(_postponed(delivery, now, _POLL_SECONDS, None))
        if later:
            self._inbox.write(postpone, later)
        for delivery in asking:
            self._asked[delivery.id] = delivery
            self._lookups.submit(self._look_up, delivery)
        if ready:
            self._settle(ready, now)

    def _asks(self, delivery: Delivery, made: Plan) -> bool:
        return made.wants_lookup and delivery.source in self._apis

    def _settle(self, plans: Sequence[tuple[Delivery, Plan]], now: datetime, lookup: Any = None) -> None:
        routings = [_routing(delivery, made, lookup) for delivery, made in plans]
        self._inbox.write(settle_routing, routings, now=now)
        self._on_routed()
        for delivery, made in plans:
            self._metrics.routed.labels(delivery.source, made.state).inc()
            _log.info(
                "delivery_routed",
                delivery_id=delivery.id,
                source=delivery.source,
                event_id=delivery.event_id,
                state=str(made.state),
                reason=str(made.reason) if made.reason else None,
                triggers=[planned.id for planned in made.triggers],
            )

    def _look_up(self, delivery: Delivery) -> None:
        """Ask the Planasonix API about the job, then route; runs in a thread of its own."""
        try:
            self._route_with_lookup(delivery)
        except InboxUnavailable:
            pass  # the delivery is due again when its look-up lease ends
        except Exception:  # noqa: BLE001 - see below
            _log.exception("lookup_failed", delivery_id=delivery.id)
            self._metrics.failures.labels("lookup").inc()
        finally:
            self._asked.pop(delivery.id, None)

    def _route_with_lookup(self, delivery: Delivery) -> None:
        first = self._plan(delivery)
        if first is None or first.event is None or first.event.job_id is None:
            return
        now = self._clock()
        try:
            job = self._apis[delivery.source].job(first.event.job_id)
        except LookupNotFound:
            self._settle([(delivery, self._plan_with(delivery, {}, Reason.LOOKUP_NOT_FOUND))], now, {})
        except LookupUnavailable as unavailable:
            if now - delivery.received_at >= timedelta(seconds=_LOOKUP_AGE_SECONDS):
                self._settle([(delivery, self._plan_with(delivery, {}, Reason.LOOKUP_FAILED))], now, {})
                return
            jitter = random.random()  # noqa: S311 - spreads retries, guards nothing
            wait = backoff.wait_held(delivery.lookups + 1, jitter, at_least=unavailable.retry_after_seconds or 0.0)
            later = _postponed(delivery, now, wait, Reason.LOOKUP_FAILED, detail=str(unavailable))
            self._inbox.write(postpone, [later])
        else:
            self._settle([(delivery, self._plan_with(delivery, job, None))], now, job)

    def _plan_with(self, delivery: Delivery, job: Mapping[str, Any], reason: Reason | None) -> Plan:
        """Plan again with what the API told; if still nothing matches, say that the look-up is why."""
        told = Subject(**{**_fields(subject(delivery)), "lookup": job})
        made = plan(told, self._mapping(), new_trigger_id=self._inbox.new_trigger_id, max_hops=self._max_hops)
        if reason is not None and made.state is DeliveryState.UNROUTED:
            return Plan(made.state, reason, made.detail, made.event, made.verdicts)
        return made


def _fields(made: Subject) -> dict[str, Any]:
    return {name: getattr(made, name) for name in Subject.__slots__}


def _postponed(
    delivery: Delivery,
    now: datetime,
    seconds: float,
    reason: Reason | None,
    *,
    detail: str | None = None,
    is_lookup: bool = False,
) -> Postponed:
    return Postponed(delivery.id, now + timedelta(seconds=seconds), reason, detail, is_lookup)


def _routing(delivery: Delivery, made: Plan, lookup: Mapping[str, Any] | None) -> Routing:
    triggers = [_new_trigger(delivery, planned) for planned in made.triggers]
    return Routing(delivery.id, made.state, made.reason, made.detail, lookup, triggers)


def _new_trigger(delivery: Delivery, planned: Planned) -> NewTrigger:
    call = planned.call
    return NewTrigger(
        id=planned.id,
        delivery_id=delivery.id,
        route=planned.route.name,
        airflow=planned.route.airflow,
        dag_id=planned.dag_id,
        dag_run_id=call.dag_run_id if call else None,
        conf=call.conf if call else {},
        note=call.note if call else None,
        limits=call.limits if call else Limits(),
        state=planned.state,
        reason=planned.reason,
        detail=planned.detail,
    )
