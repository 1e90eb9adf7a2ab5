"""A place in a body is found as RFC 6901 says, and what is no place is nothing."""

from typing import Any

import pytest

from bridge.rules.event.pointers import is_index, look, read_pointer, spell_pointer

BODY: dict[str, Any] = {"data": {"rows": ["a", "b"], "a/b": 1, "m~n": 2, "~1": 3, "": 4, "none": None, "1": "x"}}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/data/rows", ["a", "b"]),
        ("/data/rows/0", "a"),
        ("/data/rows/1", "b"),
        ("/data/rows/2", None),
        ("/data/rows/-", None),
        ("/data/rows/01", None),
        ("/data/1", "x"),
        ("/data/a~1b", 1),
        ("/data/m~0n", 2),
        ("/data/~01", 3),
        ("/data/", 4),
        ("/data/none/more", None),
        ("/data/rows/0/more", None),
        ("/other", None),
    ],
)
def test_what_stands_at_a_place(pointer: str, value: Any) -> None:
    """The element after the last of a list is nothing, as is whatever is below a text."""
    assert look(BODY, read_pointer(pointer)) == value


@pytest.mark.parametrize("pointer", ["/data/rows/0", "/data/a~1b", "/data/m~0n", "/data/~01", "/"])
def test_a_pointer_is_spelled_as_it_was_read(pointer: str) -> None:
    """A slash and a tilde in a key survive both ways."""
    assert spell_pointer(read_pointer(pointer)) == pointer


@pytest.mark.parametrize(
    ("step", "may_be"),
    [("0", True), ("7", True), ("123456789", True), ("1234567890", False), ("01", False), ("", False)],
)
def test_which_steps_may_be_elements(step: str, may_be: bool) -> None:
    """No list has more than 999,999,999 elements."""
    assert is_index(step) is may_be


@pytest.mark.parametrize("text", ["", "data", "/data/~2", "/data/~"])
def test_what_is_no_pointer_is_refused_with_an_example(text: str) -> None:
    """A `~` that escapes nothing is a mistake, not a key."""
    with pytest.raises(ValueError, match="is not a JSON pointer like /data/id ") as found:
        read_pointer(text, example="/data/id")
    assert str(found.value) == f"{text!r} is not a JSON pointer like /data/id (`~` is ~0, `/` is ~1)"
