"""What the JSON API gives to whoever takes everything out: pages of whole things, the oldest first.

A page may be empty and still have a `next`: then nothing of what was walked is meant.
"""

from collections.abc import Mapping
from typing import Any

from bridge.edges.inbox import Inbox, exporting
from bridge.edges.inbox.browsing import DELIVERY_FILTERS, TRIGGER_FILTERS
from bridge.rules import views
from bridge.web.queries import page
from bridge.words.errors import NotThere

_KINDS = ("deliveries", "triggers", "attempts")


class ExportingApi:
    """The part of the admin API that exports; methods as those of `Api`."""

    def __init__(self, *, inbox: Inbox) -> None:
        """Reads the store, and nothing else."""
        self._inbox = inbox

    def export(self, *, path: Mapping[str, str], query: Mapping[str, str], **_: Any) -> views.Json:
        """Return a page of whole `deliveries`, `triggers` or `attempts`, the oldest first, by the filters of the lists.

        `next` is the `after` of the following page. Bodies, confs and details are in it, so it is for operators.
        """
        kind = path["id"]
        if kind not in _KINDS:
            raise NotThere(f"nothing is called {kind[:40]!r}; there is {', '.join(_KINDS)}")
        wanted, limit = page(query, DELIVERY_FILTERS if kind == "deliveries" else TRIGGER_FILTERS)
        lines: list[views.Json]
        match kind:
            case "deliveries":
                deliveries, following = self._inbox.read(exporting.deliveries, wanted=wanted, limit=limit)
                lines = [views.delivery(each) for each in deliveries]
            case "triggers":
                triggers, following = self._inbox.read(exporting.triggers, wanted=wanted, limit=limit)
                lines = [views.trigger(each) for each in triggers]
            case _:
                tries, following = self._inbox.read(exporting.attempts, wanted=wanted, limit=limit)
                lines = [
                    {"delivery_id": each.delivery_id, "trigger_id": each.trigger_id} | views.attempt(each.attempt)
                    for each in tries
                ]
        return {"lines": lines, "next": following}
