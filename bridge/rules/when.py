"""What people write for an instant or a time: `2025-03-27T14:00:00Z`, `02:40`, `2h` (ago), `02:30..03:00`. Pure.

2h, 90s, 7d            so long before now
02:40, 02:40:30        when the clock last showed that; as an end: when it first shows it after the beginning
2025-03-27T14:00       that instant; without a zone it is in the zone of whoever reads it (`localize`)
A..B                   from A until B
"""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

from bridge.rules import durations

Localize = Callable[[datetime], datetime]  # gives a time without a zone its zone


def in_utc(value: datetime) -> datetime:
    """Take a time without a zone for one in UTC."""
    return value.replace(tzinfo=UTC)


def instant(text: str, *, now: datetime, localize: Localize = in_utc) -> datetime:
    """Return an instant. Raises ValueError, in words for whoever wrote it."""
    try:
        if text[-1:] in tuple("smhd"):
            return now - timedelta(seconds=durations.seconds(text))
        if "-" not in text and ":" in text:
            return _last(time.fromisoformat(text), now, localize)
        value = datetime.fromisoformat(text)
        return value if value.tzinfo else localize(value)
    except (ValueError, OverflowError):
        what = f"{text[:40]!r} is no instant: write 2025-03-27T14:00:00Z, 02:40, or 90m, 24h, 7d for so long ago"
        raise ValueError(what) from None


def span(text: str, *, now: datetime, localize: Localize = in_utc) -> tuple[datetime, datetime | None]:
    """Return since when, and until when if it is a range. Raises ValueError as `instant` does."""
    since, is_range, until = text.partition("..")
    begin = instant(since, now=now, localize=localize)
    return begin, end(until, begin, now=now, localize=localize) if is_range else None


def end(text: str, begin: datetime | None, *, now: datetime, localize: Localize = in_utc) -> datetime:
    """Return until when, of what begins then. Raises ValueError, also for an end that is not after the beginning."""
    found = instant(text, now=now, localize=localize)
    if begin is not None and (clock := _clock(text)) is not None:
        first = _first_after(begin, clock, localize)
        found = first if first is not None and first - now < timedelta(days=1) else found
    check_order(begin, found)
    return found


def check_order(begin: datetime | None, end_: datetime | None) -> None:
    """Raise ValueError if a time ends before it begins, or as it begins."""
    if begin is not None and end_ is not None and end_ <= begin:
        raise ValueError(f"{end_.isoformat()} is not after {begin.isoformat()}: the time ends before it begins")


def _clock(text: str) -> time | None:
    """Return the time of day that the text of an instant is, None if it is anything else."""
    if "-" in text or ":" not in text:  # `20250327` is a date, and could be read as a time as well
        return None
    try:
        return time.fromisoformat(text)
    except ValueError:
        return None


def _first_after(begin: datetime, clock: time, localize: Localize) -> datetime | None:
    """Return when the clock first shows this after an instant; None near the ends of the calendar."""
    try:
        day = _local_day(begin.astimezone(UTC), localize)
        days = (localize(datetime.combine(day + timedelta(days=more), clock)) for more in (0, 1))
        return next((each for each in days if each.astimezone(UTC) > begin.astimezone(UTC)), None)
    except OverflowError:
        return None


def _last(clock: time, now: datetime, localize: Localize) -> datetime:
    """Return when the clock last showed this; yesterday, if it has yet to show it today."""
    if clock.tzinfo is not None:
        raise ValueError("a clock time has no zone")
    today = localize(datetime.combine(_local_day(now, localize), clock))
    return today if today <= now else localize(datetime.combine(_local_day(now, localize) - timedelta(days=1), clock))


def _local_day(now: datetime, localize: Localize) -> datetime:
    """Return the day that it is in the zone, by the offset that the zone has about now."""
    offset = localize(now.replace(tzinfo=None)).utcoffset() or timedelta()
    return (now + offset).replace(tzinfo=None)
