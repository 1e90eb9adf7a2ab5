"""The spellings that are accepted: ids, names, instants, numbers.

Ids and names that routes match on must be right (UNREADABLE_FIELD); an instant or a number that nobody
routes on is None when it is not what it should be, and stays readable under `data`.
"""

import math
import re
from datetime import UTC, datetime
from typing import Any

from bridge.words.errors import Unreadable
from bridge.words.reasons import Reason

_is_id = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}").fullmatch
_is_rfc3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
).fullmatch
_is_name = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,256}").fullmatch  # no control character: it would break a column


def is_id(value: object) -> bool:
    """Say whether this is text in the grammar of Planasonix ids."""
    return isinstance(value, str) and _is_id(value) is not None


def as_id(value: object, field: str) -> str:
    """Return the id, or raise Unreadable naming the field."""
    if isinstance(value, str) and _is_id(value):
        return value
    raise Unreadable(Reason.UNREADABLE_FIELD, f"`{field}` is not an id: letters, digits and `_.:-`, at most 128.")


def as_name(value: object, field: str) -> str:
    """Return a name or word, or raise Unreadable naming the field."""
    if isinstance(value, str) and _is_name(value):
        return value
    raise Unreadable(Reason.UNREADABLE_FIELD, f"`{field}` is not a text of 1 to 256 characters, none of control.")


def as_object(value: object, field: str) -> dict[str, Any]:
    """Return the JSON object, or raise Unreadable naming the field."""
    if isinstance(value, dict):
        return value
    raise Unreadable(Reason.UNREADABLE_FIELD, f"`{field}` is not an object.")


def as_instant(value: object) -> str | None:
    """Return RFC 3339 text in UTC (`...Z`, no needless zeros), or None.

    Without an offset it is None: taking such a time for UTC could move a watermark by hours, unseen.
    """
    if not isinstance(value, str) or not _is_rfc3339(value):
        return None
    try:
        instant = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    text = instant.replace(tzinfo=None).isoformat()
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "Z"


def as_number(value: object) -> float | int | None:
    """Return the number as it is (an int stays one), or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None


def as_count(value: object) -> int | None:
    """Return a whole number as an int, or None."""
    number = as_number(value)
    return int(number) if number is not None and number == int(number) else None
