"""Brings every stored value under the first encryption key, while the service runs.

One pass over the store at start, in small batches with a pause four times as long as each, so that it takes a fifth of
the store's time at most. A row that is in order is not touched; one that no key opens is left as it is and told.
Several replicas may do it at the same time. What is written from now on is under the first key anyway.
"""

import threading
import time
from dataclasses import asdict, dataclass

import structlog

from bridge.edges.inbox import Inbox, vault
from bridge.edges.metrics import Metrics
from bridge.words.errors import InboxUnavailable

_SEEN_AT_ONCE = 500
_REWRITTEN_AT_ONCE = 25  # about 5 ms of the writer's time
_REST = 4.0
_RETRY_SECONDS = 2.0
_SAY_SECONDS = 10.0
_log = structlog.get_logger("bridge.resealing")


@dataclass(slots=True)
class Progress:
    """How far it is; one thread writes, any reads."""

    key: str
    table: str | None = None  # where it is now
    rewritten: int = 0
    locked: int = 0  # rows that no configured key opens
    is_done: bool = False


class Resealing:
    """The thread that does it, or nothing at all without keys."""

    def __init__(self, *, inbox: Inbox, key: str | None, metrics: Metrics) -> None:
        """`key` is the id of the key that encrypts."""
        self._inbox = inbox
        self._metrics = metrics
        self._after = 0  # the last row of the table that is in order
        self._said_at = time.monotonic()
        self._stopping = threading.Event()
        self._progress = None if key is None else Progress(key)
        self._thread = threading.Thread(target=self._run, name="resealing", daemon=True)

    def start(self) -> None:
        """Begin."""
        if self._progress is not None:
            self._thread.start()

    def stop(self) -> None:
        """End after the batch under way; the next start looks again."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def status(self) -> dict[str, object] | None:
        """Return how far it is, None without encryption."""
        return None if self._progress is None else asdict(self._progress)

    def run(self) -> bool:
        """Do the pass here and now; False if it was stopped. Raises InboxUnavailable: call it again."""
        progress = self._progress
        if progress is None or progress.is_done:
            return True
        for table in vault.TABLES[vault.TABLES.index(progress.table or vault.TABLES[0]) :]:
            if progress.table != table:
                progress.table, self._after = table, 0
            if not self._walk(progress, table):
                return False
        if not self._inbox.scrub():  # also after a start that found nothing to do: the last one may have been killed
            raise InboxUnavailable("the store's log is still being read")
        self._finish(progress)
        return True

    def _walk(self, progress: Progress, table: str) -> bool:
        """Go through one table, from where it was left."""
        while not self._stopping.is_set():
            began = time.monotonic()
            ids, last = self._inbox.read(vault.outdated, table=table, after=self._after, most=_SEEN_AT_ONCE)
            if last is None:
                return True
            self._stopping.wait(_REST * (time.monotonic() - began))
            while ids and not self._stopping.is_set():
                ids = self._rewrite(progress, table, ids)
            if not self._stopping.is_set():
                self._after = last
                self._say(progress)
        return False

    def _rewrite(self, progress: Progress, table: str, ids: list[int]) -> list[int]:
        """Rewrite the first of these rows and rest; returns those that are left."""
        began = time.monotonic()
        done, locked = self._inbox.write(vault.rewrite, table=table, ids=ids[:_REWRITTEN_AT_ONCE])
        progress.rewritten += len(done)
        progress.locked += len(locked)
        self._metrics.resealed.inc(len(done))
        self._after = max((self._after, *done, *locked))
        self._stopping.wait(_REST * (time.monotonic() - began))
        return ids[len(done) + len(locked) :]

    def _say(self, progress: Progress) -> None:
        if time.monotonic() - self._said_at >= _SAY_SECONDS:
            self._said_at = time.monotonic()
            _log.info("resealing", table=progress.table, rewritten=progress.rewritten, locked=progress.locked)

    def _finish(self, progress: Progress) -> None:
        progress.table, progress.is_done = None, True
        self._metrics.resealing.set(0)
        self._metrics.locked_rows.set(progress.locked)
        if progress.locked:
            next_step = "`planasonix-bridge keys stored` tells which key is missing; put it back and restart"
            _log.error("rows_locked", rows=progress.locked, next_step=next_step)
        _log.info("resealed", key_id=progress.key, rewritten=progress.rewritten, locked=progress.locked)

    def _run(self) -> None:
        self._metrics.resealing.set(1)
        while not self._stopping.is_set():
            try:
                if self.run():
                    return
            except InboxUnavailable:
                self._stopping.wait(_RETRY_SECONDS)
            except Exception:  # noqa: BLE001 - the last guard of the thread
                _log.exception("resealing_failed")
                self._metrics.failures.labels("resealing").inc()
                self._stopping.wait(_RETRY_SECONDS)
