"""Instants in the spellings that senders use, as RFC 3339 text in UTC.

Rule: a spelling is read if it can mean one instant only. A time without an offset could be any of 26 hours, so it is
read only if its source names a `timezone`, and not in the hour that clocks skip or repeat. Everything else raises
Misfit: a guess could move a watermark by hours, unseen.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime

from bridge.rules.event.grammar import Misfit, is_empty

_DAY = r"(?P<year>\d{4})(?P<dash>-?)(?P<month>\d\d)(?P=dash)(?P<day>\d\d)"
_TIME = r"(?P<hour>\d\d):?(?P<minute>\d\d)(?::?(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,30}))?)?"
# Go writes `+0100 CET` or `+0300 +03`, Java `+01:00[Europe/Berlin]`: the offset counts, the name adds nothing.
_OFFSET = (
    r"(?P<zero>[Zz]|UTC|GMT|\+0000 (?:UTC|GMT))"
    r"|(?P<sign>[+-])(?P<offset_hour>\d\d)(?::?(?P<offset_minute>[0-5]\d))?(?: (?!UTC|GMT)(?:[A-Z]{3,5}|[+-]\d{2,4}))?"
)
_is_iso = re.compile(rf"{_DAY}[Tt ]{_TIME} ?(?:(?:{_OFFSET})(?:\[[A-Za-z0-9_+/-]{{1,60}}\])?)?", re.ASCII).fullmatch
_is_day = re.compile(_DAY, re.ASCII).fullmatch
_is_mail_date = re.compile(
    r"(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d (?:GMT|UTC|[+-]\d{4})", re.ASCII
).fullmatch
# The ranges of the units lie a thousand apart: 10 digits of seconds are the years 2001 to 2286.
_is_epoch = re.compile(r"(\d{10}|\d{13}|\d{16}|\d{19})(?:\.(\d{1,30}))?", re.ASCII).fullmatch
_UNITS = {10: 10**6, 13: 10**3, 16: 1}  # microseconds in one unit, by the number of digits; 19 are nanoseconds
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_OFFSET = timedelta(hours=24)


def as_instant(value: object, zone: tzinfo | None = None) -> str | None:
    """Return `2025-03-27T14:26:20.12Z`: in UTC, to the microsecond (more is cut off), without needless zeros.

    `zone` is that of the source, for a time without an offset. None for what says nothing. Raises Misfit.
    """
    if is_empty(value):
        return None
    text = value.strip() if isinstance(value, str) else str(value) if isinstance(value, int | float) else ""
    try:
        instant = _read(text, zone).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        if isinstance(error, Misfit):
            raise
        raise Misfit("is not an instant: there is no such day or time") from None
    spelled = instant.replace(tzinfo=None).isoformat()
    return (spelled.rstrip("0").rstrip(".") if "." in spelled else spelled) + "Z"


def _read(text: str, zone: tzinfo | None) -> datetime:
    if found := _is_epoch(text):
        return _since_epoch(found[1], found[2] or "")
    if found := _is_iso(text):
        return _from_parts(found, zone)
    if _is_mail_date(text):
        sent = parsedate_to_datetime(text.replace("UTC", "GMT"))
        return sent.replace(tzinfo=sent.tzinfo or UTC)  # RFC 5322: `-0000` is UTC, of a sender in an unknown zone
    if _is_day(text):
        raise Misfit("is not an instant: it is a day without a time")
    raise Misfit("is not an instant: write RFC 3339 (2025-03-27T14:26:20Z) or seconds since 1970")


def _since_epoch(whole: str, fraction: str) -> datetime:
    """Count exactly, in integers: a float of seconds would be off by microseconds."""
    unit = _UNITS.get(len(whole))
    if unit is None:
        return _EPOCH + timedelta(microseconds=int(whole) // 1000)
    part = int((fraction + "000000")[:6]) * unit // 10**6
    return _EPOCH + timedelta(microseconds=int(whole) * unit + part)


def _from_parts(found: re.Match[str], zone: tzinfo | None) -> datetime:
    fraction = int(((found["fraction"] or "") + "000000")[:6])
    day = (int(found["year"]), int(found["month"]), int(found["day"]))
    time = (int(found["hour"]), int(found["minute"]), int(found["second"] or 0), fraction)
    local = datetime(*day, *time)  # noqa: DTZ001 - its offset is found out below
    if found["zero"]:
        return local.replace(tzinfo=UTC)
    if not found["sign"]:
        return _in_zone(local, zone)
    offset = timedelta(hours=int(found["offset_hour"]), minutes=int(found["offset_minute"] or 0))
    if offset >= _MOST_OFFSET:
        raise Misfit("is not an instant: its offset is a day or more")
    return local.replace(tzinfo=timezone(offset if found["sign"] == "+" else -offset))


def _in_zone(local: datetime, zone: tzinfo | None) -> datetime:
    if zone is None:
        raise Misfit("is not an instant: it has no offset from UTC; send one, or set `timezone` of the source")
    instant = local.replace(tzinfo=zone)
    if instant.utcoffset() != instant.replace(fold=1).utcoffset():
        raise Misfit("is not an instant: clocks skip or repeat this hour in the source's `timezone`")
    return instant
