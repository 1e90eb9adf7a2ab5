"""Erase what an event said, for good. The command line and the API share it.

Two steps, so that a person sees what there is before anything goes: `look`, then `erase`, which cleans the store's
files too. What Airflow and the Planasonix API know of it is theirs to forget.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from bridge.edges.inbox import Inbox, erasing
from bridge.edges.inbox.erasing import Found
from bridge.rules import planning
from bridge.rules.event import USUAL, Spelling
from bridge.words.errors import BadFilter
from bridge.words.model import Delivery

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
    spellings: Mapping[str, Spelling] | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> tuple[Found, bool]:
    """Erase an event, and write it to the audit log; returns what there was, and whether the files are clean by now.

    `spellings`: of sources that spell their bodies unusually; by it the job of a body is found that was never routed.
    Raises BadFilter without a reason, or while DAG runs are still to be started. Idempotent.
    """
    if not erasure.reason.strip() or len(erasure.reason) > _LONGEST_REASON:
        raise BadFilter(f"say why, in 1 to {_LONGEST_REASON} characters: it goes to the audit log")
    found = inbox.write(
        erasing.erase,
        source=source,
        event_id=event_id,
        rows=inbox.read(erasing.rows_of, source=source, event_id=event_id),
        actor=erasure.actor,
        reason=erasure.reason,
        is_cancelling=erasure.is_cancelling,
        now=clock(),
        job_of=lambda delivery: _job_of(delivery, spellings or {}),
    )
    return found, inbox.scrub()


def _job_of(delivery: Delivery, spellings: Mapping[str, Spelling]) -> str | None:
    event = planning.own_event(planning.Subject.of(delivery, spelling=spellings.get(delivery.source, USUAL)))
    return None if event is None else event.job_id


def facts(found: Found) -> dict[str, object]:
    """Return what was found as plain JSON values; `delivery_id` is the delivery that was not stale, if there is one."""
    return {"delivery_id": found.deliveries[0]} | asdict(found)
