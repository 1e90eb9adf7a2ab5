"""Another program that reads the store for long, as a dump does; and a next release that has to migrate beside it."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bridge.edges.inbox.engine import migrate
from deploy.demo.airflow import REPOSITORY

# All tables that a webhook passes through.
_TABLES = ("deliveries", "triggers", "attempts")
_REVISION = '''\
"""A column more in the tables that every webhook passes through: on PostgreSQL that takes their strongest lock."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    """Add the columns; the release before knows nothing of them."""
    for table in {tables}:
        op.add_column(table, sa.Column("of_the_next_release", sa.Text))
'''
NEXT_SCHEMA = f"{int(migrate.SCHEMA) + 1:04d}"


@contextmanager
def reader(url: str) -> Iterator[None]:
    """Hold a transaction open that has read every table of the store at this URL."""
    connection: Any
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=120)
        connection.execute("BEGIN")
    else:
        connection = psycopg.connect(url)
    with closing(connection):
        for table in _TABLES:
            connection.execute(f"SELECT COUNT(*) FROM {table}").fetchall()  # noqa: S608 - the names above
        yield


def write_next_release(folder: Path) -> Path:
    """Write a release like today's with one revision of the schema more, and return its folder."""
    shutil.copytree(REPOSITORY / "bridge", folder / "bridge", dirs_exist_ok=True)
    code = folder / Path(migrate.__file__).relative_to(REPOSITORY)
    today = code.read_text()
    code.write_text(today.replace(f'SCHEMA = "{migrate.SCHEMA}"', f'SCHEMA = "{NEXT_SCHEMA}"'))
    assert code.read_text() != today
    revision = code.parent / "migrations" / "versions" / f"{NEXT_SCHEMA}_next.py"
    revision.write_text(_REVISION.format(revision=NEXT_SCHEMA, before=migrate.SCHEMA, tables=_TABLES))
    return folder
