"""What the JSON API answers about one id: the whole story of whatever has it."""

from collections.abc import Mapping
from typing import Any

from bridge.edges.inbox import Inbox
from bridge.flows import explaining
from bridge.flows.explaining import Around, Time
from bridge.rules import views
from bridge.web.queries import refuse_unknown, storable, time_range
from bridge.words.errors import NotThere


class WhyApi:
    """The part of the admin API that tells why; methods as those of `Api`."""

    def __init__(self, *, inbox: Inbox, around: Around) -> None:
        """`around` is what the store does not know."""
        self._inbox = inbox
        self._around = around

    def why(self, *, path: Mapping[str, str], query: Mapping[str, str], **_: Any) -> views.Json:
        """Return the story of what has this event, delivery, trigger, job, run, pipeline or DAG run id.

        An id may have slashes. With `since` and `until`, of that time; `silence` has what says why nothing came.
        `is_cut`: there are older ones; `unread`: what may have the id too, and could not be read or was not looked at.
        """
        if not path["id"]:
            raise NotThere("say of which id: /why/ID")
        refuse_unknown(query, ("since", "until"))
        since, until = time_range(query)
        return explaining.why(self._inbox, storable("id", path["id"]), around=self._around, time=Time(since, until))
