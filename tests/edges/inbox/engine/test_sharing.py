"""PostgreSQL under several replicas: one store, no double work that counts, and nobody waits for the dead."""

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from bridge.edges import inbox as inboxes
from bridge.edges.inbox import SCHEMA, Inbox, browsing, triggers
from bridge.edges.inbox.deliveries import Routing, due, settle_routing
from bridge.edges.inbox.engine.intake import Row, dedup_key
from bridge.edges.inbox.engine.shared_intake import shared_batches
from bridge.edges.inbox.engine.stores import PostgresStore
from bridge.edges.inbox.pruning import old, prune
from bridge.edges.settings import read_environment
from bridge.words.errors import ConfigError, InboxUnavailable
from bridge.words.model import DeliveryState
from tests.support.airflow_server import PostgresServer
from tests.support.store import (
    NOW,
    ON_POSTGRESQL,
    Store,
    accept,
    add,
    claim,
    new_trigger,
    stored,
    wait_for,
)

pytestmark = ON_POSTGRESQL
Open = Callable[..., Inbox]
EVENTS = [f"evt_{number}" for number in range(200)]


def test_an_event_is_new_for_one_replica_only(open_inbox: Open, store: Store) -> None:
    """Replicas that are sent the same events in different orders agree on one delivery each."""
    replicas = [open_inbox() for _ in range(3)]
    orders = [EVENTS, EVENTS[::-1], EVENTS[100:] + EVENTS[:100]]
    with ThreadPoolExecutor(3) as pool:
        outcomes = list(pool.map(lambda pair: accept(pair[0], *pair[1]), zip(replicas, orders, strict=True)))
    new = [item.delivery_id for outcome in outcomes for item in outcome if item.is_new]
    assert len(new) == len(set(new)) == len(EVENTS) == store.one("SELECT COUNT(*) FROM deliveries")
    by_event = [dict(zip(order, outcome, strict=True)) for order, outcome in zip(orders, outcomes, strict=True)]
    assert all(len({item[event].delivery_id for item in by_event}) == 1 for event in EVENTS)


def test_rows_of_a_batch_go_in_in_the_order_of_their_keys(inbox: Inbox, store: Store) -> None:
    """Each row waits for whoever inserts the same key: in one order, two replicas with the same events never wait in a
    circle.
    """
    assert isinstance(inbox._store, PostgresStore)
    rows = [
        Row(
            dedup_key("planasonix", event, b""),
            "planasonix",
            event,
            "received",
            None,
            1,
            1,
            "k",
            None,
            None,
            "{}",
            b"{}",
        )
        for event in EVENTS
    ]
    numbers = itertools.count(1)
    with shared_batches(inbox._store._single, lambda: next(numbers)) as batches:
        assert all(outcome == (number, True) for number, outcome in enumerate(batches.write(rows), start=1))
    keys = [bytes(key) for (key,) in store.rows("SELECT dedup_key FROM deliveries ORDER BY ctid")]
    assert keys == sorted(keys)


def test_replicas_that_start_together_migrate_once(url: str, postgres: str) -> None:
    """Whoever comes second waits for the first and finds nothing left to do (`postgres` is empty, `url` is not)."""
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: inboxes.prepare(postgres)[1], range(4)))
    assert outcomes == [SCHEMA] * 4


def test_recovering_leaves_the_leases_of_others(open_inbox: Open) -> None:
    """A replica that starts takes nothing from those that run; what lapsed is taken over by one of them."""
    first, second = open_inbox(), open_inbox()
    add(first, stored(first))
    claim(first, seconds=30)
    assert second.recover() == 0
    assert claim(second) == []
    after = NOW + timedelta(seconds=31)
    with ThreadPoolExecutor(2) as pool:
        taken = list(pool.map(lambda item: item.write(triggers.take_over, now=after), (first, second)))
    assert sum(taken) == 1


