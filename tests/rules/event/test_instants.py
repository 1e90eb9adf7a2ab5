"""Instants: what can mean one instant only is read, in UTC; anything else says why it is none.

The rule: a present instant is never read as another one, nor as none without a word.
"""

import time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rules.event.grammar import Misfit
from bridge.rules.event.instants import as_instant

_INSTANT = "2025-03-27T14:26:20Z"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("2025-03-27T14:26:20Z", _INSTANT),
        ("2025-03-27t14:26:20z", _INSTANT),
        ("2025-03-27 14:26:20Z", _INSTANT),
        (" 2025-03-27T14:26:20Z\n", _INSTANT),
        ("2025-03-27T14:26:20+0000", _INSTANT),
        ("2025-03-27T14:26:20+00", _INSTANT),
        ("2025-03-27T14:26:20-00:00", _INSTANT),
        ("2025-03-27 14:26:20 +0000", _INSTANT),
        ("2025-03-27 14:26:20 UTC", _INSTANT),
        ("20250327T142620Z", _INSTANT),
        ("Thu, 27 Mar 2025 14:26:20 GMT", _INSTANT),
        ("27 Mar 2025 16:26:20 +0200", _INSTANT),
        ("2025-03-27 14:26:20 +0000 UTC", _INSTANT),
        ("2025-03-27 14:26:20 +0000 GMT", _INSTANT),
        ("2025-03-27 17:26:20 +0300 +03", _INSTANT),
        ("2025-03-27 15:26:20.5 +0100 CET", "2025-03-27T14:26:20.5Z"),
        ("2025-03-27T14:26:20.123Z[UTC]", "2025-03-27T14:26:20.123Z"),
        ("2025-03-27T15:26:20+01:00[Europe/Berlin]", _INSTANT),
        ("2025-03-27T14:26:20Z[Etc/GMT+5]", _INSTANT),
        ("2025-03-27T14:26Z", "2025-03-27T14:26:00Z"),
        ("2025-03-27T16:26:20+02:00", _INSTANT),
        ("2025-03-27T00:26:20-05:30", "2025-03-27T05:56:20Z"),
        ("2025-03-28T14:25:20+23:59", _INSTANT),
        ("2025-03-26T14:27:20-23:59", _INSTANT),
        ("2025-03-27T14:26:20.120Z", "2025-03-27T14:26:20.12Z"),
        ("2025-03-27T14:26:20,5Z", "2025-03-27T14:26:20.5Z"),
        ("2025-03-27T14:26:20.000Z", _INSTANT),
        ("2025-03-27T14:26:20.123456999Z", "2025-03-27T14:26:20.123456Z"),
        (1743085580, _INSTANT),
        ("1743085580", _INSTANT),
        (1743085580.25, "2025-03-27T14:26:20.25Z"),
        ("1743085580.9999999", "2025-03-27T14:26:20.999999Z"),
        (1743085580000, _INSTANT),
        (1743085580999, "2025-03-27T14:26:20.999Z"),
        (1743085580999.0, "2025-03-27T14:26:20.999Z"),
        (1743085580123456, "2025-03-27T14:26:20.123456Z"),
        (1743085580123456999, "2025-03-27T14:26:20.123456Z"),
    ],
)
def test_what_means_one_instant_only_is_read(sent: object, expected: str) -> None:
    """In every spelling that is seen, as UTC; a finer fraction is cut off, never rounded up into the future."""
    assert as_instant(sent) == expected


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ("2025-03-27T14:26:20", "no offset from UTC"),
        ("2025-03-27 14:26:20", "no offset from UTC"),
        ("20250327T142620", "no offset from UTC"),
        ("2025-03-27", "a day without a time"),
        ("20250327", "a day without a time"),
        ("2025-02-30T00:00:00Z", "no such day or time"),
        ("2025-03-27T25:00:00Z", "no such day or time"),
        ("2025-03-27T14:26:60Z", "no such day or time"),
        ("Thu, 31 Feb 2025 14:26:20 GMT", "no such day or time"),
        ("0001-01-01T00:00:00+05:00", "no such day or time"),
        ("9999-12-31T23:59:59-05:00", "no such day or time"),
        ("2025-03-27T14:26:20+24:00", "offset is a day or more"),
        ("2025-W13-4T14:26:20Z", "write RFC 3339"),
        ("\u0662025-03-27T14:26:20Z", "write RFC 3339"),
        ("03/27/2025 14:26:20 UTC", "write RFC 3339"),
        ("2025-03-27T14:26:20 CET", "write RFC 3339"),
        ("2025-03-27T14:26:20[Europe/Berlin]", "write RFC 3339"),
        ("2025-03-27 14:26:20 +0100 UTC", "write RFC 3339"),
        ("2025-03-27 14:26:20Z CET", "write RFC 3339"),
        ("20250327142620", "write RFC 3339"),
        ("yesterday", "write RFC 3339"),
        (20250327, "a day without a time"),
        (0, "write RFC 3339"),
        (-1743085580, "write RFC 3339"),
        (1e300, "write RFC 3339"),
        (True, "write RFC 3339"),
        ([_INSTANT], "write RFC 3339"),
    ],
)
def test_anything_else_says_why(sent: object, why: str) -> None:
    """An ambiguous or unreadable instant raises, naming what it is."""
    with pytest.raises(Misfit, match="^is not an instant: .*" + why):
        as_instant(sent)


def test_a_mail_date_in_no_zone_is_utc_wherever_the_bridge_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 5322 means UTC by `-0000`, and Python's `formatdate` spells it so."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        assert as_instant("Thu, 27 Mar 2025 14:26:20 -0000") == _INSTANT
    time.tzset()


def test_a_time_without_an_offset_is_in_the_zone_of_its_source() -> None:
    """Winter and summer; a time with an offset keeps its own."""
    zone = ZoneInfo("Europe/Berlin")

    assert as_instant("2025-03-27 15:26:20", zone) == _INSTANT
    assert as_instant("2025-07-27T15:26:20", zone) == "2025-07-27T13:26:20Z"
    assert as_instant("2025-03-27T14:26:20Z", zone) == _INSTANT


@pytest.mark.parametrize("sent", ["2025-03-30 02:30:00", "2025-10-26 02:30:00"])
def test_an_hour_that_clocks_skip_or_repeat_is_ambiguous(sent: str) -> None:
    """The named zone does not say which of the two instants it is."""
    with pytest.raises(Misfit, match="skip or repeat"):
        as_instant(sent, ZoneInfo("Europe/Berlin"))


@given(st.integers() | st.floats() | st.text(max_size=40) | st.from_regex(r"[0-9TZ :.+-]{8,30}", fullmatch=True))
def test_no_value_raises_anything_else(sent: object) -> None:
    """Whatever is sent is an instant in UTC, or says why not."""
    try:
        instant = as_instant(sent)
    except Misfit:
        return
    assert instant is None or as_instant(instant) == instant
