"""JSON as RFC 8259 means it, bounded: what the standard library lets through is refused here.

No byte order mark, no duplicate key at any depth, no NaN or Infinity (nor a number that overflows to it),
no lone surrogate, bounded depth, keys and digits, an object at the top. Messages never quote the body.

It runs where webhooks are answered, so no step of it may cost much more for one byte than for another: nothing is
called for each number, and numbers are looked at in the text. 1 MB of any JSON takes about as long as `json.loads`.

`parse` is for tokens and key sets. `parse_body` is for webhooks: there a byte order mark, and a text that was cut in
the middle of a character, are read, since refusing them would lose a completion. Two keys of one object that become the
same by it are refused as any two equal keys are: nobody knows which one is meant.
"""

import json
import re
from typing import Any

from bridge.words.errors import Unreadable
from bridge.words.reasons import Reason

MAX_DEPTH = 32
MAX_KEYS = 10_000
MAX_DIGITS = 64
BOM = b"\xef\xbb\xbf"

_BOXES = (dict, list)
_NUMBER = r"[-+.0-9eE]"
_has_long_number = re.compile(rf"(?<!{_NUMBER}){_NUMBER}{{{MAX_DIGITS + 1}}}").search  # in a string it is none
# Bodies are looked through for both by their bytes, each spelled as what it is in a number: a sixth of what a search by
# pattern costs. Whatever is in no number becomes a blank.
_LONG_RUN = b"0" * (MAX_DIGITS + 1)
_AS_RUNS = bytes(ord("0") if each in b"-+.0123456789eE" else ord(" ") for each in range(256))
_LARGE_EXPONENTS = (b"0e000", b"0e+000")
_AS_EXPONENTS = bytes(
    ord("0") if each in b"0123456789" else ord("e") if each in b"eE" else each if each in b"+" else ord(" ")
    for each in range(256)
)
_strings = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')
_FIRST, _SECOND = r"[89abAB][0-9a-fA-F]{2}", r"[c-fC-F][0-9a-fA-F]{2}"
_U = r"\\u[dD]"  # begins the pattern, so that the search is for a text
_halves = re.compile(rf"{_U}(?:{_FIRST}(?!{_U}{_SECOND})|{_SECOND}(?<!{_U}{_FIRST}{_U}{_SECOND}))")
_NO_JSON = "\0"  # where it stands, nothing is JSON
_has_surrogate_escape = re.compile(r"\\u[dD][89a-fA-F]").search

_LONG_NUMBER = f"A number has more than {MAX_DIGITS} characters, or is too large."


def _refuse(what: str) -> Unreadable:
    return Unreadable(Reason.UNREADABLE_JSON, what)


def _constant(_: str) -> float:
    raise _refuse("NaN and Infinity are not JSON.")


class _KeyCounter:
    """Builds objects, counting keys over the whole body."""

    def __init__(self) -> None:
        self.keys = 0

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self.keys += len(pairs) or 1  # an object without a key costs as much
        if self.keys > MAX_KEYS:
            raise _refuse(f"There are more than {MAX_KEYS} keys.")
        built = dict(pairs)
        if len(built) != len(pairs):
            raise _refuse("A key appears twice in one object.")
        return built


def _check_depth(value: dict[str, Any]) -> None:
    """Go down level by level, so that the depth of the body is not the depth of our stack."""
    level: list[dict[str, Any] | list[Any]] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, _BOXES)
        ]
        if not level:
            return
    raise _refuse(f"It is nested deeper than {MAX_DEPTH} levels.")


def parse(body: bytes) -> dict[str, Any]:
    """Return the object that these bytes spell, or raise Unreadable (UNREADABLE_JSON)."""
    text = _decoded(body)
    value = _parse(body, text)
    if _has_surrogate_escape(text):
        _check_surrogates(value)
    return value


def parse_body(body: bytes) -> dict[str, Any]:
    """Return the object of a webhook's body, or raise Unreadable; half of a surrogate pair is read as U+FFFD."""
    text = _decoded(body.removeprefix(BOM))
    if _has_surrogate_escape(text) and _NO_JSON not in text:
        text = _mended(text)
    return _parse(body, text)


def _mended(text: str) -> str:
    """Replace the escape of each half of a pair by one as long, so that the column of a mistake stays."""
    # An escaped backslash begins no escape, so it is put out of sight meanwhile.
    bare = text.replace(r"\\", 2 * _NO_JSON)
    return _halves.sub(r"\\ufffd", bare).replace(2 * _NO_JSON, r"\\")


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refuse(f"It is not UTF-8 at byte {error.start}.") from None


def _parse(body: bytes, text: str) -> dict[str, Any]:
    """Return the object that a text spells; `body` are its bytes, where only strings may be spelled otherwise."""
    try:
        value = json.loads(text, object_pairs_hook=_KeyCounter(), parse_constant=_constant)
    except json.JSONDecodeError as error:
        what = error.msg.partition(":")[0]
        raise _refuse(f"Line {error.lineno}, column {error.colno}: {what}.") from None
    except ValueError:  # more digits than Python reads
        raise _refuse(_LONG_NUMBER) from None
    except RecursionError:
        raise _refuse(f"It is nested deeper than {MAX_DEPTH} levels.") from None
    if not isinstance(value, dict):
        raise _refuse("The top is not an object.")
    _check_depth(value)
    _check_numbers(body, text, value)
    return value


def _check_numbers(body: bytes, text: str, value: dict[str, Any]) -> None:
    """Refuse a number of too many characters, or one that is read as infinity."""
    if _LONG_RUN in body.translate(_AS_RUNS) and _has_long_number(_strings.sub('""', text)):
        raise _refuse(_LONG_NUMBER)
    exponents = body.translate(_AS_EXPONENTS)
    if any(each in exponents for each in _LARGE_EXPONENTS):
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:
            raise _refuse(_LONG_NUMBER) from None


def _check_surrogates(value: dict[str, Any]) -> None:
    """Encode once more: only a lone surrogate cannot be."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise _refuse("A text holds half of a surrogate pair.") from None
