"""Keeps in the store when each source was heard last, so that a busy source hides no quiet one.

1. Once, if a source of bridge.yaml is not known: search far back (the store is of a release that kept nothing).
2. Every five seconds, and at the end: keep what this process heard since.

After a crash the newest deliveries tell the rest (edges/inbox/heard).
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox, heard
from bridge.edges.metrics import Metrics
from bridge.words.errors import InboxUnavailable

_EVERY_SECONDS = 5.0
_SEARCHED = 200_000  # deliveries: some tenths of a second


class Heard:
    """Keeps what receiving has noted in the metrics."""

    def __init__(
        self, *, inbox: Inbox, metrics: Metrics, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Nothing is known to be kept yet."""
        self._inbox, self._clock = inbox, clock
        self._heard = metrics.last_deliveries
        self._kept: dict[str, float] = {}
        self._has_searched = False
        self.loop = Loop(
            "heard", self.step, every_seconds=_EVERY_SECONDS, metrics=metrics, on_stopped=lambda _: self._leave()
        )

    def step(self) -> None:
        """Keep what is new. Raises InboxUnavailable; then the next step does it."""
        if not self._has_searched:
            self._search()
            self._has_searched = True
        self._keep()

    def _search(self) -> None:
        unknown = {source for source, at in self._heard.items() if not at}
        if unknown:
            found = self._inbox.read(heard.last, newest=_SEARCHED, now=self._clock())
            mine = {source: at for source, at in found.items() if source in unknown}
            self._inbox.write(heard.keep, mine, now=self._clock())

    def _keep(self) -> None:
        # Also what is earlier than what was kept: this clock may have run ahead. The statement judges by itself.
        news = {source: at for source, at in self._heard.items() if at and at != self._kept.get(source)}
        if news:
            instants = {source: datetime.fromtimestamp(at, UTC) for source, at in news.items()}
            self._inbox.write(heard.keep, instants, now=self._clock())
            self._kept |= news

    def _leave(self) -> None:
        with suppress(InboxUnavailable):  # then the newest deliveries tell it, as after a crash
            self._keep()
