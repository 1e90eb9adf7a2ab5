"""Moves a whole store from a SQLite file to PostgreSQL, while nobody serves either.

    1. lock       the file, as `serve` does: InboxInUse while somebody serves it
    2. mark       the database: today's schema, with MOVING in the place of its revision. No release serves it so: this
                  one says why, an older one finds no such revision
    3. copy       table by table, parents first, in slices of a transaction each. A table with a number for its key goes
                  on behind its last row there; each of the others is copied anew, in one transaction
    4. compare    the number of rows of every table; if they differ, everything stays as it is
    5. hand over  the file is marked as MOVED, then the database gets its revision. So never both of them can be served

It may be killed at any point and is then run again. Ids, keys of copies and leases are those of the file: a webhook
sent again is a copy there too, and what was being fired is looked for in Airflow as after any crash.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, Integer, MetaData, Table, func, select, text
from sqlalchemy.exc import DBAPIError

from bridge.edges.inbox.engine import engines
from bridge.edges.inbox.engine.causes import cause
from bridge.edges.inbox.engine.migrate import MOVED, MOVING, SCHEMA, alone, current, migrate
from bridge.edges.inbox.engine.stores import Password, open_for_migration
from bridge.words.errors import ConfigError, InboxUnavailable, Problem

_ROWS = 1000
_BYTES = 4_194_304  # of bodies in one slice
_KEY_BYTES = 8
_VERSION = "alembic_version"
_SET_VERSION = text("UPDATE alembic_version SET version_num = :version")
# On SQLite the newest webhook of a key is the one that copies are told by; PostgreSQL has a unique index instead.
_OWNERS = text("SELECT dedup_key, MAX(id) AS owner FROM deliveries GROUP BY dedup_key HAVING COUNT(*) > 1")
_NEXT_NUMBER = text(
    "SELECT setval(pg_get_serial_sequence(:table, 'id'), :next, false)"
    " WHERE pg_get_serial_sequence(:table, 'id') IS NOT NULL"
)
Row = tuple[Any, ...]  # in the order of the table's columns
OnSlice = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Moved:
    """What there is of each table at the end; `is_news`: whether it was moved just now."""

    rows: Mapping[str, int]
    is_news: bool = True


def move(source: str, target: str, *, password: Password = lambda: None, on_slice: OnSlice = lambda *_: None) -> Moved:
    """Move everything from the SQLite file at one URL to the PostgreSQL at the other, or go on with that.

    `on_slice(table, done, total)` runs after each slice was committed. Raises ConfigError for URLs that cannot be
    moved, and where counts differ; InboxInUse while the source is served; InboxUnavailable if a database is away.
    """
    _check(source, target)
    lock = engines.FileLock(engines.read_url(source))
    reading = writing = None
    try:
        reading, writing = open_for_migration(source, lambda: None), open_for_migration(target, password)
        return _move(reading, writing, on_slice)
    except (DBAPIError, psycopg.Error) as error:
        raise InboxUnavailable(f"a store cannot be reached, run it again: {cause(error)}") from None
    finally:
        for engine in (reading, writing):
            if engine is not None:
                engine.dispose()
        lock.release()


def _check(source: str, target: str) -> None:
    if engines.is_postgresql(engines.read_url(source)):
        raise _mistake(
            "BRIDGE_DATABASE_URL", "only a SQLite store is moved; for PostgreSQL use its own tools (pg_dump)"
        )
    if not engines.is_postgresql(engines.read_url(target)):
        raise _mistake("--to", "give postgresql://user@host/database")
    if engines.is_missing(source):
        raise _mistake("BRIDGE_DATABASE_URL", "there is no store to move")


def _mistake(where: str, what: str) -> ConfigError:
    return ConfigError([Problem(where, 0, 0, what)])


def _move(reading: Engine, writing: Engine, on_slice: OnSlice) -> Moved:
    if current(reading) != MOVED:
        migrate(reading)
        _mark(writing)
    elif current(writing) == SCHEMA:
        return Moved({}, is_news=False)
    elif current(writing) != MOVING:
        raise _mistake("BRIDGE_DATABASE_URL", "this store was moved before, to another database")
    tables = _tables(writing)
    with reading.connect() as source:
        owners: dict[bytes, int] = {row.dedup_key: row.owner for row in source.execute(_OWNERS)}
        for table in tables:
            _copy(source, writing, table, owners, on_slice)
        counts = _compare(source, writing, tables)
        source.execute(_SET_VERSION, {"version": MOVED})
    with alone(writing) as target:
        for table in tables:
            if _number_key(table) == "id":
                greatest = target.execute(select(func.max(table.c.id))).scalar()
                target.execute(_NEXT_NUMBER, {"table": table.name, "next": (greatest or 0) + 1})
        target.execute(_SET_VERSION, {"version": SCHEMA})
    return Moved(counts)


def _mark(writing: Engine) -> None:
    """Make the schema, and mark it; a database with deliveries of its own is refused."""
    if current(writing) == MOVING:
        return
    migrate(writing)
    with alone(writing) as target:
        for table in _tables(writing):
            if target.scalar(select(table.select().exists())):
                raise _mistake("--to", f"the database holds rows already, in {table.name}; give an empty one")
        target.execute(_SET_VERSION, {"version": MOVING})


def _tables(engine: Engine) -> list[Table]:
    """Return the tables of the store, those that others refer to first."""
    found = MetaData()
    found.reflect(engine)
    return [table for table in found.sorted_tables if table.name != _VERSION]


def _number_key(table: Table) -> str | None:
    """Return the one column that is the table's key, if it is a number; such tables grow, by it."""
    keys = list(table.primary_key.columns)
    return keys[0].name if len(keys) == 1 and isinstance(keys[0].type, Integer) else None


