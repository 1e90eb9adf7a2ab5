"""The event id of a body, fast, before anything is stored. Says nothing about the rest of the body."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from bridge.rules import strict_json
from bridge.rules.event.grammar import id_text
from bridge.rules.event.pointers import look, spell_pointer
from bridge.rules.event.spelling import USUAL, Spelling
from bridge.words.errors import Unreadable

_NAMES = ("id", "event_id", "eventId")


class _Ids(msgspec.Struct, gc=False):
    """The spellings of the event id, in the order in which they count. Values of any type: the grammar decides."""

    id: Any = None
    event_id: Any = None
    event_id_camel: Any = msgspec.field(default=None, name="eventId")


_decode = msgspec.json.Decoder(_Ids).decode
# What the slower reader takes although msgspec does not: half of a surrogate pair.
_has_surrogate_escape = re.compile(rb"\\u[dD][89a-fA-F]").search


def event_id(id_: object, event_id_: object, event_id_camel: object) -> str | None:
    """Return the first text that is an id, else the first number; shared with `read`, so that both agree.

    A text counts more, as it did when a number counted for nothing: no key of a stored delivery changes.
    """
    candidates = (id_, event_id_, event_id_camel)
    texts = (candidate for candidate in candidates if isinstance(candidate, str))
    return next((text for text in map(id_text, (*texts, *candidates)) if text is not None), None)


def id_of(whole: Mapping[str, Any], spelling: Spelling) -> str | None:
    """Return the event id of a parsed body, as its source spells it."""
    for path in spelling.places.get("id", ()):
        if (found := id_text(look(whole, path))) is not None:
            return found
    return event_id(*(whole.get(name) for name in _NAMES)) if spelling.is_usual else None


def place_of_id(whole: Mapping[str, Any], spelling: Spelling, id_: str | None) -> dict[str, str]:
    """Return where the id of a parsed body stands, `{"id": "/event_id"}`; nothing if it has none."""
    usual = [(name,) for name in _NAMES] if spelling.is_usual else []
    places = (*spelling.places.get("id", ()), *usual)
    found = next((path for path in places if id_ is not None and id_text(look(whole, path)) == id_), None)
    return {} if found is None else {"id": spell_pointer(found)}


def peek_id(body: bytes, spelling: Spelling = USUAL) -> str | None:
    """Return the body's event id, or None. Never raises; the same as `read` finds in a readable body.

    A source that spells its id in its own way costs the reading of the whole body.
    """
    if "id" in spelling.places or not spelling.is_usual:
        return _read_slowly(body, spelling)
    try:
        ids = _decode(body.removeprefix(strict_json.BOM))
    except (ValueError, RecursionError):  # msgspec's errors and UnicodeDecodeError are ValueErrors
        return _read_slowly(body, spelling) if _has_surrogate_escape(body) else None
    return event_id(ids.id, ids.event_id, ids.event_id_camel)


def _read_slowly(body: bytes, spelling: Spelling) -> str | None:
    try:
        whole = strict_json.parse_body(body)
    except Unreadable:
        return None
    return id_of(whole, spelling)
