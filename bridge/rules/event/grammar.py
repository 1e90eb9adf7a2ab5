"""The spellings that are accepted: ids, names, numbers; instants have a module of their own.

Each function returns the value in its one normal form, None for what says nothing (null, "", blanks), and raises Misfit
for the rest. What is oddly spelled is mended where it can mean one thing only: a number where an id belongs is that
number as text, digits in quotes are a number. What can mean two things is a Misfit and never a guess.
"""

import math
import re
from typing import Any

_is_id = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}").fullmatch
_MAX_INTEGER = 2**63 - 1  # a larger number is an id for no one; both JSON readers agree below it
_is_number = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII).fullmatch
_is_name = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,256}").fullmatch  # no control character: it would break a column


class Misfit(ValueError):
    """A value that is there and cannot be read; the text goes on after the field's name, and holds no value."""


def id_text(value: object) -> str | None:
    """Return an id as text, None for anything else. Shared by the way to the commit and the reading after it."""
    if isinstance(value, str):
        text = value.strip()
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MAX_INTEGER:
        text = str(value)  # of one below 0, too: no id begins with its sign
    else:
        return None
    return text if _is_id(text) else None


def as_id(value: object) -> str | None:
    """Return the id."""
    if is_empty(value):
        return None
    text = id_text(value)
    if text is None:
        raise Misfit("is not an id: letters, digits and `_.:-`, at most 128")
    return text


def as_name(value: object) -> str | None:
    """Return a name or word."""
    if is_empty(value):
        return None
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _is_name(text):
        raise Misfit("is not a text of 1 to 256 characters without control characters")
    return text


def as_object(value: object) -> dict[str, Any] | None:
    """Return the JSON object; an empty list is how some senders spell an empty one."""
    if is_empty(value) or value == []:
        return None
    if not isinstance(value, dict):
        raise Misfit("is not an object")
    return value


def as_number(value: object) -> float | int | None:
    """Return the number as it is (an int stays one); also from its digits in quotes."""
    if is_empty(value):
        return None
    if isinstance(value, str) and (text := value.strip()) and _is_number(text):
        value = float(text) if "." in text else int(text)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Misfit("is not a number: digits, and a full stop before decimals")
    return value


def as_count(value: object) -> int | None:
    """Return a whole number as an int; also from its digits in quotes."""
    number = as_number(value)
    if number is not None and number != int(number):
        raise Misfit("is not a whole number")
    return None if number is None else int(number)


def is_empty(value: object) -> bool:
    """Say whether a value says nothing."""
    return value is None or (isinstance(value, str) and not value.strip())
