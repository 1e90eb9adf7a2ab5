"""Keeps which types a source delivers for its jobs and runs, so that reconciling can spell webhooks that never came."""

from collections.abc import Collection, Iterable
from contextlib import suppress
from datetime import datetime, timedelta

from bridge.edges.inbox import Inbox, reconciling
from bridge.rules.completion import Kind
from bridge.rules.planning import Plan
from bridge.rules.reconciling import Seen
from bridge.words.errors import InboxUnavailable
from bridge.words.model import Delivery
from bridge.words.via import Via

_MAX_TYPES = 1000  # a sender that makes up types fills neither memory nor store: then only stored ones are noted again
_LONGEST = 128
_KINDS = (Kind.JOB, Kind.RUN)  # runs tell when a type of jobs has stopped
_AGAIN = timedelta(hours=1)  # so long a type that goes on to come is not noted anew


class SeenTypes:
    """What this process has noted already; any thread."""

    def __init__(self, inbox: Inbox, sources: Collection[str]) -> None:
        """`sources`: those with an API, since no other can be reconciled."""
        self._inbox, self._sources = inbox, sources
        self._known: dict[tuple[str, Seen], datetime] = {}

    def note(self, plans: Iterable[tuple[Delivery, Plan]]) -> None:
        """Take in what was routed. A type that cannot be stored now is noted with the next webhook that has it."""
        found: dict[tuple[str, Seen], datetime] = {}
        for delivery, plan in plans:
            if (each := self._of(delivery, plan)) is not None:
                found[each] = max(delivery.received_at, found.get(each, delivery.received_at))
        news = {each: at for each, at in found.items() if self._is_news(each, at)}
        if news:
            has_room = len(self._known.keys() | news.keys()) <= _MAX_TYPES
            with suppress(InboxUnavailable):
                self._inbox.write(reconciling.note_seen if has_room else reconciling.note_again, news)
                self._keep(news)

    def _is_news(self, seen: tuple[str, Seen], at: datetime) -> bool:
        known_at = self._known.get(seen)
        return known_at is None or at - known_at >= _AGAIN

    def _keep(self, news: dict[tuple[str, Seen], datetime]) -> None:
        """Remember what was noted; the oldest note is forgotten first."""
        for each, at in news.items():
            self._known.pop(each, None)
            self._known[each] = at
        while len(self._known) > _MAX_TYPES:
            del self._known[next(iter(self._known))]

    def _of(self, delivery: Delivery, plan: Plan) -> tuple[str, Seen] | None:
        completion, event = plan.completion, plan.event
        if delivery.source not in self._sources or delivery.via is not Via.WEBHOOK or completion is None:
            return None
        if completion.kind not in _KINDS or event is None or not event.type or len(event.type) > _LONGEST:
            return None
        return delivery.source, Seen(completion.kind, event.type, completion.status)
