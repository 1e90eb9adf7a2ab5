"""The filters for texts: how long a text, a pattern and a result may be, and how long a search may take."""

import re
from typing import Any

import pytest
from jinja2.exceptions import SecurityError

from bridge.rules.rendering.wording import basename, check_pattern, regex_replace, slug

_LONG = "a" * 65_536


@pytest.mark.parametrize("value", [_LONG + "a", 5, None, ["a"]])
@pytest.mark.parametrize("name", ["slug", "basename", "regex_replace"])
def test_a_text_is_as_long_as_its_limit_and_no_longer(name: str, value: Any) -> None:
    """Anything else is no text."""
    filters = {"slug": slug, "basename": basename, "regex_replace": lambda each: regex_replace(each, "b", "c")}
    assert filters[name](_LONG) == _LONG
    with pytest.raises(SecurityError) as error:
        filters[name](value)
    assert str(error.value) == f"{name} takes a text of at most 65536 characters"


# The pattern, and the longest text that it is used on: one character more would be above 20,000,000 steps.
_SEARCHES = [
    ("^a*b*zzzzzzzzzzzzzzz", 998),  # 1000 ways twice, and 20 characters of the pattern
    (r"\Aa*b*zzzzzzzzzzzzzz", 998),
    ("^(a*)(?:b*)zzzzzzzzz", 998),
    ("^(?:ab*|cd*)e*zzzzzzz", 688),  # two branches
    ("^(a{0,989}b{0,961})?z", 987),  # 990 * 962 ways and one, 21 characters: 20,000,001
    ("a?b?c?d?e?zzzzzzzzzz", 31_249),  # 32 ways from each place, of which the end is one
    ("a{0,1}?b{0,3}?c{0,1}", 62_499),
    ("(ab|cd)(ab|cd)(b{3})?", 47_618),
    ("(?:a{0,7})?b{0,2}zzz", 37_036),
    ("a*", 3160),
    ("$a*b*c?", 110),
    (r"\ba*b*c?", 106),
    ("(?m)^a*b*c?", 95),  # there are as many beginnings as lines
]


@pytest.mark.parametrize(("pattern", "longest"), _SEARCHES)
def test_a_search_takes_as_many_steps_as_its_limit_and_no_more(pattern: str, longest: int) -> None:
    """Else it is refused before it begins, and what can be done is said."""
    assert regex_replace("x" * longest, pattern, "") == "x" * longest
    with pytest.raises(SecurityError) as error:
        regex_replace("x" * (longest + 1), pattern, "")
    assert str(error.value) == (
        f"regex_replace: the text has {longest + 1} characters, which could take this pattern too long; begin it with "
        "^, or use fewer * and +"
    )


@pytest.mark.parametrize(("size", "pattern"), [(65_535, "a|b()"), (65_534, "a|(b)")])
def test_what_replaces_is_as_long_as_its_limit(size: int, pattern: str) -> None:
    """65,536 characters in all, counted as they are put in; here one for each `a`, and one or two for the `b`."""
    assert len(regex_replace("a" * size + "b", pattern, r"y\1")) == 65_536
    with pytest.raises(SecurityError, match=r"^the result is longer than 65536$"):
        regex_replace("a" * 65_535 + "b", "a|(b)", r"y\1")


@pytest.mark.parametrize(
    ("value", "pattern", "replacement", "replaced"),
    [
        ("ab", "", "-", "-a-b-"),
        ("ab", "^", "-", "-ab"),
        ("abab", "(?:a+)?b", "-", "--"),
        ("a\nb", "(?m)^", "-", "-a\n-b"),
    ],
)
def test_small_patterns(value: str, pattern: str, replacement: str, replaced: str) -> None:
    """Nothing, a place alone, and what may be left out of what repeats."""
    assert regex_replace(value, pattern, replacement) == replaced


_IN_SEVERAL_WAYS = "a repeat of what can itself match in several ways could take for ever; unfold it"
_NOT_ALLOWED = "is not allowed in a pattern here; use characters, classes, groups, | and repeats"


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        ("a" * 201, "", "the pattern is longer than 200 characters"),
        (5, "", "takes two texts: the pattern, and what replaces it"),
        ("a", 5, "takes two texts: the pattern, and what replaces it"),
        ("(a)", "\1", r"holds a control character: in a template, a backslash is written twice, as in '\\1'"),
        ("\1", "", r"holds a control character: in a template, a backslash is written twice, as in '\\1'"),
        ("(", "", "the pattern cannot be read: missing ), unterminated subpattern at position 0"),
        ("a", r"\1", "the replacement cannot be read: invalid group reference 1 at position 1"),
        ("a", r"\g<x>", "the replacement cannot be read: unknown group name 'x'"),
        ("(?:a?)*", "", _IN_SEVERAL_WAYS),
        ("(?:ab|cd)+", "", _IN_SEVERAL_WAYS),
        ("(?:a?){2}", "", _IN_SEVERAL_WAYS),
        (r"(a)\1", "", f"a back-reference {_NOT_ALLOWED}"),
        ("(?=a)", "", f"a look-around {_NOT_ALLOWED}"),
        ("(?<!a)b", "", f"a look-around {_NOT_ALLOWED}"),
        ("(?>a)", "", f"this {_NOT_ALLOWED}"),
    ],
)
def test_what_is_no_pattern_is_said(pattern: Any, replacement: Any, message: str) -> None:
    """When the mapping is loaded."""
    with pytest.raises(ValueError, match=r"^" + re.escape(message) + "$"):
        check_pattern(None, pattern, replacement)


def test_a_pattern_of_the_greatest_length_is_taken() -> None:
    """200 characters."""
    check_pattern(None, "a" * 200, "")


@pytest.mark.parametrize(
    ("value", "last"), [("s3://lake/a.csv", "a.csv"), ("a", "a"), ("/", ""), ("", ""), ("a//", "a"), ("a/b/c", "c")]
)
def test_the_last_part_of_a_path(value: str, last: str) -> None:
    """Slashes at the end are none."""
    assert basename(value) == last


def test_a_slug_of_nothing_is_an_error() -> None:
    """What is left must tell texts apart."""
    assert slug("-A b_") == "a-b"
    with pytest.raises(SecurityError) as error:
        slug("--")
    assert str(error.value) == "slug: no letter a-z and no digit remains, so texts could not be told apart"
