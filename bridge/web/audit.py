"""What the JSON API answers about the audit log."""

from collections.abc import Mapping
from typing import Any

from bridge.edges.inbox import Inbox, auditing
from bridge.edges.inbox.auditing import AuditFilter
from bridge.rules import records, views
from bridge.web.queries import next_page, page_size, refuse_unknown, storable, time_range

_TEXTS = ("actor", "subject", "after")
QUERY = (*_TEXTS, "since", "until", "limit")


class AuditApi:
    """The part of the admin API that shows who did what."""

    def __init__(self, *, inbox: Inbox) -> None:
        """Reads the store, and nothing else."""
        self._inbox = inbox

    def audit(self, *, query: Mapping[str, str], **_: Any) -> views.Json:
        """Return a page of the audit log, newest first, by `actor`, `subject`, `since`, `until`; `next` as elsewhere.

        A `subject` (`trg_...`, `dlv_...`, `route orders`) is looked for in 20 000 lines at most: a page may be short,
        even empty, and have a `next`.
        """
        refuse_unknown(query, QUERY)
        texts = {name: storable(name, query[name]) if name in query else None for name in _TEXTS}
        (since, until), limit = time_range(query), page_size(query)
        part = self._inbox.read(auditing.part, wanted=AuditFilter(since=since, until=until, **texts))
        found = self._inbox.read(auditing.page, wanted=part, limit=limit)
        return {"audit": [records.audit_line(line) for line in found], "next": next_page(found, limit) or part.edge}
