"""What signs a cookie: nobody makes one for another use, in another family or with another secret."""

import re

import pytest

from bridge.rules.cookies import read, signed, spelled
from bridge.words.targets import Secret

_SECRET = Secret("a token of sixteen letters")


def test_a_signature_is_for_one_secret_family_use_and_text() -> None:
    """Each of them changes it; the same four give the same one."""
    found = {
        signed(secret, family=family, use=use, text=text)
        for secret in (_SECRET, Secret("another token of letters"))
        for family in (b"sessions", b"sign-ins")
        for use in (b"cookie", b"form")
        for text in ("1.admin", "1.viewer")
    }
    assert len(found) == 16
    assert signed(_SECRET, family=b"sessions", use=b"cookie", text="1.admin") in found


def test_it_is_spelled_as_a_cookie_can_carry_it() -> None:
    """Letters, digits, `-` and `_`; a text that is no UTF-8 is signed all the same."""
    assert spelled(b"\xfb\xff") == "-_8"
    assert re.fullmatch(r"[\w-]{43}", signed(_SECRET, family=b"f", use=b"u", text="\udcff"))


@pytest.mark.parametrize("length", range(9))
def test_what_is_spelled_is_read(length: int) -> None:
    """Bytes of any number; what stands for none is an error of one kind."""
    value = bytes(range(247, 256))[:length]
    assert read(spelled(value)) == value
    for text in ("x", "\u00e4"):
        with pytest.raises(ValueError):  # noqa: PT011 - whatever the library says
            read(spelled(value) * 4 + text)
