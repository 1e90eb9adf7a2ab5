"""The sandbox: how large anything may become to the character, and in what words it says no."""

from typing import Any

import pytest
from jinja2.exceptions import SecurityError

from bridge.rules.rendering import compile_text
from bridge.rules.rendering.sandbox import MAX_BYTES, TooLong, build, weigh
from bridge.words.errors import ConfTooLarge, TemplateError
from bridge.words.model import EVENT_FIELDS

_LARGEST_INPUT = 1_048_575  # of one text: it counts for one more than it has characters
_PARAMETERS: dict[str, Any] = {
    "text": "Ab",
    "list": [3, 1],
    "texts": ["a"],
    "upper": "canary",
    "half": "y" * 32_768,
    "long": "y" * 65_536,
    "longer": "y" * 65_537,
    "input": "y" * _LARGEST_INPUT,
    "large": "y" * (_LARGEST_INPUT + 1),
    "numbers": [1] * _LARGEST_INPUT,
    "greatest": 10**64,
    "beyond": 10**64 + 1,
}


def _render(text: str) -> Any:
    event = dict.fromkeys(EVENT_FIELDS) | {"rows_loaded": 7, "duration_seconds": 2.5, "parameters": _PARAMETERS}
    return compile_text(text.replace("$", "event.parameters."), "conf.a").render({"event": event})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ $text + $text }}", "AbAb"),
        ("{{ 1 + 2 }}", 3),
        ("{{ 7 % 4 }}", 3),
        ("{{ 2 + 65 }}", 67),
        ("{{ 2 ** 64 }}", 2**64),
        ("{{ $greatest ** 1 }}", 10**64),
        ("{{ $greatest * 1 }}", 10**64),
        ("{{ $long.isdigit() }}", False),
        ("{{ ($half + $half) | length }}", 65_536),
        ("{{ $input | length }}", _LARGEST_INPUT),
        ("{% set x = $input %}{{ x | length }}", str(_LARGEST_INPUT)),
        ("{{ $long | replace('y', 'z') | length }}", 65_536),
        ("{{ $half | replace('y', 'zz') | length }}", 65_536),
        ("{{ $longer | replace('yyy', 'z') | length }}", 21_847),
        ("{{ [] | join($large) }}", ""),
        ("{{ $texts | join($large) }}", "a"),
        ("{{ ['', ''] | join($long) | length }}", 65_536),
        ("{{ ['a', 'b'] | join($half) | length }}", 32_770),
        ("{{ $list | join }}", "31"),
        ("{{ 'ab' | join('-') }}", "a-b"),
        ("{{ event.duration_seconds | round }}", 2),
        ("{{ 2.51 | round(0) }}", 3),
        ("{{ 2.51 | round(1) }}", 2.5),
        ("{{ 0.1234567890123456 | round(15) }}", 0.123456789012346),
        ("{{ [] | sum }}", 0),
        ("{{ (1, 2.5) | sum }}", 3.5),
        ("{{ $list | min }}-{{ $list | last }}", "1-1"),
        ("a {{ '<b>' }}\n", "a <b>\n"),
    ],
)
def test_what_is_within_the_bounds_is_given(text: str, value: Any) -> None:
    """Up to the last character; a text is not escaped, and the line break at its end stays."""
    rendered = _render(text)
    assert (rendered, type(rendered)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ $x + 1 }}", 'there is no "x"'),
        ("{{ $x.y }}", 'there is no "x"'),
        ("{{ $x['y'] }}", 'there is no "x"'),
        ("{{ $x.upper() }}", 'there is no "x"'),
        ("{{ $title }}", 'there is no "title"'),
        ("{{ $text.encode }}", 'there is no "encode"'),
        ("{{ event.run_id.x }}", 'none has no "x"'),
        ("{{ event.rows_loaded[0] }}", "there is no such key or item"),
        ("{{ $list['a'] }}", "there is no such key or item"),
        ("{{ $text.upper }}", "a method stands where a value should; call it with ()"),
        ("{{ $upper() }}", "only methods of texts can be called"),
        ("{{ $longer.isdigit() }}", "the text is longer than 65536"),
        ("{{ $text * $text }}", "'*' takes two numbers"),
        ("{{ $text % $text }}", "'%' takes two numbers"),
        ("{{ $text + 1 }}", "'+' takes two numbers"),
        ("{{ 1 + $text }}", "'+' takes two numbers"),
        ("{{ 1e300 ** 0 }}", "the power is too large"),
        ("{{ $beyond ** 0 }}", "the power is too large"),
        ("{{ 1 ** 65 }}", "the power is too large"),
        ("{{ $greatest * 10 }}", "the number is too large, or not a real one"),
        ("{{ $greatest + 1 }}", "the number is too large, or not a real one"),
        ("{{ (0 - 1) ** 0.5 }}", "the number is too large, or not a real one"),
        ("{{ {1: 2} }}", "the result holds something that is not JSON (dict)"),
        ("{{ {(): 2} }}", "the result holds something that is not JSON (dict)"),
        ("{{ $text | replace('', 'x') }}", "replace takes three texts, the second not empty"),
        ("{{ 5 | replace('a', 'x') }}", "replace takes three texts, the second not empty"),
        ("{{ $text | replace(1, 'x') }}", "replace takes three texts, the second not empty"),
        ("{{ $text | replace('a', 1) }}", "replace takes three texts, the second not empty"),
        ("{{ 5 | join }}", "join takes a list and a text"),
        ("{{ $list | join(5) }}", "join takes a list and a text"),
        ("{{ $text | round }}", "round takes a number, and 0 to 15 digits"),
        ("{{ 2.5 | round($text) }}", "round takes a number, and 0 to 15 digits"),
        ("{{ 2.5 | round(1.5) }}", "round takes a number, and 0 to 15 digits"),
        ("{{ 2.5 | round(-1) }}", "round takes a number, and 0 to 15 digits"),
        ("{{ 2.5 | round(16) }}", "round takes a number, and 0 to 15 digits"),
        ("{{ 5 | sum }}", "sum takes a list of numbers"),
        ("{{ $texts | sum }}", "sum takes a list of numbers"),
        ("{{ '1e999' | float }}", "float: the value is not a number; `float(0)` would take 0 for it"),
        ("{{ 2.5 is even }}", "even and odd take a whole number"),
    ],
)
def test_what_it_refuses_is_said(text: str, message: str) -> None:
    """By what is written in the template, never by a value of the event."""
    with pytest.raises(TemplateError) as error:
        _render(text)
    assert str(error.value) == f"conf.a: {message}"
    assert type(error.value) is TemplateError


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("{{ ($half + $half + 'y') | length }}", 65_536),
        ("{{ ($half ~ $half) | length }}", 65_536),
        ("{{ $large | length }}", 1_048_576),
        ("{{ $large | default('x') is string }}", 1_048_576),
        ("{{ $large | sort == [] }}", 1_048_576),
        ("{{ [$numbers, 1] | length }}", 1_048_576),
        ("{% set x = $large %}{{ x | length }}", 1_048_576),
        ("{{ $half | replace('y', 'zz') | replace('z', 'yy') | length }}", 65_536),
        ("{{ ($half + 'a') | replace('y', 'zz') | length }}", 65_536),
        ("{{ ['', '', ''] | join($half + 'a') | length }}", 65_536),
        ("{{ ['a', ''] | join($long) | length }}", 65_536),
        ("{{ $longer }}", 65_536),
        ("a {{ $longer }}", 65_536),
    ],
)
def test_one_character_more_is_too_large(text: str, limit: int) -> None:
    """It is a conf that is too large, and not a template that is wrong."""
    with pytest.raises(ConfTooLarge) as error:
        _render(text)
    assert str(error.value) == f"conf.a: the result is longer than {limit} bytes, which one value may have"