def test_a_delivery_is_left_to_whoever_took_it_in(open_inbox: Open) -> None:
    """For two seconds only the replica that answered the webhook routes it; then anybody does."""
    first, second = open_inbox(), open_inbox()
    delivery_id = stored(first)
    now = datetime.now(UTC)
    assert [item.id for item in first.read(due, now=now, limit=9, node=first.node)] == [delivery_id]
    assert second.read(due, now=now, limit=9, node=second.node) == []
    later = now + timedelta(seconds=3)
    assert [item.id for item in second.read(due, now=later, limit=9, node=second.node)] == [delivery_id]


def test_replicas_that_route_the_same_make_one_trigger_each(open_inbox: Open, store: Store) -> None:
    """Two plans of one delivery, stored at the same time in different orders: one of them counts."""
    replicas = [open_inbox(), open_inbox()]
    ids = [item.delivery_id for item in accept(replicas[0], *EVENTS)]

    def route(number: int) -> int:
        inbox, order = replicas[number], ids[:: 1 - 2 * number]
        plans = [
            Routing(id_, DeliveryState.ROUTED, None, None, None, [new_trigger(inbox, id_, dag_run_id=f"run-{n % 50}")])
            for n, id_ in enumerate(order)
        ]
        return sum(
            len(made.triggers)
            for at in range(0, len(plans), 20)
            for made in inbox.write(settle_routing, plans[at : at + 20], now=NOW).values()
        )

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(route, range(2)))
    route(0)  # what one left to the other that left it to the first
    assert store.one("SELECT COUNT(*) FROM triggers") == store.one("SELECT COUNT(DISTINCT delivery_id) FROM triggers")
    assert store.one("SELECT COUNT(*) FROM deliveries WHERE state = 'received'") == 0
    assert store.one("SELECT COUNT(*) FROM triggers WHERE state = 'pending'") == 50


def test_retention_of_several_replicas_never_meets(open_inbox: Open, store: Store) -> None:
    """Each removes other rows, and together they remove all."""
    replicas = [open_inbox(), open_inbox()]
    accept(replicas[0], *EVENTS)
    store.rows("UPDATE deliveries SET state = 'ignored'")
    before = datetime.now(UTC) + timedelta(days=1)
    with ThreadPoolExecutor(4) as pool:
        removed = sum(pool.map(lambda n: _prune(replicas[n % 2], before, 20), range(10)))
    removed += _prune(replicas[0], before, 1000)
    assert (removed, store.one("SELECT COUNT(*) FROM deliveries")) == (len(EVENTS), 0)


def _prune(inbox: Inbox, before: datetime, limit: int) -> int:
    ended, _ = inbox.read(old, before=before, after=0, limit=limit)
    return inbox.write(prune, ended)


def test_new_triggers_wake_the_other_replicas(open_inbox: Open) -> None:
    """Nobody waits for the next poll, also after the connection that listens was lost."""
    first, second = open_inbox(), open_inbox()
    news = threading.Event()
    second.listen(news.set)
    wait_for(news.is_set)  # it listens now
    news.clear()
    add(first, stored(first))
    assert news.wait(90)
    news.clear()
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%' AND datname = ?"
    name = first.read(lambda c: c.exec_driver_sql("SELECT current_database()").scalar())
    other = open_inbox()
    other.write(lambda c: c.exec_driver_sql(kill.replace("?", f"'{name}'")))
    assert news.wait(90)  # it listens again
    news.clear()
    add(first, stored(first, "evt_2"))
    assert news.wait(90)


