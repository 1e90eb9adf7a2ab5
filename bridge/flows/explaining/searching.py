"""Find what an id means, also among deliveries that routing has not settled.

1. find   by the indexes (edges/inbox/finding): what routing has read
2. read   what waits, was set aside or cannot be read, of that time, and may name the id (edges/inbox/unsettled)
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from bridge.edges.inbox import Inbox, deliveries, finding, unsettled
from bridge.edges.inbox.finding import Found
from bridge.rules import naming, views
from bridge.rules.event import Spelling
from bridge.rules.planning import Subject
from bridge.words.errors import Locked
from bridge.words.model import Delivery
from bridge.words.reasons import Reason

SpellingOf = Callable[[str], Spelling]
_LOCKED = 5  # named; the others are counted
MOST_OPENED = 500  # each is read and, if it is encrypted, opened: 0.3 ms
# An event, delivery, trigger or DAG run is found for certain, and is one thing. These have a history.
_HISTORIES = ("pipeline", "job", "run", "backfill")
AS_MEANT = (Reason.STATUS_RUNNING, Reason.TEST_EVENT, Reason.NO_COMPLETION)  # set aside as it should be


@dataclass(frozen=True, slots=True)
class Aside:
    """The deliveries without a completion that have an id, newest first; `kind` is what the id is to the newest.

    What may have it too: `locked` are deliveries that cannot be opened, with why; `is_cut`: older ones were not looked
    at.
    """

    kind: str | None = None
    deliveries: Sequence[Delivery] = ()
    locked: Sequence[tuple[str, str]] = ()
    is_cut: bool = False

    def unread(self) -> views.Json | None:
        """Return what may have the id too, and could not be read or was not looked at; None: nothing."""
        if not self.locked and not self.is_cut:
            return None
        named = [{"id": id_, "why": why} for id_, why in self.locked[:_LOCKED]]
        return {"count": len(self.locked), "deliveries": named, "is_cut": self.is_cut}


@dataclass(frozen=True, slots=True)
class Searched:
    """What an id means, with what routing has not settled of it among the deliveries."""

    found: Found
    unread: views.Json | None = None


def search(
    inbox: Inbox,
    id_: str,
    *,
    sources: Collection[str],
    spelling_of: SpellingOf,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 5,
    sees_payloads: bool = True,
) -> Searched:
    """Return what an id means, and the newest deliveries that have it. Raises NotThere for our own ids.

    Who may not see payloads finds nothing by the words of a body that cannot be read.
    """
    found = inbox.read(finding.find, id_, sources=sources, since=since, until=until, limit=limit)
    if found.kind is not None and found.kind not in _HISTORIES:
        return Searched(found)
    more = aside(
        inbox,
        id_,
        spelling_of=spelling_of,
        since=since,
        until=until,
        limit=limit,
        skipped=() if found.kind is None else AS_MEANT,
        sees_payloads=sees_payloads,
    )
    ids = {*found.deliveries, *(each.id for each in more.deliveries)}
    newest = tuple(sorted(ids, reverse=True)[:limit])
    return Searched(Found(found.kind or more.kind, newest), more.unread())


def aside(
    inbox: Inbox,
    id_: str,
    *,
    spelling_of: SpellingOf,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 5,
    skipped: Collection[Reason] = (),
    sees_payloads: bool = True,
) -> Aside:
    """Return what waits, was set aside or cannot be read, and has this id; without what is `skipped` for its reason."""
    near = inbox.read(unsettled.may_name, id_, since=since, until=until, skipped=skipped)
    kinds: list[str] = []
    found: list[Delivery] = []
    locked: list[tuple[str, str]] = []
    for delivery_id in near.ids[:MOST_OPENED]:
        delivery = inbox.read(deliveries.get, delivery_id)
        if delivery is None:
            continue
        try:
            kind = _kind(id_, delivery, spelling_of)
        except Locked:
            locked.append((delivery_id, str(delivery.locked)))
            continue
        if kind is not None and (sees_payloads or kind != naming.TEXT):
            kinds.append(kind)
            found.append(delivery)
        if len(found) == limit:
            break
    # Never what was found by its text: whether there is much of that says something of the payloads.
    is_cut = near.is_cut or (len(near.ids) if sees_payloads else near.looked_at) > MOST_OPENED
    return Aside(kinds[0] if kinds else None, found, locked, is_cut and len(found) < limit)


def _kind(id_: str, delivery: Delivery, spelling_of: SpellingOf) -> str | None:
    if id_ == delivery.path_pipeline_id:
        return "pipeline"  # also of what cannot be opened
    return naming.kind_of(id_, Subject.of(delivery, spelling=spelling_of(delivery.source)))
