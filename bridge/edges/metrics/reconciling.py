"""Webhooks that never came, in numbers."""

from collections.abc import Iterable

from bridge.edges.metrics.making import Making, create

# done: every page was read. failed: the API did not answer. behind: webhooks of the source still wait for routing.
OUTCOMES = ("done", "failed", "behind")


class ReconcileMetrics:
    """The metrics of reconciling."""

    def __init__(self, making: Making) -> None:
        """Make them; no source is reconciled yet."""
        meaning = "Jobs that have ended and whose webhook never came, made up for."
        self.reconciled = making.counter("reconciled_total", meaning, "source")
        meaning = "Looks at the jobs of the Planasonix API, by how they ended."
        self.looks = making.counter("reconcile_looks_total", meaning, "source", "outcome")
        meaning = "End of this process's last whole look at the jobs; 0 at replicas that do not look."
        self.looked_at = making.gauge("reconcile_last_look_timestamp_seconds", meaning, "source")

    def expect(self, sources: Iterable[str]) -> None:
        """Create every child."""
        names = tuple(sources)
        create(self.reconciled, names)
        create(self.looks, names, OUTCOMES)
        create(self.looked_at, names)
