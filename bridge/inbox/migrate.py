"""Brings the store's schema up to date. Forward only: old code runs on a newer schema.

Alembic costs 0.35 s and 10 MB to import, so it is imported only when there is something to do.
"""

from pathlib import Path

from sqlalchemy import Engine, inspect, text

SCHEMA = "0001"  # the newest revision; a test compares it with the folder


def current(engine: Engine) -> str | None:
    """Return the revision of the store, None for an empty one."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrate(engine: Engine) -> tuple[str | None, str]:
    """Apply what is missing, in one transaction; return the revision before and after. Idempotent."""
    before = current(engine)
    if before == SCHEMA or (before is not None and before > SCHEMA):
        return before, before
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.exec_driver_sql("COMMIT")
    return before, SCHEMA
