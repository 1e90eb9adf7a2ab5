"""From a stored delivery to its triggers. Runs after the answer, since it may need a look-up that is slow or down.

One thread reads what is due, plans it (bridge.rules.planning) and stores state and triggers together, a batch per
transaction. Routing a delivery twice makes no second trigger, so nothing here needs a lease. A delivery that
cannot be routed now first moves its own due time forward; it never blocks the others.

Rule: plan once. A delivery is planned when it comes, and again only with the answer of a look-up or when a person asks.
Whether it needs a look-up follows from its body alone, so the store remembers that (`lookup_queued`, or how often the
API was asked), and no plan is made while it waits, however long the API hangs.

While webhooks crowd, intake comes first: after each batch the thread rests 19 times as long as the batch took, so
that it takes a twentieth of one core. A backlog that they left behind is routed without a rest.
"""

import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox
from bridge.edges.inbox.deliveries import Postponed, due, postpone, settle_routing
from bridge.edges.metrics import Metrics
from bridge.edges.planasonix import PlanasonixClient
from bridge.flows.routing.asking import Asking
from bridge.flows.routing.drafts import (
    FAILED_SECONDS,
    aside,
    given_back,
    is_unknown,
    locked,
    postponed,
    routing,
    unanswered,
    unknown,
    with_job,
)
from bridge.flows.routing.lookups import Lookups
from bridge.flows.routing.reporting import Reporting
from bridge.flows.routing.seen import SeenTypes
from bridge.flows.routing.starts import Starts
from bridge.flows.routing.tracing import plan_traced
from bridge.flows.routing.unmapped import Unmapped
from bridge.rules import planning
from bridge.rules.ceiling import Start
from bridge.rules.event import USUAL, Spelling, lacks_status
from bridge.rules.mapping import Mapping as RouteMap
from bridge.rules.pauses import Pauses
from bridge.rules.planning import Plan, Subject
from bridge.rules.sources import Source
from bridge.words.errors import InboxUnavailable, LookupNotFound, LookupUnavailable
from bridge.words.model import Delivery, Event
from bridge.words.reasons import Reason

BATCH = 100
_POLL_SECONDS = 1.0
_REST = 19.0  # measured at full load: 0.53 of a bare server; 0.49 with 9, 0.45 with 4, 0.59 without routing
_LONGEST_REST_SECONDS = 1.0
# About a day, as they are 15 to 300 s apart. Counted, since nobody asks while the bridge is stopped; and only what was
# said of this one question, since an API that is down or refuses the key says nothing about it.
_LOOKUPS = 550
_SAME_JOB_SECONDS = 1.0  # until a delivery looks again whether its job was answered for another one
__all__ = ["BATCH", "Router"]
_log = structlog.get_logger("bridge.routing")


