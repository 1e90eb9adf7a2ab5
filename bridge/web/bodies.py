"""What the JSON API answers about the bodies that were received: for operators, since they are payloads."""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from bridge.edges.inbox import Inbox, received
from bridge.edges.inbox.received import Received
from bridge.rules import views
from bridge.rules.event import Spelling
from bridge.web.queries import filter_of, page_size, refuse_unknown, storable
from bridge.words.errors import BadFilter

MOST_TEXTS = 32  # in `naming`; each costs the database about a microsecond a body
_FILTERS = frozenset({"since", "until", "after"})
QUERY = (*_FILTERS, "limit", "naming")


class BodiesApi:
    """The part of the admin API that `diff --since` reads; methods as those of `Api`."""

    def __init__(self, *, inbox: Inbox, spellings: Mapping[str, Spelling]) -> None:
        """`spellings`: how each source spells its bodies, of those that have a way of their own."""
        self._inbox = inbox
        self._spellings = {name: each.written() for name, each in spellings.items()}

    def bodies(self, *, query: Mapping[str, str], **_: Any) -> views.Json:
        """Return a page of what was received, bodies in base64, the oldest first; `next` is the next page's `after`.

        `naming=pl_a,pl_b` leaves out what cannot name such a pipeline, and only counts it (`passed`).
        """
        refuse_unknown(query, QUERY)
        filters = {name: value for name, value in query.items() if name in _FILTERS}
        wanted, limit, naming = filter_of(filters, _FILTERS), page_size(query), _naming(query)
        page = self._inbox.read(
            received.bodies,
            since=wanted.since,
            until=wanted.until,
            after=wanted.after,
            limit=limit,
            naming=naming,
        )
        return {
            "bodies": [self._shown(item) for item in page.found],
            "passed": page.passed,
            "reached_at": None if page.reached_at is None else views.instant(page.reached_at),
            "next": page.last,
        }

    def _shown(self, item: Received) -> views.Json:
        return {
            "id": item.id,
            "source": item.source,
            "received_at": views.instant(item.received_at),
            "url_pipeline": item.path_pipeline_id,
            "via": str(item.via),
            "body": None if item.body is None else b64encode(item.body).decode(),
            "job": None if item.lookup is None else dict(item.lookup),
            "spelling": self._spellings.get(item.source),
        }


def _naming(query: Mapping[str, str]) -> tuple[str, ...]:
    """Read the texts, one of which a pipeline id shall hold; none if all bodies are asked for."""
    if "naming" not in query:
        return ()
    texts = tuple(dict.fromkeys(storable("naming", query["naming"]).split(",")))
    if not all(texts) or len(texts) > MOST_TEXTS:
        raise BadFilter(f"naming must be 1 to {MOST_TEXTS} texts, with a comma between two")
    return texts
