"""A migration waits for nobody's lock for long, so nobody waits behind it; and the probe of readiness would tell.

Rule: what only the owner of the store does (a migration) yields to traffic, and the readiness probe needs the same
locks and rights as the insert of a webhook.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from structlog.testing import capture_logs

from bridge.edges.inbox import Inbox
from bridge.edges.inbox.engine import migrate, stores
from bridge.words.errors import InboxUnavailable
from tests.support.store import ON_POSTGRESQL, ON_SQLITE, Store

_PAUSES = 3


def _at_first_revision(url: str) -> None:
    """Make the schema of the first release."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    engine = stores.open_for_migration(url, lambda: None)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url) as connection:
        yield connection
        connection.rollback()


def _insert_as_the_release_before(url: str, number: int) -> None:
    with psycopg.connect(url, autocommit=True, options="-c statement_timeout=30s") as connection:
        connection.execute(
            "INSERT INTO deliveries (id, dedup_key, source, state, received_at, due_at, key_id, headers, body)"
            " VALUES (%s, %s, 's', 'received', 0, 0, 'k', '{}', '')",
            (number, str(number).encode()),
        )


def test_a_migration_beside_an_open_select_queues_no_webhook(postgres: str) -> None:
    """A dump holds the tables: webhooks are stored between the tries, which are said, until the dump ends."""
    _at_first_revision(postgres)
    has_ended, stored = threading.Event(), []

    def pause(_seconds: float) -> None:
        stored.append(len(stored) + 1)
        _insert_as_the_release_before(postgres, stored[-1])
        if len(stored) == _PAUSES:
            has_ended.set()

    engine = stores.open_for_migration(postgres, lambda: None)
    with _connected(postgres) as dump, ThreadPoolExecutor(1) as pool, capture_logs() as lines:
        dump.execute("SELECT COUNT(*) FROM deliveries, triggers, attempts")
        outcome = pool.submit(migrate.migrate, engine, pause=pause)
        assert has_ended.wait(60)
        dump.rollback()
        assert outcome.result(60) == ("0001", migrate.SCHEMA)
    engine.dispose()
    assert len(stored) >= _PAUSES
    assert [line["event"] for line in lines if line["event"] == "migration_waits"]


@ON_SQLITE
def test_a_migration_of_a_file_that_somebody_writes_is_tried_again(path: Path, store: Store) -> None:
    """A tool that holds the file's lock for longer than a writer waits does not keep the bridge from starting."""
    store.rows("UPDATE alembic_version SET version_num = '0001'")
    store.rows("BEGIN IMMEDIATE")
    pauses = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        store.rows("UPDATE alembic_version SET version_num = ?", migrate.SCHEMA)
        store.rows("COMMIT")

    engine = stores.open_for_migration(f"sqlite:///{path}", lambda: None)
    assert migrate.migrate(engine, pause=pause)[1] == migrate.SCHEMA
    engine.dispose()
    assert len(pauses) == 1


@ON_POSTGRESQL
@pytest.mark.parametrize("lock", ["ACCESS EXCLUSIVE", "SHARE"])
def test_readiness_is_red_when_a_webhook_could_not_be_stored(inbox: Inbox, url: str, lock: str) -> None:
    """A lock that the insert of a webhook waits for makes the probe fail, and when it is gone the probe works again."""
    with _connected(url) as other:
        other.execute(f"LOCK TABLE deliveries IN {lock} MODE")  # type: ignore[call-overload]
        with pytest.raises(InboxUnavailable):
            inbox.check()
    inbox.check()
