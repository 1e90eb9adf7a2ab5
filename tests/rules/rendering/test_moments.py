"""The filters for instants: what is one and what is none, and what a zone and a format must be."""

from typing import Any

import pytest
from jinja2.exceptions import SecurityError

from bridge.rules.rendering.moments import as_datetime, check_format, check_zone, date, to_seconds

_INSTANT = "2025-03-27T14:26:20Z"


def test_an_instant_is_as_long_as_its_limit_and_no_longer() -> None:
    """64 characters, with the blanks around it."""
    assert as_datetime(_INSTANT.ljust(64)) == _INSTANT
    with pytest.raises(SecurityError) as error:
        as_datetime(_INSTANT.ljust(65))
    assert str(error.value) == "an instant is wanted, and the value is not one"


@pytest.mark.parametrize("value", [10**14 * 3, 10**17, -(10**17), 10**30, 1e300])
def test_a_number_beyond_the_calendar_is_said_without_it(value: float) -> None:
    """Whatever Python says of it."""
    assert as_datetime(253_402_300_799_000) == "9999-12-31T23:59:59Z"
    with pytest.raises(SecurityError) as error:
        as_datetime(value)
    assert str(error.value) == "an instant is wanted, and the value is beyond the calendar"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1s", 1),
        ("1m", 60),
        ("1h", 3600),
        ("1d", 86_400),
        ("1d1h1m1s", 90_061),
        ("P1D", 86_400),
        ("PT1H", 3600),
        ("PT1M", 60),
        ("PT1S", 1),
        ("P1DT1H1M1.25S", 90_061.25),
        ("PT0S", 0),
        (" 2m ", 120),
        (-1.5, -1.5),
        ("1970-01-01T00:00:01Z", 1),
        ("1970-01-01T00:00:01.5Z", 1.5),
    ],
)
def test_seconds(value: Any, seconds: float) -> None:
    """Of a duration, whatever parts it has, or since 1970; a whole number where it is one."""
    found = to_seconds(value)
    assert (found, type(found)) == (seconds, type(seconds))


@pytest.mark.parametrize("value", ["P", "PT", "", " ", "1", "1h1", "1m1h", "PT1.S", True, False, [], {}])
def test_what_is_no_duration_and_no_instant(value: Any) -> None:
    """It is an error, and not 0 seconds."""
    with pytest.raises(SecurityError, match="an instant is wanted"):
        to_seconds(value)


@pytest.mark.parametrize("name", ["x" * 61, "Europe/Berln", "", "../etc/passwd", 5, None])
def test_what_is_no_zone_is_said(name: Any) -> None:
    """Shortened to 60 characters."""
    with pytest.raises(ValueError, match="is not a time zone") as error:
        check_zone(name)
    assert str(error.value) == f'"{str(name)[:60]}" is not a time zone; write a name such as Europe/Berlin'


@pytest.mark.parametrize("text", ["", "x" * 201, 5, None, ["%Y"]])
def test_a_format_is_a_text_of_one_character_or_more(text: Any) -> None:
    """And of 200 at most."""
    assert (check_format("-"), check_format("x" * 200)) == ("-", "x" * 200)
    with pytest.raises(ValueError, match=r"^the format is a text of at most 200 characters$"):
        check_format(text)


@pytest.mark.parametrize("directive", ["", "Z", "s", "c", "x", "-", "\n"])
def test_what_depends_on_the_machine_is_no_format(directive: str) -> None:
    """What there is instead is said."""
    assert check_format("%Y%%%d") == "%Y%%%d"
    with pytest.raises(ValueError, match="is not for a format here; there is %%, %A, %B, ") as error:
        check_format(f"%Y%{directive}")
    assert str(error.value).startswith(f'"%{directive}" is not')


def test_a_date_without_a_zone_is_as_the_instant_is_spelled() -> None:
    """With one, it is the day there."""
    assert (date("2025-03-27T23:26:20-05:00"), date("2025-03-27T23:26:20Z", "Europe/Berlin")) == (
        "2025-03-27",
        "2025-03-28",
    )
