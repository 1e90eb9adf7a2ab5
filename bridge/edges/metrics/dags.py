"""What Airflow says about DAGs, in numbers."""

from collections.abc import Collection, Iterable, Mapping

from bridge.edges.metrics.making import Making, create
from bridge.words.dags import KnownDag

_OF_THE_STORE = " Of the store."
ASKED = ("answered", "failed")


class DagMetrics:
    """The metrics of looking at DAGs."""

    def __init__(self, making: Making, airflows: Collection[str]) -> None:
        """Create every child that the configuration determines."""
        self._airflows = frozenset(airflows)
        self._shown: frozenset[tuple[str, str, str]] = frozenset()
        self.state = making.gauge(
            "dag_state",
            "1 for the state of a DAG that the mapping names." + _OF_THE_STORE,
            "airflow",
            "dag",
            "state",
        )
        self.requests = making.counter(
            "dag_requests_total", "Looks at the DAGs of an Airflow, apart from those of firing.", "airflow", "outcome"
        )
        self.ending = making.gauge(
            "holds_ending", "Triggers held for their DAG that will fail within a day." + _OF_THE_STORE, "airflow"
        )
        create(self.ending, self._airflows)
        create(self.requests, self._airflows, ASKED)

    def observe(self, found: Iterable[KnownDag]) -> None:
        """Take over what the store says; a state that a DAG is no longer in has no series."""
        known = (dag for dag in found if dag.airflow in self._airflows)
        now = frozenset((dag.airflow, dag.dag_id, str(dag.state)) for dag in known)
        for labels in self._shown - now:
            self.state.remove(*labels)
        for labels in now - self._shown:
            self.state.labels(*labels).set(1)
        self._shown = now

    def observe_ending(self, found: Mapping[str, int]) -> None:
        """Take over how many triggers will fail within a day, by Airflow."""
        for airflow in self._airflows:
            self.ending.labels(airflow).set(found.get(airflow, 0))

    def count_request(self, airflow: str, *, is_answered: bool) -> None:
        """Count one request."""
        self.requests.labels(airflow, ASKED[0] if is_answered else ASKED[1]).inc()
