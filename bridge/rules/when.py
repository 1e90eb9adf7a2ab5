"""What people write for an instant or a time: `2025-03-27T14:00:00Z`, `02:40`, `2h` (ago), `02:30..03:00`. Pure.

2h, 90s, 7d            so long before now
02:40, 02:40:30        when the clock last showed that
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
    if not is_range:
        return begin, None
    end = instant(until, now=now, localize=localize)
    if end <= begin:
        raise ValueError(f"{text[:80]!r} ends before it begins")
    return begin, end


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
