"""Where people look at what the bridge started."""

from collections.abc import Callable, Mapping


class Links:
    """Addresses of pages in other places."""

    def __init__(self, runs: Mapping[str, Callable[[str, str], str]]) -> None:
        """`runs`: by the name of an Airflow, what returns the page of one of its DAG runs."""
        self._runs = runs

    def run(self, airflow: str, dag_id: str, dag_run_id: str | None) -> str | None:
        """Return the page of a DAG run; None without a run, or if its Airflow is configured no more."""
        page = self._runs.get(airflow)
        return None if page is None or not dag_run_id else page(dag_id, dag_run_id)
