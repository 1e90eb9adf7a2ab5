"""Ids of deliveries, triggers and orders: 63-bit numbers that grow with time, spelled as text for people.

    41 bits milliseconds since 2020 | 12 bits sequence | 10 bits chosen at random per process

They grow, so that the primary key is always appended to (a random key costs SQLite half of its speed), and a
cut-off in time is a cut-off in ids. Two processes with the same 10 bits can still collide; the primary key
refuses that and the row is written again under a new id.
"""

import re
import threading
from collections.abc import Callable

from bridge.words.errors import NotThere

_EPOCH_MICROSECONDS = 1_577_836_800_000_000  # 2020-01-01T00:00:00Z
_SEQUENCE_BITS = 12
_NODE_BITS = 10
NODES = 1 << _NODE_BITS
_GREATEST = (1 << 63) - 1
_TEXT = re.compile(r"(dlv|trg|ord)_([0-9a-f]{16})")


class IdMaker:
    """Makes growing ids, each once, for any number of threads."""

    def __init__(self, *, node: int, microseconds: Callable[[], int], after: int = 0) -> None:
        """`node` is the process's own number below NODES; `microseconds` is the clock, Unix time.

        Every id is greater than `after`.
        """
        self._node = node
        self._microseconds = microseconds
        self._last = after >> _NODE_BITS
        self._lock = threading.Lock()

    def __call__(self) -> int:
        """Return the next id; it grows even when the clock is set back."""
        tick = first_tick(self._microseconds())
        with self._lock:
            self._last = tick if tick > self._last else self._last + 1
            return (self._last << _NODE_BITS) | self._node


def first_tick(microseconds: int) -> int:
    """Return the first sequence number of a moment."""
    return ((microseconds - _EPOCH_MICROSECONDS) // 1000) << _SEQUENCE_BITS


def first_id(microseconds: int) -> int:
    """Return the smallest id of a moment: everything older has a smaller one. Any moment will do, also 1926."""
    return min(max(0, first_tick(microseconds) << _NODE_BITS), _GREATEST)


def made_at(text: str) -> int:
    """Return when the id of a delivery or a trigger was made, in Unix microseconds, to the millisecond."""
    return (number(text, text[:3]) >> _NODE_BITS >> _SEQUENCE_BITS) * 1000 + _EPOCH_MICROSECONDS


def delivery_text(number: int) -> str:
    """Spell a delivery id."""
    return f"dlv_{number:016x}"


def trigger_text(number: int) -> str:
    """Spell a trigger id."""
    return f"trg_{number:016x}"


def order_text(number: int) -> str:
    """Spell an order id."""
    return f"ord_{number:016x}"


def prefix_of(text: str) -> str | None:
    """Return `dlv`, `trg` or `ord` of a text that has the form of an id of ours; None for any other text."""
    found = _TEXT.fullmatch(text)
    return None if found is None else found[1]


def number(text: str, prefix: str) -> int:
    """Read an id back; NotThere for anything that is not one of ours."""
    found = _TEXT.fullmatch(text)
    if found is None or found[1] != prefix:
        raise NotThere(f"{text[:40]!r} is not an id of the form {prefix}_<16 hex digits>")
    value = int(found[2], 16)
    if value > _GREATEST:
        raise NotThere(f"{text!r} is not an id that this bridge makes")
    return value
