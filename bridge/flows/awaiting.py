"""Wait for what a delivery, or a job, was to start: look at the store again and again until it has ended.

A job is found in the bodies of the deliveries of a time: each is read once, so a look costs what is new.
"""

from collections.abc import Callable, Collection
from datetime import datetime

from bridge.edges.inbox import Inbox, browsing, completions, deliveries, runs, triggers
from bridge.rules import event as events
from bridge.rules.awaiting import Judgement, judge, judge_job, judge_place
from bridge.rules.completion import Kind
from bridge.rules.event import USUAL, Spelling
from bridge.words.errors import NotThere, Unreadable
from bridge.words.model import Delivery, TriggerEntry, TriggerState
from bridge.words.reasons import Reason

_PAGE = 500
_MOST_TRIGGERS = 1000


def of_delivery(inbox: Inbox, delivery_id: str) -> Callable[[], Judgement]:
    """Return what looks how a delivery stands. The look raises NotThere and InboxUnavailable."""

    def look() -> Judgement:
        found = inbox.read(deliveries.get, delivery_id)
        if found is None:
            raise NotThere(f"no delivery {delivery_id}")
        return judge(found, _triggers(inbox, found.id))

    return look


def of_trigger(inbox: Inbox, trigger_id: str) -> Judgement:
    """Return how a trigger stands; if it was run again, its newest run counts. Raises NotThere."""
    found = inbox.read(triggers.get, trigger_id)
    delivery = None if found is None else inbox.read(deliveries.get, found.delivery_id)
    if found is None or delivery is None:
        raise NotThere(f"no trigger {trigger_id}")
    return judge_place(found.entry, delivery, _triggers(inbox, delivery.id))


def of_job(
    inbox: Inbox, job_id: str, *, since: datetime, spelling_of: Callable[[str], Spelling] = lambda _: USUAL
) -> Callable[[], Judgement]:
    """Return what looks how a job stands, by the deliveries since a moment; it may not have come yet.

    `spelling_of`: how the source of a name spells its bodies.
    """
    seen: dict[str, bool] = {}  # by delivery: whether it tells of the job

    def look() -> Judgement:
        for id_ in _ids(inbox, since, seen):
            found = inbox.read(deliveries.get, id_)
            seen[id_] = found is not None and _job_of(found, spelling_of) == job_id
        mine = [inbox.read(deliveries.get, id_) for id_, is_mine in seen.items() if is_mine]
        return judge_job([(item, _own(_triggers(inbox, item.id))) for item in mine if item is not None])

    return look


def of_told_job(inbox: Inbox, job_id: str, *, since: datetime) -> Judgement:
    """Return how a job stands, by the deliveries that were routed as telling of it: one look, and no body is searched.

    So it does not know of a job's event that waits to be routed, nor of one that tells of a run and names the job.
    """
    ids = inbox.read(completions.telling_of, kind=Kind.JOB, about_id=job_id, since=since, limit=_PAGE)
    found = [inbox.read(deliveries.get, id_) for id_ in ids]
    return judge_job([(item, _own(_triggers(inbox, item.id))) for item in found if item is not None])


def _ids(inbox: Inbox, since: datetime, seen: Collection[str]) -> list[str]:
    """Return the deliveries since a moment that were not seen, newest first.

    Ends where a whole page was seen: replicas store their deliveries in nearly the order of ids, not quite.
    """
    found: list[str] = []
    after: str | None = None
    while True:
        wanted = browsing.Filter(since=since, after=after)
        page = inbox.read(browsing.ids, table="deliveries", wanted=wanted, limit=_PAGE)
        found += [id_ for id_ in page if id_ not in seen]
        if len(page) < _PAGE or all(id_ in seen for id_ in page):
            return found
        after = page[-1]


def _job_of(delivery: Delivery, spelling_of: Callable[[str], Spelling]) -> str | None:
    try:
        return events.read(
            delivery.body, path_pipeline_id=delivery.path_pipeline_id, spelling=spelling_of(delivery.source)
        ).job_id
    except Unreadable:
        return None


def _triggers(inbox: Inbox, delivery_id: str) -> list[TriggerEntry]:
    """Return a delivery's triggers; for one that stands back for another one's run, that other one."""
    wanted = browsing.Filter(delivery_id=delivery_id)
    mine = inbox.read(browsing.triggers, wanted=wanted, limit=_MOST_TRIGGERS)
    return [_standing(inbox, item) or item for item in mine]


def _own(triggers: list[TriggerEntry]) -> list[TriggerEntry]:
    """Leave out what stands back for another trigger of the same job: that one decides."""
    return [item for item in triggers if not _stands_back(item)]


def _stands_back(trigger: TriggerEntry) -> bool:
    return trigger.state is TriggerState.CANCELLED and trigger.reason is Reason.DUPLICATE_RUN


def _standing(inbox: Inbox, trigger: TriggerEntry) -> TriggerEntry | None:
    if not _stands_back(trigger):
        return None
    place = {"airflow": trigger.airflow, "dag_id": trigger.dag_id}
    return inbox.read(runs.standing, **place, dag_run_id=trigger.dag_run_id)
