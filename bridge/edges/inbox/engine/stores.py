"""The two databases as the inbox sees them.

SQLite       one process serves the file; every write goes through the writer's thread and shares its commits
PostgreSQL   any number of replicas; webhooks go through the writer's thread, all other writes run in the calling
             threads on pooled connections

`Store` is what both have. What a file alone needs (scrubbing, shrinking, a look at its volume), or a server alone
(listening to other replicas), is only in the one class.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bridge.edges.inbox.engine import engines
from bridge.edges.inbox.engine.batches import SqliteBatches
from bridge.edges.inbox.engine.causes import cause
from bridge.edges.inbox.engine.intake import COLUMNS, Seal
from bridge.edges.inbox.engine.writer import JOB_SECONDS, SqliteWriter, Writer
from bridge.words.errors import ConfigError, InboxUnavailable, Problem

T = TypeVar("T")
Password = Callable[[], str | None]
# The hot insert without a row: it needs the same locks and rights.
_NO_WEBHOOK = text(f"INSERT INTO deliveries ({COLUMNS}) SELECT {COLUMNS} FROM deliveries WHERE 1 = 0")  # noqa: S608
# Changes nothing, and has to be committed.
TOUCH = text("UPDATE alembic_version SET version_num = version_num")
# Written to the log and flushed as any row is, but without a row that replicas would fight over.
_LOG = text("SELECT pg_logical_emit_message(true, 'planasonix-bridge', '')")
_SIZE = text("SELECT pg_database_size(current_database())")
TRIES = 3
_SCRUB_MILLISECONDS = 300
_CONNECTIONS = 12
_INCREMENTAL = 2
_SHRINK_PAGES = 128  # half a MiB at once: a few milliseconds in which intake waits
_SPARE_PAGES = 256


@dataclass(frozen=True, slots=True)
class Hooks:
    """How a writer reports, and how much may wait for it; what each does says `Inbox`."""

    intake_limit: int
    on_intake: Callable[[list[float], float], None]
    on_fold: Callable[[float, bool], None]
    beat: Callable[[], None]


class Store(Protocol):
    """What the inbox asks of a database."""

    writing: Engine
    reading: Engine

    def start_writer(self, new_id: Callable[[], int], seal: Seal | None, hooks: Hooks) -> Writer[Any]:
        """Start the thread that stores webhooks; to be called once, before any write."""

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run a function in a transaction; InboxUnavailable when it cannot be committed."""

    def probe(self, connection: Connection) -> None:
        """Write as intake does, but nothing: what would make a webhook wait or fail does so here."""

    def size(self, connection: Connection) -> int:
        """Return how many bytes the store takes."""

    def close(self) -> None:
        """Close every connection."""


