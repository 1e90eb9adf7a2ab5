"""Gives up triggers whose `deadline` has passed, wherever they wait: pending, held for any cause, paused.

One that is being fired, or of which a call may have started the DAG run, is not touched: firing settles it first
(bridge.flows.firing.doubt). Slice by slice with a rest, so that webhooks never wait for more than one of them.
"""

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox
from bridge.edges.inbox.deadlines import give_up, is_any_late
from bridge.edges.metrics import Metrics
from bridge.words.model import TriggerState
from bridge.words.reasons import Reason

_EVERY_SECONDS = 1.0
_SLICE = 200
_REST = 3.0
_log = structlog.get_logger("bridge.deadlines")


class Deadlines:
    """Looks once a second."""

    def __init__(
        self, *, inbox: Inbox, metrics: Metrics, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """`clock` gives aware UTC."""
        self._inbox = inbox
        self._metrics = metrics
        self._clock = clock
        self.loop = Loop("deadlines", self.step, every_seconds=_EVERY_SECONDS, metrics=metrics)

    def step(self) -> float | None:
        """Give up one slice; returns how long to rest, None if nothing is late. Raises InboxUnavailable."""
        now = self._clock()
        if not self._inbox.read(is_any_late, now=now):
            return None
        began = time.monotonic()
        routes = Counter(self._inbox.write(give_up, now=now, limit=_SLICE))
        seconds = time.monotonic() - began
        for route, amount in sorted(routes.items()):
            for _ in range(amount):
                self._metrics.count_ended(route, TriggerState.CANCELLED, Reason.TOO_LATE)
            _log.warning("too_late", route=route, triggers=amount, next_step=Reason.TOO_LATE.next_step)
        return _REST * seconds if routes else None
