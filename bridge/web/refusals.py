"""What the JSON API answers about requests that were refused at the public door, and about copies."""

from collections.abc import Mapping
from typing import Any

from bridge.edges.inbox import Inbox, refusals
from bridge.edges.inbox.refusals import RefusalFilter
from bridge.rules import records, views
from bridge.web.queries import next_page, page_size, refuse_unknown, storable, time_range

_TEXTS = ("source", "reason", "kind", "after", "copy_of")
QUERY = (*_TEXTS, "since", "until", "limit")


class RefusalsApi:
    """The part of the admin API that shows what was not taken in."""

    def __init__(self, *, inbox: Inbox) -> None:
        """Reads the store, and nothing else."""
        self._inbox = inbox

    def refusals(self, *, query: Mapping[str, str], **_: Any) -> views.Json:
        """Return a page of the newest refused requests and copies, by `source`, `reason`, `kind`, `since`, `until`.

        With `copy_of`, of the copies of one delivery.
        """
        refuse_unknown(query, QUERY)
        texts = {name: storable(name, query[name]) if name in query else None for name in _TEXTS}
        (since, until), limit = time_range(query), page_size(query)
        wanted = RefusalFilter(since=since, until=until, **texts)
        found = self._inbox.read(refusals.page, wanted=wanted, limit=limit)
        return {"refusals": [records.refusal(item) for item in found], "next": next_page(found, limit)}
