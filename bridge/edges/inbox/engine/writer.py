"""The group commit: one thread writes, and whatever waits at the same moment shares one transaction.

There is no timer: a batch is whatever waits when the last commit ended. So a lone webhook waits for nobody, and a
crowd pays for one fsync. Every caller is answered only after COMMIT.

`Writer` stores webhooks (the hot insert, bound by hand through the driver) and is enough for PostgreSQL, where every
other write has a connection of its own. `SqliteWriter` also runs jobs (any function of a connection: claim, settle,
route) in the same transaction, and folds keys: with 2 million of them a webhook costs 39.7 microseconds of processor
time so, and 45.2 if its key is inserted in its own transaction (tests/bench/RESULTS.md).

A webhook or job that fails is refused alone (batches, shared_intake). A failed COMMIT fails its batch. If it took over
a second, fail the queue too: each further batch would time out as well, and senders give up first.
"""

import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from queue import Empty, SimpleQueue
from typing import Final, Generic, Protocol, TypeVar

import structlog
from sqlalchemy import Connection

from bridge.edges.inbox.engine.batches import SqliteBatches
from bridge.edges.inbox.engine.causes import cause
from bridge.edges.inbox.engine.intake import MOST_IN_MEMORY, Row, Stored
from bridge.edges.inbox.engine.waiting import AskedJob, Item, Then, Webhook, wake
from bridge.words.errors import InboxUnavailable

JOB_SECONDS: Final = 30.0  # how long other work waits for its turn and its commit
_CROWD = 8  # webhooks in one transaction; at 3000 a second there are one or two
_BATCH = 128  # measured: nothing gained past 128 rows a transaction
_log = structlog.get_logger("bridge.inbox")

T = TypeVar("T")
_REOPEN_SECONDS = 1.0
_QUIET_SECONDS = 0.2  # with nothing to write for so long, keys are folded
_TURN_SECONDS = 1.0  # with nothing to do at all the thread turns so often
_SLOW_SECONDS = 1.0  # a commit that failed after so long would fail for whoever waits as well, and as slowly


class Batches(Protocol):
    """What the writer asks of a database."""

    def write(self, rows: Sequence[Row]) -> list[Stored | Exception]:
        """Commit webhooks, one outcome each, in order; if it raises, nothing was committed."""

    def mend(self) -> None:
        """After a write that raised, be ready for the next one; if this raises too, the connection is opened anew."""


B = TypeVar("B", bound=Batches)