class SqliteStore:
    """A file that this process serves, or looks at beside the one that does."""

    def __init__(self, url: URL) -> None:
        """Open the file; ConfigError if it is not there: whoever only looks makes none."""
        if not Path(str(url.database)).exists():
            what = f"there is no store at {url.database}; start `serve`, or run `planasonix-bridge migrate`"
            raise ConfigError([Problem("BRIDGE_DATABASE_URL", 0, 0, what)])
        self.writing = engines.open_writer(url)
        self.reading = engines.open_readers(url)
        self._path = Path(str(url.database))
        self._writer: SqliteWriter | None = None

    def start_writer(self, new_id: Callable[[], int], seal: Seal | None, hooks: Hooks) -> Writer[Any]:
        """Start the thread that owns the one writing connection."""
        self._writer = SqliteWriter(
            lambda: self._open_batches(new_id, seal),
            intake_limit=hooks.intake_limit,
            on_intake=hooks.on_intake,
            on_fold=hooks.on_fold,
            beat=hooks.beat,
        )
        return self._writer

    def write(self, work: Callable[[Connection], T]) -> T:
        """Share a commit with whoever waits."""
        assert self._writer is not None  # noqa: S101 - the inbox starts it first
        return self._writer.run(work)

    @contextmanager
    def _open_batches(self, new_id: Callable[[], int], seal: Seal | None) -> Iterator[SqliteBatches]:
        with self.writing.connect() as connection:
            yield SqliteBatches(connection, new_id, seal)

    def probe(self, connection: Connection) -> None:
        """Insert no webhook, and write the version of the schema as it is."""
        connection.execute(_NO_WEBHOOK)
        connection.execute(TOUCH)

    def scrub(self) -> bool:
        """Copy the log into the file, where what was deleted is overwritten (secure_delete), and empty the log."""
        with self.writing.connect() as connection:
            # While it waits for readers nobody can write: not for the five seconds that a writer waits.
            connection.exec_driver_sql(f"PRAGMA busy_timeout={_SCRUB_MILLISECONDS}")
            try:
                return not connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={engines.BUSY_MILLISECONDS}")

    def shrink(self, connection: Connection) -> int:
        """Cut free pages off the file's end, but for the tenth that new rows will soon need."""
        driver: Any = connection.connection.driver_connection
        pages, free, vacuum = (
            driver.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "auto_vacuum")
        )
        surplus = min(free - max(pages // 10, _SPARE_PAGES), _SHRINK_PAGES)
        if vacuum != _INCREMENTAL or surplus <= 0:  # a file made by a release before this one: see docs/runbook.md
            return 0
        for _ in range(surplus):
            driver.execute("PRAGMA incremental_vacuum(1)")  # a statement without columns is stepped but once
        return int(surplus)

    def size(self, connection: Connection) -> int:  # noqa: ARG002 - the files are looked at
        """The file, its log and the log's index."""
        return sum(_size(self._path.with_name(self._path.name + end)) for end in ("", "-wal", "-shm"))

    def disk(self) -> tuple[int, int]:
        """Return how many bytes the volume has free for a process without root, and in all."""
        volume = shutil.disk_usage(self._path.parent)
        return volume.free, volume.total

    def close(self) -> None:
        """Let go of the file."""
        self.reading.dispose()
        self.writing.dispose()


class PostgresStore:
    """A database that several replicas share."""

    def __init__(self, url: URL, password: Password) -> None:
        """Connect to nothing yet."""
        from bridge.edges.inbox.engine import postgresql  # noqa: PLC0415 - psycopg costs 60 ms that SQLite need not pay

        url = postgresql.driver_url(url)
        self.writing = postgresql.open_pool(url, password=password, limit=_CONNECTIONS)
        self.reading = postgresql.open_pool(url, password=password, limit=_CONNECTIONS, is_read_only=True)
        self._single = postgresql.open_single(url, password=password)
        self._listener: Any = None
        self._writer: Writer[Any] | None = None

    def start_writer(self, new_id: Callable[[], int], seal: Seal | None, hooks: Hooks) -> Writer[Any]:
        """Start the thread of the hot insert, on a connection of its own; nothing is folded here."""
        from bridge.edges.inbox.engine.shared_intake import shared_batches  # noqa: PLC0415 - as above

        self._writer = Writer(
            lambda: shared_batches(self._single, new_id, seal),
            intake_limit=hooks.intake_limit,
            on_intake=hooks.on_intake,
            beat=hooks.beat,
        )
        return self._writer

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run it here and now; what lost to another replica (deadlock, unique index) is run again."""
        if self._writer is None or self._writer.is_closed:
            raise InboxUnavailable("the store is closed")
        for tries_left in reversed(range(TRIES)):
            try:
                with self.writing.begin() as connection:
                    return work(connection)
            except PoolTimeout:
                raise InboxUnavailable("every connection to the store is busy") from None
            except DBAPIError as error:
                if not tries_left or not _is_lost_race(error):
                    raise InboxUnavailable(f"the store cannot commit: {cause(error)}") from error
        raise AssertionError("unreachable")

    def probe(self, connection: Connection) -> None:
        """Insert no webhook, and write an empty message to the log."""
        connection.execute(_NO_WEBHOOK)
        connection.execute(_LOG)

    def listen(self, on_news: Callable[[], None], beat_of: Callable[[str], Callable[[], None]]) -> None:
        """Call `on_news` whenever another replica has made work, from now to the end; on a connection of its own."""
        from bridge.edges.inbox.engine.hearing import Listener  # noqa: PLC0415 - as above

        self._listener = Listener(self._single, on_news, beat_of("inbox-listener"))

    def size(self, connection: Connection) -> int:
        """The database with its indexes, as its server counts it."""
        return int(connection.execute(_SIZE).scalar_one())

    def close(self) -> None:
        """Stop listening and close every connection."""
        if self._listener is not None:
            self._listener.stop()
        for engine in (self.reading, self.writing, self._single):
            engine.dispose()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # the log and its index come and go
        return 0


def _is_lost_race(error: DBAPIError) -> bool:
    """Deadlock, serialization failure, or a row that another replica was quicker to insert."""
    return getattr(error.orig, "sqlstate", None) in ("40P01", "40001", "23505")


def open_store(text: str, password: Password) -> Store:
    """Open the store that a URL names; raises ConfigError."""
    url = engines.read_url(text)
    return PostgresStore(url, password) if engines.is_postgresql(url) else SqliteStore(url)


def longest_seconds(text: str) -> float:
    """Return how long a loop may wait for a store that hangs: for two transactions, tried as often as they are."""
    if not engines.is_postgresql(engines.read_url(text)):
        return 2 * max(engines.BUSY_MILLISECONDS / 1000, JOB_SECONDS)
    from bridge.edges.inbox.engine import postgresql  # noqa: PLC0415 - as above

    once = postgresql.POOL_SECONDS + postgresql.CONNECT_SECONDS + postgresql.ANSWER_SECONDS
    return 2 * max(TRIES * once, JOB_SECONDS)


def open_for_migration(text: str, password: Password) -> Engine:
    """Open a store that may not be there yet; raises ConfigError."""
    url = engines.read_url(text)
    if not engines.is_postgresql(url):
        engines.check_writable(url)
        return engines.open_writer(url)
    return PostgresStore(url, password).writing


class NoLock:
    """The right to serve a store that any number of processes may serve."""

    def release(self) -> None:
        """Nothing was taken."""
