"""Read one body into an `Event`: both casings, flat or wrapped in `data`.

Every field is looked for in `data` first, then at the top. A field that cannot be read is None with a note
(`Event.unreadable`), and is an error only for what needs it: a template that asks for it, a route that tests it. Only a
contradiction about what identifies the event (pipeline, run, job, backfill, status) makes the whole unreadable, since
every route needs those.
"""

import re
from collections.abc import Callable, Mapping
from datetime import tzinfo
from functools import cache, partial
from typing import Any, TypeVar

from bridge.rules import strict_json
from bridge.rules.event import grammar, statuses
from bridge.rules.event.grammar import Misfit
from bridge.rules.event.instants import as_instant
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
_DECISIVE = frozenset({"pipeline_id", "run_id", "job_id", "backfill_id"})
_TWICE = "stands twice, with different values"
_WORD_CHARACTERS = 100
_unfit_for_text = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
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


class Reader:
    """Reads the fields of a body, or of an answer of the API, and notes those that cannot be read."""

    def __init__(self, parts: Parts, zone: tzinfo | None) -> None:
        """`parts`: where to look, best first; `zone`: of instants without an offset."""
        self.parts = parts
        self.unreadable: dict[str, str] = {}
        self.instant = partial(as_instant, zone=zone)

    def facts(self) -> dict[str, Any]:
        """Return the `Event` fields that a webhook body and an answer of the API spell in the same way."""
        ids = ("pipeline_id", "connection_id", "run_id", "job_id", "backfill_id")
        return {
            **{name: self.item(name, grammar.as_id) for name in ids},
            "pipeline_name": self.item("pipeline_name", grammar.as_name),
            "environment": self.item("environment", grammar.as_name),
            "started_at": self.first("started_at", self.instant),
            "finished_at": self.first("finished_at", self.instant, "finished_at", "ended_at"),
            "duration_seconds": self.first(
                "duration_seconds", grammar.as_number, "duration_seconds", "summary.duration_seconds"
            ),
            "rows_loaded": self.first("rows_loaded", grammar.as_count, *_ROWS),
            "parameters": self.first("parameters", grammar.as_object) or {},
            "metadata": self.first("metadata", grammar.as_object) or {},
            "error": next(iter(values(self.parts, "error", "error_message")), None),
        }

    def item(self, name: str, as_type: Callable[[object], str | None]) -> str | None:
        """Return the one value of a field that routes use; two different ones are not guessed between."""
        found, why = self._typed(values(self.parts, name), as_type)
        if len(set(found)) > 1:
            why, found = _TWICE, []
        if not found and why is not None:
            self.unreadable[name] = why
        return found[0] if found else None

    def first(self, field: str, as_type: Callable[[object], Value | None], *names: str) -> Value | None:
        """Return the first value that can be read; a name may be a path of two (`metrics.rows_loaded`)."""
        why: str | None = None
        for name in names or (field,):
            outer, _, inner = name.rpartition(".")
            boxes = tuple(box for box in values(self.parts, outer) if isinstance(box, dict)) if outer else self.parts
            found, misfit = self._typed(values(boxes, inner), as_type)
            if found:
                return found[0]
            why = why or misfit
        if why is not None:
            self.unreadable[field] = why
        return None

    def status_words(self) -> list[str]:
        """Return the status words as sent; one that is no word is noted, and no other one counts beside it."""
        words: list[str] = []
        for value in values(self.parts, "status"):
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                word = _unfit_for_text.sub("\N{REPLACEMENT CHARACTER}", str(value).strip())[:_WORD_CHARACTERS]
                words += [word] if word else []
            else:
                self.unreadable["status"] = "is not a word"
        return [] if "status" in self.unreadable else words

    def _typed(self, found: list[Any], as_type: Callable[[object], Value | None]) -> tuple[list[Value], str | None]:
        """Return the values that can be read, and why the first other one cannot."""
        typed: list[Value] = []
        why: str | None = None
        for value in found:
            try:
                read_value = as_type(value)
            except Misfit as misfit:
                why = why or str(misfit)
            else:
                typed += [] if read_value is None else [read_value]
        return typed, why


