"""Read one body into an `Event`: as its source spells it, else in both casings, flat or wrapped in `data`.

Every field is looked for at the places of its source's own spelling first; then by its usual names, in `data` and then
at the top. A field that cannot be read is None with a note (`Event.unreadable`), and is an error only for what needs
it: a template that asks for it, a route that tests it. Only a contradiction about what identifies the event (pipeline,
run, job, backfill, status) makes the whole unreadable, since every route needs those.
"""

from collections.abc import Mapping
from typing import Any

from bridge.rules import strict_json
from bridge.rules.event import grammar, statuses
from bridge.rules.event.peeking import id_of, place_of_id
from bridge.rules.event.reader import TWICE, Reader
from bridge.rules.event.spelling import USUAL, Spelling
from bridge.words.errors import Unreadable
from bridge.words.model import Event, Status
from bridge.words.reasons import Reason

# How a body begins that had to be redacted and could not be (bridge.rules.event.redacting).
WITHHELD = b"[not stored:"
FROM_TYPE = "the last word of its type"
FROM_URL = "the URL that it was sent to"
_TEST_TYPES = frozenset({"test", "ping", "webhook.test"})
_NOT_A_TEST = frozenset({"", "false", "no", "0"})
_INNER_IDS = (("job.", "job_id"), ("pipeline.run.", "run_id"), ("backfill.", "backfill_id"))
_DECISIVE = frozenset({"pipeline_id", "run_id", "job_id", "backfill_id"})


def _is_test(reader: Reader, event_type: str | None) -> bool:
    """Say whether the sender only tries the way; nothing documents the mark, so any of the usual ones counts."""
    said = any(mark.lower() not in _NOT_A_TEST if isinstance(mark, str) else bool(mark) for mark in reader.marks())
    return said or event_type in _TEST_TYPES


def _take_inner_id(reader: Reader, found: dict[str, Any], inner: Mapping[str, Any], event_type: str) -> None:
    """Let `data.id` be the id of what the type is about, unless that is named outright."""
    if not reader.spelling.is_usual:
        return
    for prefix, name in _INNER_IDS:
        if event_type.startswith(prefix) and found[name] is None and name not in reader.unreadable:
            within = Reader((("/data", inner),), USUAL)
            found[name] = within.first("id", grammar.as_id)
            if found[name] is not None:
                reader.origins[name] = within.origins["id"]
            elif inner.get("id") not in (None, ""):
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
    if found["pipeline_id"] is None:
        found["pipeline_id"] = path_id
        reader.origins["pipeline_id"] = FROM_URL


def _refuse_contradictions(unreadable: Mapping[str, str]) -> None:
    for name in sorted(_DECISIVE & unreadable.keys()):
        if unreadable[name].startswith(TWICE):
            raise Unreadable(Reason.CONTRADICTION, f"`{name}` {TWICE}.")


def read(body: bytes, *, path_pipeline_id: str | None = None, spelling: Spelling = USUAL) -> Event:
    """Return what an authentic body says; `spelling` is its source's.

    Raises Unreadable: UNREADABLE_JSON (no JSON object), CONTRADICTION (two pipelines, runs, jobs, backfills or
    statuses; or another pipeline than the URL's).
    """
    if body.startswith(WITHHELD):
        raise Unreadable(Reason.UNREADABLE_JSON, "Its bytes were not stored: they could not be read, so not redacted.")
    whole = strict_json.parse_body(body)
    inner = whole["data"] if isinstance(whole.get("data"), dict) else None
    outer = ("", whole)
    reader = Reader((outer,) if inner is None else (("/data", inner), outer), spelling, whole)
    top = Reader((outer,), spelling, whole)
    event_type = top.first("type", grammar.as_name, "type", "event")
    outside_in = Reader(reader.parts[::-1], spelling, whole)  # the envelope knows best when the event occurred
    occurred_at = outside_in.first("occurred_at", outside_in.instant, "timestamp", "occurred_at")
    status, words = _status(reader, event_type)
    found = reader.facts()
    _take_inner_id(reader, found, inner or {}, event_type or "")
    _take_path(reader, found, path_pipeline_id)
    _refuse_contradictions(reader.unreadable)
    event_id = id_of(whole, spelling)
    origins = place_of_id(whole, spelling, event_id) | top.origins | outside_in.origins | reader.origins
    return Event(
        id=event_id,
        type=event_type,
        status=status if isinstance(status, Status) else None,
        status_word=words[0] if words else None,
        is_test=_is_test(reader, event_type),
        is_running=status is statuses.Progress.RUNNING,
        occurred_at=occurred_at,
        data=whole if inner is None else inner,
        unreadable=top.unreadable | outside_in.unreadable | reader.unreadable,
        origins=origins,
        whole=whole,
        **found,
    )


def _status(reader: Reader, event_type: str | None) -> tuple[Status | statuses.Progress | None, list[str]]:
    """Return the status and the words for it. Raises Unreadable for two different ones."""
    words = reader.status_words()
    if "status" in reader.unreadable:
        return None, words
    status = statuses.settle(words, event_type, reader.spelling.meanings)
    if status is not None and not words:
        reader.origins["status"] = FROM_TYPE
    return status, words
