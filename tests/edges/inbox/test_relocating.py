"""A SQLite store is moved to PostgreSQL: nothing is lost or doubled wherever it is stopped, and one can be served."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.edges import inbox as inboxes
from bridge.edges.inbox import Inbox, claiming, deliveries, relocating
from bridge.edges.inbox.engine import ids, migrate
from bridge.words.errors import ConfigError, InboxInUse
from tests.support.airflow_server import PostgresServer
from tests.support.store import Store, accept, add, empty_store, stored

NOW = datetime.now(UTC)
TABLES = ("deliveries", "triggers", "attempts", "audit", "completions", "pauses", "mappings")


class Stopped(Exception):
    """What a killed process leaves: a slice that was committed, and nothing after it."""


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A SQLite store with work in every state."""
    url = f"sqlite:///{empty_store(tmp_path / 'bridge.db')}"
    inbox = Inbox(url)
    accepted = accept(inbox, *[f"evt_{number}" for number in range(2500)])
    for number, each in enumerate(accepted[:40]):
        add(inbox, each.delivery_id, now=NOW, dag_run_id=f"run_{number}")
    soon, until = NOW + timedelta(seconds=1), NOW + timedelta(seconds=31)
    inbox.write(claiming.claim, airflow="default", now=soon, until=until, token="t", limit=3, routes=None)
    inbox.close()
    with_audit = Store(tmp_path / "bridge.db")
    for number in range(1, 4):
        with_audit.rows("INSERT INTO audit (at, actor, action, subject) VALUES (?, 'cli:x', 'cancelled', 'y')", number)
    with_audit.close()
    return url


