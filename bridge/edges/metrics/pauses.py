"""What a person has paused, in numbers: since when, and until when."""

import math
from collections.abc import Iterable

from bridge.edges.metrics.making import Making
from bridge.words.pauses import Pause

_OF_THE_STORE = " Of the store."


class PauseMetrics:
    """One series for each pause; it ends with the pause."""

    def __init__(self, making: Making) -> None:
        """Nothing is paused yet."""
        self.since = making.gauge(
            "paused_timestamp_seconds", "Since when a person has this paused." + _OF_THE_STORE, "kind", "name"
        )
        self.until = making.gauge(
            "paused_until_timestamp_seconds",
            "When the pause ends by itself; +Inf if never." + _OF_THE_STORE,
            "kind",
            "name",
        )

    def observe(self, pauses: Iterable[Pause]) -> None:
        """Take over what is paused now."""
        self.since.clear()
        self.until.clear()
        for pause in pauses:
            self.since.labels(pause.kind, pause.name).set(pause.paused_at.timestamp())
            self.until.labels(pause.kind, pause.name).set(
                math.inf if pause.ends_at is None else pause.ends_at.timestamp()
            )
