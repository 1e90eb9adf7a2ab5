"""What the JSON API answers about pauses: nothing starts for a route, a source or an Airflow for a while."""

from collections.abc import Mapping
from typing import Any

from bridge.flows.pausing import Pausing, PausingBeside
from bridge.rules import durations, views
from bridge.web.queries import json_object, words
from bridge.words.errors import BadFilter
from bridge.words.pauses import PauseKind
from bridge.words.roles import Caller


class PausesApi:
    """The part of the admin API that pauses; methods as those of `Api`."""

    def __init__(self, *, pausing: Pausing | PausingBeside) -> None:
        """`pausing` knows what is paused."""
        self._pausing = pausing

    def pauses(self, **_: Any) -> views.Json:
        """Return what is paused; `is_gone`: what it names is configured no more."""
        return {"pauses": [views.pause(each, is_gone=is_gone) for each, is_gone in self._pausing.shown()]}

    def pause(self, *, body: bytes, caller: Caller, **_: Any) -> views.Json:
        """Pause `{"kind": "route", "name": "orders"}`, with `"for": "2h"` for so long; `"reason"` is for people.

        What is paused is prolonged: `for` counts anew.
        """
        asked = json_object(body, "kind", "name", "for", "reason")
        kind, name = _named(asked)
        paused = self._pausing.pause(
            kind, name, actor=caller.name, seconds=_seconds(asked), reason=words(asked, "reason")
        )
        return {"paused": views.pause(paused, is_gone=False)}

    def resume(self, *, body: bytes, caller: Caller, **_: Any) -> views.Json:
        """End the pause of `{"kind": "route", "name": "orders"}`; `"reason"` goes to the audit log."""
        asked = json_object(body, "kind", "name", "reason")
        kind, name = _named(asked)
        self._pausing.resume(kind, name, actor=caller.name, reason=words(asked, "reason"))
        return {"resumed": {"kind": str(kind), "name": name}}


def _named(asked: Mapping[str, Any]) -> tuple[PauseKind, str]:
    kind, name = words(asked, "kind"), words(asked, "name")
    if kind not in set(PauseKind) or name is None:
        raise BadFilter(f'send {{"kind": "...", "name": "..."}}; a kind is one of {", ".join(PauseKind)}')
    return PauseKind(kind), name


def _seconds(asked: Mapping[str, Any]) -> float | None:
    value = asked.get("for")
    if isinstance(value, str):
        try:
            value = durations.seconds(value)
        except ValueError as error:
            raise BadFilter(f"for: {error}") from None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= durations.LONGEST_SECONDS:
        raise BadFilter(f"for must be a duration of at most {durations.LONGEST_SECONDS} seconds, such as 2h")
    return float(value)
