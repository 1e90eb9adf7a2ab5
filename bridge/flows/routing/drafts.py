"""Between planning and the store: what is stored of a plan, and of a delivery that cannot be planned now."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from bridge.edges.inbox.adding import NewTrigger
from bridge.edges.inbox.deliveries import Postponed, Routing
from bridge.edges.inbox.triggers import NEVER
from bridge.rules.ceiling import Start
from bridge.rules.event import Spelling
from bridge.rules.planning import Plan, Planned, Subject
from bridge.rules.retrying import backoff
from bridge.words.errors import LookupUnavailable
from bridge.words.model import Call, Delivery, Limits, TriggerState
from bridge.words.reasons import Reason

FAILED_SECONDS = 60.0
_UNKNOWN_LOOKUPS = 3  # in which the API does not know the job, within a minute and a half: it may be new there
_log = structlog.get_logger("bridge.routing")


def locked(delivery: Delivery, now: datetime) -> Postponed:
    """Put off what cannot be decrypted until its key is back; said once."""
    if delivery.reason is not Reason.KEY_MISSING:
        _log.error("delivery_locked", delivery_id=delivery.id, next_step=Reason.KEY_MISSING.next_step)
    return postponed(delivery, now, FAILED_SECONDS, Reason.KEY_MISSING, detail=delivery.locked)


def aside(delivery: Delivery) -> Postponed:
    """Put aside what a paused source has sent, until its pause is over (`pauses.release`)."""
    return Postponed(delivery.id, NEVER, Reason.PAUSED_BY_PERSON, None, is_lookup=False)


def with_job(delivery: Delivery, job: Mapping[str, Any], spelling: Spelling) -> Subject:
    """Return what planning has to know of a delivery once the API has described the job."""
    return replace(Subject.of(delivery, spelling=spelling), lookup=job)


def postponed(
    delivery: Delivery,
    now: datetime,
    seconds: float,
    reason: Reason | None,
    *,
    detail: str | None = None,
    is_lookup: bool = False,
) -> Postponed:
    """Put off a delivery that cannot be routed now."""
    return Postponed(delivery.id, now + timedelta(seconds=seconds), reason, detail, is_lookup)


def unanswered(delivery: Delivery, now: datetime, unavailable: LookupUnavailable, jitter: float) -> Postponed:
    """Put off a delivery about which the API gave no answer, the longer the more often that was.

    What is about the whole API says nothing about this delivery. It is counted until the wait has grown and no further,
    so that no outage, however long, uses up the look-ups after which one is given up.
    """
    wait = backoff.wait_held(delivery.lookups + 1, jitter, at_least=unavailable.retry_after_seconds or 0.0)
    later = postponed(delivery, now, wait, Reason.LOOKUP_FAILED, detail=str(unavailable))
    return replace(later, is_given_back=unavailable.is_whole and delivery.lookups >= backoff.HELD_GROWS)


def unknown(delivery: Delivery, now: datetime, jitter: float) -> Postponed:
    """Put off a delivery whose job or run the API does not know: it may not be there yet."""
    wait = backoff.wait_held(delivery.not_found + 1, jitter)
    later = postponed(delivery, now, wait, Reason.LOOKUP_NOT_FOUND, detail="the Planasonix API answers 404")
    return replace(later, is_not_found=True)


def is_unknown(delivery: Delivery) -> bool:
    """Whether the API, which has just said that it does not know the job, has said so often enough."""
    return delivery.not_found + 1 >= _UNKNOWN_LOOKUPS


def given_back(delivery: Delivery, now: datetime, seconds: float) -> Postponed:
    """Put off a delivery whose job somebody else is asking for."""
    return Postponed(
        delivery.id, now + timedelta(seconds=seconds), None, None, is_lookup=False, is_given_back=delivery.lookups > 0
    )


def routing(delivery: Delivery, plan: Plan, lookup: Mapping[str, Any] | None, starts: Mapping[str, Start]) -> Routing:
    """Return what is stored of a plan; `starts` of triggers whose route has a ceiling, by trigger id."""
    triggers = [new_trigger(delivery, planned, starts.get(planned.id)) for planned in plan.triggers]
    caused_by = None if plan.chain is None else plan.chain.caused_by
    return Routing(
        delivery.id,
        plan.state,
        plan.reason,
        plan.detail,
        lookup,
        triggers,
        plan.completion,
        caused_by,
        also_names=() if plan.event is None or plan.completion is None else plan.completion.others(plan.event),
    )


def new_trigger(delivery: Delivery, planned: Planned, start: Start | None) -> NewTrigger:
    """Return one trigger as it is stored."""
    route = planned.route
    deadline = route.limits.deadline_seconds
    later = datetime.fromtimestamp(start.at, UTC) if start and start.is_later else None
    return NewTrigger(
        id=planned.id,
        delivery_id=delivery.id,
        call=planned.call or Call(route.name, route.airflow, planned.dag_id, "", {}, None, Limits()),
        state=TriggerState.HELD if later else planned.state,
        reason=Reason.HOURLY_CEILING if later else planned.reason,
        detail=planned.detail,
        due_at=later,
        late_at=None if deadline is None else delivery.received_at + timedelta(seconds=deadline),
        spare_run_id=planned.spare_run_id,
        former_run_id=planned.former_run_id,
    )
