"""The look-ups that wait or are under way: a few threads, a few places, and a lease for each delivery in one of them.

Whatever leaves for a look-up is put off by a lease first, and again as long as it is under way here. So neither a
slow API nor a crash can make it block the others, and what a dead replica was asking is due for the others when its
lease lapses. Asking twice is harmless: a delivery is routed once.

What finds no free place waits in the store, with the reason `lookup_queued`, and costs nothing there. Whichever replica
has a free place draws the one that has waited longest. Its due time is far off (`QUEUED_SECONDS`), and only there so
that a release that does not know this queue finds it too.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from bridge.edges.inbox import Inbox
from bridge.edges.inbox.deliveries import Postponed, draw, postpone, queued, renew
from bridge.edges.metrics import Metrics
from bridge.flows.routing.drafts import postponed
from bridge.rules.retrying.backoff import QUEUED_SECONDS
from bridge.words.errors import InboxUnavailable
from bridge.words.model import Delivery
from bridge.words.reasons import Reason

_AT_ONCE = 4
_PLACES = 16
_FEW = _PLACES // 2  # taken places at which it is time to draw more: enough for the threads meanwhile
_RENEWALS = 3  # in the time of one lease
_TICK_SECONDS = 0.02
_log = structlog.get_logger("bridge.routing")


class Lookups:
    """Asks in threads of its own; everything else is called by the routing thread."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        ask: Callable[[Delivery], None],
        on_room: Callable[[], None],
        metrics: Metrics,
        lease_seconds: float,
        clock: Callable[[], datetime],
    ) -> None:
        """`ask` looks one delivery up and stores what follows; `on_room` wakes whoever draws."""
        self._inbox = inbox
        self._ask = ask
        self._on_room = on_room
        self._metrics = metrics
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._renew_at = 0.0  # by the monotonic clock
        self._asked: dict[str, tuple[Delivery, Future[None]]] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="lookup")

    @property
    def is_under_way(self) -> bool:
        """Whether one is being asked."""
        with self._lock:
            return any(asked.running() for _, asked in self._asked.values())

    def holds(self, delivery_id: str) -> bool:
        """Whether this delivery waits for its look-up already."""
        return delivery_id in self._asked

    @property
    def room(self) -> int:
        """How many more may be begun."""
        return _PLACES - len(self._asked)

    def draw(self) -> list[Delivery]:
        """Return those that have waited longest for a free place, leased; to be begun. Raises InboxUnavailable."""
        rows = self._inbox.read(queued, limit=self.room) if self.room > 0 else []
        until = self._clock() + timedelta(seconds=self._lease_seconds)
        return self._inbox.write(draw, rows, until=until) if rows else []

    def queued(self, delivery: Delivery, now: datetime) -> Postponed:
        """Return what lets a delivery wait until it is drawn."""
        return postponed(delivery, now, QUEUED_SECONDS, Reason.LOOKUP_QUEUED)

    def leased(self, delivery: Delivery, now: datetime, *, is_new: bool) -> Postponed:
        """Return what puts a delivery off for the time of a lease."""
        return postponed(delivery, now, self._lease_seconds, None, is_lookup=is_new)

    def begin(self, deliveries: Sequence[Delivery]) -> None:
        """Ask about these; their leases are stored."""
        with self._lock:  # so that none ends before it is noted
            for delivery in deliveries:
                self._asked[delivery.id] = (delivery, self._threads.submit(self._run, delivery))

    def renew(self) -> None:
        """Put off once more what is still under way, if it is time. Raises InboxUnavailable."""
        if not self._asked or time.monotonic() < self._renew_at:
            return
        self._renew_at = time.monotonic() + self._lease_seconds / _RENEWALS
        with self._lock:
            ids = list(self._asked)
        self._inbox.write(renew, ids, until=self._clock() + timedelta(seconds=self._lease_seconds))

    def stop(self, limit_seconds: float) -> None:
        """End; those under way may take so long. The others are given back: whoever routes next asks at once."""
        deadline = time.monotonic() + limit_seconds
        self._threads.shutdown(wait=False, cancel_futures=True)
        while self.is_under_way and time.monotonic() < deadline:
            time.sleep(_TICK_SECONDS)
        with self._lock:
            unanswered = [postponed(delivery, self._clock(), 0.0, None) for delivery, _ in self._asked.values()]
        if unanswered:
            with suppress(InboxUnavailable):  # then their leases lapse, as after a crash
                self._inbox.write(postpone, unanswered)

    def _run(self, delivery: Delivery) -> None:
        try:
            self._ask(delivery)
        except InboxUnavailable:
            pass  # it is due again when its lease ends
        except Exception:  # noqa: BLE001 - see below
            # Whatever it is, it must not end the thread; the delivery is due again when its lease ends.
            _log.exception("lookup_failed", delivery_id=delivery.id)
            self._metrics.failures.labels("lookup").inc()
        finally:
            with self._lock:
                del self._asked[delivery.id]
                is_time_to_draw = len(self._asked) <= _FEW
            if is_time_to_draw:
                self._on_room()
