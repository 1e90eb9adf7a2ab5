"""The filters for instants: a business date in a zone, another spelling, seconds. Values stay texts and numbers.

An instant is RFC 3339 text, as the event has it, or another ISO 8601 spelling, or Unix seconds (milliseconds if they
are that many). A time without an offset could be any of 26 hours, so it is an error unless a zone is given, and in the
hour that clocks skip or repeat all the same. Zones and formats are written in the template and checked when it is
loaded; the database of zones comes with the system, and is read as a module would be.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2.exceptions import SecurityError

_MAX_TEXT = 64
_MAX_FORMAT = 200
_MOST_SECONDS = 10**11  # the year 5138; more than that are milliseconds
_DIRECTIVES = frozenset("YmdHMSfjyGVuUWwaAbBIpz%")  # %s, %c, %x and %Z depend on the machine, or on what a text lost
_is_duration = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII).fullmatch
_is_iso_duration = re.compile(
    r"P(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})(?:\.(\d{1,6}))?S)?)?", re.ASCII
).fullmatch
_is_epoch = re.compile(r"\d{10}|\d{13}", re.ASCII).fullmatch  # seconds or milliseconds, as an event's
_is_long_number = re.compile(r"\d{9,}", re.ASCII).fullmatch  # fromisoformat takes any letter for the T, also a digit
_UNIT_SECONDS = (86_400, 3600, 60, 1)


def check_zone(name: Any) -> ZoneInfo:
    """Return the zone of a name such as Europe/Berlin; raises ValueError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise ValueError(f'"{str(name)[:60]}" is not a time zone; write a name such as Europe/Berlin') from None


def check_format(text: Any) -> str:
    """Return a format of strftime whose directives mean the same on every machine; raises ValueError."""
    if not isinstance(text, str) or not 0 < len(text) <= _MAX_FORMAT:
        raise ValueError(f"the format is a text of at most {_MAX_FORMAT} characters")
    for directive in re.findall(r"%(.?)", text, re.DOTALL):
        if directive not in _DIRECTIVES:
            there_is = ", ".join(f"%{letter}" for letter in sorted(_DIRECTIVES))
            raise ValueError(f'"%{directive}" is not for a format here; there is {there_is}')
    return text


def as_datetime(value: Any, tz: str | None = None) -> str:
    """Spell an instant as `2025-03-27T14:26:20Z`; `tz` is the zone of one without an offset."""
    return _spell(_read(value, tz).astimezone(UTC))


def astimezone(value: Any, tz: str) -> str:
    """Spell an instant as clocks in a zone show it: `2025-03-27T15:26:20+01:00`."""
    return _spell(_read(value).astimezone(check_zone(tz)))


def date(value: Any, tz: str | None = None) -> str:
    """Return the day of an instant in a zone: `2025-03-27`. Without one, as the instant is spelled."""
    return _in(value, tz).date().isoformat()


def strftime(value: Any, format: str, tz: str | None = None) -> str:  # noqa: A002 - as Python calls it
    """Spell an instant by a format, in a zone."""
    return _in(value, tz).strftime(check_format(format))


def to_seconds(value: Any) -> float:
    """Return an instant as Unix seconds, or a duration (`90s`, `1h30m`, `PT1H30M`) in seconds; a number is itself."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = value.strip() if isinstance(value, str) else ""
    if text and (found := _is_duration(text)):
        return _in_seconds(found.groups())
    if len(text) > len("PT") and (found := _is_iso_duration(text)):
        *parts, fraction = found.groups()
        whole = _in_seconds(parts)
        return whole + float(f"0.{fraction}") if fraction else whole
    seconds = _read(value).timestamp()
    return int(seconds) if seconds.is_integer() else seconds


def _in_seconds(parts: Iterable[str | None]) -> int:
    """Return how long so many days, hours, minutes and seconds are."""
    return sum(int(part or 0) * unit for part, unit in zip(parts, _UNIT_SECONDS, strict=True))


def _in(value: Any, tz: str | None) -> datetime:
    found = _read(value)
    return found if tz is None else found.astimezone(check_zone(tz))


def _read(value: Any, tz: str | None = None) -> datetime:
    """Return an aware instant; raises SecurityError without showing the value."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value if abs(value) < _MOST_SECONDS else value / 1000
        try:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
        except OverflowError:  # says of how many days
            raise SecurityError("an instant is wanted, and the value is beyond the calendar") from None
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise SecurityError(f"an instant is wanted, and the value is {'none' if value is None else 'not one'}")
    text = value.strip()
    if _is_epoch(text):
        return _read(int(text))
    try:
        found = datetime.fromisoformat("" if _is_long_number(text) else text)
    except ValueError:
        raise SecurityError("an instant is wanted, like 2025-03-27T14:26:20Z, and the value is not one") from None
    if found.tzinfo is not None:
        return found
    if tz is None:
        raise SecurityError("the instant has no offset from UTC; write as_datetime('Europe/Berlin') before this filter")
    local = found.replace(tzinfo=check_zone(tz))
    if local.utcoffset() != local.replace(fold=1).utcoffset():
        raise SecurityError("clocks skip or repeat this hour in the zone, so the instant is not certain")
    return local


def _spell(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def _check_in(_: Any, tz: Any = None) -> None:
    if tz is not None:
        check_zone(tz)


def _check_strftime(_: Any, format: Any, tz: Any = None) -> None:  # noqa: A002 - named as the filter's own
    check_format(format)
    _check_in(None, tz)


def _check_astimezone(_: Any, tz: Any) -> None:
    check_zone(tz)


def _check_to_seconds(_: Any) -> None:
    """Take no argument."""


FILTERS: Mapping[str, Callable[..., Any]] = {
    "as_datetime": as_datetime,
    "astimezone": astimezone,
    "date": date,
    "strftime": strftime,
    "to_seconds": to_seconds,
}
# What is looked at when a template is loaded: a check is called as the filter would be, and raises ValueError.
CHECKS: Mapping[str, Callable[..., None]] = {
    "as_datetime": _check_in,
    "astimezone": _check_astimezone,
    "date": _check_in,
    "strftime": _check_strftime,
    "to_seconds": _check_to_seconds,
}
