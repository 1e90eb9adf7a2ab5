"""The group commit: one thread writes, and whoever waits at the same moment shares one transaction.

Two kinds of work share it: webhooks (the hot insert, bound by hand through the driver) and jobs (any function
of a connection: claim, settle, route). There is no timer: a batch is whatever waits when the last commit ended,
so a lone webhook waits for nobody and a crowd pays for one fsync. Every caller is answered only after COMMIT.

A job that fails is rolled back alone (savepoint); a batch of webhooks that fails is tried again row by row, so
that one poison row cannot refuse its neighbours; a failed COMMIT fails everyone in it.
"""

import threading
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable
from concurrent.futures import Future as ThreadFuture
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from bridge.errors import BridgeError, InboxUnavailable
from bridge.inbox.intake import Row, insert_rows

_BATCH = 128  # measured: nothing gained past 128 rows a transaction
_log = structlog.get_logger("bridge.inbox")

T = TypeVar("T")
Accepted = tuple[int, bool]  # delivery id as stored, whether this row was new


class _Intake:
    """One webhook that waits for its commit; answered on the event loop."""

    __slots__ = ("future", "row")

    def __init__(self, row: Row, future: "Future[Accepted]") -> None:
        self.row = row
        self.future = future


class _Job:
    """One function that waits for its transaction; answered to the thread that asked."""

    __slots__ = ("future", "work")

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self.work = work
        self.future: ThreadFuture[Any] = ThreadFuture()


class Writer:
    """Owns the writing connection and its thread."""

    def __init__(self, engine: Engine, *, intake_limit: int, on_intake: Callable[[int, float], None]) -> None:
        """`intake_limit`: webhooks that may wait. `on_intake(rows, batch seconds)` runs after each commit."""
        self._engine = engine
        self._queue: SimpleQueue[_Intake | _Job | None] = SimpleQueue()
        self._intake_limit = intake_limit
        self._on_intake = on_intake
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="inbox-writer", daemon=True)
        self._thread.start()

    def insert(self, row: Row, loop: AbstractEventLoop) -> "Future[Accepted]":
        """Queue one webhook and return the future of its commit; InboxUnavailable when too many wait."""
        if self._is_closed or self._queue.qsize() >= self._intake_limit:
            raise InboxUnavailable("too many webhooks wait for a commit")
        future: Future[Accepted] = loop.create_future()
        self._queue.put(_Intake(row, future))
        return future

    def run(self, work: Callable[[Connection], T], *, timeout_seconds: float = 30.0) -> T:
        """Run a function inside a transaction and return its result after the commit.

        Raises InboxUnavailable when the store cannot commit. Never call it on the event loop.
        """
        if self._is_closed:
            raise InboxUnavailable("the store is closed")
        job = _Job(work)
        self._queue.put(job)
        try:
            return job.future.result(timeout_seconds)  # type: ignore[no-any-return]
        except TimeoutError:
            job.future.cancel()
            raise InboxUnavailable(f"the store did not answer within {timeout_seconds:g} s") from None

    def close(self) -> None:
        """Write what waits, then end the thread."""
        self._is_closed = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        with self._engine.connect() as connection:
            while (first := self._queue.get()) is not None:
                batch: list[_Intake | _Job] = [first]
                is_last = self._gather(batch)
                self._commit(connection, batch)
                if is_last:
                    break

    def _gather(self, batch: list[_Intake | _Job]) -> bool:
        """Add whatever waits to the batch; True when the end was reached."""
        try:
            while len(batch) < _BATCH:
                item = self._queue.get_nowait()
                if item is None:
                    return True
                batch.append(item)
        except Empty:
            pass
        return False

    def _commit(self, connection: Connection, batch: list[_Intake | _Job]) -> None:
        """Write one batch: intake first, then the jobs, each in a savepoint, then COMMIT, then the answers."""
        intake = [item for item in batch if isinstance(item, _Intake)]
        jobs = [item for item in batch if isinstance(item, _Job) and item.future.set_running_or_notify_cancel()]
        try:
            transaction = _Transaction(connection)
            accepted = transaction.insert([item.row for item in intake])
            results = [transaction.savepoint(job.work) for job in jobs]
            transaction.commit()
        except Exception as error:  # noqa: BLE001 - everyone who waits must get an answer
            self._refuse(connection, intake, jobs, error)
            return
        self._answer(intake, accepted, transaction.seconds)
        for job, (result, failure) in zip(jobs, results, strict=True):
            if failure is None:
                job.future.set_result(result)
            else:
                job.future.set_exception(failure)

    def _answer(self, intake: list[_Intake], accepted: list[Accepted | Exception], seconds: float) -> None:
        """Wake the event loop once for the whole batch."""
        if not intake:
            return
        pairs = [(item.future, outcome) for item, outcome in zip(intake, accepted, strict=True)]
        _wake(intake[0].future.get_loop(), pairs)
        self._on_intake(len(intake), seconds)

    def _refuse(self, connection: Connection, intake: list[_Intake], jobs: list[_Job], error: Exception) -> None:
        """Nothing of this batch was committed: say so to everyone, without the statement's values."""
        _rollback(connection)
        _log.error("store_failed", error=type(error).__name__, cause=_cause(error))
        failure = InboxUnavailable(f"the store cannot commit: {_cause(error)}")
        if intake:
            _wake(intake[0].future.get_loop(), [(item.future, failure) for item in intake])
        for job in jobs:
            job.future.set_exception(failure)


