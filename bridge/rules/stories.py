"""The whole story of a webhook, as plain JSON values: its way, every route's verdict, and the next step. Pure.

A story reads downward: received, verified, looked up, routed, then for each trigger its attempts and its DAG run. What
has not happened yet is no step. No value of a payload stands in it but those that a route compares.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bridge.rules import causes, views
from bridge.rules.planning import Plan
from bridge.words.dags import GONE, DagState, KnownDag
from bridge.words.model import Attempt, Delivery, DeliveryEntry, DeliveryState, TriggerEntry, TriggerState
from bridge.words.reasons import Reason
from bridge.words.runs import OPEN, Run, RunState
from bridge.words.via import Via

_STILL = "Nothing to do: it goes on by itself."
_UNSERVED = "No bridge serves this store now, and nothing came from any source: start `planasonix-bridge serve`."
_REFUSED = "Requests were refused at that time: look at `refusals`, and compare the keys with `keys show`."
_UNHEARD = "Nothing came from any source at that time: check that the webhook in Planasonix is on, and its URL."
_UNKNOWN = "The store knows no such id: check how it is spelled, and that its webhook is registered in Planasonix."
_OTHERS_CAME = "Other webhooks came, and none of this one: look in Planasonix whether it ran, and what its webhook got."
# Airflow's scheduler looks at no run of such a DAG, queued or running: tasks that run go on, and no other starts
# (`get_running_dag_runs_to_examine` of its models/dagrun.py, in Airflow 2 as in 3).
_STOPS = {
    DagState.PAUSED: Reason.DAG_PAUSED.next_step,
    DagState.MISSING: causes.DAGS[DagState.MISSING][1],
    DagState.STALE: causes.DAGS[DagState.STALE][1],
}


@dataclass(frozen=True, slots=True)
class Branch:
    """One trigger of a delivery, with its attempts, what is known of its DAG, and where Airflow shows its run."""

    trigger: TriggerEntry
    attempts: Sequence[Attempt]
    dag: KnownDag | None
    link: str | None


@dataclass(frozen=True, slots=True)
class Story:
    """What there is of one delivery. `plan` is what the mapping in use makes of it; without it `note` says why not."""

    delivery: Delivery
    branches: Sequence[Branch]
    copies: Sequence[DeliveryEntry]
    plan: Plan | None
    note: str | None = None


def view(story: Story) -> views.Json:
    """Return a story."""
    delivery = story.delivery
    plan = None if story.plan is None else views.plan(story.plan)
    return {
        "delivery": views.delivery_entry(delivery)
        | {
            "key_id": delivery.key_id,
            "signed_at": views.instant(delivery.signed_at),
            "path_pipeline_id": delivery.path_pipeline_id,
            "pipeline_id": plan["event"]["pipeline_id"] if plan and plan["event"] else None,
            "lookups": delivery.lookups,
            "caused_by": delivery.caused_by,
            "erased_at": views.instant(delivery.erased_at),
        },
        "steps": list(_steps(story)),
        "routes": None if plan is None else plan["routes"],
        "note": story.note,
        "triggers": [_branch(branch) for branch in story.branches],
        "copies": [views.delivery_entry(each) for each in story.copies],
        "next_step": next_step(story),
    }


def _branch(branch: Branch) -> views.Json:
    return views.trigger_entry(branch.trigger) | {
        "attempt_log": [views.attempt(each) for each in branch.attempts],
        **of_dag(branch.trigger, branch.dag),
        "link": branch.link,
    }


def of_dag(item: TriggerEntry, dag: KnownDag | None) -> views.Json:
    """Return what is known of a trigger's DAG, and whether its run waits there for a person, with the next step."""
    step = dag_step(item, dag)
    return {"dag": None if dag is None else views.dag(dag), "waits_for_dag": step is not None, "dag_next_step": step}


def dag_step(item: TriggerEntry, dag: KnownDag | None) -> str | None:
    """Return what to do where a DAG run is open and cannot go on because of its DAG; None: nothing.

    Of what nobody follows, the reason `dag_paused` stays for good: so what was read of the DAG since then counts more.
    """
    run = item.run
    if item.state is not TriggerState.FIRED or (run is not None and run.state not in OPEN):
        return None
    if dag is not None and run is not None and dag.state in _STOPS and _is_since(item, run, dag):
        return _STOPS[dag.state]
    if item.reason is not Reason.DAG_PAUSED or (run is not None and run.state is RunState.RUNNING):
        return None
    is_other = dag is not None and dag.state is not DagState.PAUSED
    is_news = dag is not None and item.settled_at is not None and dag.read_at > item.settled_at
    return None if is_other and is_news else Reason.DAG_PAUSED.next_step


def _is_since(item: TriggerEntry, run: Run, dag: KnownDag) -> bool:
    """Whether a DAG was read since its run began, and, if it can start none, since the run was asked for."""
    before = [run.started_at, item.settled_at if dag.state in GONE else None]
    return all(at is None or dag.read_at > at for at in before)


def _steps(story: Story) -> Iterator[views.Json]:
    delivery = story.delivery
    received = views.instant(delivery.received_at)
    event = f"event {delivery.event_id}" if delivery.event_id else "an event without an id"
    yield _step(received, "received", f"{event} of source {delivery.source}")
    if delivery.via is Via.RECONCILED:
        yield _step(received, "reconciled", "no webhook came: the Planasonix API told that the job has ended")
    else:
        yield _verified(delivery)
    if delivery.lookups:
        yield _step(None, "looked_up", f"the Planasonix API was asked {_times(delivery.lookups)}{_answer(delivery)}")
    if delivery.state is not DeliveryState.RECEIVED or delivery.reason is not None:
        yield _step(None, str(delivery.state), _because(delivery.reason, delivery.detail))
    for branch in story.branches:
        yield from _steps_of(branch)


