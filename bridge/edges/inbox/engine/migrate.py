"""Brings the store's schema up to date. Forward only: old code runs on a newer schema.

Alembic costs 0.35 s and 10 MB to import, so it is imported only when there is something to do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text

from bridge.edges.inbox.engine.statements import is_shared

_TURN = text("SELECT pg_advisory_xact_lock(7218035519)")  # any number, as long as every release takes the same one
_PATIENCE = text("SELECT set_config(name, '0', true) FROM unnest(ARRAY['statement_timeout','lock_timeout']) AS name")

_MIGRATION_SECONDS = 3600.0  # an index over millions of rows, made by this replica or by the one it waits for

SCHEMA = "0007"  # the newest revision; a test compares it with the folder


def current(engine: Engine) -> str | None:
    """Return the revision of the store, None for an empty one."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrate(engine: Engine) -> tuple[str | None, str]:
    """Apply what is missing, in one transaction; return the revision before and after. Idempotent.

    On PostgreSQL replicas that start together take turns; whoever comes second finds nothing left to do.
    """
    before = current(engine)
    if before == SCHEMA or (before is not None and before > SCHEMA):
        return before, before
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with _transaction(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return before, SCHEMA


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    """One transaction that no other process migrates beside."""
    with engine.connect() as connection:
        if is_shared(connection):
            driver: Any = connection.connection.driver_connection
            driver.answer_seconds = _MIGRATION_SECONDS
            connection.execute(_PATIENCE)
            connection.execute(_TURN)
            yield connection
            connection.commit()
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection
            connection.exec_driver_sql("COMMIT")