class Writer(Generic[B]):
    """Owns the writing connection and its thread."""

    def __init__(
        self,
        open_batches: Callable[[], AbstractContextManager[B]],
        *,
        intake_limit: int,
        on_intake: Callable[[list[float], float], None],
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """`open_batches` opens the connection to write on. `intake_limit`: webhooks that may wait.

        `beat` is called each time the thread turns, `on_intake(seconds since receipt of each webhook, batch seconds)`
        after each commit.
        """
        self._open_batches = open_batches
        self._queue: SimpleQueue[Item | None] = SimpleQueue()
        self._intake_limit = intake_limit
        self._on_intake = on_intake
        self._beat = beat
        self._queued = 0  # webhooks, ever; counted by the event loop alone
        self._taken = 0  # of those, the ones that left the queue; counted by the writer's thread alone
        self.is_closed = False  # nothing more is taken in
        self._is_over = False  # everything taken in was written
        self.crowded_at = float("-inf")  # when many webhooks last shared a transaction, by the monotonic clock
        self._thread = threading.Thread(target=self._run, name="inbox-writer", daemon=True)
        self._thread.start()

    def insert(self, row: Row, loop: AbstractEventLoop, then: Then) -> None:
        """Queue one webhook; `then` runs on the loop after its commit. InboxUnavailable when too many wait."""
        if self.is_closed or self._queued - self._taken >= self._intake_limit:
            raise InboxUnavailable("too many webhooks wait for a commit")
        self._queued += 1
        self._queue.put(Webhook(row, loop, then))

    def close(self) -> None:
        """Write what waits, then end the thread."""
        self.is_closed = True
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        """Write until the end; a connection that is no longer usable is opened anew."""
        while not self._is_over:
            self._beat()
            try:
                self._serve()
            except Exception as error:  # noqa: BLE001 - the last guard of the thread: it must go on
                _log.error("writer_failed", cause=cause(error), next_step="it opens the store again by itself")
                self._refuse_waiting(InboxUnavailable(f"the store cannot be opened: {cause(error)}"))
                time.sleep(_REOPEN_SECONDS)
        self._refuse_waiting(InboxUnavailable("the store is closed"))

    def _serve(self) -> None:
        with self._open_batches() as batches:
            while not self._is_over:
                self._beat()
                first = self._next(batches)
                if first is None:
                    self._is_over = True
                    break
                batch: list[Item] = [first]
                self._is_over = self._gather(batch)
                self._taken += sum(isinstance(item, Webhook) for item in batch)
                self._commit(batches, batch)

    def _refuse_waiting(self, failure: InboxUnavailable) -> None:
        """Answer whoever waits at this moment, and nobody who comes meanwhile."""
        for _ in range(self._queue.qsize()):
            item = self._queue.get()
            if item is None:
                self._is_over = True
            else:
                self._taken += isinstance(item, Webhook)
                item.refuse(failure)

    def _next(self, batches: B) -> Item | None:  # noqa: ARG002 - for whoever has more to do while nothing waits
        """Return the next to write, None at the end."""
        while True:
            try:
                return self._queue.get(timeout=_TURN_SECONDS)
            except Empty:
                self._beat()

    def _gather(self, batch: list[Item]) -> bool:
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

    def _commit(self, batches: B, batch: list[Item]) -> None:
        """Write one batch and commit it; then come the answers."""
        webhooks = [item for item in batch if isinstance(item, Webhook)]
        self._note_crowd(webhooks)
        began = time.perf_counter()
        try:
            stored = self._write(batches, [item.row for item in webhooks], batch)
        except Exception as error:  # noqa: BLE001 - everyone who waits must get an answer
            _log.error("store_failed", cause=cause(error))
            failure = InboxUnavailable(f"the store cannot commit: {cause(error)}")
            # Whoever waits comes first: a webhook that follows the batch's answers was not there and may be stored.
            if time.perf_counter() - began > _SLOW_SECONDS:
                self._refuse_waiting(failure)
            for item in batch:
                item.refuse(failure)
            batches.mend()
            return
        self._note_crowd(webhooks)  # again: on a slow disk the moment would be over with the commit
        self._answer(webhooks, stored, time.perf_counter() - began)

    def _note_crowd(self, webhooks: list[Webhook]) -> None:
        if len(webhooks) >= _CROWD:
            self.crowded_at = time.monotonic()

    def _write(self, batches: B, rows: list[Row], batch: list[Item]) -> list[Stored | Exception]:  # noqa: ARG002
        return batches.write(rows)

    def _answer(self, webhooks: list[Webhook], stored: list[Stored | Exception], seconds: float) -> None:
        """Wake the event loop once for the whole batch."""
        if not webhooks:
            return
        pairs = [(item.then, outcome) for item, outcome in zip(webhooks, stored, strict=True)]
        wake(webhooks[0].loop, pairs)
        now = time.time_ns() // 1000
        waited = [
            max(0, now - item.row.received_at) / 1_000_000
            for item, outcome in zip(webhooks, stored, strict=True)
            if not isinstance(outcome, Exception)
        ]
        self._on_intake(waited, seconds)


class SqliteWriter(Writer[SqliteBatches]):
    """The one writer of a SQLite file: jobs share its transactions, and it folds keys when nothing waits."""

    def __init__(
        self,
        open_batches: Callable[[], AbstractContextManager[SqliteBatches]],
        *,
        intake_limit: int,
        on_intake: Callable[[list[float], float], None],
        on_fold: Callable[[float, bool], None],
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_fold(seconds, whether it was done)` runs after each fold; the others as for any writer."""
        self._on_fold = on_fold
        self._fold_cause: str | None = None  # of the newest fold; None: it was done
        super().__init__(open_batches, intake_limit=intake_limit, on_intake=on_intake, beat=beat)

    def run(self, work: Callable[[Connection], T], *, timeout_seconds: float = JOB_SECONDS) -> T:
        """Run a function inside a transaction and return its result after the commit.

        Raises InboxUnavailable when the store cannot commit. Never call it on the event loop.
        """
        if self.is_closed:
            raise InboxUnavailable("the store is closed")
        job = AskedJob(work)
        self._queue.put(job)
        try:
            return job.future.result(timeout_seconds)  # type: ignore[no-any-return]
        except TimeoutError:
            job.future.cancel()
            raise InboxUnavailable(f"the store did not answer within {timeout_seconds:g} s") from None

    def _next(self, batches: SqliteBatches) -> Item | None:
        """Return the next to write, None at the end; folds keys while nothing waits, or too many are in memory."""
        while True:
            if batches.waits() > MOST_IN_MEMORY:
                self._fold(batches)
            try:
                return self._queue.get(timeout=_QUIET_SECONDS if batches.waits() else _TURN_SECONDS)
            except Empty:
                self._beat()
                while batches.waits() and self._queue.empty() and self._fold(batches):
                    self._beat()

    def _fold(self, batches: SqliteBatches) -> bool:
        began = time.perf_counter()
        try:
            batches.fold()
        except Exception as error:  # noqa: BLE001 - webhooks must go on being stored; it is tried again
            self._on_fold(time.perf_counter() - began, False)
            logged, self._fold_cause = self._fold_cause, cause(error)
            if logged != self._fold_cause:
                _log.error("fold_failed", cause=self._fold_cause, next_step="it is tried again, webhooks are taken in")
            return False
        self._on_fold(time.perf_counter() - began, True)
        if self._fold_cause is not None:
            self._fold_cause = None
            _log.info("fold_works_again")
        return True

    def _commit(self, batches: SqliteBatches, batch: list[Item]) -> None:
        """Write one batch and commit it; jobs are answered after the webhooks."""
        batch = [item for item in batch if isinstance(item, Webhook) or item.begin()]
        super()._commit(batches, batch)
        for item in batch:
            if isinstance(item, AskedJob) and not item.future.done():
                item.answer()

    def _write(self, batches: SqliteBatches, rows: list[Row], batch: list[Item]) -> list[Stored | Exception]:
        return batches.write(rows, [item for item in batch if isinstance(item, AskedJob)])
