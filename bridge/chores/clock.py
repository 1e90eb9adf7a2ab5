"""Notices that the wall clock was set back, so that nothing waits for a time that comes again an hour later.

Due times and leases are instants of the wall clock, since replicas and restarts share no other one. When it is set
back, everything that waits would wait as much longer. So two clocks are compared once a second, and what waits is moved
by what the wall clock has lost; and at start, for the time when nobody compared, what is due later than anything may
be is due now. Another replica's clock may be days ahead until it dies: what is due later than anybody may ask
for is looked for once a minute. Set forward, things are due too early: then a call is repeated under its own DAG run
id, which starts nothing twice.
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from bridge.edges.inbox import Inbox
from bridge.edges.inbox.moving import move_up, pull_in
from bridge.edges.metrics import Metrics
from bridge.words.errors import InboxUnavailable

_EVERY_SECONDS = 1.0
_LEAST_SECONDS = 2.0  # what time servers correct at once is less
_LONGEST_SECONDS = 300.0  # the longest wait that the bridge chooses itself; one that was asked for may be cut short
_LONGEST_ASKED_SECONDS = 3900.0  # Retry-After counts up to an hour
_LOOK_SECONDS = 60.0
_WATCHFUL_SECONDS = 30.0  # whoever read the clock before it was set may write for so long what it read
_log = structlog.get_logger("bridge.timekeeping")


class Timekeeping:
    """The thread that compares the clocks."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        metrics: Metrics,
        lease_seconds: float,
        on_moved: Callable[[], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_moved` wakes routing and firing; `clock` gives aware UTC, `monotonic` seconds."""
        self._inbox = inbox
        self._metrics = metrics
        self._longest = timedelta(seconds=max(_LONGEST_SECONDS, 2 * lease_seconds))
        self._on_moved = on_moved
        self._clock = clock
        self._monotonic = monotonic
        self._apart = self._difference()
        self._watchful_until = monotonic() + _WATCHFUL_SECONDS  # from the start on: nobody compared before
        self._looked_at = monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="timekeeping", daemon=True)

    def start(self) -> None:
        """Begin to compare."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join()

    def compare(self) -> float:
        """Move what waits if the wall clock was set back; returns by how many seconds it was, or 0.

        Raises InboxUnavailable when the store cannot commit: the next call tries again.
        """
        apart = self._difference()
        lost = max(0.0, self._apart - apart)
        if lost >= _LEAST_SECONDS:
            self._watchful_until = self._monotonic() + _WATCHFUL_SECONDS
            moved = self._inbox.write(move_up, now=self._clock(), by=timedelta(seconds=lost))
            self._tell("clock_set_back", moved, seconds=round(lost, 1))
        elif self._monotonic() < self._watchful_until:
            self._pull_in(self._longest)
        elif self._monotonic() - self._looked_at >= _LOOK_SECONDS:
            self._pull_in(max(self._longest, timedelta(seconds=_LONGEST_ASKED_SECONDS)))
            self._looked_at = self._monotonic()
        self._apart = apart
        return lost if lost >= _LEAST_SECONDS else 0.0

    def _pull_in(self, longest: timedelta) -> None:
        now = self._clock()
        if moved := self._inbox.write(pull_in, now=now, latest=now + longest):
            self._tell("due_far_ahead", moved)

    def _tell(self, what: str, moved: int, **more: float) -> None:
        _log.warning(what, moved=moved, **more)
        self._on_moved()

    def _difference(self) -> float:
        return self._clock().timestamp() - self._monotonic()

    def _run(self) -> None:
        while not self._stopping.wait(_EVERY_SECONDS):
            try:
                self.compare()
            except InboxUnavailable:
                continue
            except Exception:  # noqa: BLE001 - see below
                # The last guard of the thread.
                _log.exception("timekeeping_failed")
                self._metrics.failures.labels("timekeeping").inc()
