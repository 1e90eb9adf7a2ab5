"""What people write for a time."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from bridge.rules import when

NOW = datetime(2025, 3, 27, 3, 15, tzinfo=UTC)


def in_tokyo(value: datetime) -> datetime:
    """Give a time the zone of whoever wrote it."""
    return value.replace(tzinfo=timezone(timedelta(hours=9)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", "2025-03-27T03:13:30+00:00"),
        ("2h", "2025-03-27T01:15:00+00:00"),
        ("7d", "2025-03-20T03:15:00+00:00"),
        ("02:40", "2025-03-27T02:40:00+00:00"),
        ("02:40:30", "2025-03-27T02:40:30+00:00"),
        ("03:15", "2025-03-27T03:15:00+00:00"),
        ("03:16", "2025-03-26T03:16:00+00:00"),
        ("2025-03-27T14:00:00Z", "2025-03-27T14:00:00+00:00"),
        ("2025-03-27T14:00:00+02:00", "2025-03-27T12:00:00+00:00"),
        ("2025-03-27 14:00", "2025-03-27T14:00:00+00:00"),
        ("2025-03-27", "2025-03-27T00:00:00+00:00"),
    ],
)
def test_an_instant_is_read(text: str, expected: str) -> None:
    """A clock time is the last one that has been; an age is counted from now."""
    assert when.instant(text, now=NOW).astimezone(UTC).isoformat() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("02:40", "2025-03-26T17:40:00+00:00"),
        ("12:15", "2025-03-27T03:15:00+00:00"),
        ("12:16", "2025-03-26T03:16:00+00:00"),
        ("2025-03-27T14:00", "2025-03-27T05:00:00+00:00"),
        ("2025-03-27T14:00Z", "2025-03-27T14:00:00+00:00"),
    ],
)
def test_without_a_zone_it_is_the_readers(text: str, expected: str) -> None:
    """It is noon in Tokyo: the clock there has shown 02:40 today."""
    assert when.instant(text, now=NOW, localize=in_tokyo).astimezone(UTC).isoformat() == expected


def test_a_range_has_both_ends() -> None:
    """Anything else has the first only."""
    since, until = when.span("02:30..03:00", now=NOW)
    assert (since.hour, since.minute, until) == (2, 30, NOW.replace(hour=3, minute=0))
    assert when.span("2h", now=NOW) == (NOW - timedelta(hours=2), None)


@pytest.mark.parametrize(
    "text", ["", "x", "25:00", "02:40Z", "2w", "h", "99999999999d", "02:40..", "..02:40", "03:00..02:30", "1..2"]
)
def test_what_is_no_time_is_said(text: str) -> None:
    """In words, and shortened."""
    with pytest.raises(ValueError, match=r"is no instant|ends before"):
        when.span(text, now=NOW)
