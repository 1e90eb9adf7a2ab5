"""What a delivery asks for: read the event, ask the mapping, make the calls. Pure: nothing is sent or stored.

The router, `explain` on the command line and the API all call `plan`, so what `explain` shows is what happens.
"""

from collections.abc import Callable, Sequence
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from bridge.rules import completion as completions
from bridge.rules import event as events
from bridge.rules import hops as loops
from bridge.rules import run_names
from bridge.rules.completion import Completion
from bridge.rules.event import USUAL, Spelling
from bridge.rules.mapping import DeliveryContext, Mapping, Route, Verdict, Verdicts
from bridge.rules.mapping.lacking import IN_ANSWERS, SENTENCES
from bridge.rules.mapping.runs import run_id
from bridge.words.errors import BridgeError, Locked, TemplateError, Unreadable
from bridge.words.model import Call, Delivery, DeliveryState, Event, TriggerState
from bridge.words.reasons import Reason
from bridge.words.via import Via

ERASED = "its payload was erased, so nobody can say which routes it fits"
_MOST_NAMED = 5  # routes in one detail
_NO_PIPELINE = "the event names no pipeline: register the webhook as /hooks/SOURCE/PIPELINE_ID, or configure `api`"


@dataclass(frozen=True, slots=True)
class Planned:
    """One trigger to be: its call, or why there is none. `state` is pending, held or failed.

    `spare_run_id` is for when another completion has the call's DAG run id; None: the route's own id says what is the
    same. `former_run_id`: what the release before may have called a run of the same completion, if not the same.
    """

    id: str
    route: Route
    dag_id: str
    call: Call | None
    state: TriggerState
    reason: Reason | None = None
    detail: str | None = None
    spare_run_id: str | None = None
    former_run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a delivery goes: its new state with the reason, the verdict of every route, and the triggers."""

    state: DeliveryState
    reason: Reason | None = None
    detail: str | None = None
    event: Event | None = None
    verdicts: Sequence[Verdict] = ()
    triggers: tuple[Planned, ...] = ()
    completion: Completion | None = None  # of an event that routes may see
    chain: loops.Chain | None = None  # the DAG runs that led to the event, if the store was asked
    wants_lookup: bool = False  # the API may have what the event lacks, and nobody has asked yet

    @property
    def would_start(self) -> bool:
        """Whether a DAG run would be started, and no route fails on this event."""
        states = {planned.state for planned in self.triggers}
        return TriggerState.PENDING in states and TriggerState.FAILED not in states

    def rivals(self, planned: Planned) -> tuple[str, ...]:
        """Return the other routes that start the same DAG for this event: two runs that look alike in Airflow."""
        place = (planned.route.airflow, planned.dag_id)
        names = {item.route.name for item in self.triggers if (item.route.airflow, item.dag_id) == place}
        return tuple(sorted(names - {planned.route.name}))


@dataclass(frozen=True, slots=True)
class Subject:
    """What planning has to know of a delivery, stored or only imagined (`explain PAYLOAD.json`)."""

    id: str
    source: str
    received_at: str  # RFC 3339
    body: bytes
    path_pipeline_id: str | None = None
    lookup: AnyMapping[str, Any] | None = None
    spelling: Spelling = USUAL  # of its source
    chain: loops.Chain | None = None  # what the store knows of the event's cause; None: nobody asked it

    @classmethod
    def of(cls, delivery: Delivery, *, spelling: Spelling = USUAL) -> "Subject":
        """Return what planning has to know of a stored delivery; `spelling` is its source's. Raises Locked."""
        if delivery.locked is not None:
            raise Locked(f"{delivery.id}: {delivery.locked}")
        return cls(
            id=delivery.id,
            source=delivery.source,
            received_at=delivery.received_at.isoformat().replace("+00:00", "Z"),
            body=delivery.body,
            path_pipeline_id=delivery.path_pipeline_id,
            lookup=delivery.lookup,
            spelling=spelling if delivery.via is Via.WEBHOOK else spelling.of_answers,
        )


def plan(subject: Subject, mapping: Mapping, *, new_trigger_id: Callable[[], str], max_hops: int) -> Plan:
    """Return what the mapping makes of a delivery. Never raises for anything that a body can hold."""
    event = read(subject)
    if isinstance(event, Plan):
        return event
    return plan_event(event, subject, mapping, new_trigger_id=new_trigger_id, max_hops=max_hops)


def read(subject: Subject) -> Event | Plan:
    """Return the event that routes may see, or the plan of a delivery that has none, whatever the mapping says."""
    try:
        event = events.read(subject.body, path_pipeline_id=subject.path_pipeline_id, spelling=subject.spelling)
        if subject.lookup is not None:
            event = events.merge(event, subject.lookup, spelling=subject.spelling)
    except Unreadable as unreadable:
        return Plan(DeliveryState.INVALID, unreadable.reason, unreadable.detail)
    aside = events.set_aside(event)
    if aside is None:
        return event
    detail = event.status_word if aside is Reason.STATUS_UNKNOWN else None
    if aside is Reason.STATUS_UNKNOWN and not events.tells_of_a_completion(event):
        aside = Reason.NO_COMPLETION
    wants_lookup = _may_look_up(event, subject) and aside is Reason.STATUS_UNKNOWN and events.lacks_status(event)
    return Plan(DeliveryState.IGNORED, aside, _detail(detail, event), event, wants_lookup=wants_lookup)


