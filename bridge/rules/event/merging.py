"""Fill an event with what the Planasonix API says about its job."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bridge.rules.event import grammar, statuses
from bridge.rules.event.reader import Reader
from bridge.rules.event.spelling import USUAL, Spelling
from bridge.words.errors import Unreadable
from bridge.words.model import Event, Status

# What each try of a job has of its own.
_OUTCOME = ("started_at", "finished_at", "duration_seconds", "rows_loaded", "error")
FROM_API = "the Planasonix API, looked up"
_ANOTHER_JOB = "adds nothing: the Planasonix API answered for another job"


def merge(event: Event, job: Mapping[str, Any], *, spelling: Spelling = USUAL) -> Event:
    """Return the event with what it left out taken from `job` (the API's flat object, either casing).

    What is signed is right about its moment, and the API's answer about a later one: a job that failed may have been
    tried again since. So nothing that the event said is changed, or contradicted, by the answer, and nothing of another
    try's outcome is added. Never raises.
    """
    reader = Reader((("", job),), spelling.of_answers)
    found = reader.facts()
    job_id = found["job_id"] or grammar.id_text(job.get("id"))
    if None not in (event.job_id, job_id) and event.job_id != job_id:
        return replace(event, unreadable={**event.unreadable, "lookup": _ANOTHER_JOB})
    found["job_id"] = job_id
    if event.status is None and event.status_word is None and not event.is_running:
        found |= _status(reader)
    elif _is_of_another_try(event, reader):
        found = {name: value for name, value in found.items() if name not in _OUTCOME}
    added = {
        name: value
        for name, value in found.items()
        if getattr(event, name) in (None, {}) and name not in event.unreadable
    }
    unread = {
        name: f"{why} (in the Planasonix API's answer)"
        for name, why in reader.unreadable.items()
        if name in added and name not in event.unreadable
    }
    looked_up = {name: FROM_API for name, value in added.items() if value not in (None, {})}
    return replace(event, **added, unreadable={**event.unreadable, **unread}, origins={**event.origins, **looked_up})


def _is_of_another_try(event: Event, reader: Reader) -> bool:
    try:
        status = statuses.settle(reader.status_words(), None, reader.spelling.meanings)
    except Unreadable:  # two different ones: then it is of one try no more than of the other
        return True
    return status is not None and status is not event.status


def _status(reader: Reader) -> dict[str, Any]:
    words = reader.status_words()
    try:
        status = statuses.settle(words, None, reader.spelling.meanings)
    except Unreadable:  # two different ones: then neither counts
        return {}
    if not isinstance(status, Status):
        return {}
    return {"status": status, "status_word": words[0]}
