"""The group commit: who shares a transaction, who is told what when part of it or all of it fails."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import structlog
from sqlalchemy import Connection, text

from bridge.edges.inbox import Inbox
from bridge.words.errors import InboxUnavailable, NotThere
from tests.support.store import ON_SQLITE, Accepted, Store, accept, accept_all, stored, wait_for

Open = Callable[..., Inbox]


def _fill(connection: Connection) -> None:
    """Let the file grow no more, as a full disk does."""
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")


def _empty(connection: Connection) -> None:
    connection.exec_driver_sql("PRAGMA max_page_count=1000000")


def test_a_job_that_fails_is_undone_alone(inbox: Inbox, store: Store) -> None:
    """Jobs of one transaction do not share their failure; what a failed one wrote is gone."""
    gate = threading.Event()

    def wait(_: Connection) -> None:
        gate.wait(10)

    def write(connection: Connection, subject: str, *, fails: bool) -> None:
        connection.execute(
            text("INSERT INTO audit (at, actor, action, subject) VALUES (1, 'test', 'try', :subject)"),
            {"subject": subject},
        )
        if fails:
            raise NotThere(subject)

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(inbox.write, wait)
        bad = pool.submit(inbox.write, write, "bad", fails=True)
        good = pool.submit(inbox.write, write, "good", fails=False)
        gate.set()
        first.result()
        good.result()
        with pytest.raises(NotThere):
            bad.result()
    assert store.rows("SELECT subject FROM audit") == [("good",)]


def test_an_error_of_the_database_is_told_without_values(inbox: Inbox) -> None:
    """A statement that the database refuses is InboxUnavailable, and its values are not in the message."""
    statement = text("INSERT INTO audit (at, actor, action, subject) VALUES (1, NULL, 'x', :secret)")
    with pytest.raises(InboxUnavailable, match=r"(?i)not.null") as caught:
        inbox.write(lambda connection: connection.execute(statement, {"secret": "do-not-tell"}))
    assert "do-not-tell" not in str(caught.value)


def test_one_poison_row_refuses_no_neighbour(inbox: Inbox, store: Store) -> None:
    """Of webhooks that share a commit only the one that cannot be stored is refused, copies stay copies."""

    async def all_at_once() -> list[Any]:
        gate = threading.Event()
        blocker = asyncio.create_task(asyncio.to_thread(inbox.write, lambda _: gate.wait(10)))
        await asyncio.sleep(0.05)  # the writer is busy from here on, so that what follows shares a batch
        good = [asyncio.create_task(accept_all(inbox, [event])) for event in ("evt_1", "evt_1", "evt_2")]
        bad = asyncio.create_task(accept_all(inbox, ["evt_bad"], headers=None))
        await asyncio.sleep(0.05)
        gate.set()
        outcomes = await asyncio.gather(good[0], bad, good[1], good[2])
        await blocker
        return [item[0] for item in outcomes]

    first, bad, copy, other = asyncio.run(all_at_once())
    assert isinstance(bad, InboxUnavailable)
    assert isinstance(first, Accepted)
    assert (first.is_new, copy.is_new, other.is_new) == (True, False, True)
    assert copy.delivery_id == first.delivery_id
    assert store.rows("SELECT event_id FROM deliveries ORDER BY id") == [("evt_1",), ("evt_2",)]


def test_a_row_that_was_refused_can_be_stored_later(inbox: Inbox) -> None:
    """What could not be stored is not taken for stored when the sender tries again."""
    (outcome,) = asyncio.run(accept_all(inbox, ["evt_1"], headers=None))
    assert isinstance(outcome, InboxUnavailable)
    (again,) = accept(inbox, "evt_1")
    assert again.is_new


@ON_SQLITE
def test_a_full_disk_refuses_and_forgets(inbox: Inbox, store: Store) -> None:
    """While nothing can be stored everyone is told so; afterwards the same events are new."""
    stored(inbox, "evt_0")
    wait_for(lambda: store.one("SELECT COUNT(*) FROM dedup") == 1)
    inbox.write(_fill)
    large = b"x" * 100_000
    outcomes = asyncio.run(accept_all(inbox, ["evt_1", "evt_2"], body=large))
    assert [type(outcome) for outcome in outcomes] == [InboxUnavailable, InboxUnavailable]
    inbox.write(_empty)
    assert [item.is_new for item in accept(inbox, "evt_0", "evt_1", "evt_2", body=large)] == [False, True, True]


@ON_SQLITE
def test_a_store_locked_by_another_program_refuses_and_goes_on(inbox: Inbox, store: Store) -> None:
    """Somebody who holds the file makes intake fail visibly; when they let go it works again."""
    store.rows("BEGIN IMMEDIATE")
    (outcome,) = asyncio.run(accept_all(inbox, ["evt_1"]))
    assert isinstance(outcome, InboxUnavailable)
    store.rows("ROLLBACK")
    assert accept(inbox, "evt_1")[0].is_new


@ON_SQLITE
def test_a_job_that_waits_too_long_is_not_done(inbox: Inbox, store: Store) -> None:
    """Whoever gave up waiting before the transaction began is not written after all."""
    gate, began = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        blocker = pool.submit(inbox.write, lambda _: began.set() or gate.wait(10))
        began.wait(10)
        statement = text("INSERT INTO audit (at, actor, action, subject) VALUES (1, 'x', 'x', 'late')")
        with pytest.raises(InboxUnavailable, match="did not answer"):
            inbox._writer.run(lambda connection: connection.execute(statement), timeout_seconds=0.05)
        gate.set()
        blocker.result()
    inbox.check()
    assert store.one("SELECT COUNT(*) FROM audit") == 0


@ON_SQLITE
def test_close_writes_what_waits(open_inbox: Open, store: Store) -> None:
    """Work that was taken in before the end is done, and answered."""
    inbox = open_inbox()
    gate, began = threading.Event(), threading.Event()
    statement = text("INSERT INTO audit (at, actor, action, subject) VALUES (1, 'x', 'x', 'last')")
    with ThreadPoolExecutor(3) as pool:
        blocker = pool.submit(inbox.write, lambda _: began.set() or gate.wait(10))
        began.wait(10)
        last = pool.submit(inbox.write, lambda connection: connection.execute(statement).rowcount)
        wait_for(lambda: inbox._writer._queue.qsize() > 0)
        closing = pool.submit(inbox.close)
        gate.set()
        closing.result(10)
        assert (blocker.result(1), last.result(1)) == (True, 1)
    assert store.one("SELECT COUNT(*) FROM audit") == 1


def test_nothing_is_taken_after_close(open_inbox: Open) -> None:
    """A closed store says so at once instead of letting anybody wait."""
    inbox = open_inbox()
    inbox.close()
    with pytest.raises(InboxUnavailable, match="closed"):
        inbox.write(lambda _: None)
    (outcome,) = asyncio.run(accept_all(inbox, ["evt_1"]))
    assert isinstance(outcome, InboxUnavailable)


def test_a_reader_cannot_write(inbox: Inbox) -> None:
    """A reading connection refuses to change anything."""
    with pytest.raises(InboxUnavailable):
        inbox.read(lambda connection: connection.exec_driver_sql("DELETE FROM deliveries"))


@ON_SQLITE
def test_commits_are_durable(inbox: Inbox) -> None:
    """The writing connection flushes every commit to the disk: WAL with synchronous=FULL."""

    def pragmas(connection: Connection) -> tuple[Any, ...]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return tuple(connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names)

    assert inbox.write(pragmas) == ("wal", 2, 1)


@ON_SQLITE
def test_a_fold_that_fails_is_told_once_for_each_cause(
    open_inbox: Open, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again five times a second; the log has one line for it, one when it works again."""
    folds: list[bool] = []

    def count(operation: str, _: float, is_done: bool) -> None:
        if operation == "fold":
            folds.append(is_done)

    store.rows("CREATE TRIGGER no_keys BEFORE INSERT ON dedup BEGIN SELECT RAISE(ABORT, 'no keys today'); END")
    with structlog.testing.capture_logs() as log:
        inbox = open_inbox(on_access=count)
        stored(inbox, "evt_1")
        wait_for(lambda: folds.count(False) >= 3)
        store.rows("DROP TRIGGER no_keys")
        wait_for(lambda: True in folds)
    told = [line for line in log if line["event"].startswith("fold_")]
    assert [line["event"] for line in told] == ["fold_failed", "fold_works_again"]
    assert "no keys today" in told[0]["cause"]
    assert store.has_folded()


