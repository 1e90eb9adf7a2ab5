"""One line of what needs a person (bridge.rules.attention)."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from bridge.rules import views


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that a person has to do: of what, about what, since when, how many, and the next step.

    `example` is an id of it; `filter` what the lists and orders take to mean all of it. `newest` is when the last of
    them was made, of what comes one by one. `ends_at`: when it is over by itself. `is_note`: nobody has to.
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
    ends_at: datetime | None = None
    is_note: bool = False


def view(found: Sequence[Need]) -> views.Json:
    """Return what needs a person and what is worth a note as plain JSON values, and whether all is well."""
    urgent, others = ([_plain(each) for each in found if each.is_note is kind] for kind in (False, True))
    return {"is_well": not urgent, "needs": urgent, "notes": others}


def _plain(need: Need) -> views.Json:
    shown = asdict(need) | {name: views.instant(getattr(need, name)) for name in ("since", "newest", "ends_at")}
    del shown["is_note"]
    return shown
