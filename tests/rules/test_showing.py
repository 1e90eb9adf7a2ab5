"""Instants, durations, numbers and ids as people read them."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.rules import showing

NOW = datetime(2026, 3, 27, 2, 40, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0354, "35 ms"),
        (0.6, "600 ms"),
        (0.999, "999 ms"),
        (1, "1.0 s"),
        (1.24, "1.2 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (10.9, "10 s"),
        (59, "59 s"),
        (60, "1 min"),
        (119, "1 min"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172_799, "47 h"),
        (172_800, "2 d"),
    ],
)
def test_a_duration_has_the_unit_that_fits(seconds: float, text: str) -> None:
    """Two digits at least, where there are any."""
    assert showing.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "just now"),
        (-1, "just now"),
        (1.9, "just now"),
        (-1.9, "just now"),
        (2, "2.0 s ago"),
        (-2, "in 2.0 s"),
        (200, "3 min ago"),
        (-200, "in 3 min"),
        (90_000, "25 h ago"),
    ],
)
def test_an_instant_is_said_from_now(seconds: float, text: str) -> None:
    """Before and after."""
    assert showing.ago(NOW - timedelta(seconds=seconds), NOW) == text


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 ms"), (1.24, "1.2 s"), (200, "3 min"), (-0.001, "")])
def test_the_time_between_two_instants_is_said(seconds: float, text: str) -> None:
    """Not where one clock says that what came after was before."""
    assert showing.gap(NOW + timedelta(seconds=seconds), NOW) == text


def test_an_id_is_shortened_in_the_middle() -> None:
    """One of up to 24 characters stays whole."""
    assert showing.short("evt_1") == "evt_1"
    assert showing.short("dlv_0193a7b4c5d6e7f8") == "dlv_0193a7b4c5d6e7f8"
    assert showing.short("planasonix__job_1__succeeded__orders") == "planasonix__\u2026__orders"
    assert showing.short("abcdefghijklmnopqrstuvwx") == "abcdefghijklmnopqrstuvwx"
    assert showing.short("abcdefghijklmnopqrstuvwxy") == "abcdefghijkl\u2026rstuvwxy"


def test_an_instant_says_its_zone() -> None:
    """To the second."""
    assert showing.utc("2026-03-27T02:40:03.123Z") == "2026-03-27 02:40:03 UTC"


def test_thousands_are_set_apart() -> None:
    """By a thin gap, which is no digit's neighbour in any language."""
    assert showing.number(1234567) == "1\u2009234\u2009567"
