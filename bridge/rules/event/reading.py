"""Read one body into an `Event`: both casings, flat or wrapped in `data`.

Every field is looked for in `data` first, then at the top. What routes match on must be right and must not
contradict itself; everything else is None when it is not what it should be.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from bridge.rules import strict_json
from bridge.rules.event import grammar, statuses
from bridge.rules.event.peeking import event_id
from bridge.words.errors import Unreadable
from bridge.words.model import Event, Status
from bridge.words.reasons import Reason

# How a body begins that had to be redacted and could not be (bridge.rules.event.redacting).
WITHHELD = b"[not stored:"
Parts = tuple[Mapping[str, Any], ...]
Value = TypeVar("Value")

_TEST_TYPES = frozenset({"test", "ping", "webhook.test"})
_NOT_A_TEST = frozenset({"", "false", "no", "0"})
_INNER_IDS = (("job.", "job_id"), ("pipeline.run.", "run_id"), ("backfill.", "backfill_id"))
_ROWS = (
    "rows_loaded",
    "metrics.rows_loaded",
    "metrics.rows_written",
    "summary.total_rows_synced",
    "rows_processed",
    "records_written",
)


@cache
def spellings(*names: str) -> tuple[str, ...]:
    """Return every name in snake_case and camelCase. The names are ours, so the cache is small."""
    both = ((name, re.sub("_(.)", lambda found: found[1].upper(), name)) for name in names)
    return tuple(dict.fromkeys(spelling for pair in both for spelling in pair))


def values(parts: Parts, *names: str) -> list[Any]:
    """Return what stands under these names, in both casings, without null."""
    both = spellings(*names)
    return [part[spelling] for part in parts for spelling in both if part.get(spelling) is not None]


def item(parts: Parts, name: str, as_one: Callable[[object, str], str]) -> str | None:
    """Return the one value of a field that routes use; two different ones are a CONTRADICTION."""
    found = {as_one(value, name) for value in values(parts, name)}
    if len(found) > 1:
        raise Unreadable(Reason.CONTRADICTION, f"`{name}` appears twice with different values.")
    return found.pop() if found else None


def first(parts: Parts, as_type: Callable[[object], Value | None], *names: str) -> Value | None:
    """Return the first value that is of the type; a name may be a path of two (`metrics.rows_loaded`)."""
    for name in names:
        outer, _, inner = name.rpartition(".")
        inside = tuple(box for box in values(parts, outer) if isinstance(box, dict)) if outer else parts
        for value in values(inside, inner):
            if (typed := as_type(value)) is not None:
                return typed
    return None


def facts(parts: Parts) -> dict[str, Any]:
    """Return the `Event` fields that a webhook body and an answer of the API spell in the same way."""
    return {
        "pipeline_id": item(parts, "pipeline_id", grammar.as_id),
        "pipeline_name": item(parts, "pipeline_name", grammar.as_name),
        "connection_id": item(parts, "connection_id", grammar.as_id),
        "run_id": item(parts, "run_id", grammar.as_id),
        "job_id": item(parts, "job_id", grammar.as_id),
        "backfill_id": item(parts, "backfill_id", grammar.as_id),
        "environment": item(parts, "environment", grammar.as_name),
        "started_at": first(parts, grammar.as_instant, "started_at"),
        "finished_at": first(parts, grammar.as_instant, "finished_at", "ended_at"),
        "duration_seconds": first(parts, grammar.as_number, "duration_seconds", "summary.duration_seconds"),
        "rows_loaded": first(parts, grammar.as_count, *_ROWS),
        "parameters": _object(parts, "parameters"),
        "metadata": _object(parts, "metadata"),
        "error": next(iter(values(parts, "error", "error_message")), None),
    }


def _object(parts: Parts, name: str) -> dict[str, Any]:
    """Return the first one; every one must be an object, since templates look inside."""
    found = [grammar.as_object(value, name) for value in values(parts, name)]
    return found[0] if found else {}


def status_words(parts: Parts) -> list[str]:
    """Return the status words as sent; raise Unreadable for one that is not text."""
    words = values(parts, "status")
    if not all(isinstance(word, str) for word in words):
        raise Unreadable(Reason.UNREADABLE_FIELD, "`status` is not text.")
    return words


def _is_test(parts: Parts, event_type: str | None) -> bool:
    """Say whether the sender only tries the way; nothing documents the mark, so any of the usual ones counts."""
    marks = values(parts, "test")
    said = any(mark.lower() not in _NOT_A_TEST if isinstance(mark, str) else bool(mark) for mark in marks)
    return said or event_type in _TEST_TYPES


def _take_inner_id(found: dict[str, Any], inner: Mapping[str, Any], event_type: str) -> None:
    """Let `data.id` be the id of what the type is about, unless that is named outright."""
    for prefix, name in _INNER_IDS:
        if event_type.startswith(prefix) and found[name] is None and inner.get("id") is not None:
            found[name] = grammar.as_id(inner["id"], "data.id")


def _take_path(found: dict[str, Any], path_pipeline_id: str | None) -> None:
    """Use the pipeline of the URL when the signed body names none; it must not say another one."""
    if path_pipeline_id is None:
        return
    path_id = grammar.as_id(path_pipeline_id, "pipeline id in the URL")
    if found["pipeline_id"] not in (None, path_id):
        raise Unreadable(Reason.CONTRADICTION, "The body names another pipeline than the URL.")
    found["pipeline_id"] = path_id


def read(body: bytes, *, path_pipeline_id: str | None = None) -> Event:
    """Return what an authentic body says.

    Raises Unreadable: UNREADABLE_JSON (not strict JSON), UNREADABLE_FIELD (what routes match on is misspelled),
    CONTRADICTION (two pipelines, connections, ids or statuses; or another pipeline than the URL's).
    """
    if body.startswith(WITHHELD):
        raise Unreadable(Reason.UNREADABLE_JSON, "Its bytes were not stored: they could not be read, so not redacted.")
    whole = strict_json.parse(body)
    inner = whole["data"] if isinstance(whole.get("data"), dict) else None
    parts: Parts = (whole,) if inner is None else (inner, whole)
    sent_type = next(iter(values((whole,), "type", "event")), None)
    event_type = None if sent_type is None else grammar.as_name(sent_type, "type")
    words = status_words(parts)
    status = statuses.settle(words, event_type)
    found = facts(parts)
    _take_inner_id(found, inner or {}, event_type or "")
    _take_path(found, path_pipeline_id)
    return Event(
        id=event_id(whole.get("id"), whole.get("event_id"), whole.get("eventId")),
        type=event_type,
        status=status if isinstance(status, Status) else None,
        status_word=words[0] if words else None,
        is_test=_is_test(parts, event_type),
        is_running=status is statuses.Progress.RUNNING,
        occurred_at=first(parts[::-1], grammar.as_instant, "timestamp", "occurred_at"),
        data=whole if inner is None else inner,
        **found,
    )
