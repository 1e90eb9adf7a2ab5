"""A pooler that gives each transaction another connection of the server loses no webhook and no setting.

Rule: behind a pooler nothing is kept on a connection: no prepared statement, no setting. What a transaction needs it
says itself.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from bridge.edges.inbox import Inbox, prepare
from tests.support.airflow_server import PostgresServer
from tests.support.pgbouncer import PgBouncer
from tests.support.store import Store, accept, add, claim

_WEBHOOKS = 200


@pytest.fixture
def pooler(postgres_server: PostgresServer) -> Iterator[PgBouncer]:
    """PgBouncer with three connections, pooling by transaction."""
    pooler = PgBouncer(postgres_server)
    try:
        pooler.start()
        yield pooler
    finally:
        pooler.stop()


@pytest.fixture
def replicas(pooler: PgBouncer, postgres: str) -> Iterator[list[Inbox]]:
    """Two inboxes on one empty store, behind the pooler."""
    url = pooler.url(postgres.rpartition("/")[2])
    prepare(url)
    opened = [Inbox(url), Inbox(url)]
    yield opened
    for inbox in opened:
        inbox.close()


def test_every_webhook_is_stored_behind_a_pooler(replicas: list[Inbox], postgres: str) -> None:
    """Replicas that share its connections store all webhooks, tell copies, and claim each trigger once."""

    def work(inbox: Inbox) -> int:
        new = 0
        for first in range(0, _WEBHOOKS, 10):
            for accepted in accept(inbox, *(f"evt_{number}" for number in range(first, first + 10))):
                if accepted.is_new:
                    add(inbox, accepted.delivery_id)
                    new += 1
        return new

    with ThreadPoolExecutor(2) as pool:
        new = sum(pool.map(work, replicas))
    store = Store(postgres)
    try:
        assert store.one("SELECT COUNT(*) FROM deliveries") == _WEBHOOKS == new
    finally:
        store.close()
    claimed = [item.trigger.id for number in range(10) for item in claim(replicas[number % 2], limit=30)]
    assert len(claimed) == len(set(claimed)) == _WEBHOOKS


def test_limits_and_durability_hold_behind_a_pooler(replicas: list[Inbox], postgres: str) -> None:
    """Each transaction has its own limits; nothing of them stays on connections that others share."""
    server = Store(postgres)
    try:
        server.rows(f"ALTER DATABASE {postgres.rpartition('/')[2]} SET synchronous_commit = off")
    finally:
        server.close()
    names = ("statement_timeout", "lock_timeout", "synchronous_commit")
    asked = text("SELECT " + ", ".join(f"current_setting('{name}')" for name in names))
    for _ in range(5):
        for inbox in replicas:
            assert inbox.write(lambda c: c.execute(asked).one()) == ("10s", "5s", "on")
            assert inbox.read(lambda c: c.execute(asked).one())[:2] == ("10s", "5s")
