"""The event id of a body, fast, before anything is stored. Says nothing about the rest of the body."""

from typing import Any

import msgspec

from bridge.rules.event.grammar import is_id


class _Ids(msgspec.Struct, gc=False):
    """The spellings of the event id, in the order in which they count. Values of any type: the grammar decides."""

    id: Any = None
    event_id: Any = None
    event_id_camel: Any = msgspec.field(default=None, name="eventId")


_decode = msgspec.json.Decoder(_Ids).decode


def event_id(id_: object, event_id_: object, event_id_camel: object) -> str | None:
    """Return the first one that is an id; shared with `read`, so that both agree."""
    for candidate in (id_, event_id_, event_id_camel):
        if is_id(candidate):
            return str(candidate)
    return None


def peek_id(body: bytes) -> str | None:
    """Return the body's top-level event id, or None. Never raises; the same as `read` finds in a readable body."""
    try:
        ids = _decode(body)
    except (ValueError, RecursionError):  # msgspec's errors and UnicodeDecodeError are ValueErrors
        return None
    return event_id(ids.id, ids.event_id, ids.event_id_camel)