class _Transaction:
    """One transaction, spelled out: the driver's own BEGIN and COMMIT, and savepoints for the jobs."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._driver = connection.connection.driver_connection
        self.seconds = 0.0
        self._driver.execute("BEGIN IMMEDIATE")  # type: ignore[union-attr]

    def insert(self, rows: list[Row]) -> list[Accepted | Exception]:
        """Insert the webhooks; one outcome a row, in order."""
        if not rows:
            return []
        self._driver.execute("SAVEPOINT intake")  # type: ignore[union-attr]
        try:
            outcome: list[Accepted | Exception] = list(insert_rows(self._driver, rows))
        except Exception:  # noqa: BLE001 - one bad row must not refuse its neighbours
            self._driver.execute("ROLLBACK TO intake")  # type: ignore[union-attr]
            outcome = [self._insert_alone(row) for row in rows]
        self._driver.execute("RELEASE intake")  # type: ignore[union-attr]
        return outcome

    def _insert_alone(self, row: Row) -> Accepted | Exception:
        result, failure = self.savepoint(lambda _: insert_rows(self._driver, [row])[0])
        return failure if failure is not None else result  # type: ignore[no-any-return]

    def savepoint(self, work: Callable[[Connection], Any]) -> tuple[Any, Exception | None]:
        """Run one job; undo it alone if it fails."""
        self._driver.execute("SAVEPOINT job")  # type: ignore[union-attr]
        try:
            result = work(self._connection)
        except Exception as error:  # noqa: BLE001 - handed to whoever asked for the job
            self._driver.execute("ROLLBACK TO job")  # type: ignore[union-attr]
            self._driver.execute("RELEASE job")  # type: ignore[union-attr]
            return None, error if isinstance(error, BridgeError) else InboxUnavailable(_cause(error))
        self._driver.execute("RELEASE job")  # type: ignore[union-attr]
        return result, None

    def commit(self) -> None:
        """Make it durable."""
        self._driver.execute("COMMIT")  # type: ignore[union-attr]


def _wake(loop: AbstractEventLoop, pairs: "list[tuple[Future[Accepted], Accepted | Exception]]") -> None:
    """Hand the outcomes to the event loop in one call; a loop that has ended has nobody left to answer."""
    try:
        loop.call_soon_threadsafe(_resolve, pairs)
    except RuntimeError:
        _log.warning("answers_dropped", reason="the event loop has ended", webhooks=len(pairs))


def _resolve(pairs: "list[tuple[Future[Accepted], Accepted | Exception]]") -> None:
    """Answer on the loop's own thread; a sender that left is skipped, its row stays."""
    for future, outcome in pairs:
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _rollback(connection: Connection) -> None:
    """Undo what the failed batch left open, if anything."""
    driver = connection.connection.driver_connection
    if driver.in_transaction:  # type: ignore[union-attr]
        driver.execute("ROLLBACK")  # type: ignore[union-attr]


def _cause(error: Exception) -> str:
    """Name the database's own words without the statement and its values."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return f"{type(original).__name__}: {original}"[:200]
