"""The PostgreSQL that tests run on."""

import os
from pathlib import Path

import psycopg
import pytest

from tests.support.airflow_server import PostgresServer


def test_a_database_is_empty_and_takes_writes(postgres: str) -> None:
    """A test's database starts without tables and behaves like PostgreSQL."""
    with psycopg.connect(postgres) as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        connection.execute("CREATE TABLE kept (id int PRIMARY KEY)")
        connection.execute("INSERT INTO kept VALUES (1)")
        kept = connection.execute("SELECT id FROM kept").fetchall()
    assert tables == (0,)
    assert kept == [(1,)]


@pytest.mark.skipif(not Path("/usr/share/i18n/locales/en_US").exists(), reason="apt-get install locales")
def test_a_database_sorts_as_a_dictionary_does(postgres: str) -> None:
    """As most servers do: what a range of code points finds, it does not."""
    with psycopg.connect(postgres) as connection:
        assert connection.execute("SELECT 'a:b' > 'a;'").fetchone() == (True,)


def test_commits_are_durable(postgres: str) -> None:
    """The store's tests run with fsync on, as in production."""
    with psycopg.connect(postgres) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_listens_on_loopback_only(postgres_server: PostgresServer) -> None:
    """Nobody beyond this machine reaches a server that trusts everyone."""
    with psycopg.connect(postgres_server.url("postgres")) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_works_where_nobody_may_not_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone below root's home is unreachable for the server's user: its programs are copied."""
    monkeypatch.setattr("tests.support.airflow_server.postgres._is_reachable", lambda _: False)
    server = PostgresServer()
    try:
        server.start()
        with psycopg.connect(server.url("postgres")) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.stop()
