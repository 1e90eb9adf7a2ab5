"""Whether what was asked of a webhook has come true: every DAG run that it started has succeeded. Pure.

failed    one of its triggers or runs did not succeed, or it starts nothing at all; at once, whatever is still open
open      something may still happen by itself
success   all of its runs succeeded; one that nobody follows counts as soon as it is started

What a replay took back decides nothing once its route has been asked for another DAG instead: that one does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bridge.words.model import Delivery, DeliveryState, TriggerEntry, TriggerState
from bridge.words.reasons import Reason
from bridge.words.runs import OPEN, RunState


class Outcome(StrEnum):
    """How a wait stands, or ended."""

    OPEN = "open"
    SUCCESS = "success"
    FAILED = "failed"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Judgement:
    """How it stands, and what that rests on."""

    outcome: Outcome
    why: str


def judge(delivery: Delivery, triggers: Sequence[TriggerEntry]) -> Judgement:
    """Return how a delivery with its triggers stands; of a run that was started again the newest counts."""
    if delivery.state is DeliveryState.RECEIVED:
        return Judgement(Outcome.OPEN, f"{delivery.id} waits to be routed")
    if delivery.state is not DeliveryState.ROUTED:
        reason = f" ({delivery.reason})" if delivery.reason else ""
        return Judgement(Outcome.FAILED, f"{delivery.id} is {delivery.state}{reason}: it starts nothing")
    newest: dict[tuple[str, str, str], TriggerEntry] = {}
    for trigger in sorted(triggers, key=lambda item: item.rerun):
        newest[trigger.route, trigger.airflow, trigger.dag_id] = trigger
    return worst([_of_trigger(trigger) for trigger in newest.values() if not _instead(trigger, triggers)])


def judge_place(trigger: TriggerEntry, delivery: Delivery, of_delivery: Sequence[TriggerEntry]) -> Judgement:
    """Return how a trigger stands, by the newest of its delivery that its route has for its DAG.

    While its delivery is routed again, nothing is said of it.
    """
    if delivery.state is DeliveryState.RECEIVED:
        return Judgement(Outcome.OPEN, f"{delivery.id} waits to be routed")
    place = trigger.route, trigger.airflow, trigger.dag_id
    rivals = [each for each in of_delivery if (each.route, each.airflow, each.dag_id) == place]
    newest = max(rivals, key=lambda each: each.rerun, default=trigger)
    return worst([_of_trigger(each) for each in _instead(newest, of_delivery) or [newest]])


def _instead(trigger: TriggerEntry, of_delivery: Sequence[TriggerEntry]) -> list[TriggerEntry]:
    """Return what its route has been asked for since a replay took a trigger back; none if it stands for itself.

    Also what was made anew in an older row of its own, after a DAG name was changed back. Not what was taken back in
    turn, nor another DAG of the route that was replayed: it was planned together with this one.
    """
    if trigger.reason is not Reason.SUPERSEDED or trigger.settled_at is None:
        return []
    standing = [each for each in of_delivery if each.reason is not Reason.SUPERSEDED and not each.rerun]
    at = trigger.settled_at
    later = [
        each
        for each in standing
        if each.created_at >= at or (each.created_at < trigger.created_at and each.age_from >= at)
    ]
    of_route = [each for each in later if (each.route, each.airflow) == (trigger.route, trigger.airflow)]
    return [each for each in of_route if each.dag_id != trigger.dag_id]


def worst(judgements: Sequence[Judgement]) -> Judgement:
    """Return the one that decides for all; without any, nothing has happened yet."""
    for outcome in (Outcome.FAILED, Outcome.OPEN, Outcome.SUCCESS):
        for judgement in judgements:
            if judgement.outcome is outcome:
                return judgement
    return Judgement(Outcome.OPEN, "nothing has arrived yet")


def judge_job(deliveries: Sequence[tuple[Delivery, Sequence[TriggerEntry]]]) -> Judgement:
    """Return how a job stands of which several events may tell.

    Those that say that it runs do not count. Where one was routed, those that no route wants do not count either.
    """
    telling = [pair for pair in deliveries if pair[0].state is not DeliveryState.IGNORED]
    routed = [pair for pair in telling if pair[0].state in (DeliveryState.ROUTED, DeliveryState.RECEIVED)]
    return worst([judge(delivery, triggers) for delivery, triggers in routed or telling])


def _of_trigger(trigger: TriggerEntry) -> Judgement:
    what = f"{trigger.id} of route {trigger.route}"
    reason = f" ({trigger.reason})" if trigger.reason else ""
    if trigger.state in (TriggerState.FAILED, TriggerState.CANCELLED):
        return Judgement(Outcome.FAILED, f"{what} is {trigger.state}{reason}")
    if trigger.state is not TriggerState.FIRED:
        return Judgement(Outcome.OPEN, f"{what} is {trigger.state}{reason}")
    if trigger.run is None:
        return Judgement(Outcome.SUCCESS, f"{what} is started, and nobody follows its run")
    run = f"the DAG run {trigger.dag_run_id} of {trigger.dag_id} is {trigger.run.state}"
    if trigger.run.state in OPEN:
        return Judgement(Outcome.OPEN, run)
    return Judgement(Outcome.SUCCESS if trigger.run.state is RunState.SUCCESS else Outcome.FAILED, run)
