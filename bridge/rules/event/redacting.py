"""Take named values out of a body before anything is written. Pure.

A redaction is a list of JSON pointers (RFC 6901). What the bridge itself needs (ids, type, status, what routes match
on, what the loop guard counts) cannot be named: such a pointer is refused when the configuration is loaded. Only
`parameters`, or what has it inside, may be named as a whole: what the loop guard counts stays in it. A body that is
not readable JSON cannot be redacted, so nothing of it is kept but length and digest.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.rules import strict_json
from bridge.rules.event import grammar
from bridge.rules.event.peeking import id_of
from bridge.rules.event.pointers import Path, child, is_index, look, read_pointer, spell_pointer
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
_PASSED_ON = ("trigger_id", "hops")
_PASSED_ON_AS = (
    *(("planasonix", name) for name in _PASSED_ON),
    *((f"planasonix.{name}",) for name in _PASSED_ON),
)
_LOOP_GUARD: Mapping[str, tuple[Path, ...]] = {
    "metadata": (*_PASSED_ON_AS, ("trigger_id",), ("hops",), ("dag_id",), ("dag_run_id",)),
    "parameters": _PASSED_ON_AS,
}
_is_passed_on = re.compile("trg_[0-9a-f]{16}|[0-9]{1,7}").fullmatch


def _needed() -> frozenset[Path]:
    fields: list[Path] = [(spelling,) for spelling in spellings(*_KEPT)]
    fields += [(box, *inner) for box, needed in _LOOP_GUARD.items() for inner in needed]
    return frozenset(box + field for box in ((), ("data",)) for field in fields)


_NEEDED = _needed()
_PARAMETERS: tuple[Path, ...] = (("parameters",), ("data", "parameters"))


def _read(text: str) -> Path:
    """Return the steps of a JSON pointer; ValueError if it is none, or covers what the bridge needs."""
    steps = read_pointer(text, example="/data/parameters/email")
    for path in sorted(_NEEDED) if steps not in _PARAMETERS else ():
        if path[: len(steps)] == steps:
            raise ValueError(f"{text!r} covers {spell_pointer(path)}, which the bridge needs; name other values")
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
            for place in places if name in (*_KEPT, *_LOOP_GUARD) else ():
                paths = [path for path in self.paths if name != "parameters" or place[: len(path)] != path]
                for needed in (place + inner for inner in _LOOP_GUARD.get(name, ((),))):
                    if any(needed[: len(path)] == path for path in paths):
                        return f"redact covers {spell_pointer(needed)}, where `body` finds {name}; name other values"
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
        boxes = spelling.places.get("parameters", ())
        if not sum(_take_out(whole, path, marker, boxes) for path in self.paths):
            return body
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()

    def answer(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Return what may be kept of the Planasonix API's answer: flat, so `/data/x` means its `x` too."""
        copy: dict[str, Any] = json.loads(json.dumps(job))
        for path in self.paths:
            for steps in {path, path[1:] if path[0] == "data" else path}:
                _take_out(copy, steps, MARKER)
        return copy


def _take_out(whole: Any, path: Path, marker: str, boxes: Collection[Path] = ()) -> bool:
    """Replace what stands at the path; whether anything did. `boxes`: where the source has its `parameters`."""
    place = whole
    for step in path[:-1]:
        place = child(place, step)
    last = path[-1]
    if isinstance(place, dict) and last in place:
        place[last] = _what_stays(place[last], path, marker, boxes)
        return True
    if isinstance(place, list) and is_index(last) and int(last) < len(place):
        place[int(last)] = _what_stays(place[int(last)], path, marker, boxes)
        return True
    return False


def _what_stays(value: Any, path: Path, marker: str, boxes: Collection[Path]) -> Any:
    """Return what takes the place of a value: the marker, or `parameters` without its values, in it or deeper.

    The source's own places go first, as they do for the reader, which goes on to the next one where nothing stands.
    """
    if path in boxes and grammar.is_empty(value):
        return value
    for below in (box[len(path) :] for box in boxes if box[: len(path)] == path):
        found = look(value, below)
        if isinstance(found, dict):
            kept = _emptied(found, marker)
            for step in reversed(below):
                kept = {step: kept}
            return kept
    return _emptied(value, marker) if path[-1] == "parameters" and isinstance(value, dict) else marker


def _emptied(parameters: Mapping[str, Any], marker: str) -> dict[str, Any]:
    """Return what stays of `parameters`: an object, as templates look inside, with what the loop guard counts."""
    inner = parameters.get("planasonix")
    own = _passed_on(inner, _PASSED_ON) if isinstance(inner, dict) else {}
    flat = _passed_on(parameters, [f"planasonix.{name}" for name in _PASSED_ON])
    return {marker: marker} | flat | ({"planasonix": own} if own else {})


def _passed_on(box: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return what stands under these names, if it is a trigger's id or a small number: anything else may be private."""
    found = {name: box[name] for name in names if isinstance(box.get(name), str | int)}
    return {name: value for name, value in found.items() if _is_passed_on(str(value))}
