"""What is sealed opens again at its own place, under its own key, and nowhere else."""

import base64
import os

import pytest

from bridge.rules.sealing import Ring, read_keys, write_key
from bridge.words.errors import Locked

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
PLACE = "deliveries.body.1"


def ring(**keys: bytes) -> Ring:
    """Return a ring; the first key encrypts."""
    return Ring(keys, os.urandom)


@pytest.mark.parametrize("value", [b"", b'{"id":"evt_1"}', b"sealed:1:old:x", b"sealed:0:x", b"\x00\xff" * 1000])
@pytest.mark.parametrize("keys", [{}, {"old": OLD}])
def test_bytes_come_back(value: bytes, keys: dict[str, bytes]) -> None:
    """Whatever they are, also those that look like sealed ones; with a key nothing of them can be seen."""
    stored = ring(**keys).seal(value, PLACE)
    assert ring(**keys).open(stored, PLACE) == value
    if keys and value:
        assert value not in stored


@pytest.mark.parametrize("text", ["", "{}", "sealed:1:old:x", "sealed:0:", "half a pair \ud800", "naïve ☃"])
@pytest.mark.parametrize("keys", [{}, {"old": OLD}])
def test_texts_come_back(text: str, keys: dict[str, bytes]) -> None:
    """The same for columns of text."""
    stored = ring(**keys).seal_text(text, PLACE)
    assert ring(**keys).open_text(stored, PLACE) == text
    if keys:
        assert stored.isascii()


def test_plain_values_are_read_with_keys() -> None:
    """What was written before encryption was switched on is still read."""
    assert ring(old=OLD).open(b"{}", PLACE) == b"{}"
    assert ring(old=OLD).open_text("{}", PLACE) == "{}"


def test_every_key_opens_and_the_first_one_seals() -> None:
    """An old key opens what it sealed while a new one seals."""
    stored = ring(old=OLD).seal(b"value", PLACE)
    both = ring(new=NEW, old=OLD)
    assert both.open(stored, PLACE) == b"value"
    assert both.seal(b"value", PLACE).startswith(b"sealed:1:new:")


def test_no_two_are_alike() -> None:
    """The nonce is new every time."""
    assert ring(old=OLD).seal(b"value", PLACE) != ring(old=OLD).seal(b"value", PLACE)


def test_a_missing_key_is_named() -> None:
    """With what to do about it."""
    stored = ring(old=OLD).seal(b"value", PLACE)
    with pytest.raises(Locked, match="'old' is not configured; put it back into BRIDGE_ENCRYPTION_KEYS"):
        ring(new=NEW).open(stored, PLACE)
    with pytest.raises(Locked, match="'old' is not configured"):
        Ring().open(stored, PLACE)


@pytest.mark.parametrize("place", ["deliveries.body.2", "deliveries.lookup.1", "triggers.body.1", ""])
def test_a_value_opens_at_its_own_place_only(place: str) -> None:
    """One that was moved to another row or column is refused."""
    stored = ring(old=OLD).seal(b"value", PLACE)
    with pytest.raises(Locked, match="changed or moved"):
        ring(old=OLD).open(stored, place)


def test_every_changed_byte_is_noticed() -> None:
    """Wherever it is: an error that can be told, never another value and never a crash."""
    stored = ring(old=OLD).seal(b"value", PLACE)
    for position in range(len(b"sealed:1:"), len(stored)):
        changed = stored[:position] + bytes([stored[position] ^ 1]) + stored[position + 1 :]
        with pytest.raises(Locked):
            ring(old=OLD).open(changed, PLACE)
        with pytest.raises(Locked):
            ring(old=OLD).open(stored[:position], PLACE)


@pytest.mark.parametrize(
    "stored", ["sealed:", "sealed:1:", "sealed:1:old:", "sealed:1:old:§", "sealed:1:old:AAAA", "sealed:2:"]
)
def test_a_broken_text_is_told(stored: str) -> None:
    """Whatever somebody wrote into the column."""
    with pytest.raises(Locked):
        ring(old=OLD).open_text(stored, PLACE)


STORED = "sealed:1:old:" + "bm9uY2Utb2YtMTJi5LpgfKVsXnuLfGzNo4tUl+HlJeDR"


