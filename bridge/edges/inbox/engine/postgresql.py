"""Connections to PostgreSQL, the store that any number of replicas share.

Behind a pooler that gives each transaction another connection of the server (PgBouncer), nothing may be kept on a
connection: no statement is prepared, and each transaction says its own settings.

Nothing may hang: connecting, a statement, waiting for a lock, an idle transaction and a dead network all have a
limit. A lost connection is a failed call; the pool opens another one for the next.
"""

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import errors
from psycopg.types.string import StrBinaryDumper, StrDumperUnknown
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.engine import ExceptionContext

Password = Callable[[], str | None]

_STATEMENT_SECONDS = 10
# Longer than the server's own limit: it speaks only when the server does not speak any more.
ANSWER_SECONDS = 12.0
POOL_SECONDS = 10
CONNECT_SECONDS = 5
# What libpq may be told in the URL's query instead, e.g. ?sslmode=verify-full&sslrootcert=/etc/ca.pem&connect_timeout=3
_DEFAULTS: dict[str, Any] = {
    "application_name": "planasonix-bridge",
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "target_session_attrs": "primary",  # during a failover the name may lead to a standby, which would be kept
}
# An idle transaction holds back VACUUM: claims fell from 4.5 k to 0.6 k/s beside one that was forgotten.
# A commit is on the disk before it returns, also where the server's default is less; a stricter default stays.
_SETTINGS = f"""\
SELECT set_config('statement_timeout', '{_STATEMENT_SECONDS}s', {{is_local}}),
       set_config('lock_timeout', '5s', {{is_local}}),
       set_config('idle_in_transaction_session_timeout', '10s', {{is_local}}),
       set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('on', 'remote_apply')
                  THEN current_setting('synchronous_commit') ELSE 'on' END, {{is_local}})"""
_FOR_SESSION, _FOR_TRANSACTION = (_SETTINGS.format(is_local=word) for word in ("false", "true"))
# The server is there, but is (or became) one that cannot write: after a failover, look for the other one.
WRONG_SERVER = (
    errors.ReadOnlySqlTransaction,
    errors.FeatureNotSupported,  # how a standby answers BEGIN READ WRITE
    errors.AdminShutdown,
    errors.CannotConnectNow,
)


def driver_url(url: URL) -> URL:
    """Return the URL for psycopg, whichever way PostgreSQL is spelled."""
    return url.set(drivername="postgresql+psycopg")


def open_pool(url: URL, *, password: Password, limit: int, is_read_only: bool = False) -> Engine:
    """Open an engine whose transactions run in the calling threads; `limit` connections at once."""
    arguments = _arguments(url)
    engine = create_engine(url, pool_size=4, max_overflow=limit - 4, pool_timeout=POOL_SECONDS, connect_args=arguments)
    _prepare(engine, password, is_read_only=is_read_only)
    event.listen(engine, "begin", _set_for_transaction)
    return engine


def open_single(url: URL, *, password: Password) -> Engine:
    """Open an engine that keeps nothing: a connection, in autocommit, for whoever owns it for long."""
    engine = create_engine(
        url,
        poolclass=NullPool,
        pool_reset_on_return=None,
        isolation_level="AUTOCOMMIT",
        connect_args=_arguments(url),
    )
    _prepare(engine, password, is_read_only=False)
    return engine


def _arguments(url: URL) -> dict[str, Any]:
    return {name: value for name, value in _DEFAULTS.items() if name not in url.query}


def _prepare(engine: Engine, password: Password, *, is_read_only: bool) -> None:
    def connect(_dialect: Any, _record: Any, arguments: Any, parameters: Any) -> Any:
        """Connect with the password as it is now: its file may have been rotated."""
        try:
            found = password()
        except ValueError as error:
            raise psycopg.OperationalError(str(error)) from None
        secret = {} if found is None else {"password": found}
        return _Connection.connect(*arguments, **{**parameters, **secret})

    def prepare(connection: Any, _record: Any) -> None:
        connection.adapters.register_dumper(str, _BinaryText)
        connection.adapters.register_dumper(str, _Text)  # the one that is taken where a statement does not say
        connection.notice_pooler()
        if not connection.is_pooled:
            connection.execute(_FOR_SESSION)
        connection.commit()
        connection.read_only = is_read_only

    def look(context: ExceptionContext) -> None:
        if isinstance(context.original_exception, WRONG_SERVER):
            context.is_disconnect = True

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "connect", prepare)
    if not is_read_only:
        event.listen(engine, "handle_error", look)


def _set_for_transaction(connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    if driver.is_pooled:
        connection.exec_driver_sql(_FOR_TRANSACTION)


def execute(driver: Any, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run one statement of the hot insert on a connection in autocommit, and return its rows."""
    if not driver.is_pooled:
        cursor = driver.execute(statement, values, prepare=True)
        return cursor.fetchall() if cursor.description else []
    with driver.transaction():
        driver.execute(_FOR_TRANSACTION)
        cursor = driver.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


class _Connection(psycopg.Connection[Any]):
    """A connection that gives up on a server that stopped answering while its kernel still does."""

    answer_seconds = ANSWER_SECONDS
    is_pooled = False  # whether somebody in between may give each transaction another connection of the server

    def notice_pooler(self) -> None:
        """Find out whether this connection is the server's own: a pooler greets with a process id that is not its."""
        row = self.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
        self.is_pooled = row is None or row[0] != self.info.backend_pid
        if self.is_pooled:
            self.prepare_threshold = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for one answer; psycopg itself would wait for ever."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.answer_seconds)
        except errors._WaitTimeout:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {self.answer_seconds:g} s") from None


class _Text(StrDumperUnknown):
    """Text for PostgreSQL, which knows no NUL; whatever holds one is still stored, with the sign for unreadable."""

    def dump(self, obj: str) -> Any:
        """Spell one text."""
        return super().dump(_readable(obj))


class _BinaryText(StrBinaryDumper):
    """The same inside arrays."""

    def dump(self, obj: str) -> Any:
        """Spell one text."""
        return super().dump(_readable(obj))


def _readable(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in text else text
