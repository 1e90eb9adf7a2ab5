"""Fill an event with what the Planasonix API says about its job or its run."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bridge.rules.event import grammar, statuses
from bridge.rules.event.reader import Reader
from bridge.rules.event.spelling import USUAL, Spelling
from bridge.words.model import Event, Status

# What each try of a job has of its own.
_OUTCOME = ("started_at", "finished_at", "duration_seconds", "rows_loaded", "error")
FROM_API = "the Planasonix API, looked up"
_ANOTHER = {kind: f"adds nothing: the Planasonix API answered for another {kind}" for kind in ("job", "run")}


def merge(event: Event, answer: Mapping[str, Any], *, spelling: Spelling = USUAL) -> Event:
    """Return the event with what it left out taken from `answer`: a job or a run, flat, in either casing.

    What is signed is right about its moment, and the API's answer about a later one: a job that failed may have been
    tried again since. So nothing that the event said is changed, or contradicted, by the answer, and nothing of another
    try's outcome is added. Never raises.
    """
    reader = Reader((("", answer),), spelling.of_answers)
    found = reader.facts()
    own_id = grammar.id_text(answer.get("id"))
    kind = "run" if _is_run(event, own_id) else "job"
    name = f"{kind}_id"
    wanted, given = getattr(event, name), found[name] or own_id
    if None not in (wanted, given) and wanted != given:
        return replace(event, unreadable={**event.unreadable, "lookup": _ANOTHER[kind]})
    found[name] = given
    if event.status is None and event.status_word is None and not event.is_running:
        for status, word in _statuses(reader):
            found |= {"status": status, "status_word": word} if isinstance(status, Status) else {}
    elif _is_of_another_try(event, reader):
        found = {name: value for name, value in found.items() if name not in _OUTCOME}
    added = {
        name: value
        for name, value in found.items()
        if getattr(event, name) in (None, {}) and name not in event.unreadable
    }
    unread = {
        name: f"{why} (in the Planasonix API's answer)" for name, why in reader.unreadable.items() if name in added
    }
    looked_up = {name: FROM_API for name, value in added.items() if value not in (None, {})}
    return replace(event, **added, unreadable={**event.unreadable, **unread}, origins={**event.origins, **looked_up})


def is_of_same_end(event: Event, answer: Mapping[str, Any], *, spelling: Spelling = USUAL) -> bool:
    """Whether an answer that was given for another event tells of this one's job or run, and of the same end of it.

    Then asking once more brings nothing new.
    """
    if not answer:
        return False
    merged = merge(event, answer, spelling=spelling)
    if "lookup" in merged.unreadable or statuses.lacks_status(merged):
        return False
    return event.status is None or not _is_of_another_try(event, Reader((("", answer),), spelling.of_answers))


def _is_run(event: Event, own_id: str | None) -> bool:
    """Whether an answer is about the event's run: that is asked for if there is no job, or nobody knows the job."""
    return event.run_id is not None and (event.job_id is None or event.job_id != own_id == event.run_id)


def _is_of_another_try(event: Event, reader: Reader) -> bool:
    return any(status not in (None, event.status) for status, _ in _statuses(reader))


def _statuses(reader: Reader) -> list[tuple[Status | statuses.Progress | None, str]]:
    """Return what the answer says of the status, and its word for it: one at most, as an answer is flat."""
    return [(statuses.meaning(word, reader.spelling.meanings), word) for word in reader.status_words()]
