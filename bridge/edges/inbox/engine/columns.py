"""Columns of many rows as PostgreSQL's binary arrays, spelled here in one pass each.

psycopg asks its adapters for every cell: a third of the processor time of an insert of 12 rows. Formats: array_send,
int8send, textsend and byteasend in PostgreSQL's source; object ids from its pg_type.dat.
"""

from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Any

from psycopg.adapt import Dumper
from psycopg.pq import Format

_head = Struct("!iiIii").pack  # dimensions, whether a cell may be NULL, object id of a cell, cells, index of the first
_length = Struct("!i").pack
_bigint = Struct("!iq").pack
_NULL = _length(-1)


class Bigints(bytes):
    """A `bigint[]`."""

    array, cell = 1016, 20


class Texts(bytes):
    """A `text[]`."""

    array, cell = 1009, 25


class Byteas(bytes):
    """A `bytea[]`."""

    array, cell = 1001, 17


class _Ready(Dumper):
    """Hands over what is spelled already."""

    format = Format.BINARY

    def dump(self, obj: Any) -> bytes:
        """Return it."""
        return bytes(obj)


def register(connection: Any) -> None:
    """Let a connection take these as parameters."""
    for kind in (Bigints, Texts, Byteas):
        connection.adapters.register_dumper(kind, type(kind.__name__, (_Ready,), {"oid": kind.array}))


def bigints(values: Sequence[int | None]) -> Bigints:
    """Spell numbers."""
    return Bigints(_array(Bigints.cell, [_NULL if value is None else _bigint(8, value) for value in values]))


def texts(values: Iterable[str | None]) -> Texts:
    """Spell texts; PostgreSQL knows no NUL, so that gets the sign for unreadable."""
    return Texts(_array(Texts.cell, _cells(None if one is None else _utf8(one) for one in values)))


def byteas(values: Iterable[bytes | None]) -> Byteas:
    """Spell bytes."""
    return Byteas(_array(Byteas.cell, _cells(values)))


def _cells(values: Iterable[bytes | None]) -> list[bytes]:
    return [_NULL if value is None else _length(len(value)) + value for value in values]


def _array(cell: int, cells: list[bytes]) -> bytes:
    return _head(1, 1, cell, len(cells), 1) + b"".join(cells)


def _utf8(text: str) -> bytes:
    return (text.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in text else text).encode()
