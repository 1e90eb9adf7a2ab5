"""Between planning and the store: what planning has to know of a delivery, and what is stored of a plan. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from bridge.edges.inbox.deliveries import Postponed, Routing
from bridge.edges.inbox.triggers import NewTrigger
from bridge.rules.ceiling import Start
from bridge.rules.planning import Plan, Planned, Subject
from bridge.words.errors import Locked
from bridge.words.model import Delivery, Limits, TriggerState
from bridge.words.reasons import Reason

FAILED_SECONDS = 60.0
_log = structlog.get_logger("bridge.routing")


def subject(delivery: Delivery) -> Subject:
    """Return what planning has to know of a stored delivery. Raises Locked."""
    if delivery.locked is not None:
        raise Locked(f"{delivery.id}: {delivery.locked}")
    return Subject(
        id=delivery.id,
        source=delivery.source,
        received_at=delivery.received_at.isoformat().replace("+00:00", "Z"),
        body=delivery.body,
        path_pipeline_id=delivery.path_pipeline_id,
        lookup=delivery.lookup,
    )


def locked(delivery: Delivery, now: datetime) -> Postponed:
    """Put off what cannot be decrypted until its key is back; said once."""
    if delivery.reason is not Reason.KEY_MISSING:
        _log.error("delivery_locked", delivery_id=delivery.id, next_step=Reason.KEY_MISSING.next_step)
    return postponed(delivery, now, FAILED_SECONDS, Reason.KEY_MISSING, detail=delivery.locked)


def told(delivery: Delivery, job: Mapping[str, Any]) -> Subject:
    """Return what planning has to know once the API has told of the job."""
    about = subject(delivery)
    return Subject(**{name: getattr(about, name) for name in Subject.__slots__} | {"lookup": job})


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


def routing(delivery: Delivery, made: Plan, lookup: Mapping[str, Any] | None, starts: Mapping[str, Start]) -> Routing:
    """Return what is stored of a plan; `starts` of triggers whose route has a ceiling, by trigger id."""
    triggers = [new_trigger(delivery, planned, starts.get(planned.id)) for planned in made.triggers]
    return Routing(delivery.id, made.state, made.reason, made.detail, lookup, triggers)


def new_trigger(delivery: Delivery, planned: Planned, start: Start | None) -> NewTrigger:
    """Return one trigger as it is stored."""
    call = planned.call
    later = datetime.fromtimestamp(start.at, UTC) if start and start.is_later else None
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
        state=TriggerState.HELD if later else planned.state,
        reason=Reason.HOURLY_CEILING if later else planned.reason,
        detail=planned.detail,
        due_at=later,
    )
