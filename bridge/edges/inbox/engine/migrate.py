"""Brings the store's schema up to date. Forward only: old code runs on a newer schema.

A migration never queues traffic behind its lock. Whoever waits for a table's lock makes everyone wait who comes after,
also webhooks at the release before; and one open SELECT (a dump) holds it up for hours. So each revision is a
transaction of its own that waits half a second for a lock, then lets everyone pass and tries again, and says so.

Alembic costs 0.35 s and 10 MB to import, so it is imported only when there is something to do.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import OperationalError

from bridge.edges.inbox.engine.causes import cause
from bridge.edges.inbox.engine.statements import is_shared
from bridge.words.errors import ConfigError, InboxUnavailable, Problem

_TURN = text("SELECT pg_advisory_xact_lock(7218035519)")  # any number, as long as every release takes the same one
# A busy machine may let it think for a while between two statements, with its locks held.
_PATIENCE = text(
    "SELECT set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true),"
    " set_config('idle_in_transaction_session_timeout', '60s', true)"
)
_SHORT_LOCKS = text("SELECT set_config('lock_timeout', '500ms', true)")  # for so long traffic may wait behind it
_PAUSE_SECONDS = 2.0  # between two tries, half of it by chance: replicas that start together do not meet again
_SAID_SECONDS = 30.0
_log = structlog.get_logger("bridge.inbox")

_MIGRATION_SECONDS = 3600.0  # an index over millions of rows, made by this replica or by the one it waits for

SCHEMA = "0031"  # the newest revision; a test compares it with the folder
# In its place while a store is moved (`relocating`): smaller than any, and no release knows such a revision.
MOVING, MOVED = f"0000_moving_{SCHEMA}", "0000_moved"
_IS_NONE = {
    "0000_moving": "a move to this store is not done: run `planasonix-bridge move` of that release again",
    "0000_moved": "this store was moved: give BRIDGE_DATABASE_URL of the new one",
}


def current(engine: Engine) -> str | None:
    """Return the revision of the store, None for an empty one."""
    with engine.connect() as connection:
        return _revision(connection)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrate(engine: Engine, *, pause: Callable[[float], None] = time.sleep) -> tuple[str | None, str]:
    """Apply what is missing, a transaction a revision; return the revision before and after. Idempotent.

    On PostgreSQL replicas that start together take turns; whoever comes second finds nothing left to do. Raises
    InboxUnavailable when somebody held a table for an hour; then what was applied stays, and the rest is tried at the
    next start.
    """
    before = found = current(engine)
    if what := _IS_NONE.get((before or "")[:11].rstrip("_")):
        raise ConfigError([Problem("BRIDGE_DATABASE_URL", 0, 0, what)])
    if before is not None and before >= SCHEMA:
        return before, before
    tries = _Tries(pause)
    while found is None or found < SCHEMA:
        try:
            _apply_next(engine)
        except OperationalError as error:
            if not _is_locked(error):
                raise
            tries.wait(cause(error))
        found = current(engine)
    return before, SCHEMA


def _apply_next(engine: Engine) -> None:
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with alone(engine) as connection:
        if (_revision(connection) or "") >= SCHEMA:  # another replica was quicker
            return
        config.attributes["connection"] = connection
        command.upgrade(config, "+1")


class _Tries:
    """How long somebody else's lock was waited for."""

    def __init__(self, pause: Callable[[float], None]) -> None:
        self._pause = pause
        self._began = time.monotonic()
        self._said_at = float("-inf")

    def wait(self, what: str) -> None:
        """Let traffic pass for a moment; says every half minute why. Raises InboxUnavailable after an hour."""
        now = time.monotonic()
        if now - self._began > _MIGRATION_SECONDS:
            raise InboxUnavailable(f"the store could not be migrated, somebody holds a table for too long: {what}")
        if now - self._said_at >= _SAID_SECONDS:
            _log.warning(
                "migration_waits",
                cause=what,
                waited_seconds=round(now - self._began),
                next_step="end the query that holds the table (a dump, a long SELECT); it is tried again until then",
            )
            self._said_at = now
        self._pause(_PAUSE_SECONDS * (1 + random.random()) / 2)  # noqa: S311 - spreads tries, guards nothing


def _is_locked(error: OperationalError) -> bool:
    """Whether somebody else's lock was in the way: PostgreSQL's lock_not_available, or a busy SQLite file."""
    return getattr(error.orig, "sqlstate", None) == "55P03" or "database is locked" in str(error.orig)


@contextmanager
def alone(engine: Engine) -> Iterator[Connection]:
    """One transaction that no other process migrates beside."""
    with engine.connect() as connection:
        if is_shared(connection):
            driver: Any = connection.connection.driver_connection
            driver.answer_seconds = _MIGRATION_SECONDS
            connection.execute(_PATIENCE)
            connection.execute(_TURN)
            connection.execute(_SHORT_LOCKS)
            yield connection
            connection.commit()
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.exec_driver_sql("COMMIT")
