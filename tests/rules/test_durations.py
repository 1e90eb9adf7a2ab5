"""How people write how long a thing lasts."""

import pytest

from bridge.rules import durations
from bridge.rules.mapping import read
from bridge.words.errors import ConfigError


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604_800), ("0s", 0)])
def test_a_number_and_a_unit(text: str, seconds: int) -> None:
    """Seconds, minutes, hours, days."""
    assert durations.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2 h", "-2h", "2.5h", "2H", "1w", "1234567890s", "٢h", "2h\n"])
def test_anything_else_is_an_error_that_says_how_it_is_written(text: str) -> None:
    """No guess is made."""
    with pytest.raises(ValueError, match="is not a duration; write seconds, or 90s, 15m, 24h, 7d"):
        durations.seconds(text)


def test_at_most_40_characters_are_shown_of_what_is_none() -> None:
    """Whoever reads the message knows the text."""
    for text in ("x" * 40, "x" * 41):
        with pytest.raises(ValueError, match="is not a duration") as error:
            durations.seconds(text)
        assert str(error.value) == f'"{"x" * 40}" is not a duration; write seconds, or 90s, 15m, 24h, 7d'


@pytest.mark.parametrize(("deadline", "is_taken"), [("365d", True), ("31536000s", True), ("31536001s", False)])
def test_the_longest_is_a_year(deadline: str, is_taken: bool) -> None:
    """Of any that stands in a mapping."""
    text = f"routes: [{{pipeline: p, dag: d, deadline: {deadline}}}]"
    if is_taken:
        (route,) = read(text, file="m.yaml", airflows=None, sources=None).routes
        assert route.limits.deadline_seconds == 31_536_000
    else:
        with pytest.raises(ConfigError, match="31536000"):
            read(text, file="m.yaml", airflows=None, sources=None)