class Router:
    """The routing loop and its look-ups."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        mapping: Callable[[], RouteMap],
        sources: Mapping[str, Source],
        apis: Mapping[str, PlanasonixClient],
        metrics: Metrics,
        on_routed: Callable[[], None],
        max_hops: int,
        lease_seconds: float,
        pauses: Callable[[], Pauses] = Pauses,
        unmapped: Unmapped | None = None,
        learn: Callable[[Delivery, Event | None], None] = lambda *_: None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`mapping` returns the one in use; `apis` and `sources` by source; `on_routed` wakes firing.

        `lease_seconds`: what is being looked up is left to this process for so long. `pauses` returns what is paused,
        from memory: what a paused source has sent is put aside until its pause is over (bridge.flows.pausing).
        """
        self._inbox = inbox
        self._mapping, self._apis = mapping, apis
        self._sources, self._metrics = sources, metrics
        self._on_routed, self._max_hops = on_routed, max_hops
        self._clock, self._pauses, self._unmapped = clock, pauses, unmapped or Unmapped(inbox=inbox)
        self._lookups = self._make_lookups(lease_seconds)
        self._asking = Asking(inbox=inbox, apis=apis, lease_seconds=lease_seconds, clock=clock)
        self._reporting, self._seen = Reporting(metrics, learn), SeenTypes(inbox, apis)
        self.starts = Starts(inbox=inbox, mapping=mapping)
        self.loop = Loop(
            "routing",
            self.step,
            every_seconds=_POLL_SECONDS,
            metrics=metrics,
            slowest_seconds=_POLL_SECONDS,
            stop_seconds=math.inf,
            on_stopped=self._lookups.stop,
        )

    def _make_lookups(self, lease_seconds: float) -> Lookups:
        return Lookups(
            inbox=self._inbox,
            sources=list(self._apis),
            ask=self._route_with_lookup,
            room=lambda source, limit: self._apis[source].room(limit),
            on_room=self.wake,
            metrics=self._metrics,
            lease_seconds=lease_seconds,
            clock=self._clock,
        )

    def wake(self) -> None:
        """Look now instead of at the next poll; cheap, from any thread."""
        self.loop.wake()

    def step(self) -> float | None:
        """Route one batch and rest, at once again if there was one. Raises InboxUnavailable.

        The rest is slept here, since each new webhook would wake the loop from its pause.
        """
        began = time.monotonic()
        amount = self.route_due()
        if amount and self._inbox.is_crowded:
            time.sleep(min(_REST * (time.monotonic() - began), _LONGEST_REST_SECONDS))
        return 0.0 if amount else None

    def route_due(self) -> int:
        """Route one batch of what is due; returns how many deliveries were looked at."""
        self._lookups.renew()
        if self._unmapped.is_lacking():
            return self._unmapped.put_aside()
        drawn = self._unmapped.let_go() + self._draw()
        waiting = self._inbox.read(due, now=self._clock(), limit=BATCH, node=self._inbox.node)
        if waiting:
            self._route(waiting)
        return drawn + len(waiting)

    def _draw(self) -> int:
        """Begin the look-ups that there is room for, of those that waited; returns how many deliveries were drawn."""
        drawn = self._lookups.draw()
        others = [delivery for delivery in drawn if not self._is_to_ask(delivery)]
        self._lookups.begin([delivery for delivery in drawn if self._is_to_ask(delivery)])
        if others:  # their key is missing, or their source has no API any more
            self._route(others)
        return len(drawn)

    def _is_to_ask(self, delivery: Delivery) -> bool:
        """Whether the delivery was planned before and waits for the API."""
        wants_lookup = delivery.reason is Reason.LOOKUP_QUEUED or delivery.lookups > 0
        is_readable = delivery.locked is None and not self._lookups.holds(delivery.id)
        is_paused = delivery.source in self._pauses().sources
        return wants_lookup and is_readable and not is_paused and delivery.source in self._apis

    def _plan(self, delivery: Delivery) -> Plan | None:
        """Plan one delivery; None when the bridge itself failed on it."""
        try:
            subject = Subject.of(delivery, spelling=self._spelling(delivery))
            return plan_traced(self._inbox, subject, self._mapping(), max_hops=self._max_hops)
        except InboxUnavailable:
            raise
        except Exception:  # noqa: BLE001 - see below
            # One poisonous delivery must not stop the others; it moves its own due time forward.
            _log.exception("planning_failed", delivery_id=delivery.id)
            self._metrics.failures.labels("planning").inc()
            return None

    def _spelling(self, delivery: Delivery) -> Spelling:
        source = self._sources.get(delivery.source)
        return USUAL if source is None else source.spelling

    def _route(self, waiting: Sequence[Delivery]) -> None:
        """Plan and store; send what has to be looked up on its way; put the rest off."""
        now = self._clock()
        ready: list[tuple[Delivery, Plan]] = []
        asking: list[Delivery] = []
        later: list[Postponed] = []
        paused = self._pauses().sources
        for delivery in waiting:
            if delivery.locked is not None:
                later.append(locked(delivery, now))
            elif self._lookups.holds(delivery.id):  # its lease lapsed while the store was away
                later.append(self._lookups.leased(delivery, now, is_new=False))
            elif delivery.source in paused:
                later.append(aside(delivery))
            elif self._is_to_ask(delivery):
                asking.append(delivery)
            elif (plan := self._plan(delivery)) is None:
                later.append(postponed(delivery, now, FAILED_SECONDS, Reason.INTERNAL_ERROR))
            elif plan.wants_lookup and delivery.source in self._apis:
                asking.append(delivery)
            else:
                ready.append((delivery, plan))
        begun = self._lookups.fitting(asking)
        ids = {delivery.id for delivery in begun}
        queued = [delivery for delivery in asking if delivery.id not in ids]
        later += [self._lookups.leased(delivery, now, is_new=True) for delivery in begun]
        later += [self._lookups.queued(delivery, now) for delivery in queued]
        if later:
            self._inbox.write(postpone, later)
        self._lookups.begin(begun)
        if ready:
            self._settle(ready, now, on_each=self.loop.beat)

    def _settle(
        self,
        plans: Sequence[tuple[Delivery, Plan]],
        now: datetime,
        lookup: Any = None,
        on_each: Callable[[], None] = lambda: None,
    ) -> None:
        starts: dict[str, Start] = {}
        try:
            self.starts.count([planned for _, plan in plans for planned in plan.triggers], now, starts)
            routings = [routing(delivery, plan, lookup, starts) for delivery, plan in plans]
            routed = self._inbox.write(settle_routing, routings, now=now, on_each=on_each)
        except Exception:
            self.starts.give_back(starts.values())
            raise
        self._on_routed()
        self._seen.note(plans)
        stored_at = self._clock()
        for delivery, plan in plans:
            if delivery.id in routed:  # else another replica was quicker, and reports it
                self._reporting.report(delivery, plan.event, routed[delivery.id], stored_at)

    def _route_with_lookup(self, delivery: Delivery) -> None:
        """Have the Planasonix API asked about the job or run, then route; runs in a thread of its own."""
        event = planning.own_event(Subject.of(delivery, spelling=self._spelling(delivery)))
        if event is None or not planning.names_what_can_be_asked(event):  # the release before read it otherwise
            self._settle([(delivery, self._plan_with(delivery, {}, None))], self._clock(), {})
            return
        if self._settle_as_known(delivery, event):
            return
        with self._asking.alone(delivery.source, event) as is_alone:
            if not is_alone:
                self._inbox.write(postpone, [given_back(delivery, self._clock(), _SAME_JOB_SECONDS)])
            elif not self._settle_as_known(delivery, event):
                self._ask(delivery, event)

    def _settle_as_known(self, delivery: Delivery, event: Event) -> bool:
        """Route with what was answered for another event of the same job; False if nothing was."""
        known = self._asking.known(delivery.source, event, self._spelling(delivery))
        if known is not None:
            self._settle_with(delivery, known, self._clock())
        return known is not None

    def _ask(self, delivery: Delivery, event: Event) -> None:
        now = self._clock()
        try:
            self._settle_with(delivery, self._kept(delivery, self._asking.ask(delivery.source, event)), now)
        except LookupNotFound:
            if delivery.lookups >= _LOOKUPS or is_unknown(delivery):
                self._settle([(delivery, self._plan_with(delivery, {}, Reason.LOOKUP_NOT_FOUND))], now, {})
                return
            self._inbox.write(postpone, [unknown(delivery, now, random.random())])  # noqa: S311 - as below
        except LookupUnavailable as unavailable:
            if delivery.lookups >= _LOOKUPS and not unavailable.is_whole:
                self._settle([(delivery, self._plan_with(delivery, {}, Reason.LOOKUP_FAILED))], now, {})
                return
            jitter = random.random()  # noqa: S311 - spreads retries, guards nothing
            self._inbox.write(postpone, [unanswered(delivery, now, unavailable, jitter)])

    def _kept(self, delivery: Delivery, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what may be stored of an answer."""
        source = self._sources.get(delivery.source)
        return answer if source is None or source.redaction is None else source.redaction.answer(answer)

    def _settle_with(self, delivery: Delivery, kept: Mapping[str, Any], now: datetime) -> None:
        """Route with what the API answered. Raises LookupUnavailable if it does not know yet how the job ended."""
        plan = self._plan_with(delivery, kept, None)
        if plan.event is not None and lacks_status(plan.event):
            raise LookupUnavailable("the Planasonix API does not say yet how the job ended")
        self._settle([(delivery, plan)], now, kept)

    def _plan_with(self, delivery: Delivery, job: Mapping[str, Any], reason: Reason | None) -> Plan:
        """Plan again with what the API answered; `reason`: why the look-up was given up, said if it matters."""
        subject, mapping = with_job(delivery, job, self._spelling(delivery)), self._mapping()
        result = plan_traced(self._inbox, subject, mapping, max_hops=self._max_hops)
        return result if reason is None else planning.given_up(result, reason, subject, mapping)
