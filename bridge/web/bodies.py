"""What the JSON API answers about the bodies that were received: for operators, since they are payloads."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from bridge.edges.inbox import Inbox, received
from bridge.edges.inbox.received import Received
from bridge.rules import views
from bridge.rules.event import Spelling
from bridge.web.queries import page

_FILTERS = frozenset({"since", "until", "after"})


class BodiesApi:
    """The part of the admin API that `diff --since` reads; methods as those of `Api`."""

    def __init__(self, *, inbox: Inbox, spellings: Mapping[str, Spelling]) -> None:
        """`spellings`: how each source spells its bodies, of those that have a way of their own."""
        self._inbox = inbox
        self._spellings = {name: each.written() for name, each in spellings.items()}

    def bodies(self, *, query: Mapping[str, str], **_: Any) -> views.Json:
        """Return a page of what was received, bodies in base64, the oldest first; `next` is the next page's `after`."""
        wanted, limit = page(query, _FILTERS)
        found, following = self._inbox.read(
            received.bodies, since=wanted.since, until=wanted.until, after=wanted.after, limit=limit
        )
        return {"bodies": [self._shown(item) for item in found], "next": following}

    def _shown(self, item: Received) -> views.Json:
        return {
            "id": item.id,
            "source": item.source,
            "received_at": views.instant(item.received_at),
            "url_pipeline": item.path_pipeline_id,
            "body": None if item.body is None else b64encode(item.body).decode(),
            "job": None if item.lookup is None else dict(item.lookup),
            "spelling": self._spellings.get(item.source),
        }
