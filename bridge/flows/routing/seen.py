"""Keeps which types a source delivers for its jobs, so that reconciling can spell the webhooks that never came."""

from collections.abc import Collection, Iterable
from contextlib import suppress

from bridge.edges.inbox import Inbox, reconciling
from bridge.rules.completion import Kind
from bridge.rules.planning import Plan
from bridge.rules.reconciling import Seen
from bridge.words.errors import InboxUnavailable
from bridge.words.model import Delivery
from bridge.words.via import Via

_MAX_TYPES = 1000  # a sender that makes up types fills neither memory nor store
_LONGEST = 128


class SeenTypes:
    """What this process has noted already; any thread."""

    def __init__(self, inbox: Inbox, sources: Collection[str]) -> None:
        """`sources`: those with an API, since no other can be reconciled."""
        self._inbox, self._sources = inbox, sources
        self._known: set[tuple[str, Seen]] = set()

    def note(self, plans: Iterable[tuple[Delivery, Plan]]) -> None:
        """Take in what was routed. A type that cannot be stored now is noted with the next webhook that has it."""
        found = {each for delivery, plan in plans if (each := self._of(delivery, plan)) is not None} - self._known
        if found and len(self._known) < _MAX_TYPES:
            with suppress(InboxUnavailable):
                self._inbox.write(reconciling.note_seen, found)
                self._known |= found

    def _of(self, delivery: Delivery, plan: Plan) -> tuple[str, Seen] | None:
        completion, event = plan.completion, plan.event
        if delivery.source not in self._sources or delivery.via is not Via.WEBHOOK or completion is None:
            return None
        if completion.kind is not Kind.JOB or event is None or not event.type or len(event.type) > _LONGEST:
            return None
        return delivery.source, Seen(completion.kind, event.type, completion.status)
