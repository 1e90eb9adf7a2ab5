"""What the JSON API does to erase an event: what there is first, then for good."""

from collections.abc import Mapping
from typing import Any

from bridge.edges.inbox import Inbox
from bridge.flows.erasing import Erasure, erase, facts, look
from bridge.rules import views
from bridge.rules.event import Spelling
from bridge.web.queries import flag, json_object, words
from bridge.words.errors import BadFilter
from bridge.words.roles import Caller


class ErasingApi:
    """The part of the admin API that erases; methods as those of `Api`."""

    def __init__(self, *, inbox: Inbox, spellings: Mapping[str, Spelling] | None = None) -> None:
        """Nothing but the store is cleaned. `spellings`: of sources that spell their bodies unusually."""
        self._inbox, self._spellings = inbox, spellings

    def erase(self, *, body: bytes, caller: Caller, **_: Any) -> views.Json:
        """Erase `{"source": ..., "event_id": ..., "reason": ...}`; `"dry_run": true` only tells what there is."""
        order = json_object(body, "source", "event_id", "reason", "cancel", "dry_run")
        source, event_id, reason = (words(order, name) for name in ("source", "event_id", "reason"))
        if source is None or event_id is None:
            raise BadFilter('send {"source": "...", "event_id": "...", "reason": "..."}')
        is_dry, is_cancelling = flag(order, "dry_run"), flag(order, "cancel")
        found = look(self._inbox, source=source, event_id=event_id)
        if is_dry:
            return facts(found) | {"erased": False}
        if reason is None:
            raise BadFilter("reason must be text: it goes to the audit log")
        erasure = Erasure(actor=caller.name, reason=reason, is_cancelling=is_cancelling)
        found, is_clean = erase(
            self._inbox, source=source, event_id=event_id, erasure=erasure, spellings=self._spellings
        )
        return facts(found) | {"erased": True, "is_clean": is_clean}
