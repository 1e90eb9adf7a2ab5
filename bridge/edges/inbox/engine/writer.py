"""The group commit: one thread writes, and whoever waits at the same moment shares one transaction.

Two kinds of work share it: webhooks (the hot insert, bound by hand through the driver) and jobs (any function
of a connection: claim, settle, route). There is no timer: a batch is whatever waits when the last commit ended,
so a lone webhook waits for nobody and a crowd pays for one fsync. Every caller is answered only after COMMIT.

Whoever fails is refused alone (batches, shared_intake); a failed COMMIT fails everyone in
it, and one that failed slowly everyone who waits: they would else wait for one timeout after the other, longer than
any sender does. On PostgreSQL jobs run on connections of their own instead, and only webhooks come here.
"""

import threading
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable
from concurrent.futures import Future as ThreadFuture
from contextlib import AbstractContextManager
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from bridge.edges.inbox.engine.batches import Batches
from bridge.edges.inbox.engine.causes import cause
from bridge.edges.inbox.engine.intake import MOST_IN_MEMORY, RECEIVED_AT, Row, Stored
from bridge.words.errors import InboxUnavailable

_CROWD = 8  # webhooks in one transaction; at 3000 a second there are one or two
_BATCH = 128  # measured: nothing gained past 128 rows a transaction
_log = structlog.get_logger("bridge.inbox")

T = TypeVar("T")
Then = Callable[[Stored | Exception], None]  # is told what became of one webhook, on the event loop
_REOPEN_SECONDS = 1.0
_QUIET_SECONDS = 0.2  # with nothing to write for so long, keys are folded
_TURN_SECONDS = 1.0  # with nothing to do at all the thread turns so often
_SLOW_SECONDS = 1.0  # a commit that failed after so long would fail for whoever waits as well, and as slowly


class _Webhook:
    """One webhook that waits for its commit; answered on the event loop."""

    __slots__ = ("loop", "row", "then")

    def __init__(self, row: Row, loop: AbstractEventLoop, then: Then) -> None:
        self.row = row
        self.loop = loop
        self.then = then


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
        open_batches: Callable[[], AbstractContextManager[Batches]],
        *,
        intake_limit: int,
        on_intake: Callable[[list[float], float], None],
        on_fold: Callable[[float, bool], None],
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """`open_batches` opens the connection to write on. `intake_limit`: webhooks that may wait.

        `beat` is called each time the thread turns.

        `on_intake(seconds since receipt of each webhook, batch seconds)` runs after each commit,
        `on_fold(seconds, whether it was done)` after each fold.
        """
        self._open_batches = open_batches
        self._queue: SimpleQueue[_Webhook | _Job | None] = SimpleQueue()
        self._intake_limit = intake_limit
        self._on_intake = on_intake
        self._on_fold = on_fold
        self._beat = beat
        self._fold_cause: str | None = None  # of the newest fold; None: it was done
        self.is_closed = False  # nothing more is taken in
        self._is_over = False  # everything taken in was written
        self.crowded_at = float("-inf")  # when many webhooks last shared a transaction, by the monotonic clock
        self._thread = threading.Thread(target=self._run, name="inbox-writer", daemon=True)
        self._thread.start()

    def insert(self, row: Row, loop: AbstractEventLoop, then: Then) -> None:
        """Queue one webhook; `then` runs on the loop after its commit. InboxUnavailable when too many wait."""
        if self.is_closed or self._queue.qsize() >= self._intake_limit:
            raise InboxUnavailable("too many webhooks wait for a commit")
        self._queue.put(_Webhook(row, loop, then))

    def run(self, work: Callable[[Connection], T], *, timeout_seconds: float = 30.0) -> T:
        """Run a function inside a transaction and return its result after the commit.

        Raises InboxUnavailable when the store cannot commit. Never call it on the event loop.
        """
        if self.is_closed:
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
                batch: list[_Webhook | _Job] = [first]
                self._is_over = self._gather(batch)
                self._commit(batches, batch)

    def _refuse_waiting(self, failure: InboxUnavailable) -> None:
        """Answer whoever waits at this moment, and nobody who comes meanwhile."""
        for _ in range(self._queue.qsize()):
            item = self._queue.get()
            if item is None:
                self._is_over = True
            elif isinstance(item, _Webhook):
                _wake(item.loop, [(item.then, failure)])
            elif item.future.set_running_or_notify_cancel():
                item.future.set_exception(failure)

    def _next(self, batches: Batches) -> _Webhook | _Job | None:
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

    def _fold(self, batches: Batches) -> bool:
        began = time.perf_counter()
        try:
            batches.fold()
        except Exception as error:  # noqa: BLE001 - webhooks must go on being stored; it is tried again
            self._on_fold(time.perf_counter() - began, False)
            told, self._fold_cause = self._fold_cause, cause(error)
            if told != self._fold_cause:
                _log.error("fold_failed", cause=self._fold_cause, next_step="it is tried again, webhooks are taken in")
            return False
        self._on_fold(time.perf_counter() - began, True)
        if self._fold_cause is not None:
            self._fold_cause = None
            _log.info("fold_works_again")
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

    def _commit(self, batches: Batches, batch: list[_Webhook | _Job]) -> None:
        """Write one batch and commit it; then come the answers."""
        webhooks = [item for item in batch if isinstance(item, _Webhook)]
        jobs = [item for item in batch if isinstance(item, _Job) and item.future.set_running_or_notify_cancel()]
        if len(webhooks) >= _CROWD:
            self.crowded_at = time.monotonic()
        began = time.perf_counter()
        try:
            stored, results = batches.write([item.row for item in webhooks], [job.work for job in jobs])
        except Exception as error:  # noqa: BLE001 - everyone who waits must get an answer
            self._refuse(webhooks, jobs, error)
            if time.perf_counter() - began > _SLOW_SECONDS:
                self._refuse_waiting(_told(error))
            batches.mend()
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
        pairs = [(item.then, outcome) for item, outcome in zip(webhooks, stored, strict=True)]
        _wake(webhooks[0].loop, pairs)
        now = time.time_ns() // 1000
        waited = [
            max(0, now - item.row[RECEIVED_AT]) / 1_000_000
            for item, outcome in zip(webhooks, stored, strict=True)
            if not isinstance(outcome, Exception)
        ]
        self._on_intake(waited, seconds)

    def _refuse(self, webhooks: list[_Webhook], jobs: list[_Job], error: Exception) -> None:
        """Nothing of this batch was committed: say so to everyone, without the statement's values."""
        _log.error("store_failed", cause=cause(error))
        failure = _told(error)
        if webhooks:
            _wake(webhooks[0].loop, [(item.then, failure) for item in webhooks])
        for job in jobs:
            job.future.set_exception(failure)


def _told(error: Exception) -> InboxUnavailable:
    return InboxUnavailable(f"the store cannot commit: {cause(error)}")


def _wake(loop: AbstractEventLoop, pairs: list[tuple[Then, Stored | Exception]]) -> None:
    """Hand the outcomes to the event loop in one call; a loop that has ended has nobody left to answer."""
    try:
        loop.call_soon_threadsafe(_tell, pairs)
    except RuntimeError:
        _log.warning("answers_dropped", reason="the event loop has ended", webhooks=len(pairs))


def _tell(pairs: list[tuple[Then, Stored | Exception]]) -> None:
    """Tell each, on the loop's own thread; one that fails must not keep the others from their answers."""
    for then, outcome in pairs:
        try:
            then(outcome)
        except Exception:  # noqa: BLE001 - see above
            _log.exception("answer_failed")
