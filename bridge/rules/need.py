"""One line of what needs a person (bridge.rules.attention)."""

from dataclasses import dataclass
from datetime import datetime

from bridge.rules import views


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that a person has to do: of what, about what, since when, how many, and the next step.

    `example` is an id of it; `filter` what the lists and orders take to mean all of it. `newest` is when the last of
    them was made, of what comes one by one. `is_note`: nobody has to.
    """

    what: str
    about: str
    says: str
    next_step: str
    since: datetime | None = None
    count: int = 1
    reason: str | None = None
    example: str | None = None
    filter: views.Json | None = None
    newest: datetime | None = None
    is_note: bool = False
