"""The inbox: the durable store of deliveries, triggers and attempts, and the only importer of SQLAlchemy.

    accept   one webhook, durable when it returns     (event loop; shares a commit with whoever waits)
    write    a function of a connection, committed    (any thread)
    read     a function of a read-only connection     (any thread)

The functions for `write` and `read` live beside this file, one module per subject. Answering 2xx is right only
after `accept` has returned; nothing here keeps anything that matters in memory.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from bridge.errors import ConfigError, InboxUnavailable, Problem
from bridge.inbox import engines, ids, intake, triggers
from bridge.inbox.migrate import SCHEMA, current, migrate
from bridge.inbox.writer import Writer
from bridge.model import DeliveryState, Verified
from bridge.reasons import Reason

_NEWEST = text("SELECT MAX(id) FROM deliveries")
P = ParamSpec("P")
T = TypeVar("T")

_CROWD = 8  # webhooks in one transaction; at 3000 a second there are one or two
_PROBE = text("UPDATE alembic_version SET version_num = version_num")


@dataclass(frozen=True, slots=True)
class Accepted:
    """A webhook that is stored: `is_new` is False for one that was stored before."""

    delivery_id: str
    is_new: bool


class Inbox:
    """One process's way to the store."""

    def __init__(
        self, url: str, *, intake_limit: int = 4096, on_intake: Callable[[int, float], None] = lambda *_: None
    ) -> None:
        """Open a migrated store. Raises ConfigError for a wrong URL or a schema that is not there."""
        database = engines.read_url(url)
        if not Path(str(database.database)).exists():
            what = f"there is no store at {database.database}; start `serve`, or run `planasonix-bridge migrate`"
            raise ConfigError([Problem("BRIDGE_DATABASE_URL", 0, 0, what)])
        self._writing = engines.open_writer(database)
        self._reading = engines.open_readers(database)
        with _opening():
            found = current(self._writing)
        if found is None or found < SCHEMA:
            what = f"the store's schema is {found or 'empty'}, run `planasonix-bridge migrate`"
            raise ConfigError([Problem("BRIDGE_DATABASE_URL", 0, 0, what)])
        self._new_id = ids.IdMaker(
            node=secrets.randbelow(ids.NODES), microseconds=lambda: time.time_ns() // 1000, after=self._newest()
        )
        self._writer = Writer(self._writing, new_id=self._new_id, intake_limit=intake_limit, on_intake=on_intake)

    async def accept(
        self,
        *,
        source: str,
        event_id: str | None,
        verified: Verified,
        path_pipeline_id: str | None,
        headers: str,
    ) -> Accepted:
        """Store one webhook, or find the stored one of the same event; durable when it returns.

        `headers` is a JSON object of those worth keeping.
        Raises InboxUnavailable when the store cannot commit or too many wait; nothing is stored then.
        """
        now = time.time_ns() // 1000
        row = (
            intake.dedup_key(source, event_id, verified.body),
            source,
            event_id,
            DeliveryState.STALE.value if verified.is_stale else DeliveryState.RECEIVED.value,
            Reason.TIMESTAMP_TOO_OLD.value if verified.is_stale else None,
            now,
            now,
            verified.key_id,
            verified.signed_at,
            path_pipeline_id,
            headers,
            verified.body,
        )
        stored, is_new = await self._writer.insert(row, asyncio.get_running_loop())
        return Accepted(ids.delivery_text(stored), is_new)

    @property
    def is_crowded(self) -> bool:
        """Whether webhooks came faster than each could be stored alone, when the newest transaction began."""
        return self._writer.crowd >= _CROWD

    def write(self, work: Callable[Concatenate[Connection, P], T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Run `work(connection, ...)` in a transaction; its result comes after the commit.

        Raises InboxUnavailable when the store cannot commit. Blocks: never call it on the event loop.
        """
        return self._writer.run(lambda connection: work(connection, *arguments, **keywords))

    def read(self, work: Callable[Concatenate[Connection, P], T], *arguments: P.args, **keywords: P.kwargs) -> T:
        """Run `work(connection, ...)` on a read-only connection. Blocks: never call it on the event loop."""
        try:
            with self._reading.connect() as connection:
                return work(connection, *arguments, **keywords)
        except DBAPIError as error:
            raise InboxUnavailable(f"the store cannot be read: {type(error.orig).__name__}") from error

    def _newest(self) -> int:
        """Return the newest delivery's id: those to come must be greater, even if the clock was set back."""
        with self._writing.connect() as connection:
            return connection.execute(_NEWEST).scalar_one() or 0

    def new_trigger_id(self) -> str:
        """Return a fresh trigger id."""
        return ids.trigger_text(self._new_id())

    def check(self) -> None:
        """Prove that a write commits; raises InboxUnavailable."""
        self.write(lambda connection: connection.execute(_PROBE).rowcount)

    def recover(self) -> int:
        """Set free whatever a dead process was firing. Only for the one process that may serve the store."""
        return self.write(triggers.take_over_all)

    def close(self) -> None:
        """Write what waits and close every connection."""
        self._writer.close()
        self._reading.dispose()
        self._writing.dispose()


def prepare(url: str) -> tuple[str | None, str]:
    """Bring the store's schema up to date; return the revision before and after."""
    engine = engines.open_writer(engines.read_url(url))
    try:
        with _opening():
            return migrate(engine)
    finally:
        engine.dispose()


@contextmanager
def _opening() -> Iterator[None]:
    """Tell what keeps the file from being a store as a mistake of the configuration."""
    try:
        yield
    except DBAPIError as error:
        what = f"the store cannot be opened: {error.orig}"
        raise ConfigError([Problem("BRIDGE_DATABASE_URL", 0, 0, what)]) from None


def lock(url: str) -> engines.FileLock:
    """Take the right to serve this store alone. Raises InboxInUse."""
    return engines.FileLock(engines.read_url(url))
