"""The group commit: one thread writes, and whoever waits at the same moment shares one transaction.

Two kinds of work share it: webhooks (the hot insert, bound by hand through the driver) and jobs (any function
of a connection: claim, settle, route). There is no timer: a batch is whatever waits when the last commit ended,
so a lone webhook waits for nobody and a crowd pays for one fsync. Every caller is answered only after COMMIT.

A job that fails is rolled back alone (savepoint); a batch of webhooks that fails is tried again row by row, so
that one poison row cannot refuse its neighbours; a failed COMMIT fails everyone in it.
"""

import threading
import time
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable
from concurrent.futures import Future as ThreadFuture
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from bridge.errors import BridgeError, InboxUnavailable
from bridge.inbox.intake import MOST_IN_MEMORY, Intake, Row, Stored

_BATCH = 128  # measured: nothing gained past 128 rows a transaction
_log = structlog.get_logger("bridge.inbox")

T = TypeVar("T")
_REOPEN_SECONDS = 1.0
_QUIET_SECONDS = 0.2  # with nothing to write for so long, keys are folded


class _Webhook:
    """One webhook that waits for its commit; answered on the event loop."""

    __slots__ = ("future", "row")

    def __init__(self, row: Row, future: "Future[Stored]") -> None:
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

    def __init__(
        self,
        engine: Engine,
        *,
        new_id: Callable[[], int],
        intake_limit: int,
        on_intake: Callable[[int, float], None],
    ) -> None:
        """`intake_limit`: webhooks that may wait. `on_intake(rows, batch seconds)` runs after each commit."""
        self._engine = engine
        self._new_id = new_id
        self._queue: SimpleQueue[_Webhook | _Job | None] = SimpleQueue()
        self._intake_limit = intake_limit
        self._on_intake = on_intake
        self._is_closed = False  # nothing more is taken in
        self._is_over = False  # everything taken in was written
        self.crowd = 0  # webhooks that shared the newest transaction
        self._thread = threading.Thread(target=self._run, name="inbox-writer", daemon=True)
        self._thread.start()

    def insert(self, row: Row, loop: AbstractEventLoop) -> "Future[Stored]":
        """Queue one webhook and return the future of its commit; InboxUnavailable when too many wait."""
        if self._is_closed or self._queue.qsize() >= self._intake_limit:
            raise InboxUnavailable("too many webhooks wait for a commit")
        future: Future[Stored] = loop.create_future()
        self._queue.put(_Webhook(row, future))
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
        """Write until the end; a connection that is no longer usable is opened anew."""
        while not self._is_over:
            try:
                self._serve()
            except Exception as error:  # noqa: BLE001 - the last guard of the thread: it must go on
                _log.error("writer_failed", cause=_cause(error), next_step="it opens the store again by itself")
                time.sleep(_REOPEN_SECONDS)
        self._refuse_waiting()

    def _serve(self) -> None:
        with self._engine.connect() as connection:
            intake = Intake(connection.connection.driver_connection, self._new_id)
            while not self._is_over:
                first = self._next(intake)
                if first is None:
                    self._is_over = True
                    break
                batch: list[_Webhook | _Job] = [first]
                self._is_over = self._gather(batch)
                self._commit(connection, intake, batch)

    def _refuse_waiting(self) -> None:
        """Answer whoever came between the last batch and the end."""
        failure = InboxUnavailable("the store is closed")
        while not self._queue.empty():
            item = self._queue.get()
            if isinstance(item, _Webhook):
                _wake(item.future.get_loop(), [(item.future, failure)])
            elif item is not None:
                item.future.set_exception(failure)

    def _next(self, intake: Intake) -> _Webhook | _Job | None:
        """Return the next to write, None at the end; folds keys while nothing waits, or too many are in memory."""
        while intake.waits():
            if intake.waits() > MOST_IN_MEMORY:
                self._fold(intake)
            try:
                return self._queue.get(timeout=_QUIET_SECONDS)
            except Empty:
                while intake.waits() and self._queue.empty() and self._fold(intake):
                    pass
        return self._queue.get()

    def _fold(self, intake: Intake) -> bool:
        try:
            intake.fold()
        except Exception as error:  # noqa: BLE001 - webhooks must go on being stored; it is tried again
            _log.error("fold_failed", cause=_cause(error))
            return False
        return True

    def _gather(self, batch: list[_Webhook | _Job]) -> bool:
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

    def _commit(self, connection: Connection, intake: Intake, batch: list[_Webhook | _Job]) -> None:
        """Write one batch: intake first, then the jobs, each in a savepoint, then COMMIT, then the answers."""
        webhooks = [item for item in batch if isinstance(item, _Webhook)]
        jobs = [item for item in batch if isinstance(item, _Job) and item.future.set_running_or_notify_cancel()]
        self.crowd = len(webhooks)
        began = time.perf_counter()
        try:
            transaction = _Transaction(connection, intake)
            stored = transaction.insert([item.row for item in webhooks])
            results = [transaction.savepoint(job.work) for job in jobs]
            transaction.commit()
        except Exception as error:  # noqa: BLE001 - everyone who waits must get an answer
            intake.rolled_back()
            self._refuse(webhooks, jobs, error)
            _rollback(connection)
            return
        self._answer(webhooks, stored, time.perf_counter() - began)
        for job, (result, failure) in zip(jobs, results, strict=True):
            if failure is None:
                job.future.set_result(result)
            else:
                job.future.set_exception(failure)

    def _answer(self, webhooks: list[_Webhook], stored: list[Stored | Exception], seconds: float) -> None:
        """Wake the event loop once for the whole batch."""
        if not webhooks:
            return
        pairs = [(item.future, outcome) for item, outcome in zip(webhooks, stored, strict=True)]
        _wake(webhooks[0].future.get_loop(), pairs)
        self._on_intake(len(webhooks), seconds)

    def _refuse(self, webhooks: list[_Webhook], jobs: list[_Job], error: Exception) -> None:
        """Nothing of this batch was committed: say so to everyone, without the statement's values."""
        _log.error("store_failed", cause=_cause(error))
        failure = InboxUnavailable(f"the store cannot commit: {_cause(error)}")
        if webhooks:
            _wake(webhooks[0].future.get_loop(), [(item.future, failure) for item in webhooks])
        for job in jobs:
            job.future.set_exception(failure)