def _copy(source: Connection, writing: Engine, table: Table, owners: Mapping[bytes, int], on_slice: OnSlice) -> None:
    key = _number_key(table)
    total = _count(source, table.name)
    if key is None:
        with alone(writing) as target:
            target.execute(table.delete())
            for rows in _slices(_read(source, table, "")):
                _write(target, table, rows)
        on_slice(table.name, total, total)
        return
    with alone(writing) as target:
        last = target.execute(select(func.max(table.c[key]))).scalar()
        done = target.execute(select(func.count()).select_from(table)).scalar_one()
    rest = "" if last is None else f" WHERE {key} > {int(last)}"
    read = _read(source, table, f"{rest} ORDER BY {key}")
    if table.name == "deliveries":
        names = list(table.columns.keys())
        where = names.index("id"), names.index("dedup_key")
        read = (_with_key_of_its_own(row, *where, owners) for row in read)
    for rows in _slices(read):
        with alone(writing) as target:
            _write(target, table, rows)
        done += len(rows)
        on_slice(table.name, done, total)


def _read(source: Connection, table: Table, rest: str) -> Iterator[Row]:
    """Yield the rows of a table, a few at a time."""
    names = ", ".join(table.columns.keys())
    yield from map(tuple, source.execute(text(f"SELECT {names} FROM {table.name}{rest}")))  # noqa: S608 - our own names


def _write(target: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Add rows by COPY, which takes a third of an INSERT's time: no webhook is taken in meanwhile."""
    statement = f"COPY {table.name} ({', '.join(table.columns.keys())}) FROM STDIN"
    driver: Any = target.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _slices(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Cut rows into slices that are neither long nor large."""
    found: list[Row] = []
    size = 0
    for row in rows:
        found.append(row)
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if len(found) >= _ROWS or size >= _BYTES:
            yield found
            found, size = [], 0
    if found:
        yield found


def _with_key_of_its_own(row: Row, id_at: int, key_at: int, owners: Mapping[bytes, int]) -> Row:
    """Set the key of an older webhook aside where a newer one has the same, as `shared_intake` does."""
    number, key = int(row[id_at]), bytes(row[key_at])
    if owners.get(key, number) == number:
        return row
    digest = hashlib.sha256(key + number.to_bytes(8, "big", signed=True)).digest()
    return (*row[:key_at], key[:_KEY_BYTES] + digest[:_KEY_BYTES], *row[key_at + 1 :])


def _compare(source: Connection, writing: Engine, tables: Sequence[Table]) -> dict[str, int]:
    """Return how many rows each table has on both sides; raises ConfigError where they differ."""
    wanted = {table.name: _count(source, table.name) for table in tables}
    with alone(writing) as target:
        found = {table.name: _count(target, table.name) for table in tables}
    differing = [f"{name} ({wanted[name]}, and {found[name]} there)" for name in wanted if wanted[name] != found[name]]
    if differing:
        what = (
            f"the counts differ: {', '.join(differing)}. Somebody wrote to it meanwhile: empty the database, begin anew"
        )
        raise _mistake("--to", what)
    return wanted


def _count(connection: Connection, table: str) -> int:
    return int(connection.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one())  # noqa: S608 - our own names
