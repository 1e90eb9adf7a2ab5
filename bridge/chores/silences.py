"""Notes when each source was heard last that may not be silent for long (`silent_after` in bridge.yaml).

1. Read what is known of each source: it is in the store, so replicas agree and a restart forgets nothing.
2. Search the deliveries since the last search, and a little before it: one may have been committed late.
3. Keep what is new. Who is silent is judged where it is shown (bridge.rules.troubles), and here for the metric.

A source that was never heard counts from the first look that expected it. After a time without any look (no bridge ran,
so nothing could be heard) each counts from the look that ends it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog

from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox, silences
from bridge.edges.metrics import Metrics
from bridge.words.silences import Silence

_EVERY_SECONDS = 10.0
_OVERLAP = timedelta(minutes=5)  # far longer than a commit may take, or the clocks of replicas may differ
_KEPT_EVERY = timedelta(minutes=1)
_GAP = timedelta(minutes=5)  # without a look: nobody was there to be sent anything
_SEARCHED = 200_000  # deliveries: some tenths of a second, only where nothing is known or after a long stop
_log = structlog.get_logger("bridge.silences")


class Silences:
    """Looks every ten seconds."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        expected: Mapping[str, float],
        metrics: Metrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`expected`: for how many seconds each source may be silent."""
        self._inbox = inbox
        self._expected = {source: timedelta(seconds=seconds) for source, seconds in expected.items()}
        self._metrics = metrics
        self._clock = clock
        self._silent: set[str] = set()
        self.loop = Loop("silences", self.look, every_seconds=_EVERY_SECONDS, metrics=metrics)

    def look(self) -> None:
        """Note who was heard, set the metric, and log who has fallen silent. Raises InboxUnavailable."""
        now = self._clock()
        before = {each.source: each for each in self._inbox.read(silences.known)}
        found = [self._search(source, before.get(source), now) for source in self._expected]
        changed = [each for each in found if _is_worth_keeping(before.get(each.source), each)]
        gone = before.keys() - self._expected.keys()
        if changed:
            self._inbox.write(silences.keep, changed)
        if gone:
            self._inbox.write(silences.forget, gone)
        for each in found:
            self._say(each, is_silent=each.is_silent(now))

    def _search(self, source: str, before: Silence | None, now: datetime) -> Silence:
        since = None if before is None else before.looked_at - _OVERLAP
        newest = self._inbox.read(silences.newest, source, since=since, limit=_SEARCHED)
        if before is None:
            return Silence(source, self._expected[source], newest or now, newest, now)
        heard_at = max(filter(None, (before.heard_at, newest)), default=None)
        since = now if now - before.looked_at > _GAP else before.since
        return replace(before, after=self._expected[source], since=since, heard_at=heard_at, looked_at=now)

    def _say(self, each: Silence, *, is_silent: bool) -> None:
        self._metrics.source_silent.labels(each.source).set(is_silent)
        if is_silent and each.source not in self._silent:
            self._silent.add(each.source)
            _log.warning("source_silent", source=each.source, since=each.counted_from.isoformat(timespec="seconds"))
        elif not is_silent:
            self._silent.discard(each.source)


def _is_worth_keeping(before: Silence | None, found: Silence) -> bool:
    """Tell whether something is new, or the next search would have to begin far back."""
    if before is None or (before.after, before.heard_at) != (found.after, found.heard_at):
        return True
    return found.looked_at - before.looked_at >= _KEPT_EVERY
