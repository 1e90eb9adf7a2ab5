"""A histogram for the hot path."""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client import Metric
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0)


class Tally(Collector):
    """A histogram that one thread alone observes: 0.1 us for a value where a lock for every one costs 0.6."""

    def __init__(self, name: str, meaning: str) -> None:
        """Start with nothing observed."""
        self._name, self._meaning = name, meaning
        self._counts = [0] * (len(SECONDS) + 1)
        self._sum = 0.0

    def observe(self, values: Iterable[float]) -> None:
        """Count values; never from two threads at once."""
        counts, total = self._counts, 0.0
        for value in values:
            counts[bisect_left(SECONDS, value)] += 1
            total += value
        self._sum += total

    def collect(self) -> Iterable[Metric]:
        """Return it in Prometheus' form."""
        limits = [*map(floatToGoString, SECONDS), "+Inf"]
        buckets = list(zip(limits, map(float, accumulate(self._counts)), strict=True))
        yield HistogramMetricFamily(self._name, self._meaning, buckets=buckets, sum_value=self._sum)
