"""The one background loop: a thread that does one step again and again.

    step    does one piece of work and returns the seconds until the next, None for the usual pause, or FINISHED
    guard   InboxUnavailable: the store says so itself, so only later. Anything else: logged, counted, slower each time.
            Neither ends the thread.
    beat    moves each time the thread turns, also while it waits. `/livez` is red when one stands still for too long.

Between two beats a step may wait less than BRIDGE_STALL_SECONDS, so a long step beats in between: a store that hangs or
is slow is no reason to be killed. tests/chores/test_loop.py adds the waits up.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog

from bridge.edges.metrics import Metrics
from bridge.words.errors import InboxUnavailable

FINISHED: Final = float("inf")
STOP_SECONDS: Final = 2.0
TURN_SECONDS: Final = 1.0  # a pause is waited for in turns, so that a beat is never older in an idle thread
_SLOWEST_SECONDS = 60.0
_log = structlog.get_logger("bridge.loop")


class Beat:
    """The sign of life of one thread: call it at each turn."""

    def __init__(self, name: str) -> None:
        """Nothing is expected before the first call."""
        self.name = name
        self._at: float | None = None

    def __call__(self) -> None:
        """Say that the thread turns."""
        self._at = time.monotonic()

    def end(self) -> None:
        """Say that the thread has ended as it should."""
        self._at = None

    @property
    def age_seconds(self) -> float:
        """How long ago the thread last turned; 0 if it has not begun, or has ended."""
        at = self._at
        return 0.0 if at is None else time.monotonic() - at


class Loop:
    """One thread and its beat. Safe to call from any thread."""

    def __init__(
        self,
        name: str,
        step: Callable[[], float | None],
        *,
        every_seconds: float,
        metrics: Metrics,
        first_after_seconds: float = 0.0,
        retry_seconds: float | None = None,
        slowest_seconds: float | None = None,
        stop_seconds: float = STOP_SECONDS,
        on_stopped: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`name` is the word in logs, and in `bridge_internal_errors_total{part}`.

        `every_seconds`: the usual pause. `retry_seconds`: the pause while the store is away, a minute at most if not
        given. `slowest_seconds`: the longest pause after failures, a minute or the usual one if not given; shorter
        where leases are renewed in the step. `stop_seconds`: how long stopping waits for the step under way.
        `on_stopped(seconds)` ends what else belongs to the loop, within so many seconds.
        """
        self.beat = Beat(name)
        self._name = name
        self._step = step
        self._every_seconds = every_seconds
        self._first_after_seconds = first_after_seconds
        self._retry_seconds = min(every_seconds, _SLOWEST_SECONDS) if retry_seconds is None else retry_seconds
        self._slowest_seconds = max(_SLOWEST_SECONDS, every_seconds) if slowest_seconds is None else slowest_seconds
        self._stop_seconds = stop_seconds
        self._on_stopped = on_stopped
        self._failed = metrics.failures.labels(name)
        self._failures = 0  # in a row
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to turn."""
        self.beat()
        self._thread.start()

    def wake(self) -> None:
        """Take the next step now; cheap."""
        self._wake.set()

    def end(self) -> None:
        """Take no further step. Does not wait."""
        self._ending.set()
        self._wake.set()

    @property
    def is_ending(self) -> bool:
        """Whether no further step will be taken."""
        return self._ending.is_set()

    @property
    def is_alive(self) -> bool:
        """Whether the thread is running."""
        return self._thread.is_alive()

    def stop(self, limit_seconds: float) -> None:
        """End, wait for the step under way, and end what belongs to the loop; about `limit_seconds` in all."""
        deadline = time.monotonic() + limit_seconds
        self.end()
        if self._thread.is_alive():
            self._thread.join(max(0.0, min(self._stop_seconds, limit_seconds)))
            if self._thread.is_alive():
                _log.warning("step_left_behind", loop=self._name)
        self.beat.end()
        self._on_stopped(max(0.0, deadline - time.monotonic()))

    def turn(self) -> float:
        """Take one step under the guard; returns the pause until the next. Never raises."""
        try:
            pause = self._step()
        except InboxUnavailable:
            return self._retry_seconds
        except Exception:  # noqa: BLE001 - the last guard: whatever it is, the duty must go on
            self._failed.inc()
            self._failures += 1
            with suppress(Exception):  # a log that cannot be written must not end the duty either
                _log.exception("loop_failed", loop=self._name)
            return min(self._slowest_seconds, max(1.0, self._every_seconds) * 2.0 ** min(self._failures, 10))
        self._failures = 0
        return self._every_seconds if pause is None else pause

    def _run(self) -> None:
        pause = self._first_after_seconds
        while pause != FINISHED and self._wait(pause):
            self._wake.clear()
            self.beat()
            pause = self.turn()
        if pause == FINISHED:
            self.beat.end()

    def _wait(self, seconds: float) -> bool:
        """Wait, and beat meanwhile; False when it is time to end. After a failure nobody can hurry it."""
        signal = self._ending if self._failures else self._wake
        until = time.monotonic() + seconds
        while not self._ending.is_set() and (remaining := until - time.monotonic()) > 0:
            self.beat()
            if signal.wait(min(remaining, TURN_SECONDS)):
                break
        return not self._ending.is_set()
