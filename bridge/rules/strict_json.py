"""JSON as RFC 8259 means it, bounded: what the standard library lets through is refused here.

No byte order mark, no duplicate key at any depth, no NaN or Infinity (nor a number that overflows to it),
no lone surrogate, bounded depth, keys and digits, an object at the top. Messages never quote the body.
"""

import json
import re
from typing import Any

from bridge.words.errors import Unreadable
from bridge.words.reasons import Reason

MAX_DEPTH = 32
MAX_KEYS = 10_000
MAX_DIGITS = 64

_has_surrogate_escape = re.compile(r"\\u[dD][89a-fA-F]").search


def _refuse(what: str) -> Unreadable:
    return Unreadable(Reason.UNREADABLE_JSON, what)


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise _refuse(f"A number has more than {MAX_DIGITS} characters.")
    return int(digits)


def _fraction(digits: str) -> float:
    number = float(digits)
    if len(digits) > MAX_DIGITS or number in (float("inf"), float("-inf")):
        raise _refuse(f"A number has more than {MAX_DIGITS} characters, or is too large.")
    return number


def _constant(_: str) -> float:
    raise _refuse("NaN and Infinity are not JSON.")


class _KeyCounter:
    """Builds objects, counting keys over the whole body."""

    def __init__(self) -> None:
        self.keys = 0

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self.keys += len(pairs)
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
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise _refuse(f"It is nested deeper than {MAX_DEPTH} levels.")


def parse(body: bytes) -> dict[str, Any]:
    """Return the object that these bytes spell, or raise Unreadable (UNREADABLE_JSON)."""
    try:
        text = body.decode("utf-8")
        value = json.loads(
            text,
            object_pairs_hook=_KeyCounter(),
            parse_int=_integer,
            parse_float=_fraction,
            parse_constant=_constant,
        )
    except UnicodeDecodeError as error:
        raise _refuse(f"It is not UTF-8 at byte {error.start}.") from None
    except json.JSONDecodeError as error:
        what = error.msg.partition(":")[0]
        raise _refuse(f"Line {error.lineno}, column {error.colno}: {what}.") from None
    except RecursionError:
        raise _refuse(f"It is nested deeper than {MAX_DEPTH} levels.") from None
    if not isinstance(value, dict):
        raise _refuse("The top is not an object.")
    _check_depth(value)
    if _has_surrogate_escape(text):
        _check_surrogates(value)
    return value


def _check_surrogates(value: dict[str, Any]) -> None:
    """Encode once more: only a lone surrogate cannot be."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise _refuse("A text holds half of a surrogate pair.") from None
