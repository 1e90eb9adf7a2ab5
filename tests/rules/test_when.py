"""What people write for a time."""

from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from zoneinfo import ZoneInfo

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
    "text", ["", "x", "25:00", "02:40Z", "2w", "h", "99999999999d", "02:40..", "..02:40", "2h..3h", "1..2"]
)
def test_what_is_no_time_is_said(text: str) -> None:
    """In words, and shortened."""
    with pytest.raises(ValueError, match=r"is no instant|ends before"):
        when.span(text, now=NOW)


@pytest.mark.parametrize(
    ("now", "since", "until", "expected"),
    [
        ("02:50", "02:30", "03:00", ("27T02:30", "27T03:00")),  # still to come
        ("03:15", "02:30", "03:00", ("27T02:30", "27T03:00")),
        ("02:00", "23:30", "00:30", ("26T23:30", "27T00:30")),  # across midnight
        ("00:10", "23:30", "00:30", ("26T23:30", "27T00:30")),
        ("02:50", "03:00", "02:30", ("26T03:00", "27T02:30")),
        ("02:50", "2025-03-20T02:30", "03:00", ("20T02:30", "20T03:00")),
        ("02:50", "1h", "03:00", ("27T01:50", "27T03:00")),
        ("03:15", "02:30", "02:30", ("27T02:30", "28T02:30")),  # a whole day
        ("20:30", "20:00", "2025-03-28", ("27T20:00", "28T00:00")),
        ("20:30", "20:00", "20250328", ("27T20:00", "28T00:00")),  # a date, although 20:25:03.28 could be written so
    ],
)
def test_an_end_is_the_first_time_after_the_beginning(
    now: str, since: str, until: str, expected: tuple[str, str]
) -> None:
    """Not the last time that the clock showed it: that may be a day before the beginning."""
    at = datetime.fromisoformat(f"2025-03-27T{now}Z")
    begin, end = when.span(f"{since}..{until}", now=at)
    assert (begin.isoformat()[8:16], end and end.isoformat()[8:16]) == expected
    assert when.end(until, begin, now=at) == end


def test_an_end_is_read_in_the_zone_of_the_reader() -> None:
    """At 02:50 in Tokyo, while it is still the day before in UTC."""
    now = datetime(2025, 3, 26, 17, 50, tzinfo=UTC)
    since, until = when.span("02:30..03:00", now=now, localize=in_tokyo)
    assert (since.isoformat(), until and until.isoformat()) == (
        "2025-03-27T02:30:00+09:00",
        "2025-03-27T03:00:00+09:00",
    )
    since, until = when.span("23:30..00:30", now=now, localize=in_tokyo)
    assert until is not None
    assert (since.isoformat()[:16], until.isoformat()[:16]) == ("2025-03-26T23:30", "2025-03-27T00:30")


@pytest.mark.parametrize("text", ["9999-12-31T23:59:00Z..10:00", "9999-12-31T23:59-05:00..10:00", "0001-01-01..-1:00"])
def test_the_ends_of_the_calendar_are_no_times(text: str) -> None:
    """They are said to be none, in words."""
    with pytest.raises(ValueError, match=r"ends before it begins|is no instant"):
        when.span(text, now=NOW)


def test_a_clock_that_leaps_gives_no_end_before_the_beginning() -> None:
    """In Berlin 02:30 is 01:30 in UTC on that day, which is after 03:10 there: the next one is meant, and is far."""
    now = datetime(2025, 3, 30, 2, 0, tzinfo=UTC)
    berlin = partial(datetime.replace, tzinfo=ZoneInfo("Europe/Berlin"))
    begin, end = when.span("02:30..03:10", now=now, localize=berlin)
    assert end is not None
    assert end.astimezone(UTC) > begin.astimezone(UTC)


def test_an_end_is_less_than_a_day_from_now() -> None:
    """What begins now does not end when the clock shows this again."""
    with pytest.raises(ValueError, match="ends before it begins"):
        when.end("03:15", NOW, now=NOW)
    assert when.end("03:14", NOW, now=NOW) == NOW + timedelta(hours=23, minutes=59)


@pytest.mark.parametrize("text", ["x" * 40, "x" * 41])
def test_at_most_40_characters_are_shown_of_what_is_no_instant(text: str) -> None:
    """Whoever reads the message knows the text."""
    with pytest.raises(ValueError, match="is no instant") as error:
        when.instant(text, now=NOW)
    assert str(error.value) == (
        f"'{'x' * 40}' is no instant: write 2025-03-27T14:00:00Z, 02:40, or 90m, 24h, 7d for so long ago"
    )


@pytest.mark.parametrize(("begin", "end"), [(None, None), (None, NOW), (NOW, None), (NOW - timedelta(seconds=1), NOW)])
def test_a_time_without_one_of_its_ends_is_in_order(begin: datetime | None, end: datetime | None) -> None:
    """Only one that has both can be the wrong way round."""
    when.check_order(begin, end)
    with pytest.raises(ValueError, match="ends before it begins"):
        when.check_order(NOW, NOW)


def test_an_end_without_a_beginning_has_been() -> None:
    """As any clock time."""
    assert when.end("03:16", None, now=NOW) == NOW.replace(day=26, minute=16)


@pytest.mark.parametrize(("since", "until"), [("1h", "2h"), ("1h", "1h"), ("2025-03-27", "2025-03-26")])
def test_an_end_is_after_the_beginning(since: str, until: str) -> None:
    """Both instants are spelled, so that it can be seen which is wrong."""
    begin = when.instant(since, now=NOW)
    with pytest.raises(ValueError, match=r"2025-03-2.* is not after 2025-03-27.*ends before it begins"):
        when.end(until, begin, now=NOW)
