"""The hot insert on PostgreSQL: one statement a batch, its own transaction, one round trip.

The unique index on `dedup_key` decides between replicas: a row that another replica is inserting is waited for, and
then looked up. Rows go in the order of their keys, so that two replicas with the same events cannot block each other.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from sqlalchemy import Engine

from bridge.edges.inbox.engine.causes import cause
from bridge.edges.inbox.engine.intake import COLUMNS, SEALED, WIDTH, Row, Seal, Stored, sealed_row
from bridge.edges.inbox.engine.postgresql import WRONG_SERVER, execute
from bridge.words.errors import InboxUnavailable

# Of COLUMNS, in their order.
_TYPES = (
    "bigint",
    "bytea",
    "text",
    "text",
    "text",
    "text",
    "bigint",
    "bigint",
    "text",
    "bigint",
    "text",
    "text",
    "bytea",
)


def _insert(columns: str, types: Sequence[str]) -> str:
    arrays = ", ".join(f"%b::{kind}[]" for kind in types)
    return (
        f"INSERT INTO deliveries ({columns}) SELECT * FROM unnest({arrays})"  # noqa: S608
        " ON CONFLICT DO NOTHING RETURNING id"
    )


_INSERT = _insert(COLUMNS, _TYPES)
_INSERT_SEALED = _insert(SEALED, (*_TYPES, "text"))
_FIND = "SELECT dedup_key, id FROM deliveries WHERE dedup_key = ANY(%b::bytea[])"
# Whoever comes next under the key is new; only the newest delivery keeps it.
_SET_ASIDE = (
    "UPDATE deliveries SET dedup_key ="
    " substring(dedup_key FROM 1 FOR 8) || substring(sha256(dedup_key || int8send(id)) FROM 1 FOR 8)"
    " WHERE dedup_key = %b AND id <= %b"
)
_POISON = (psycopg.DataError, psycopg.IntegrityError)  # about the row, so that the others can be stored without it
_TRIES = 3  # a conflict whose other row is gone again: retention removed it, or an id was taken


@contextmanager
def shared_batches(engine: Engine, new_id: Callable[[], int], seal: Seal | None = None) -> Iterator["SharedBatches"]:
    """Open batches on a connection of their own; it is opened at the first webhook, and anew whenever it was lost."""
    batches = SharedBatches(engine, new_id, seal)
    try:
        yield batches
    finally:
        batches.close()


class SharedBatches:
    """Batches of webhooks; every other write has a connection of its own."""

    def __init__(self, engine: Engine, new_id: Callable[[], int], seal: Seal | None = None) -> None:
        """`engine` gives connections in autocommit; `seal` makes the stored body of a row, None keeps it."""
        self._seal = seal
        self._insert_statement = _INSERT if seal is None else _INSERT_SEALED
        self._engine = engine
        self._new_id = new_id
        self._pooled: Any = None

    def write(self, rows: Sequence[Row]) -> list[Stored | Exception]:
        """Store the webhooks; one that PostgreSQL cannot store is refused alone."""
        numbers = [self._new_id() for _ in rows]
        try:
            return [*self._write_connected(rows, numbers)]
        except _POISON as error:
            if len(rows) == 1:
                return [InboxUnavailable(cause(error))]
        return [self.write([row])[0] for row in rows]

    def mend(self) -> None:
        """Let go of a connection that failed."""
        self.close()

    def close(self) -> None:
        """Close the connection, whatever its state."""
        pooled, self._pooled = self._pooled, None
        if pooled is not None:
            with suppress(Exception):
                pooled.close()

    def _write_connected(self, rows: Sequence[Row], numbers: list[int]) -> list[Stored]:
        """Write on the connection that is open, and once more on a new one if that was lost.

        The ids stay: if the first try was committed and only its answer was lost, the second finds its own rows.
        """
        had_one = self._pooled is not None
        try:
            return self._insert(rows, numbers)
        except psycopg.Error as error:
            if not had_one or isinstance(error, _POISON) or not self._is_lost(error):
                raise
        self.close()
        return self._insert(rows, numbers)

    def _is_lost(self, error: psycopg.Error) -> bool:
        return isinstance(error, WRONG_SERVER) or bool(self._driver().closed)

    def _driver(self) -> Any:
        if self._pooled is None:
            self._pooled = self._engine.raw_connection()
        return self._pooled.driver_connection

    def _insert(self, rows: Sequence[Row], numbers: list[int]) -> list[Stored]:
        """Insert what is new, find what is not; one outcome a row, in order."""
        # Reversed, so that of copies in one batch the first one counts.
        ids = {row.dedup_key: number for row, number in zip(reversed(rows), reversed(numbers), strict=True)}
        by_key = {row.dedup_key: row for row in reversed(rows)}
        for row in by_key.values():
            if row.after:
                execute(self._driver(), _SET_ASIDE, (row.dedup_key, row.after))
        known = self._find_akin([row for row in by_key.values() if row.akin])
        for _ in range(_TRIES):
            missing = sorted(by_key.keys() - known.keys())
            known |= self._insert_new([self._whole(ids[key], by_key[key]) for key in missing])
            if absent := [key for key in missing if key not in known]:
                known |= dict(execute(self._driver(), _FIND, [absent]))
                ids |= {key: self._new_id() for key in absent if key not in known}
            if len(known) == len(by_key):
                return [_outcome(row.dedup_key, known, ids) for row in rows]
        raise InboxUnavailable("the store neither takes the webhook nor has it")

    def _find_akin(self, rows: Sequence[Row]) -> dict[bytes, int]:
        """Return those of the keys of rows of which a copy stands under another key, with its delivery's id."""
        others = [key for row in rows for key in row.akin]
        found = dict(execute(self._driver(), _FIND, [others])) if others else {}
        pairs = ((row, found.get(key, 0)) for row in rows for key in reversed(row.akin))
        return {row.dedup_key: number for row, number in pairs if number > row.after}

    def _whole(self, number: int, row: Row) -> tuple[Any, ...]:
        return (number, *row[:WIDTH]) if self._seal is None else sealed_row(self._seal, number, row)

    def _insert_new(self, rows: Sequence[tuple[Any, ...]]) -> dict[bytes, int]:
        """Return the ids of those that were not there, by key."""
        if not rows:
            return {}
        columns = [list(column) for column in zip(*rows, strict=True)]
        inserted = {row[0] for row in execute(self._driver(), self._insert_statement, columns)}
        return {row[1]: row[0] for row in rows if row[0] in inserted}


def _outcome(key: bytes, known: dict[bytes, int], ids: dict[bytes, int]) -> Stored:
    """Return what is stored under a key; only the first copy in a batch may have made it, so its id is taken out."""
    own = ids.pop(key, None)
    return known[key], known[key] == own