class _Transaction:
    """One transaction, spelled out: the driver's own BEGIN and COMMIT, and savepoints for the jobs."""

    def __init__(self, connection: Connection, intake: Intake) -> None:
        self._connection = connection
        self._intake = intake
        driver: Any = connection.connection.driver_connection
        driver.execute("BEGIN IMMEDIATE")
        self._driver = driver

    def insert(self, rows: list[Row]) -> list[Stored | Exception]:
        """Insert the webhooks; one outcome a row, in order."""
        if not rows:
            return []
        self._driver.execute("SAVEPOINT intake")
        try:
            outcome: list[Stored | Exception] = list(self._intake.insert(rows))
        except Exception:  # noqa: BLE001 - one bad row must not refuse its neighbours
            self._driver.execute("ROLLBACK TO intake")
            self._intake.rolled_back()
            outcome = [self._insert_alone(row) for row in rows]
        self._driver.execute("RELEASE intake")
        return outcome

    def _insert_alone(self, row: Row) -> Stored | Exception:
        stored, failure = self.savepoint(lambda _: self._intake.insert([row])[0])
        if failure is not None:
            self._intake.forget(row)
            return failure
        return stored  # type: ignore[no-any-return]

    def savepoint(self, work: Callable[[Connection], Any]) -> tuple[Any, Exception | None]:
        """Run one job; undo it alone if it fails."""
        self._driver.execute("SAVEPOINT job")
        try:
            result = work(self._connection)
        except Exception as error:  # noqa: BLE001 - handed to whoever asked for the job
            self._driver.execute("ROLLBACK TO job")
            self._driver.execute("RELEASE job")
            return None, error if isinstance(error, BridgeError) else InboxUnavailable(_cause(error))
        self._driver.execute("RELEASE job")
        return result, None

    def commit(self) -> None:
        """Make it durable."""
        self._driver.execute("COMMIT")
        self._intake.committed()


def _wake(loop: AbstractEventLoop, pairs: "list[tuple[Future[Stored], Stored | Exception]]") -> None:
    """Hand the outcomes to the event loop in one call; a loop that has ended has nobody left to answer."""
    try:
        loop.call_soon_threadsafe(_resolve, pairs)
    except RuntimeError:
        _log.warning("answers_dropped", reason="the event loop has ended", webhooks=len(pairs))


def _resolve(pairs: "list[tuple[Future[Stored], Stored | Exception]]") -> None:
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
    driver: Any = connection.connection.driver_connection
    if driver.in_transaction:
        driver.execute("ROLLBACK")


def _cause(error: Exception) -> str:
    """Name the database's own words without the statement and its values."""
    original = error.orig if isinstance(error, DBAPIError) else error
    return f"{type(original).__name__}: {original}"[:200]