def _is_test(parts: Parts, event_type: str | None) -> bool:
    """Say whether the sender only tries the way; nothing documents the mark, so any of the usual ones counts."""
    marks = values(parts, "test")
    said = any(mark.lower() not in _NOT_A_TEST if isinstance(mark, str) else bool(mark) for mark in marks)
    return said or event_type in _TEST_TYPES


def _take_inner_id(reader: Reader, found: dict[str, Any], inner: Mapping[str, Any], event_type: str) -> None:
    """Let `data.id` be the id of what the type is about, unless that is named outright."""
    for prefix, name in _INNER_IDS:
        if event_type.startswith(prefix) and found[name] is None and name not in reader.unreadable:
            found[name] = Reader((inner,), None).first(name, grammar.as_id, "id")
            if found[name] is None and inner.get("id") not in (None, ""):
                reader.unreadable[name] = "cannot be read: `data.id` is not an id"


def _take_path(reader: Reader, found: dict[str, Any], path_pipeline_id: str | None) -> None:
    """Use the pipeline of the URL when the signed body names none; it must not say another one."""
    if path_pipeline_id is None or "pipeline_id" in reader.unreadable:
        return
    path_id = grammar.id_text(path_pipeline_id)
    if path_id is None:
        raise Unreadable(Reason.UNREADABLE_FIELD, "The pipeline id in the URL is not an id.")
    if found["pipeline_id"] not in (None, path_id):
        raise Unreadable(Reason.CONTRADICTION, "The body names another pipeline than the URL.")
    found["pipeline_id"] = path_id


def _refuse_contradictions(unreadable: Mapping[str, str]) -> None:
    for name in sorted(_DECISIVE & unreadable.keys()):
        if unreadable[name] == _TWICE:
            raise Unreadable(Reason.CONTRADICTION, f"`{name}` {_TWICE}.")


def read(body: bytes, *, path_pipeline_id: str | None = None, zone: tzinfo | None = None) -> Event:
    """Return what an authentic body says; `zone` is of instants without an offset.

    Raises Unreadable: UNREADABLE_JSON (no JSON object), CONTRADICTION (two pipelines, runs, jobs, backfills or
    statuses; or another pipeline than the URL's).
    """
    if body.startswith(WITHHELD):
        raise Unreadable(Reason.UNREADABLE_JSON, "Its bytes were not stored: they could not be read, so not redacted.")
    whole = strict_json.parse_body(body)
    inner = whole["data"] if isinstance(whole.get("data"), dict) else None
    reader = Reader((whole,) if inner is None else (inner, whole), zone)
    top = Reader((whole,), zone)
    event_type = top.first("type", grammar.as_name, "type", "event")
    outside_in = Reader(reader.parts[::-1], zone)  # the envelope knows best when the event occurred
    occurred_at = outside_in.first("occurred_at", outside_in.instant, "timestamp", "occurred_at")
    words = reader.status_words()
    status = None if "status" in reader.unreadable else statuses.settle(words, event_type)
    found = reader.facts()
    _take_inner_id(reader, found, inner or {}, event_type or "")
    _take_path(reader, found, path_pipeline_id)
    _refuse_contradictions(reader.unreadable)
    return Event(
        id=event_id(whole.get("id"), whole.get("event_id"), whole.get("eventId")),
        type=event_type,
        status=status if isinstance(status, Status) else None,
        status_word=words[0] if words else None,
        is_test=_is_test(reader.parts, event_type),
        is_running=status is statuses.Progress.RUNNING,
        occurred_at=occurred_at,
        data=whole if inner is None else inner,
        unreadable=top.unreadable | outside_in.unreadable | reader.unreadable,
        **found,
    )