def ask(
    event: Event, subject: Subject, mapping: Mapping, *, new_trigger_id: Callable[[], str], max_hops: int
) -> tuple[Verdicts, tuple[Planned, ...]]:
    """Return what each route says, and what those that fit ask for, without what else its run may be called."""
    context = DeliveryContext(subject.id, subject.received_at, subject.source, loops.count(event, subject.chain))
    judged = mapping.explain(event, subject.source, context)
    circle = partial(loops.problem, event, subject.chain, limit=max_hops, delivery_id=subject.id)
    return judged, tuple(
        _planned(verdict, dag_id, event, context, new_trigger_id(), circle=circle)
        for verdict in judged.fitting
        for dag_id in verdict.route.dags
    )


def plan_event(
    event: Event, subject: Subject, mapping: Mapping, *, new_trigger_id: Callable[[], str], max_hops: int
) -> Plan:
    """Return what the mapping makes of an event that routes may see (`read`)."""
    completion = completions.of(event, source=subject.source, delivery_id=subject.id)
    judged, asked = ask(event, subject, mapping, new_trigger_id=new_trigger_id, max_hops=max_hops)
    named = tuple(_named(planned, event, completion) for planned in asked)
    wants_lookup = _may_look_up(event, subject) and (event.pipeline_id is None or _lacks_what_the_api_has(judged))
    if named:
        detail = _detail(loops.disagreement(event, subject.chain), event)
        return Plan(DeliveryState.ROUTED, None, detail, event, judged, named, completion, subject.chain, wants_lookup)
    state, reason = DeliveryState.UNROUTED, Reason.NO_ROUTE
    detail = _lacking(judged) if event.pipeline_id else _NO_PIPELINE
    if "pipeline_id" in event.unreadable:  # nobody knows which routes it is for
        state, reason, detail = DeliveryState.INVALID, Reason.UNREADABLE_FIELD, None
    return Plan(state, reason, _detail(detail, event), event, judged, (), completion, None, wants_lookup)


def given_up(result: Plan, reason: Reason, subject: Subject, mapping: Mapping) -> Plan:
    """Return a plan with why its look-up was given up, if that matters: where nothing matches, the end of the job is
    open, or a route could not be judged, whatever other routes matched."""
    event = result.event
    if event is None:
        return result
    if result.state is DeliveryState.UNROUTED or events.lacks_status(event):
        return replace(result, reason=reason)
    if result.state is not DeliveryState.ROUTED or not (names := mapping.unjudged(event, subject.source)):
        return result
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    says = f"nobody knows whether it is for these routes too: {', '.join(names[:_MOST_NAMED])}{more}"
    return replace(result, reason=reason, detail="; ".join((says, *([result.detail] if result.detail else []))))


def _lacking(judged: Verdicts) -> str | None:
    """Return which route would have matched by its pipeline, but needs a field that nobody has, and how to get it."""
    found = (each for each in judged.candidates.values() if each.why_not in SENTENCES.values())
    return next((f"route {each.route.name} wants {each.why_not}" for each in found), None)


def _lacks_what_the_api_has(judged: Verdicts) -> bool:
    askable = {SENTENCES[key] for key in IN_ANSWERS}
    return any(each.why_not in askable for each in judged.candidates.values())


def _may_look_up(event: Event, subject: Subject) -> bool:
    return subject.lookup is None and names_what_can_be_asked(event)


def names_what_can_be_asked(event: Event) -> bool:
    """Whether the API can be asked about it: it knows jobs and runs."""
    return event.job_id is not None or event.run_id is not None


def own_event(subject: Subject) -> Event | None:
    """Return what a delivery's own body says, without any look-up; None if it cannot be read."""
    try:
        return events.read(subject.body, path_pipeline_id=subject.path_pipeline_id, spelling=subject.spelling)
    except Unreadable:
        return None


def _detail(detail: str | None, event: Event) -> str | None:
    """Return the detail with the notes of fields that could not be read, None if there is nothing to say."""
    return "; ".join((*([detail] if detail else []), *event.notes)) or None


def _planned(
    verdict: Verdict,
    dag_id: str,
    event: Event,
    context: DeliveryContext,
    trigger_id: str,
    *,
    circle: Callable[..., str | None],
) -> Planned:
    """Make one trigger; what fails in the route's own templates is a failed trigger, never a silent no."""
    route = verdict.route
    try:
        if verdict.error is not None:
            raise verdict.error
        call = route.call(dag_id, event, delivery=context, trigger_id=trigger_id)
    except BridgeError as error:
        reason = error.reason if isinstance(error, TemplateError) else Reason.CONDITION
        return Planned(trigger_id, route, dag_id, None, TriggerState.FAILED, reason, str(error))
    if (problem := circle(airflow=route.airflow, dag_id=dag_id)) is not None:
        return Planned(trigger_id, route, dag_id, call, TriggerState.HELD, Reason.LOOP_GUARD, problem)
    return Planned(trigger_id, route, dag_id, call, TriggerState.PENDING)


def _named(planned: Planned, event: Event, completion: Completion) -> Planned:
    """Add what else a run of this completion may be called, unless the route names its runs itself."""
    call, route = planned.call, planned.route
    if call is None or route.dag_run_id is not None:
        return planned
    former = run_id(completions.default_run_id(completion.id, event.status, route.name))
    return replace(
        planned,
        spare_run_id=run_names.spare(call.dag_run_id, completion),
        former_run_id=None if former == call.dag_run_id else former,
    )
