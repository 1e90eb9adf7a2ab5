"""Notices that the wall clock was set back, so that nothing waits for a time that comes again an hour later.

Due times and leases are instants of the wall clock, since replicas and restarts share no other one. When it is set
back, everything that waits would wait as much longer. So two clocks are compared once a second, and what waits is moved
by what the wall clock has lost, slice by slice, so that webhooks pass. Replicas are often set back alike: the first to
notice takes the duty, and what waits moves once. At the start, for the time when nobody compared, and once a minute,
since another replica's clock may be days ahead until it dies, what is due later than its reason allows is due now
(bridge.edges.inbox.moving). What waits for a person or for its place behind a ceiling is no wrong clock. Set forward,
things are due too early: then a call is repeated under its own DAG run id, which starts nothing twice.
"""

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import structlog

from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox, duties, moving
from bridge.edges.metrics import Metrics

_EVERY_SECONDS = 1.0
_LEAST_SECONDS = 2.0  # what time servers correct at once is less
_LEASE_SECONDS = 300.0  # as long as any replica's lease may be, if it is configured longer than here
_SLACK = timedelta(seconds=60)  # by how much the clocks of replicas may differ
_LOOK_SECONDS = 60.0
_DUTY = "clock_set_back"
_WATCHFUL_SECONDS = 30.0  # whoever read the clock before it was set may write for so long what it read
_log = structlog.get_logger("bridge.clock")


class ClockCheck:
    """Compares the clocks once a second."""

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
        self._token = secrets.token_hex(8)  # of this process
        self._longest_lease = timedelta(seconds=max(_LEASE_SECONDS, 2 * lease_seconds))
        self._on_moved = on_moved
        self._clock = clock
        self._monotonic = monotonic
        self._apart = self._difference()
        self._to_move: deque[tuple[moving.Slice, timedelta]] = deque()  # and by how much
        self._watchful_until = monotonic() + _WATCHFUL_SECONDS  # from the start on: nobody compared before
        self._looked_at = monotonic()
        self.loop = Loop(
            "clock", self.step, every_seconds=_EVERY_SECONDS, first_after_seconds=_EVERY_SECONDS, metrics=metrics
        )

    def step(self) -> None:
        """Compare, at the usual pace. Raises InboxUnavailable."""
        self.compare()

    def compare(self) -> float:
        """Move what waits if the wall clock was set back; returns by how many seconds it was, or 0.

        Raises InboxUnavailable when the store cannot commit: the next call goes on where this one stopped.
        """
        if self._to_move:
            self._report("clock_set_back", self._move())
        apart = self._difference()
        lost = max(0.0, self._apart - apart)
        if lost >= _LEAST_SECONDS:
            self._set_back(lost, apart)
        elif self._monotonic() < self._watchful_until or self._monotonic() - self._looked_at >= _LOOK_SECONDS:
            self._pull_in()
            self._looked_at = self._monotonic()
        self._apart = apart
        return lost if lost >= _LEAST_SECONDS else 0.0

    def _set_back(self, lost: float, apart: float) -> None:
        """Move what waits, unless another replica does. The duty lapses: others may compare a little later."""
        now = self._clock()
        if not self._inbox.write(duties.take, _DUTY, token=self._token, now=now, seconds=_LOOK_SECONDS):
            # What that replica has yet to move seems too late, and is not: this one looks again in a minute.
            self._watchful_until = self._looked_at = self._monotonic()
            _log.warning("clock_set_back_as_elsewhere", seconds=round(lost, 1))
            return
        self._watchful_until = self._monotonic() + _WATCHFUL_SECONDS
        waiting = self._inbox.read(moving.ahead, now=now)
        self._apart = apart  # before anything moves: what is left to move is known
        moved = self._move(waiting, by=timedelta(seconds=lost))
        self._report("clock_set_back", moved, seconds=round(lost, 1))

    def _move(self, slices: Iterable[moving.Slice] = (), *, by: timedelta = timedelta()) -> int:
        """Move these, after what a store that could not commit has kept from moving; returns how much was moved."""
        self._to_move.extend((part, by) for part in slices)
        moved = 0
        while self._to_move:
            part, by = self._to_move[0]
            moved += self._inbox.write(moving.move_up, part, by=by)
            self._to_move.popleft()  # after it: what was committed all the same moves no second time
            self.loop.beat()
        return moved

    def _pull_in(self) -> None:
        now = self._clock()
        moved = self._inbox.write(moving.end_leases, now=now, latest=now + self._longest_lease)
        while looks := self._inbox.write(moving.pull_in_looks, now=now, slack=_SLACK):
            self.loop.beat()
            moved += looks
        found = self._inbox.read(moving.far_ahead, now=now, slack=_SLACK)
        while found:
            self.loop.beat()
            moved += self._inbox.write(moving.pull_in, now=now, slack=_SLACK, found=found)
            found = self._inbox.read(moving.far_ahead, now=now, slack=_SLACK, waits=found.keys())
        latest = moving.latest_start(now, _SLACK)
        for route in self._inbox.read(moving.late_queues, latest=latest):
            queue, by = self._inbox.read(moving.queue, route, latest=latest)
            moved += self._move(queue, by=by)
        if moved:
            self._report("due_far_ahead", moved)

    def _report(self, what: str, moved: int, **more: float) -> None:
        _log.warning(what, moved=moved, **more)
        self._on_moved()

    def _difference(self) -> float:
        return self._clock().timestamp() - self._monotonic()
