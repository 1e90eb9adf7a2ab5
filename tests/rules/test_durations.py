"""How people write how long a thing lasts."""

import pytest

from bridge.rules import durations


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604_800), ("0s", 0)])
def test_a_number_and_a_unit(text: str, seconds: int) -> None:
    """Seconds, minutes, hours, days."""
    assert durations.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2 h", "-2h", "2.5h", "2H", "1w", "1234567890s", "٢h", "2h\n"])
def test_anything_else_is_an_error_that_says_how_it_is_written(text: str) -> None:
    """No guess is made."""
    with pytest.raises(ValueError, match="is not a duration; write seconds, or 90s, 15m, 24h, 7d"):
        durations.seconds(text)
