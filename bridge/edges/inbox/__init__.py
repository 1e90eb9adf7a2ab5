"""The inbox: the durable store of deliveries, triggers and attempts, and the only importer of SQLAlchemy.

    accept   one webhook, durable when `then` runs   (event loop; shares a commit with whoever waits)
    write    a function of a connection, committed    (any thread)
    read     a function of a read-only connection     (any thread)

    listen   be woken when another process has made work

The functions for `write` and `read` live beside this file, one module per subject; `engine` reaches the database. What
differs between SQLite (one process) and PostgreSQL (any number of replicas) is in `engine/stores`, and inside
statements in `engine/statements`. Answer 2xx only after `accept` has called back. Nothing that matters is kept in
memory.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from bridge.edges.inbox import deliveries, duties, triggers, vault
from bridge.edges.inbox.callers import check_wanted
from bridge.edges.inbox.engine import engines, ids, intake
from bridge.edges.inbox.engine.causes import cause
from bridge.edges.inbox.engine.ids import delivery_text, made_at
from bridge.edges.inbox.engine.intake import Stored
from bridge.edges.inbox.engine.migrate import SCHEMA, current, migrate
from bridge.edges.inbox.engine.stores import (
    TOUCH,
    Hooks,
    NoLock,
    Password,
    PostgresStore,
    SqliteStore,
    open_for_migration,
    open_store,
)
from bridge.edges.inbox.rows import instant
from bridge.rules.sealing import MARK, Ring
from bridge.words.errors import ConfigError, InboxUnavailable, Problem
from bridge.words.model import DeliveryState, Verified
from bridge.words.reasons import Reason

_NEWEST = text("SELECT MAX(id) FROM deliveries")
P = ParamSpec("P")
T = TypeVar("T")

_RECEIVED, _STALE = DeliveryState.RECEIVED.value, DeliveryState.STALE.value
_TOO_OLD = Reason.TIMESTAMP_TOO_OLD.value
_JUST_NOW_SECONDS = 0.1  # many transactions long, while webhooks crowd
_SCRUBS = 5


class Inbox:
    """One process's way to the store."""

    def __init__(
        self,
        url: str,
        *,
        password: Password = lambda: None,
        ring: Ring = Ring(),  # noqa: B008 - frozen, and holds no key
        intake_limit: int = 4096,
        on_intake: Callable[[list[float], float], None] = lambda *_: None,
        on_access: Callable[[str, float, bool], None] = lambda *_: None,
        beat_of: Callable[[str], Callable[[], None]] = lambda _: lambda: None,
    ) -> None:
        """Open a migrated store; `password` is asked at every new connection to PostgreSQL, `ring` seals payloads.

        `on_intake(seconds since receipt, transaction seconds)` runs after webhooks were stored, in the writer's thread;
        `on_access("read", "write" or "fold", seconds, whether it was done)` after anything else, where it ran.
        `beat_of(name)` returns what a thread of the inbox calls each time it turns.
        Raises ConfigError for a wrong URL or a schema that is not there, InboxUnavailable for a server that is away.
        """
        self._store = open_store(url, password)
        self._file = self._store if isinstance(self._store, SqliteStore) else None
        self._on_access = on_access
        self._beat_of = beat_of
        with _opening(url):
            found = current(self._store.writing)
        if found is None or found < SCHEMA:
            what = f"the store's schema is {found or 'empty'}, run `planasonix-bridge migrate`"
            raise ConfigError([Problem("BRIDGE_DATABASE_URL", 0, 0, what)])
        for engine in (self._store.writing, self._store.reading):
            engine.update_execution_options(**vault.options(ring))
        self._ring, seal = ring, vault.body_sealer(ring)
        newest = self.read(_newest)
        self.newest_at = instant(made_at(delivery_text(newest))) if newest else None  # when this process started
        self.node = secrets.randbelow(ids.NODES)  # this process's mark in the ids that it makes
        self._new_id = ids.IdMaker(node=self.node, microseconds=lambda: time.time_ns() // 1000, after=newest)
        on_fold = partial(on_access, "fold")
        hooks = Hooks(intake_limit, on_intake, on_fold, beat=beat_of("inbox-writer"))
        self._writer = self._store.start_writer(self._new_id, seal, hooks)

    def accept(
        self,
        *,
        source: str,
        event_id: str | None,
        verified: Verified,
        kept: bytes,
        path_pipeline_id: str | None,
        headers: str,
        then: Callable[[Stored | Exception], None],
        is_beside: bool = False,
        after: int = 0,
    ) -> None:
        """Store one webhook, or find the stored one of the same event; it is durable once `then` runs.

        `kept` is what is stored as the body, and `headers` a JSON object of those worth keeping. Copies are told by
        the body as it was sent. `then` runs once, on this event loop, with the number of the delivery and
        whether this webhook made it, or InboxUnavailable when the store cannot commit. Raises InboxUnavailable when
        too many wait. Either way nothing is stored. `is_beside`: another body stands under its event id, so it stands
        beside. `after`: deliveries up to this number are no copies of it.
        """
        now = time.time_ns() // 1000
        key, akin = intake.keys(source, event_id, verified, is_beside=is_beside)
        row = intake.Row(
            key,
            source,
            event_id,
            _STALE if verified.is_stale else _RECEIVED,
            _TOO_OLD if verified.is_stale else None,
            now,
            now,
            verified.key_id,
            verified.signed_at,
            path_pipeline_id,
            headers,
            kept if not kept.startswith(MARK) or self._ring.current else self._ring.seal(kept, ""),
            akin,
            after,
        )
        self._writer.insert(row, asyncio.get_running_loop(), then)

    @property
    def is_shared(self) -> bool:
        """Whether other processes may work on the same store."""
        return self._file is None

    @property
    def is_crowded(self) -> bool:
        """Whether webhooks came faster just now than each could be stored alone."""
        return time.monotonic() - self._writer.crowded_at < _JUST_NOW_SECONDS

    def write(self, work: Callable[Concatenate[Connection, P], T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Run `work(connection, ...)` in a transaction; its result comes after the commit.

        Raises InboxUnavailable when the store cannot commit. Blocks: never call it on the event loop.
        """
        with self._observed("write"):
            return self._store.write(lambda connection: work(connection, *arguments, **keywords))

    def read(self, work: Callable[Concatenate[Connection, P], T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Run `work(connection, ...)` on a read-only connection. Blocks: never call it on the event loop."""
        with self._observed("read"):
            try:
                with self._store.reading.connect() as connection:
                    return work(connection, *arguments, **keywords)
            except PoolTimeout:
                raise InboxUnavailable("every connection to the store is busy") from None
            except DBAPIError as error:
                raise InboxUnavailable(f"the store cannot be read: {type(error.orig).__name__}") from error

    @contextmanager
    def _observed(self, operation: str) -> Iterator[None]:
        check_wanted()
        began = time.monotonic()
        is_done = True
        try:
            yield
        except InboxUnavailable:
            is_done = False
            raise
        finally:
            self._on_access(operation, time.monotonic() - began, is_done)

    def size(self) -> tuple[int, tuple[int, int] | None]:
        """Return the store's bytes, and what its volume has free and in all where that is known (SQLite)."""
        return self.read(self._store.size), None if self._file is None else self._file.disk()

    def new_trigger_id(self) -> str:
        """Return a fresh trigger id."""
        return ids.trigger_text(self._new_id())

    def new_delivery_number(self) -> int:
        """Return the number of a delivery that no webhook brings."""
        return self._new_id()

    def new_order_id(self) -> str:
        """Return a fresh order id."""
        return ids.order_text(self._new_id())

    def check(self) -> None:
        """Prove that a write commits; raises InboxUnavailable."""
        self.write(self._store.probe)

    def recover(self) -> int:
        """Set free what a dead process was doing, and return how much; in a shared store its leases lapse instead."""
        if self._file is None:
            return 0
        return self.write(_take_over, self.read(deliveries.looked_up, now=datetime.now(UTC)))

    def scrub(self) -> bool:
        """Leave nothing of what was erased in the store's files; False: somebody still uses them, try again later.

        True at once for PostgreSQL: VACUUM and the server's log are its administrator's, no client can clear them.
        """
        if self._file is None:
            return True
        file = self._file
        try:
            return any(file.scrub() for _ in range(_SCRUBS))
        except DBAPIError:
            return False

    def shrink(self) -> int:
        """Give a little unused space back to the volume; returns how many pages, 0 at the end.

        PostgreSQL's autovacuum does this by itself: 0.
        """
        return 0 if self._file is None else self.write(self._file.shrink)

    def listen(self, on_news: Callable[[], None]) -> None:
        """Call `on_news`, in a thread of its own, whenever another replica has made work; until `close`.

        A SQLite file has one process: only commands work beside it, and the next poll finds what they did.
        """
        if isinstance(self._store, PostgresStore):
            self._store.listen(on_news, self._beat_of)

    def close(self) -> None:
        """Write what waits and close every connection."""
        self._writer.close()
        self._store.close()


def _newest(connection: Connection) -> int:
    """Return the newest delivery's id: those to come must be greater, even if the clock was set back."""
    return connection.execute(_NEWEST).scalar_one() or 0


def _take_over(connection: Connection, looked_up: list[int]) -> int:
    duties.free_all(connection)
    return triggers.take_over_all(connection) + deliveries.take_over_lookups(connection, looked_up)


def prepare(url: str, *, password: Password = lambda: None) -> tuple[str | None, str]:
    """Bring the store's schema up to date; return the revision before and after. Several processes may try at once."""
    engine = open_for_migration(url, password)
    try:
        with _opening(url):
            return migrate(engine)
    finally:
        engine.dispose()


def try_out(url: str, *, password: Password = lambda: None) -> str | None:
    """Prove that a write commits, if there is a schema; return its revision, None for a store that is not made yet.

    Raises ConfigError for a wrong URL, InboxUnavailable for a store that is away. Makes nothing.
    """
    if engines.is_missing(url):
        return None
    engine = open_for_migration(url, password)
    try:
        with _opening(url):
            found = current(engine)
            if found is not None:
                with engine.begin() as connection:
                    connection.execute(TOUCH)
            return found
    finally:
        engine.dispose()


@contextmanager
def _opening(url: str) -> Iterator[None]:
    """Tell what keeps the URL from naming a store: a mistake of the configuration, or a server that is away."""
    try:
        yield
    except DBAPIError as error:
        what = f"the store cannot be opened: {cause(error)}"
        if isinstance(error, OperationalError) and engines.is_postgresql(engines.read_url(url)):
            raise InboxUnavailable(what) from None
        raise ConfigError([Problem("BRIDGE_DATABASE_URL", 0, 0, what)]) from None


def lock(url: str) -> engines.FileLock | NoLock:
    """Take the right to serve a SQLite file alone; raises InboxInUse. PostgreSQL is served by any number."""
    database = engines.read_url(url)
    return NoLock() if engines.is_postgresql(database) else engines.FileLock(database)