@pytest.fixture
def target(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database."""
    url = postgres_server.create_database("moved")
    yield url
    postgres_server.drop_database("moved")


def rows(url: str, table: str) -> list[tuple[object, ...]]:
    """Return what identifies each row of a table."""
    store = Store(url)
    key = {"completions": "delivery_id", "mappings": "file", "pauses": "name"}.get(table, "id")
    more = ", state, due_at" if table in ("deliveries", "triggers") else ""
    found = store.rows(f"SELECT {key}{more} FROM {table} ORDER BY {key}")  # noqa: S608 - our own names
    store.close()
    return found


def test_all_is_there_after_two_stops_and_only_the_new_store_is_served(source: str, target: str) -> None:
    """Stopped in the middle of two tables; then as many rows, with their ids, states and due times. A webhook sent
    again is a copy there; a new one gets a greater id. The old store is served by nobody, and a second move is none."""
    before = {table: rows(source, table) for table in TABLES}

    def stop_in(table: str, at: int) -> relocating.OnSlice:
        def stop(name: str, done: int, _total: int) -> None:
            if name == table and done >= at:
                raise Stopped

        return stop

    for table, at in (("deliveries", 1000), ("triggers", 1)):
        with pytest.raises(Stopped):
            relocating.move(source, target, on_slice=stop_in(table, at))
        with pytest.raises(ConfigError, match="a move to this store is not done"):
            inboxes.prepare(target)
        assert inboxes.prepare(source) == (migrate.SCHEMA, migrate.SCHEMA)  # until then the old one is the one
    moved = relocating.move(source, target)
    assert moved.rows["deliveries"] == 2500
    assert {table: rows(target, table) for table in TABLES} == before
    with pytest.raises(ConfigError, match="this store was moved"):
        inboxes.prepare(source)
    assert not relocating.move(source, target).is_news
    inbox = Inbox(target)
    try:
        assert accept(inbox, "evt_7")[0].is_new is False
        newest = stored(inbox, "evt_new")
        assert newest > deliveries_text(before)
        assert inbox.read(deliveries.get, newest) is not None
    finally:
        inbox.close()
    store = Store(target)
    store.rows("INSERT INTO audit (at, actor, action, subject) VALUES (9, 'cli:x', 'cancelled', 'y')")
    assert store.rows("SELECT MAX(id) FROM audit") == [(4,)]  # numbers go on
    store.close()


def deliveries_text(before: dict[str, list[tuple[object, ...]]]) -> str:
    """Return the newest delivery's id, as text."""
    return f"dlv_{before['deliveries'][-1][0]:016x}"


def test_a_store_that_is_served_is_not_moved(source: str, target: str) -> None:
    """It says who has it; the other one is not even marked."""
    lock = inboxes.lock(source)
    try:
        with pytest.raises(InboxInUse):
            relocating.move(source, target)
    finally:
        lock.release()
    assert inboxes.try_out(target) is None


def test_a_database_with_rows_of_its_own_is_refused(source: str, target: str) -> None:
    """Nothing of it is touched; neither is the file."""
    inboxes.prepare(target)
    inbox = Inbox(target)
    stored(inbox, "evt_other")
    inbox.close()
    with pytest.raises(ConfigError, match="holds rows already, in deliveries"):
        relocating.move(source, target)
    assert len(rows(target, "deliveries")) == 1
    assert inboxes.prepare(source)[0] == migrate.SCHEMA


def test_rows_that_came_meanwhile_stop_the_hand_over(source: str, target: str) -> None:
    """Counts that differ are said, and neither store changes hands."""

    def write_beside(name: str, done: int, total: int) -> None:
        if name == "audit" and done == total:
            store = Store(target)
            store.rows("INSERT INTO pauses (kind, name, actor, paused_at) VALUES ('route', 'x', 'y', 1)")
            store.rows("INSERT INTO audit (id, at, actor, action, subject) VALUES (99, 1, 'a', 'b', 'c')")
            store.close()

    with pytest.raises(ConfigError, match=r"the counts differ: .*audit \(3, and 4 there\)"):
        relocating.move(source, target, on_slice=write_beside)
    assert inboxes.prepare(source)[0] == migrate.SCHEMA


@pytest.mark.parametrize(
    ("source_url", "target_url", "said"),
    [
        (
            "postgresql://a@b/c",
            "postgresql://a@b/d",
            "BRIDGE_DATABASE_URL: only a SQLite store is moved; for PostgreSQL use its own tools (pg_dump)",
        ),
        ("sqlite:////tmp/x.db", "sqlite:////tmp/y.db", "--to: give postgresql://user@host/database"),
        ("sqlite:////tmp/no_such_store.db", "postgresql://a@b/c", "BRIDGE_DATABASE_URL: there is no store to move"),
    ],
)
def test_only_a_file_is_moved_and_only_to_postgresql(source_url: str, target_url: str, said: str) -> None:
    """The other ways have tools of their own."""
    with pytest.raises(ConfigError) as refused:
        relocating.move(source_url, target_url)
    assert str(refused.value) == said
    assert [(each.line, each.column) for each in refused.value.problems] == [(0, 0)]


def said_of(source: str, target: str) -> tuple[relocating.Moved, list[tuple[str, int, int]]]:
    """Move, and return what is said of the slices too."""
    said: list[tuple[str, int, int]] = []
    return relocating.move(source, target, on_slice=lambda *each: said.append(each)), said


def test_what_grows_goes_on_and_the_rest_is_copied_anew(source: str, target: str) -> None:
    """A thousand rows at a time, and each slice is said; one that was stopped at the very end is done again."""
    beside = Store(source)
    for name in "ab":
        beside.rows("INSERT INTO pauses (kind, name, actor, paused_at) VALUES ('route', ?, 'x', 1)", name)
    beside.close()
    moved, said = said_of(source, target)
    assert [each for each in said if each[0] == "deliveries"] == [("deliveries", n, 2500) for n in (1000, 2000, 2500)]
    others = {("triggers", 40, 40), ("audit", 3, 3), ("pauses", 2, 2), ("mappings", 0, 0), ("order_parts", 0, 0)}
    assert others <= set(said)
    store = Store(target)
    assert store.rows("SELECT name FROM pauses ORDER BY name") == [("a",), ("b",)]
    store.rows("UPDATE alembic_version SET version_num = ?", migrate.MOVING)
    store.rows("DELETE FROM audit WHERE id = 3")
    again, said = said_of(source, target)
    assert (again, "deliveries" in {each[0] for each in said}) == (moved, False)
    assert {("audit", 3, 3), ("pauses", 2, 2)} <= set(said)
    assert store.rows("SELECT nextval(pg_get_serial_sequence('attempts', 'id'))") == [(1,)]  # of an empty table
    store.close()
    assert said_of(source, target) == (relocating.Moved({}, is_news=False), [])


def test_a_store_is_moved_to_one_database(source: str, target: str, postgres_server: PostgresServer) -> None:
    """Else webhooks might start DAG runs from both."""
    relocating.move(source, target)
    other = postgres_server.create_database("moved_too")
    try:
        inboxes.prepare(other)
        store = Store(other)
        store.rows("UPDATE alembic_version SET version_num = 'x'")
        store.close()
        with pytest.raises(
            ConfigError, match=r"^BRIDGE_DATABASE_URL: this store was moved before, to another database$"
        ):
            relocating.move(source, other)
    finally:
        postgres_server.drop_database("moved_too")


def test_an_older_webhook_with_the_key_of_a_newer_one_gets_its_own(tmp_path: Path, target: str) -> None:
    """On SQLite the newest is the one that copies are told by; the key is the one that PostgreSQL itself would give."""
    source = f"sqlite:///{empty_store(tmp_path / 'bridge.db')}"
    inbox = Inbox(source)
    old = stored(inbox, None, body=b"{}", headers='{"x": "old"}')
    new = stored(inbox, None, body=b"{}", headers='{"x": "new"}', after=ids.number(old, "dlv"))
    beside = stored(inbox, "evt_1", body=b"{}")
    inbox.close()
    relocating.move(source, target)
    before, after = Store(source), Store(target)
    key = "SELECT dedup_key FROM deliveries WHERE id = ?"
    rows = [ids.number(id_, "dlv") for id_ in (old, new, beside)]
    keys = [bytes(before.one(key, row)) for row in rows]
    assert keys[0] == keys[1]
    its_own = (
        "SELECT substring(?::bytea FROM 1 FOR 8) || substring(sha256(?::bytea || int8send(?::bigint)) FROM 1 FOR 8)"
    )
    wanted = [bytes(after.one(its_own, keys[0], keys[0], rows[0])), *keys[1:]]
    assert [bytes(after.one(key, row)) for row in rows] == wanted
    rest = "SELECT id, source, state, received_at, headers, body, not_found FROM deliveries ORDER BY id"
    assert after.rows(rest) == before.rows(rest)
    before.close()
    after.close()