def test_lost_connections_are_opened_anew(inbox: Inbox, store: Store) -> None:
    """A webhook does not notice; any other write fails at most once."""
    stored(inbox, "evt_1")
    inbox.check()
    kill = (
        "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    assert store.one(kill) >= 2
    assert accept(inbox, "evt_1", "evt_2")[1].is_new
    with pytest.raises(InboxUnavailable):
        inbox.check()
    inbox.check()


def test_what_postgresql_cannot_spell_is_stored_all_the_same(inbox: Inbox) -> None:
    """Its texts know no NUL: the sign for unreadable stands in its place, in what is stored and what is asked for."""
    stored(inbox, "evt_\0")
    (found,) = inbox.read(browsing.deliveries, wanted=browsing.Filter(event_id="evt_\0"), limit=9)
    assert found.event_id == "evt_\N{REPLACEMENT CHARACTER}"


def test_commits_are_durable_and_nothing_hangs(inbox: Inbox) -> None:
    """What is answered is on the disk; statements, locks and idle transactions have limits."""

    def settings(connection: object) -> list[str]:
        names = ("synchronous_commit", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        return [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names]  # type: ignore[attr-defined]

    assert inbox.write(settings) == ["on", "10s", "5s", "10s"]


@pytest.fixture
def rotate(store: Store, postgres_server: PostgresServer) -> Iterator[Callable[[str], None]]:
    """A user `rotating` who needs a password, at first `the-first-one`; what is called gives it another one."""
    rules = postgres_server.cluster / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("host all rotating 127.0.0.1/32 scram-sha-256\n" + before)
    store.rows("SELECT pg_reload_conf()")
    store.rows("CREATE ROLE rotating SUPERUSER LOGIN PASSWORD 'the-first-one'")
    yield lambda password: store.rows(f"ALTER ROLE rotating PASSWORD '{password}'")
    store.rows("DROP ROLE rotating")
    rules.write_text(before)


def _is_used(item: Inbox) -> None:
    """Use more connections than are open yet."""
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: item.check(), range(20)))
    stored(item)
    item.close()


def test_the_password_is_read_at_every_new_connection(url: str, rotate: Callable[[str], None]) -> None:
    """A rotated password is used without a restart; a wrong one is told without being shown."""
    password = "the-first-one"
    item = Inbox(url.replace("postgres@", "rotating@"), password=lambda: password)
    rotate("the-second-one")
    password = "the-second-one"
    _is_used(item)
    with pytest.raises(InboxUnavailable, match="password authentication failed") as caught:
        Inbox(url.replace("postgres@", "rotating:not-to-be-told@"))
    assert "not-to-be-told" not in str(caught.value)


def test_the_password_in_a_url_in_a_file_is_read_at_every_new_connection(
    url: str, rotate: Callable[[str], None], tmp_path: Path
) -> None:
    """As an operator's Secret holds it: the whole URL, rewritten when the password is rotated."""
    file = tmp_path / "url"
    file.write_text(url.replace("postgres@", "rotating:the-first-one@"))
    settings = read_environment({"BRIDGE_DATABASE_URL_FILE": str(file)})
    item = Inbox(settings.database_url, password=settings.database_password)
    rotate("the-second-one")
    file.write_text(url.replace("postgres@", "rotating:the-second-one@"))
    _is_used(item)


def test_urls_are_read_as_postgresql_reads_them(url: str) -> None:
    """Both schemes, any of libpq's options in the query; a mistake is a mistake of the configuration."""
    Inbox(url.replace("postgresql://", "postgres://") + "?sslmode=prefer&application_name=mine").close()
    with pytest.raises(ConfigError, match='invalid connection option "sslmod"'):
        Inbox(url + "?sslmod=require")
    with pytest.raises(InboxUnavailable, match="does not support SSL"):
        Inbox(url + "?sslmode=require")
    with pytest.raises(InboxUnavailable, match="refused"):
        Inbox("postgresql://bridge:not-to-be-told@127.0.0.1:1/bridge")


def test_any_number_of_processes_may_serve(url: str) -> None:
    """There is no lock to wait for."""
    first, second = inboxes.lock(url), inboxes.lock(url)
    first.release()
    second.release()


@pytest.mark.parametrize("code", ["40P01", "40001", "23505"])
def test_what_lost_to_another_replica_is_run_again(inbox: Inbox, code: str) -> None:
    """A deadlock, a serialization failure, a row that the other was quicker to insert: nobody notices."""
    tries = itertools.count(1)
    assert inbox.write(lambda c: _lose(c, next(tries), code)) == 2


def test_what_fails_for_itself_is_run_once(inbox: Inbox) -> None:
    """It would fail again."""
    tries = itertools.count(1)
    with pytest.raises(InboxUnavailable):
        inbox.write(lambda c: _lose(c, next(tries), "22012"))
    assert next(tries) == 2


def _lose(connection: Connection, number: int, code: str) -> int:
    """Fail at the first try, and return the number of any other."""
    if number == 1:
        connection.exec_driver_sql(f"DO $$BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END$$")
    return number
