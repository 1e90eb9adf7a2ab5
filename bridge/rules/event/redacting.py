"""Take named values out of a body before anything is written. Pure.

A redaction is a list of JSON pointers (RFC 6901). What the bridge itself needs (ids, type, status, what routes match
on, what the loop guard counts) cannot be named: such a pointer is refused when the configuration is loaded. A body
that is not readable JSON cannot be redacted, so nothing of it is kept but length and digest.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.rules import strict_json
from bridge.rules.event.peeking import id_of
from bridge.rules.event.pointers import Path, child, is_index, read_pointer, spell_pointer
from bridge.rules.event.reader import spellings
from bridge.rules.event.reading import WITHHELD
from bridge.rules.event.spelling import USUAL, Spelling
from bridge.words.errors import Unreadable

MARKER = "[redacted]"
_MOST_POINTERS = 100
_KEPT = (
    "id",
    "event_id",
    "event",
    "type",
    "status",
    "test",
    "pipeline_id",
    "pipeline_name",
    "connection_id",
    "run_id",
    "job_id",
    "backfill_id",
    "environment",
)
_LOOP_GUARD = (
    *(("metadata", "planasonix", "hops"), ("metadata", "hops"), ("metadata", "dag_run_id")),
    *(("metadata", "planasonix", "trigger_id"), ("metadata", "trigger_id")),
)


def _needed() -> frozenset[Path]:
    fields = [(spelling,) for spelling in spellings(*_KEPT)] + list(_LOOP_GUARD)
    return frozenset(box + field for box in ((), ("data",)) for field in fields)


_NEEDED = _needed()


def _read(text: str) -> Path:
    """Return the steps of a JSON pointer; ValueError if it is none, or covers what the bridge needs."""
    steps = read_pointer(text, example="/data/parameters/email")
    for path in sorted(_NEEDED):
        if path[: len(steps)] == steps:
            raise ValueError(f"{text[:80]!r} covers {spell_pointer(path)}, which the bridge needs; name other values")
    return steps


@dataclass(frozen=True, slots=True)
class Redaction:
    """What must never be written of one source's bodies."""

    paths: tuple[Path, ...]

    @classmethod
    def of(cls, pointers: Iterable[str]) -> "Redaction":
        """Read the pointers; ValueError for the first wrong one."""
        paths = tuple(dict.fromkeys(_read(pointer) for pointer in pointers))
        if not 1 <= len(paths) <= _MOST_POINTERS:
            raise ValueError(f"give 1 to {_MOST_POINTERS} JSON pointers")
        return cls(paths)

    def hides(self, spelling: Spelling) -> str | None:
        """Return the first pointer that covers a field which the bridge needs, where this source spells it."""
        for name, places in spelling.fields:
            for place in places if name in (*_KEPT, "metadata") else ():
                if any(place[: len(path)] == path for path in self.paths):
                    return f"redact covers {spell_pointer(place)}, where `body` finds {name}; name other values"
        return None

    def body(self, body: bytes, spelling: Spelling = USUAL) -> bytes:
        """Return the body to store: the same bytes where nothing had to go, never a value that was named.

        In a body without an event id the marker carries a digest of the whole, so that two events stay two.
        """
        try:
            whole = strict_json.parse_body(body)
        except Unreadable:
            digest = hashlib.sha256(body).hexdigest()
            return WITHHELD + b" %d bytes, sha256 %s]" % (len(body), digest.encode())
        marker = MARKER if id_of(whole, spelling) else f"{MARKER[:-1]} {hashlib.sha256(body).hexdigest()[:12]}]"
        if not sum(_take_out(whole, path, marker) for path in self.paths):
            return body
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()

    def answer(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Return what may be kept of the Planasonix API's answer: flat, so `/data/x` means its `x` too."""
        copy: dict[str, Any] = json.loads(json.dumps(job))
        for path in self.paths:
            for steps in {path, path[1:] if path[0] == "data" else path}:
                _take_out(copy, steps, MARKER)
        return copy


def _take_out(whole: Any, path: Path, marker: str) -> bool:
    """Replace what stands at the path; whether anything did."""
    place = whole
    for step in path[:-1]:
        place = child(place, step)
    last = path[-1]
    if isinstance(place, dict) and last in place:
        # Templates look inside `parameters`, so it stays an object.
        is_box = last == "parameters" and isinstance(place[last], dict)
        place[last] = {marker: marker} if is_box else marker
        return True
    if isinstance(place, list) and is_index(last) and int(last) < len(place):
        place[int(last)] = marker
        return True
    return False
