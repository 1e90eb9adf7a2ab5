"""Erase what an event said, for good. The command line and the API share it.

Two steps, so that a person sees what there is before anything goes: `look`, then `erase`, which cleans the store's
files too. What Airflow and the Planasonix API know of it is theirs to forget.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from bridge.edges.inbox import Inbox, erasing
from bridge.edges.inbox.erasing import Found
from bridge.words.errors import BadFilter

_LONGEST_REASON = 1000


@dataclass(frozen=True, slots=True)
class Erasure:
    """Who erases and why. `is_cancelling`: DAG runs that are still to be started are given up."""

    actor: str
    reason: str
    is_cancelling: bool = False


def look(inbox: Inbox, *, source: str, event_id: str) -> Found:
    """Return what the store holds of an event. Raises NotThere."""
    return inbox.read(erasing.find, source=source, event_id=event_id)


def erase(
    inbox: Inbox,
    *,
    source: str,
    event_id: str,
    erasure: Erasure,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> tuple[Found, bool]:
    """Erase an event, and write it to the audit log; returns what there was, and whether the files are clean by now.

    Raises BadFilter without a reason, or while DAG runs are still to be started. Idempotent.
    """
    if not erasure.reason.strip() or len(erasure.reason) > _LONGEST_REASON:
        raise BadFilter(f"say why, in 1 to {_LONGEST_REASON} characters: it goes to the audit log")
    found = inbox.write(
        erasing.erase,
        source=source,
        event_id=event_id,
        actor=erasure.actor,
        reason=erasure.reason,
        is_cancelling=erasure.is_cancelling,
        now=clock(),
    )
    return found, inbox.scrub()


def facts(found: Found) -> dict[str, object]:
    """Return what was found as plain JSON values; `delivery_id` is the delivery that was not stale, if there is one."""
    return {"delivery_id": found.deliveries[0]} | asdict(found)