@pytest.mark.parametrize("number", [-3, -2, -1, 0, 1, 2, 3, 4, 6, 9])
def test_even_and_odd(number: int) -> None:
    """Of every whole number one of the two is true."""
    assert _render(f"{{{{ {number} is even }}}}") is (number in (-2, 0, 2, 4, 6))
    assert _render(f"{{{{ {number} is odd }}}}") is (number in (-3, -1, 1, 3, 9))


@pytest.mark.parametrize(
    ("value", "size"),
    [("abc", 4), (5, 1), (None, 1), ([], 1), ([1, 2], 3), ({}, 1), ({"ab": "c"}, 5), ([["a"], {"b": (1,)}], 8)],
)
def test_what_a_value_weighs(value: Any, size: int) -> None:
    """One for each value, and one for each character of texts and keys."""
    weigh(value, size)
    with pytest.raises(TooLong):
        weigh(value, size - 1)


def test_what_is_too_large_is_not_looked_through() -> None:
    """A list that has too many items is too large, whatever they are."""
    with pytest.raises(TooLong):
        weigh([object()] * 10, 10)


@pytest.mark.parametrize("value", ["a".encode, [].copy, b"a".upper, str.upper, "a", None, len])
def test_nothing_else_can_be_called(value: Any) -> None:
    """A method that is not listed, one of another type, or what is no method at all."""
    with pytest.raises(SecurityError, match="only methods of texts can be called"):
        build().is_safe_callable(value)


def test_a_method_of_a_text_can_be_called() -> None:
    """Of one that is not longer than a result may be."""
    assert build().is_safe_callable("a".upper)
    assert build().is_safe_callable(("a" * MAX_BYTES).upper)
