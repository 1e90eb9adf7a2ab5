"""Four vocabularies of status, one normal form; and what follows from it and from the ids."""

from collections.abc import Mapping
from enum import Enum

from bridge.words.errors import Unreadable
from bridge.words.model import Event, Status
from bridge.words.reasons import Reason


class Progress(Enum):
    """What a status word says when the job has not ended."""

    RUNNING = "running"


Meanings = Mapping[str, Status | Progress]  # by word, in lower case

WORDS: Meanings = {
    "succeeded": Status.SUCCEEDED,
    "success": Status.SUCCEEDED,
    "completed": Status.SUCCEEDED,
    "failed": Status.FAILED,
    "cancelled": Status.CANCELLED,
    "canceled": Status.CANCELLED,
    "skipped": Status.SKIPPED,
    "queued": Progress.RUNNING,
    "running": Progress.RUNNING,
    "cancelling": Progress.RUNNING,
    "cancel_requested": Progress.RUNNING,
}
# As the end of a type these say that something ended, not how.
_NEUTRAL_IN_TYPE = frozenset({"completed", "finished"})


def meaning(word: str, known: Meanings = WORDS) -> Status | Progress | None:
    """Return what a status word means, whatever its case; None if it is unknown."""
    return known.get(word.lower())


def _suffix(event_type: str | None) -> str:
    return event_type.rpartition(".")[2].lower() if event_type else ""


def is_neutral(event_type: str | None) -> bool:
    """Say whether the type's last word leaves open how the job ended."""
    return _suffix(event_type) in _NEUTRAL_IN_TYPE


def settle(words: list[str], event_type: str | None, known: Meanings = WORDS) -> Status | Progress | None:
    """Return the one meaning of the body's status words and of the type's last word; `known` are the source's words.

    Words in the body count more: an unknown one makes the whole unknown, whatever the type says. The type alone counts
    when the body has none; a neutral type says nothing about success. Two known meanings, or two different words of
    which one is unknown, raise Unreadable (CONTRADICTION).
    """
    meanings = {meaning(word, known) for word in words}
    if len(meanings) > 1:
        raise Unreadable(Reason.CONTRADICTION, "`status` appears twice with different meanings.")
    from_type = None if is_neutral(event_type) else known.get(_suffix(event_type))
    if not words:
        return from_type
    from_body = meanings.pop()
    if from_body and from_type and from_body is not from_type:
        raise Unreadable(Reason.CONTRADICTION, "`type` and `status` say different things.")
    return from_body


def set_aside(event: Event) -> Reason | None:
    """Return why no route may see the event, or None when routes may."""
    if event.is_test:
        return Reason.TEST_EVENT
    if event.is_running:
        return Reason.STATUS_RUNNING
    return Reason.STATUS_UNKNOWN if event.status is None else None


def lacks_status(event: Event) -> bool:
    """Whether the event only says that a job ended, so that the API may say how."""
    says_nothing = event.status is None and event.status_word is None and "status" not in event.unreadable
    return says_nothing and not event.is_running and is_neutral(event.type)


def tells_of_a_completion(event: Event) -> bool:
    """Whether the event is about an end: of a run, job or backfill, or of a pipeline's work.

    A pipeline alone is named by other news too (`pipeline.updated`): that is an end if something says how, or that, it
    ended.
    """
    if event.run_id or event.job_id or event.backfill_id:
        return True
    says_so = event.status_word is not None or "status" in event.unreadable or is_neutral(event.type)
    return event.pipeline_id is not None and (event.status is not None or says_so)


def identity(event: Event) -> str | None:
    """Return what all copies of one completion share: the run, job, backfill or event id, in this order."""
    return event.run_id or event.job_id or event.backfill_id or event.id