def test_what_an_earlier_version_sealed_is_opened() -> None:
    """The form of the docstring: the key's id, a nonce of 12 bytes, ciphertext and tag; in base64 where it is text."""
    known = Ring({"old": OLD}, lambda size: b"nonce-of-12b"[:size].ljust(size, b"?"))
    assert known.seal_text("value", PLACE) == STORED
    assert known.open_text(STORED, PLACE) == "value"
    whole = b"sealed:1:old:" + base64.b64decode(STORED.rpartition(":")[2])
    assert (known.seal(b"value", PLACE), known.open(whole, PLACE)) == (whole, b"value")


def test_plain_values_are_stored_as_they_are_without_a_key() -> None:
    """But for those that look as if they were sealed; who has keys and no chance seals nothing either."""
    for plain in (Ring(), Ring({}, os.urandom), Ring({"old": OLD})):
        assert plain.seal(b"value", PLACE) == b"value"
        assert plain.seal(b"sealed:1:old:x", PLACE) == b"sealed:0:sealed:1:old:x"
        assert plain.seal_text("value", PLACE) == "value"
        assert plain.seal_text("sealed:1:old:x", PLACE) == "sealed:0:sealed:1:old:x"
    assert (Ring().current, ring(new=NEW, old=OLD).current) == (None, "new")


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        (STORED[:-5] + "\n" + STORED[-5:], "the row was changed: what is stored is not base64"),
        (STORED[:-5] + "*" + STORED[-5:], "the row was changed: what is stored is not base64"),
        (STORED[:-1], "the row was changed: what is stored is not base64"),
        (
            STORED.replace("old", "gone"),
            "the encryption key 'gone' is not configured; put it back into BRIDGE_ENCRYPTION_KEYS",
        ),
        (
            STORED.replace("old", "k" * 50),
            f"the encryption key '{'k' * 40}' is not configured; put it back into BRIDGE_ENCRYPTION_KEYS",
        ),
        (
            "sealed:1:old:AAAA",
            "the key 'old' does not open it: another key of that id, or the row was changed or moved",
        ),
    ],
)
def test_why_a_text_does_not_open_is_said(stored: str, why: str) -> None:
    """And what to do, if anything can be done; an id of anybody's is cut."""
    with pytest.raises(Locked) as locked:
        ring(old=OLD).open_text(stored, PLACE)
    assert str(locked.value) == why


def test_keys_are_read_in_order() -> None:
    """Blanks, commas and line ends keep them apart."""
    text = f"{write_key('2026-11', NEW)}\n{write_key('old', OLD)}"
    assert list(read_keys(text).items()) == [("2026-11", NEW), ("old", OLD)]
    assert list(read_keys(text.replace("\n", ","))) == ["2026-11", "old"]
    two = bytes(16) + b"x" * 16
    assert read_keys(write_key("of-two-bytes", two)) == {"of-two-bytes": two}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "give 1 to 10 keys"),
        ("canary-canary-canary", "entry 1 is not ID:KEY"),
        ("Old:canary", "entry 1 is not ID:KEY"),
        ("-:canary", "entry 1 is not ID:KEY"),
        ("old:canary§", "'old' is not base64"),
        (write_key("old", OLD).replace("Aw", "*Aw"), "'old' is not base64"),
        (write_key("old", OLD[:31]), "'old' is not 32 random bytes; `keys generate encryption` makes one"),
        (write_key("old", OLD + b"x"), "'old' is not 32 random bytes"),
        (f"{write_key('old', OLD)} new canary", "entry 2 is not ID:KEY, with an id of lower-case letters, digits"),
        ("old:Y2FuYXJ5", "'old' is not 32 random bytes"),
        (f"old:{'A' * 43}=", "'old' is not 32 random bytes"),
        (f"{write_key('old', OLD)} {write_key('old', NEW)}", "'old' is given twice"),
    ],
)
def test_wrong_keys_are_told_without_the_key(text: str, message: str) -> None:
    """The message names the id and the rule."""
    with pytest.raises(ValueError, match=message) as caught:
        read_keys(text)
    assert "canary" not in str(caught.value)
    assert "keys" not in repr(Ring({"old": OLD}))


@pytest.mark.parametrize(("amount", "is_read"), [(10, True), (11, False)])
def test_ten_keys_may_be_in_use(amount: int, is_read: bool) -> None:
    """One is enough; ten are for a rotation that was never ended."""
    text = "\n".join(f"key-{number}:{base64.b64encode(os.urandom(32)).decode()}" for number in range(amount))
    if is_read:
        assert len(read_keys(text)) == amount
    else:
        with pytest.raises(ValueError, match="give 1 to 10 keys"):
            read_keys(text)
