"""The look-ups that wait or are under way: a few threads, a few places, and a lease for each delivery in one of them.

Whatever leaves for a look-up is put off by a lease first, and again as long as it is under way here. So neither a
slow API nor a crash can make it block the others, and what a dead replica was asking is due for the others when its
lease lapses. Asking twice is harmless: a delivery is routed once.

Each source has threads and places of its own, so that the slow API of one holds up no look-up of another. While its API
is down or allows no calls, there is one place for a probe now and then, or none.

What finds no free place waits in the store, with the reason `lookup_queued`, and costs nothing there. Whichever replica
has a free place draws the one of that source that has waited longest. Its due time is far off (`QUEUED_SECONDS`), and
only there so that a release that does not know this queue finds it too.
"""

import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from bridge.edges.inbox import Inbox
from bridge.edges.inbox.deliveries import Postponed, draw, postpone, queued, queued_elsewhere, renew
from bridge.edges.metrics import Metrics
from bridge.flows.routing.drafts import postponed
from bridge.rules.retrying.backoff import QUEUED_SECONDS
from bridge.words.errors import InboxUnavailable
from bridge.words.model import Delivery
from bridge.words.reasons import Reason

_AT_ONCE = 4  # of one source
_PLACES = 16  # of one source
_FEW = _PLACES // 2  # taken places at which it is time to draw more: enough for the threads meanwhile
_STRAYS = 100
_AHEAD_SECONDS = 1200.0  # what is asked about the first time goes before what had no answer, but not for ever
_RENEWALS = 3  # in the time of one lease
_TICK_SECONDS = 0.02
_log = structlog.get_logger("bridge.routing")


class Lookups:
    """Asks in threads of its own; everything else is called by the routing thread."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        sources: Collection[str],
        ask: Callable[[Delivery], None],
        room: Callable[[str, int], int],
        on_room: Callable[[], None],
        metrics: Metrics,
        lease_seconds: float,
        clock: Callable[[], datetime],
    ) -> None:
        """`sources`: those that have an API; `ask` looks one delivery up and stores what follows.

        `room` returns how many of a source may be under way now, of so many. `on_room` wakes whoever draws.
        """
        self._inbox = inbox
        self._ask, self._room_at = ask, room
        self._on_room = on_room
        self._metrics = metrics
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._renew_at = 0.0  # by the monotonic clock
        self._asked: dict[str, tuple[Delivery, Future[None]]] = {}
        self._lock = threading.Lock()
        self._threads = {source: ThreadPoolExecutor(_AT_ONCE, f"lookup-{source}") for source in sources}
        self._has_strays = True  # perhaps; of a source that has no API any more

    @property
    def is_under_way(self) -> bool:
        """Whether one is being asked."""
        with self._lock:
            return any(asked.running() for _, asked in self._asked.values())

    def holds(self, delivery_id: str) -> bool:
        """Whether this delivery waits for its look-up already."""
        return delivery_id in self._asked

    def fitting(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Return those of them that find a free place of their source, the first ones first."""
        found: list[Delivery] = []
        for source in self._threads:
            found += [each for each in deliveries if each.source == source][: max(0, self._room(source))]
        return found

    def draw(self) -> list[Delivery]:
        """Return those of each source that have waited longest for a free place, leased; to be begun.

        Those of a source that has no API any more come along. Raises InboxUnavailable.
        """
        rows: list[int] = []
        for source in self._threads:
            if (room := self._room(source)) > 0:
                rows += self._inbox.read(queued, source=source, limit=room)
        if self._has_strays:
            strays = self._inbox.read(queued_elsewhere, sources=list(self._threads), limit=_STRAYS)
            self._has_strays = bool(strays)
            rows += strays
        until = self._clock() + timedelta(seconds=self._lease_seconds)
        return self._inbox.write(draw, rows, until=until) if rows else []

    def _room(self, source: str) -> int:
        with self._lock:
            return self._room_at(source, _PLACES) - self._taken(source)

    def _taken(self, source: str) -> int:
        return sum(delivery.source == source for delivery, _ in self._asked.values())

    def queued(self, delivery: Delivery, now: datetime) -> Postponed:
        """Return what lets a delivery wait until it is drawn: before those of the last while that were asked about."""
        ahead = 0.0 if delivery.lookups else _AHEAD_SECONDS
        return postponed(delivery, now, QUEUED_SECONDS - ahead, Reason.LOOKUP_QUEUED)

    def leased(self, delivery: Delivery, now: datetime, *, is_new: bool) -> Postponed:
        """Return what puts a delivery off for the time of a lease."""
        return postponed(delivery, now, self._lease_seconds, None, is_lookup=is_new)

    def begin(self, deliveries: Sequence[Delivery]) -> None:
        """Ask about these; their leases are stored."""
        with self._lock:  # so that none ends before it is noted
            for delivery in deliveries:
                self._asked[delivery.id] = (delivery, self._threads[delivery.source].submit(self._run, delivery))

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
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)
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
                is_time_to_draw = self._taken(delivery.source) <= _FEW
            if is_time_to_draw:
                self._on_room()
