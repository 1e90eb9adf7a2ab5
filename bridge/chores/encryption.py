"""Brings every stored value under the first encryption key, while the service runs.

One pass over the store at start, in small batches. After each batch it rests four times as long as the batch took, so
it uses at most a fifth of the store's time. Rows already under the first key are not touched. Rows that no key opens
stay as they are and are counted. Several replicas may do it at once. New rows are written under the first key anyway.
"""

import time
from dataclasses import asdict, dataclass

import structlog

from bridge.chores.loop import FINISHED, Loop
from bridge.edges.inbox import Inbox, vault
from bridge.edges.metrics import Metrics
from bridge.words.errors import InboxUnavailable

_SEEN_AT_ONCE = 500
_REWRITTEN_AT_ONCE = 25  # about 5 ms of the writer's time
_REST = 4.0
_RETRY_SECONDS = 2.0
_SAY_SECONDS = 10.0
_log = structlog.get_logger("bridge.encryption")


@dataclass(slots=True)
class Progress:
    """How far the pass is. One thread writes it, any thread may read it."""

    key: str
    table: str | None = vault.TABLES[0]  # the table at hand; None when all are done
    rewritten: int = 0
    locked: int = 0  # rows that no configured key opens
    is_done: bool = False


class Encryption:
    """The pass over the store. Without keys it does nothing."""

    def __init__(self, *, inbox: Inbox, key: str | None, metrics: Metrics) -> None:
        """`key` is the id of the key that encrypts."""
        self._inbox = inbox
        self._metrics = metrics
        self._progress = None if key is None else Progress(key)
        self._ids: list[int] = []  # rows that were seen and are not yet rewritten
        self._last: int | None = 0  # the last row that was seen; None at the table's end
        self._said_at = time.monotonic()
        metrics.resealing.set(0 if key is None else 1)
        self.loop = Loop("encryption", self.step, every_seconds=_RETRY_SECONDS, metrics=metrics)

    def status(self) -> dict[str, object] | None:
        """Return the progress, None without encryption."""
        return None if self._progress is None else asdict(self._progress)

    def step(self) -> float:
        """Look at some rows, or rewrite a few of those seen; then rest. Raises InboxUnavailable: the next step goes on.

        The next start looks at everything again, so nothing is lost when the process ends in between.
        """
        progress, began = self._progress, time.monotonic()
        if progress is None or progress.is_done:
            return FINISHED
        if self._ids:
            self._rewrite(progress)
        elif self._last is not None:
            self._look(progress)
        elif progress.table != vault.TABLES[-1]:
            progress.table = vault.TABLES[vault.TABLES.index(progress.table or "") + 1]
            self._last = 0
        else:
            return self._finish(progress)
        return _REST * (time.monotonic() - began)

    def _look(self, progress: Progress) -> None:
        """Find out which of the next rows are not under the first key."""
        self._ids, self._last = self._inbox.read(
            vault.outdated, table=progress.table or "", after=self._last or 0, limit=_SEEN_AT_ONCE
        )
        if time.monotonic() - self._said_at >= _SAY_SECONDS:
            self._said_at = time.monotonic()
            _log.info("resealing", table=progress.table, rewritten=progress.rewritten, locked=progress.locked)

    def _rewrite(self, progress: Progress) -> None:
        """Rewrite the first of those rows under the first key."""
        done, locked = self._inbox.write(vault.rewrite, table=progress.table or "", ids=self._ids[:_REWRITTEN_AT_ONCE])
        progress.rewritten += len(done)
        progress.locked += len(locked)
        self._metrics.resealed.inc(len(done))
        self._ids = self._ids[len(done) + len(locked) :]

    def _finish(self, progress: Progress) -> float:
        """Remove the old values from the store's files, and log the result."""
        if not self._inbox.scrub():  # also after a start that found nothing to do: the last one may have been killed
            raise InboxUnavailable("the store's log is still being read")
        progress.table, progress.is_done = None, True
        self._metrics.resealing.set(0)
        self._metrics.locked_rows.set(progress.locked)
        if progress.locked:
            next_step = "`planasonix-bridge keys stored` tells which key is missing; put it back and restart"
            _log.error("rows_locked", rows=progress.locked, next_step=next_step)
        _log.info("resealed", key_id=progress.key, rewritten=progress.rewritten, locked=progress.locked)
        return FINISHED