@ON_SQLITE
def test_nobody_waits_for_one_timeout_after_the_other(inbox: Inbox, store: Store) -> None:
    """A thousand webhooks before a file that somebody holds are all refused within about one wait, none is stored."""
    store.rows("BEGIN IMMEDIATE")
    with structlog.testing.capture_logs() as log:
        outcomes = asyncio.run(accept_all(inbox, [f"evt_{number}" for number in range(1000)]))
    # Each of these took the five seconds of one wait: eight batches, one after the other, would have taken forty.
    assert [line["event"] for line in log].count("store_failed") < 4
    assert {type(outcome) for outcome in outcomes} == {InboxUnavailable}
    store.rows("ROLLBACK")
    assert all(item.is_new for item in accept(inbox, "evt_1", "evt_999"))
    assert store.one("SELECT COUNT(*) FROM deliveries") == 2


@ON_SQLITE
def test_the_queue_before_the_writer_is_bounded(open_inbox: Open) -> None:
    """While nothing is committed `intake_limit` webhooks wait and one more is refused at once; jobs do not count."""
    inbox = open_inbox(intake_limit=5)
    gate, began = threading.Event(), threading.Event()

    async def crowd() -> list[Any]:
        waiting = asyncio.create_task(accept_all(inbox, [f"evt_{number}" for number in range(5)]))
        await asyncio.sleep(0)  # they are in the queue from here on
        (refused,) = await accept_all(inbox, ["evt_one_more"])
        assert isinstance(refused, InboxUnavailable)
        assert "too many" in str(refused)
        gate.set()
        return await waiting

    with ThreadPoolExecutor(9) as pool:
        blocker = pool.submit(inbox.write, lambda _: began.set() or gate.wait(60))
        assert began.wait(60)
        jobs = [pool.submit(inbox.write, lambda _: None) for _ in range(8)]
        wait_for(lambda: inbox._writer._queue.qsize() == len(jobs))
        outcomes = asyncio.run(crowd())
        for job in (blocker, *jobs):
            job.result()
    assert all(isinstance(outcome, Accepted) and outcome.is_new for outcome in outcomes)
    assert accept(inbox, "evt_one_more")[0].is_new
