"""What an operator is told about a source's keys."""

from dataclasses import replace

import pytest

from bridge.rules.signature import PRESETS, Key, advise, ending, make_verifier
from tests.rules.signature.support import NOW, SECRET

_DAY = 86_400
_BEARER = "preset bearer: nothing is signed; whoever learns the token can send anything"
_NONE = "no key is valid now: every webhook is refused"


def _advice(*keys: Key, preset: str = "planasonix", now: float = NOW) -> tuple[str, ...]:
    return advise(make_verifier(PRESETS[preset], keys), now)


def test_advice_is_loud_about_bearer_and_about_times() -> None:
    """Bearer always, a key outside its time or within two weeks of its end, and a source without a valid key."""
    later, gone = replace(SECRET, id="later", not_before=NOW + _DAY), replace(SECRET, id="gone", not_after=NOW - _DAY)

    assert _advice(SECRET, preset="bearer") == (_BEARER,)
    assert _advice(SECRET) == ()
    assert _advice(later, gone) == (
        "key later: not valid before 2024-01-16T10:30:00Z",
        "key gone: not valid since 2024-01-14T10:30:00Z; remove it",
        _NONE,
    )
    assert _advice(gone, SECRET) == ("key gone: not valid since 2024-01-14T10:30:00Z; remove it",)
    assert _advice(later, preset="bearer") == (_BEARER, "key later: not valid before 2024-01-16T10:30:00Z", _NONE)


@pytest.mark.parametrize(
    ("now", "said"),
    [(NOW - 1, ("key secret: not valid before 2024-01-15T10:30:00Z", _NONE)), (NOW, ()), (NOW + 1, ())],
)
def test_a_key_that_begins_at_this_second_is_valid(now: float, said: tuple[str, ...]) -> None:
    """A second before, it is not yet."""
    assert _advice(replace(SECRET, not_before=NOW), now=now) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (14 * _DAY + 1, None),
        (14 * _DAY, None),
        (14 * _DAY - 1, "valid until 2024-01-29T10:29:59Z only"),
        (_DAY, "valid until 2024-01-16T10:30:00Z only"),
        (0, "valid until 2024-01-15T10:30:00Z only"),
        (-1, "not valid since 2024-01-15T10:29:59Z; remove it"),
    ],
)
def test_the_end_of_a_key_is_said_two_weeks_before(seconds: int, said: str | None) -> None:
    """And after it what to do; at the very second it is still valid."""
    key = replace(SECRET, not_after=NOW + seconds)
    assert ending(key, NOW) == said
    more = () if seconds >= 0 else (_NONE,)
    assert _advice(key) == ((f"key secret: {said}", *more) if said else ())


def test_a_key_without_an_end_has_none() -> None:
    """Whenever it begins."""
    assert ending(SECRET, NOW) is None
    assert ending(replace(SECRET, not_before=NOW), NOW) is None
