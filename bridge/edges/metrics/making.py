"""Makes the bridge's metrics: one prefix, one registry, one set of buckets; and their children."""

from collections.abc import Iterable, Sequence
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0)

AMOUNTS = (1, 2, 4, 8, 16, 32, 64, 128)


class Making:
    """What is made belongs to one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Make nothing yet."""
        self._registry = registry

    def counter(self, name: str, meaning: str, *labels: str) -> Counter:
        """Make a counter; its name ends with `_total`."""
        return Counter(f"bridge_{name}", meaning, labels, registry=self._registry)

    def gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        """Make a gauge."""
        return Gauge(f"bridge_{name}", meaning, labels, registry=self._registry)

    def histogram(self, name: str, meaning: str, *labels: str, buckets: Sequence[float] = SECONDS) -> Histogram:
        """Make a histogram of seconds."""
        return Histogram(f"bridge_{name}", meaning, labels, buckets=buckets, registry=self._registry)

    def amounts(self, name: str, meaning: str) -> Histogram:
        """Make a histogram of small whole numbers."""
        return Histogram(f"bridge_{name}", meaning, buckets=AMOUNTS, registry=self._registry)


def create(metric: Counter | Gauge | Histogram, *words: Iterable[str]) -> None:
    """Create the children of every combination of these words."""
    for values in product(*words):
        metric.labels(*map(str, values))
