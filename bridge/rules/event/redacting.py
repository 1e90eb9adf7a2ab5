"""Take named values out of a body before anything is written. Pure.

A redaction is a list of JSON pointers (RFC 6901). What the bridge itself needs (ids, type, status, what routes match
on, what the loop guard counts) cannot be named: such a pointer is refused when the configuration is loaded. A body
that is not readable JSON cannot be redacted, so nothing of it is kept but length and digest.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.rules import strict_json
from bridge.rules.event.peeking import peek_id
from bridge.rules.event.reading import WITHHELD, spellings
from bridge.words.errors import Unreadable

MARKER = "[redacted]"
_MOST_POINTERS = 100
_BAD_ESCAPE = re.compile(r"~(?![01])")
_is_index = re.compile(r"0|[1-9][0-9]{0,8}").fullmatch
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

Path = tuple[str, ...]


def _needed() -> frozenset[Path]:
    fields = [(spelling,) for spelling in spellings(*_KEPT)] + list(_LOOP_GUARD)
    return frozenset(box + field for box in ((), ("data",)) for field in fields)


_NEEDED = _needed()


def read_pointer(text: str) -> Path:
    """Return the steps of a JSON pointer; ValueError if it is none, or covers what the bridge needs."""
    if not text.startswith("/") or _BAD_ESCAPE.search(text):
        raise ValueError(f"{text[:80]!r} is not a JSON pointer like /data/parameters/email (`~` is ~0, `/` is ~1)")
    steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/"))
    for path in sorted(_NEEDED):
        if path[: len(steps)] == steps:
            raise ValueError(f"{text[:80]!r} covers {'/' + '/'.join(path)}, which the bridge needs; name other values")
    return steps


@dataclass(frozen=True, slots=True)
class Redaction:
    """What must never be written of one source's bodies."""

    paths: tuple[Path, ...]

    @classmethod
    def of(cls, pointers: Iterable[str]) -> "Redaction":
        """Read the pointers; ValueError for the first wrong one."""
        paths = tuple(dict.fromkeys(read_pointer(pointer) for pointer in pointers))
        if not 1 <= len(paths) <= _MOST_POINTERS:
            raise ValueError(f"give 1 to {_MOST_POINTERS} JSON pointers")
        return cls(paths)

    def body(self, body: bytes) -> bytes:
        """Return the body to store: the same bytes where nothing had to go, never a value that was named.

        In a body without an event id the marker carries a digest of the whole, so that two events stay two.
        """
        try:
            whole = strict_json.parse_body(body)
        except Unreadable:
            digest = hashlib.sha256(body).hexdigest()
            return WITHHELD + b" %d bytes, sha256 %s]" % (len(body), digest.encode())
        marker = MARKER if peek_id(body) else f"{MARKER[:-1]} {hashlib.sha256(body).hexdigest()[:12]}]"
        if not sum(_take_out(whole, path, marker) for path in self.paths):
            return body
        # Half of a surrogate pair is written as its escape again.
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace")

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
        place = _child(place, step)
    last = path[-1]
    if isinstance(place, dict) and last in place:
        # Templates look inside `parameters`, so it stays an object.
        is_box = last == "parameters" and isinstance(place[last], dict)
        place[last] = {marker: marker} if is_box else marker
        return True
    if isinstance(place, list) and _is_index(last) and int(last) < len(place):
        place[int(last)] = marker
        return True
    return False


def _child(place: Any, step: str) -> Any:
    if isinstance(place, dict):
        return place.get(step)
    if isinstance(place, list) and _is_index(step) and int(step) < len(place):
        return place[int(step)]
    return None
