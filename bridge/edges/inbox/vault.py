"""Encrypts payload values on the way into the store, decrypts them on the way out, and rewrites them under a new key.

Encrypted ("sealed"): `deliveries.body`, `lookup` and `detail`; `triggers.conf`, `note` and `detail`; `attempts.detail`.
Not encrypted, since the store searches them: ids, the DAG run id, names of routes and DAGs, states, reasons, instants.

`sealed_with` of a row names every key that its values may need, so a key that no row names can be removed. It may name
a key too many, never a key too few. Rewriting a row makes it exact.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from bridge.edges.inbox.engine.intake import Seal
from bridge.edges.inbox.engine.statements import is_shared
from bridge.rules.sealing import PLAIN, Ring
from bridge.words.errors import Locked

# For an update that writes only some of a row's values: `:key` is added to what the row names. NULL adds nothing.
ADD_KEY = (
    "sealed_with = CASE WHEN CAST(:key AS TEXT) IS NULL"
    f" OR ',' || COALESCE(sealed_with, '{PLAIN}') || ',' LIKE '%,' || :key || ',%' THEN sealed_with"
    f" ELSE COALESCE(sealed_with, '{PLAIN}') || ',' || :key END"
)
_NO_RING = Ring()
_OPTION = "ring"
_COLUMNS = {
    "deliveries": ("body", "lookup", "detail"),
    "triggers": ("conf", "note", "detail"),
    "attempts": ("detail",),
}
TABLES = tuple(_COLUMNS)
_MAX_BYTES = 1_048_576  # rewritten in one transaction, so that intake never waits long


def options(ring: Ring) -> dict[str, Any]:
    """Return what makes a connection carry the keys."""
    return {_OPTION: ring}


def ring_of(connection: Connection) -> Ring:
    """Return the keys that a connection carries."""
    ring: Ring = connection.get_execution_options().get(_OPTION, _NO_RING)
    return ring


def key_for(ring: Ring, *values: str | None) -> str | None:
    """Return what `ADD_KEY` takes for an update that writes these values."""
    return None if all(value is None for value in values) else ring.current or PLAIN


def body_sealer(ring: Ring) -> Seal | None:
    """Return the function from a body to its stored form and the key's id; None when bodies are stored as they are."""
    current = ring.current
    if current is None:
        return None
    return lambda number, body: (ring.seal(body, place("deliveries", "body", number)), current)


def place(table: str, column: str, row: int | str) -> str:
    """Return the name of one value's place in the store. A sealed value is bound to it."""
    return f"{table}.{column}.{row}"


def attempt_row(trigger: int, number: int) -> str:
    """Name an attempt, whose own id the store makes."""
    return f"{trigger}.{number}"


def sealed(ring: Ring, value: str | None, where: str) -> str | None:
    """Return a text as it is stored."""
    return None if value is None else ring.seal_text(value, where)


def opened(ring: Ring, stored: str | None, where: str) -> str | None:
    """Return a text that is stored. Raises Locked."""
    return None if stored is None else ring.open_text(stored, where)


def readable(ring: Ring, stored: str | None, where: str) -> str | None:
    """Return a text for people; if it cannot be opened, why not."""
    try:
        return opened(ring, stored, where)
    except Locked as locked:
        return f"({locked})"


def count(connection: Connection) -> dict[str, Counter[str]]:
    """Return by table how many rows need which key; PLAIN counts those with values that are not encrypted."""
    found: dict[str, Counter[str]] = {}
    for table in TABLES:
        found[table] = Counter()
        grouped = f"SELECT sealed_with, COUNT(*) FROM {table} GROUP BY sealed_with"  # noqa: S608 - our own names
        for keys, amount in connection.execute(text(grouped)):
            for key in set((keys or PLAIN).split(",")):
                found[table][key] += amount
    return found


def outdated(connection: Connection, *, table: str, after: int, limit: int) -> tuple[list[int], int | None]:
    """Look at the next `limit` rows: those that are not sealed with the first key alone, and the last one seen."""
    page = f"SELECT id, sealed_with FROM {table} WHERE id > :after ORDER BY id LIMIT :limit"  # noqa: S608 - our own names
    rows = connection.execute(text(page), {"after": after, "limit": limit}).all()
    current = ring_of(connection).current
    return [row.id for row in rows if row.sealed_with != current], rows[-1].id if rows else None


def rewrite(connection: Connection, *, table: str, ids: Sequence[int]) -> tuple[list[int], list[int]]:
    """Seal rows anew with the first key; returns those done and those that no key opens.

    Stops early when it has written much; the caller comes again with the rest.
    """
    done: list[int] = []
    locked: list[int] = []
    size = 0
    for number in ids:
        if size > _MAX_BYTES:
            break
        try:
            size += _rewrite_one(connection, table, number)
            done.append(number)
        except Locked:
            locked.append(number)
    return done, locked


def _rewrite_one(connection: Connection, table: str, number: int) -> int:
    """Rewrite one row, locked meanwhile where others may write it; returns how many bytes it took."""
    ring, columns = ring_of(connection), _COLUMNS[table]
    named = ("trigger_id", "number", *columns) if table == "attempts" else columns
    lock = " FOR UPDATE" if is_shared(connection) else ""
    item = f"SELECT {', '.join(named)} FROM {table} WHERE id = :id{lock}"  # noqa: S608 - our own names
    row = connection.execute(text(item), {"id": number}).mappings().first()
    if row is None:
        return 0
    name = attempt_row(row["trigger_id"], row["number"]) if table == "attempts" else number
    values = {column: _again(ring, row[column], place(table, column, name)) for column in columns}
    changes = ", ".join(f"{column} = :{column}" for column in columns)
    update = f"UPDATE {table} SET {changes}, sealed_with = :key WHERE id = :id"  # noqa: S608 - our own names
    connection.execute(text(update), {**values, "key": ring.current, "id": number})
    return sum(len(value) for value in values.values() if value is not None)


def _again(ring: Ring, stored: Any, where: str) -> Any:
    if stored is None:
        return None
    if isinstance(stored, str):
        return ring.seal_text(ring.open_text(stored, where), where)
    return ring.seal(ring.open(bytes(stored), where), where)
