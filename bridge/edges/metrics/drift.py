"""Changes in how sources spell their bodies, in numbers."""

from collections.abc import Iterable

from bridge.edges.metrics.making import Making, create
from bridge.words.drifts import Change, DriftKind


class DriftMetrics:
    """The metrics of drift."""

    def __init__(self, making: Making, sources: Iterable[str]) -> None:
        """Make them, with every child."""
        meaning = "Types, status words and fields of bodies that were never seen before, or are gone."
        self.drifts = making.counter("drifts_total", meaning, "source", "kind", "change")
        create(self.drifts, sources, DriftKind, Change)
