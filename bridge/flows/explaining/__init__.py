"""Why: find what an id means, and tell the whole story of the deliveries that have it. Reads, and changes nothing.

1. find    the deliveries, by what routing has read of them, and in what it has not settled (searching)
2. tell    of each: triggers, attempts, DAG runs, copies, and what the mapping in use makes of it
3. if none came at that time: what has the id at another time, when each source was last heard of, what was refused then
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bridge.edges.inbox import Inbox, browsing, dags, deliveries, finding, heard, loaded, refusals
from bridge.edges.inbox.finding import Found
from bridge.flows.explaining.searching import Searched, SpellingOf, search
from bridge.rules import notes, records, stories, views
from bridge.rules.planning import Plan
from bridge.rules.stories import Branch, Story
from bridge.words.errors import ConfigError, Locked
from bridge.words.model import Delivery, DeliveryEntry, TriggerEntry, TriggerState
from bridge.words.reasons import Reason
from bridge.words.refusals import Refusal

_NEAR = timedelta(minutes=15)  # before and after the time that is asked for
_WITHIN = timedelta(days=1)  # before its end, unless its beginning is said
_COMES_ONCE = ("job", "run", "backfill")  # a pipeline runs again and again
_TRIGGERS = 100
_REFUSALS = 20


@dataclass(frozen=True, slots=True)
class Around:
    """What the store does not know: the sources, the plan of a delivery by the mapping in use, the page of a DAG run.

    `plan` raises ConfigError where no mapping can be read, and Locked.
    """

    sources: Collection[str]
    plan: Callable[[Delivery], Plan]
    link: Callable[[str, str, str | None], str | None]  # Airflow, DAG, DAG run
    spelling_of: SpellingOf  # how a source spells its bodies


@dataclass(frozen=True, slots=True)
class Time:
    """When it should have come; None: at any time."""

    since: datetime | None = None
    until: datetime | None = None


def why(inbox: Inbox, id_: str, *, around: Around, time: Time = Time(), limit: int = 5) -> views.Json:
    """Return the story of whatever has this id, newest first. Raises NotThere for an id of the store's that is gone."""
    searched = search(
        inbox,
        id_,
        sources=around.sources,
        spelling_of=around.spelling_of,
        since=time.since,
        until=time.until,
        limit=limit + 1,
    )
    found = searched.found
    shown = [
        each for delivery_id in found.deliveries[:limit] if (each := _story(inbox, delivery_id, around)) is not None
    ]
    return {
        "id": id_,
        "kind": found.kind,
        "stories": [stories.view(story) for story in shown],
        "is_cut": len(found.deliveries) > limit,
        "unread": searched.unread,
        "silence": None if shown else _silence(inbox, id_, around, time, searched),
    }


def _story(inbox: Inbox, delivery_id: str, around: Around) -> Story | None:
    delivery = inbox.read(deliveries.get, delivery_id)
    if delivery is None:
        return None  # retention was quicker
    wanted = browsing.Filter(delivery_id=delivery_id)
    mine = inbox.read(browsing.triggers, wanted=wanted, limit=_TRIGGERS)
    plan, note = _plan(delivery, around)
    return Story(
        delivery=delivery,
        branches=[_branch(inbox, trigger, around) for trigger in reversed(mine)],
        copies=[each for id_ in inbox.read(finding.copies, delivery_id) if (each := _entry(inbox, id_)) is not None],
        plan=plan,
        note=note,
    )


def _plan(delivery: Delivery, around: Around) -> tuple[Plan | None, str | None]:
    if delivery.erased_at is not None:
        return None, "its payload was erased, so nobody can say which routes it fits"
    try:
        return around.plan(delivery), None
    except ConfigError as error:
        return None, f"no mapping can be read here, so nobody can say which routes it fits: {error.problems[0]}"
    except Locked as error:
        return None, str(error)


def _branch(inbox: Inbox, trigger: TriggerEntry, around: Around) -> Branch:
    is_fired = trigger.state is TriggerState.FIRED
    return Branch(
        trigger=trigger,
        attempts=inbox.read(browsing.attempts, trigger.id),
        dag=inbox.read(dags.get, airflow=trigger.airflow, dag_id=trigger.dag_id),
        link=around.link(trigger.airflow, trigger.dag_id, trigger.dag_run_id) if is_fired else None,
    )


def _entry(inbox: Inbox, delivery_id: str) -> DeliveryEntry | None:
    found = inbox.read(deliveries.get, delivery_id)
    if found is None:
        return None
    return DeliveryEntry(
        *(found.id, found.source, found.event_id, found.state, found.reason, found.detail),
        *(found.received_at, found.key_id),
    )


def _silence(inbox: Inbox, id_: str, around: Around, time: Time, searched: Searched) -> views.Json:
    """Return what says so that nothing came."""
    now = datetime.now(UTC)
    end = min(now, time.until or now)
    begin = time.since or end - _WITHIN
    scans, refused = _refused(inbox, begin - _NEAR, end + _NEAR)
    latest = inbox.read(browsing.ids, table="deliveries", wanted=browsing.Filter(since=begin, until=end), limit=1)
    known = _at_another_time(inbox, id_, around, time)
    entry = _entry(inbox, known.deliveries[0]) if known.deliveries else None
    return {
        "since": views.instant(begin),
        "until": views.instant(end),
        "sources": {name: views.instant(at) for name, at in sorted(inbox.read(heard.last, now=now).items())},
        "at_another_time": None if entry is None else views.delivery_entry(entry),
        "refusals": [records.refusal(each) for each in (*refused, *scans)[:_REFUSALS]],
        "next_step": stories.silence(
            has_locked=bool(searched.unread and searched.unread["count"]),
            has_come=entry is not None and known.kind in _COMES_ONCE,
            has_refusals=bool(refused),
            is_source_heard=bool(latest),
            is_known=entry is not None,
            is_served=inbox.read(loaded.is_served, now=now),
        ),
    }


def _refused(inbox: Inbox, since: datetime, until: datetime) -> tuple[list[Refusal], list[Refusal]]:
    """Return the requests refused at a time, newest first: what every public address gets, and all others."""
    wanted = refusals.RefusalFilter(kind="refused", since=since, until=until)
    parts: tuple[list[Refusal], list[Refusal]] = ([], [])
    for each in inbox.read(refusals.page, wanted=wanted, limit=refusals.KEPT):
        parts[Reason.of(each.reason) not in notes.SCANS].append(each)
    return parts


def _at_another_time(inbox: Inbox, id_: str, around: Around, time: Time) -> Found:
    """Return what has the id at any time; nothing if that was looked for before."""
    if time == Time():
        return Found(None, ())
    return search(inbox, id_, sources=around.sources, spelling_of=around.spelling_of, limit=1).found
