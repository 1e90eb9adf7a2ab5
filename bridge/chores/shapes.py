"""Learns how each source spells its bodies, and says once what of it has changed. Never a value of a body.

    note   takes in one delivery that was routed; memory only, some microseconds, in the threads that route
    step   every half minute: what was seen since, into the store, source by source

    1. take    what was seen of a source; what comes meanwhile is noted apart
    2. read    what is known of it, and its revision
    3. learn   bridge.rules.drift: what is known now, and what has changed
    4. keep    both, if the revision is still that one; else another replica was quicker: again from 2
    5. say     what has changed, in the log and the metrics; the attention page reads it from the store

So each change is said once, whatever the number of replicas and restarts. A crash loses half a minute of learning, and
what changed then shows in the next body.
"""

import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby

import structlog

from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox, shapes
from bridge.edges.metrics import Metrics
from bridge.rules.drift import Batch, Learned, learn
from bridge.words.drifts import Drift
from bridge.words.errors import InboxUnavailable
from bridge.words.model import Delivery, Event
from bridge.words.via import Via

_EVERY_SECONDS = 30.0
_TRIES = 5  # against other replicas; then in the next step
_PATHS_SAID = 20  # in one line of the log
_log = structlog.get_logger("bridge.shapes")


class Shapes:
    """What was seen of each source since the last step."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        sources: Collection[str],
        metrics: Metrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`sources`: those configured; of another one nothing is learned."""
        self._inbox, self._clock = inbox, clock
        self._metrics = metrics.drift
        self._lock = threading.Lock()
        self._seen = {source: Batch() for source in sources}
        self._taken: dict[str, Batch] = {}
        self.loop = Loop(
            "shapes", self.step, every_seconds=_EVERY_SECONDS, metrics=metrics, on_stopped=lambda _: self._end()
        )

    def note(self, delivery: Delivery, event: Event | None) -> None:
        """Take in one delivery that was routed; a test event, or what no webhook brought, is spelled otherwise."""
        if event is None or event.is_test or delivery.via is not Via.WEBHOOK:
            return
        with self._lock:
            if (batch := self._seen.get(delivery.source)) is not None:
                batch.add(event, delivery.id)

    def step(self) -> None:
        """Learn from what was seen. Raises InboxUnavailable: then what was taken waits for the next step."""
        with self._lock:
            for source in self._seen.keys() - self._taken.keys():
                if self._seen[source].total:
                    self._taken[source], self._seen[source] = self._seen[source], Batch()
        for source in sorted(self._taken):
            if (learned := self._learn(source, self._taken[source])) is not None:
                self._taken.pop(source, None)
                self._say(source, learned.drifts)
            self.loop.beat()

    def _learn(self, source: str, batch: Batch) -> Learned | None:
        for _ in range(_TRIES):
            revision, known = self._inbox.read(shapes.known, source)
            now = self._clock()
            learned = learn(known, batch, now)
            if self._inbox.write(shapes.keep, source, learned, revision=revision, now=now):
                return learned
        return None

    def _say(self, source: str, drifts: list[Drift]) -> None:
        """Say it: a line for each kind of change."""
        drifts.sort(key=lambda drift: (drift.kind, drift.change, drift.path))
        for (kind, change), group in groupby(drifts, key=lambda drift: (drift.kind, drift.change)):
            found = list(group)
            self._metrics.drifts.labels(source, kind, change).inc(len(found))
            _log.warning(
                "drift",
                source=source,
                kind=str(kind),
                change=str(change),
                amount=len(found),
                paths=sorted({drift.path for drift in found})[:_PATHS_SAID],
                delivery_id=found[0].delivery_id,
                next_step="look at that delivery, and whether the mapping and `body:` of the source still fit",
            )

    def _end(self) -> None:
        """Learn from the last half minute."""
        with suppress(InboxUnavailable):
            self.step()
