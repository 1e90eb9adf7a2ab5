"""PostgreSQL that fails over: no connection to a server that cannot write is kept, and the new primary is found."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection

from bridge.edges.inbox import Inbox, prepare
from bridge.words.errors import InboxUnavailable
from tests.support.airflow_server import PostgresServer
from tests.support.store import ON_POSTGRESQL, Store, accept, stored

# It is read-only, in recovery, being stopped, just starting.
WRONG_SERVER = ("25006", "0A000", "57P01", "57P03")


def _raise(connection: Connection, code: str) -> None:
    connection.exec_driver_sql(f"DO $$BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END$$")


def _first(connection: Connection, expression: str) -> Any:
    return connection.exec_driver_sql(f"SELECT {expression}").scalar()


@ON_POSTGRESQL
@pytest.mark.parametrize("code", WRONG_SERVER)
def test_a_connection_to_a_server_that_cannot_write_is_not_kept(inbox: Inbox, code: str) -> None:
    """The write fails, and the next one has another connection."""
    before = inbox.write(_first, "pg_backend_pid()")
    assert inbox.write(_first, "pg_backend_pid()") == before
    with pytest.raises(InboxUnavailable):
        inbox.write(_raise, code)
    assert inbox.write(_first, "pg_backend_pid()") != before


@ON_POSTGRESQL
@pytest.mark.parametrize("code", WRONG_SERVER)
def test_a_webhook_that_met_such_a_server_is_stored_on_another_connection(
    inbox: Inbox, store: Store, code: str
) -> None:
    """Its sender does not notice."""
    stored(inbox, "evt_1")  # the connection is open
    store.rows("CREATE SEQUENCE calls")  # no ROLLBACK sets it back
    store.rows(
        "CREATE FUNCTION refuse_once() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF nextval('calls') = 1 THEN"
        f" RAISE EXCEPTION USING ERRCODE = '{code}'; END IF; RETURN NEW; END$$"
    )
    store.rows("CREATE TRIGGER refuses BEFORE INSERT ON deliveries FOR EACH ROW EXECUTE FUNCTION refuse_once()")
    assert accept(inbox, "evt_2")[0].is_new
    assert store.one("SELECT last_value FROM calls") == 2


@pytest.fixture
def pair() -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """A primary with an empty store `bridge`, and a standby of it."""
    primary = PostgresServer()
    standby = None
    try:
        primary.start()
        prepare(primary.create_database("bridge"))
        primary.pause()
        standby = PostgresServer(copy_of=primary.cluster)
        _demote(standby)
        primary.start()
        standby.start()
        yield primary, standby
    finally:
        for server in (primary, standby):
            if server is not None:
                server.stop()


def _demote(server: PostgresServer) -> None:
    """Let a stopped server start as a standby."""
    file = server.cluster / "standby.signal"
    file.touch()
    os.chown(file, server.cluster.stat().st_uid, -1)


def test_after_a_failover_the_new_primary_is_used(pair: tuple[PostgresServer, PostgresServer]) -> None:
    """Also if the old one is back first, as a standby: it is neither written to nor read from."""
    old, new = pair
    with pytest.raises(InboxUnavailable, match="hot standby"):  # no mistake of the configuration: it may pass
        Inbox(new.url("bridge"))
    inbox = Inbox(f"postgresql://postgres@/bridge?host=127.0.0.1:{new.port}&host=127.0.0.1:{old.port}")
    port = "current_setting('port')"
    try:
        assert inbox.write(_first, port) == inbox.read(_first, port) == str(old.port)
        stored(inbox, "evt_1")
        old.pause()
        _demote(old)
        old.start()
        for _ in range(2):  # the first meets the connection that was lost
            for work in (inbox.write, inbox.read):
                with pytest.raises(InboxUnavailable):
                    work(_first, port)
        with pytest.raises(InboxUnavailable):
            stored(inbox, "evt_2")
        new.execute("SELECT pg_promote()")
        assert inbox.write(_first, port) == inbox.read(_first, port) == str(new.port)
        assert accept(inbox, "evt_2")[0].is_new
    finally:
        inbox.close()