def _answer(delivery: Delivery) -> str:
    if delivery.reason is Reason.LOOKUP_NOT_FOUND:
        return " and does not know the job or run"
    return {True: " and answered", False: " and has not answered", None: ""}[views.is_answered(delivery)]


def _verified(delivery: Delivery) -> views.Json:
    at, signed_at = views.instant(delivery.received_at), views.instant(delivery.signed_at)
    return _step(at, "verified", f"the signature is right, by key {delivery.key_id}") | {"signed_at": signed_at}


def _steps_of(branch: Branch) -> Iterator[views.Json]:
    trigger, run = branch.trigger, branch.trigger.run
    where = f"route {trigger.route} asks for DAG {trigger.dag_id} at Airflow {trigger.airflow}"
    yield _step(views.instant(trigger.created_at), "asked_for", where, trigger.id)
    for attempt in branch.attempts:
        answer = f", HTTP {attempt.http_status}" if attempt.http_status else ""
        because = f": {_because(attempt.reason, attempt.detail)}" if attempt.reason else ""
        says = f"attempt {attempt.number} {attempt.outcome} after {attempt.seconds:.2f} s{answer}{because}"
        yield _step(views.instant(attempt.started_at), "attempt", says, trigger.id)
    because = _because(trigger.reason, trigger.detail)
    yield _step(views.instant(trigger.settled_at), str(trigger.state), because, trigger.id)
    if run is not None:
        at = views.instant(run.ended_at or run.started_at)
        yield _step(at, f"run_{run.state}", f"DAG run {trigger.dag_run_id}", trigger.id)


def _step(at: str | None, what: str, says: str, trigger_id: str | None = None) -> views.Json:
    return {"at": at, "what": what, "says": says, "trigger_id": trigger_id}


def _because(reason: Reason | None, detail: str | None) -> str:
    said = "" if reason is None else f"{reason}: {reason.why}"
    return f"{said} ({detail})" if said and detail else said or detail or ""


def _times(amount: int) -> str:
    return "once" if amount == 1 else f"{amount} times"


def next_step(story: Story) -> str:
    """Return what to do: of what needs a person first, else that nothing has to be done."""
    if story.delivery.state is not DeliveryState.ROUTED:
        return _STILL if story.delivery.reason is None else story.delivery.reason.next_step
    newest: dict[tuple[str, str, str], Branch] = {}
    for branch in sorted(story.branches, key=lambda each: each.trigger.rerun):
        item = branch.trigger
        newest[item.route, item.airflow, item.dag_id] = branch
    steps = sorted(map(_step_of, newest.values()))
    return steps[0][1] if steps else "Nothing to do."


def _step_of(branch: Branch) -> tuple[int, str]:
    """Return the next step of a trigger, with how soon it wants to be read."""
    item = branch.trigger
    urgency = {TriggerState.FAILED: 0, TriggerState.HELD: 1, TriggerState.CANCELLED: 7}.get(item.state)
    if urgency is not None and item.reason is not None:
        return urgency, item.reason.next_step
    if item.state is not TriggerState.FIRED:
        return 4, _STILL
    if item.run is not None and item.run.state in causes.RUNS:
        return 2, causes.RUNS[item.run.state][1]
    if (step := dag_step(item, branch.dag)) is not None:
        return 3, step
    is_open = item.run is not None and item.run.state in OPEN
    return (5, "Nothing to do: the DAG run has not ended yet.") if is_open else (6, "Nothing to do.")


def silence(
    *,
    has_refusals: bool,
    is_source_heard: bool,
    is_known: bool,
    is_served: bool,
    has_locked: bool = False,
    has_come: bool = False,
) -> str:
    """Return what to do when nothing of an id came at a time; `is_served`: a bridge runs now.

    `has_refusals`: other ones than what every public address gets. `has_locked`: something came that may have it, and
    cannot be decrypted. `has_come`: it is a job, run or backfill, and came at another time.
    """
    first = (
        (has_locked, "It may be among the deliveries that cannot be read: give the bridge their keys."),
        (has_come, "It came at another time: ask for it without a time to read its story."),
        (not is_source_heard and not is_served, _UNSERVED),
        (has_refusals, _REFUSED),
        (not is_source_heard, _UNHEARD),
        (not is_known, _UNKNOWN),
    )
    return next((step for applies, step in first if applies), _OTHERS_CAME)


def says_unread(unread: views.Json) -> str:
    """Return in words what may have an id too, and could not be read or was not looked at."""
    said = []
    if amount := unread["count"]:
        named = "; ".join(f"{each['id']}, {each['why']}" for each in unread["deliveries"])
        others = f"; and {amount - len(unread['deliveries'])} more" if amount > len(unread["deliveries"]) else ""
        what = "1 delivery" if amount == 1 else f"{amount} deliveries"
        said.append(f"{what} of that time cannot be read yet: {named}{others}")
    if unread["is_cut"]:
        said.append("Older deliveries that wait or were set aside were not looked at: narrow down the time")
    return ". ".join(said)
