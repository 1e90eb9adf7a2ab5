"""The metrics of how fast each Airflow is called now, at most what its settings allow."""

from collections.abc import Callable

from bridge.edges.metrics.making import Making


class PaceMetrics:
    """What a scrape reads of the pace; nothing keeps it."""

    def __init__(self, making: Making) -> None:
        """Create them; a child comes with each Airflow that is watched."""
        self.concurrency = making.gauge(
            "airflow_pace_concurrency",
            "Calls that may be under way at once now; fewer under strain.",
            "airflow",
        )
        self.rate = making.gauge(
            "airflow_pace_rate", "DAG runs that may be started in a second now; fewer under strain.", "airflow"
        )

    def watch(self, airflow: str, concurrency: Callable[[], float], rate: Callable[[], float]) -> None:
        """Ask these at each scrape."""
        self.concurrency.labels(airflow).set_function(concurrency)
        self.rate.labels(airflow).set_function(rate)
