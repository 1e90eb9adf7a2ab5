"""A DAG that fails when its conf has a true `fail`, and succeeds otherwise."""

from airflow.sdk import dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException


@dag(schedule=None)
def fails_on_demand() -> None:
    """Fail if told to."""

    @task
    def fail_if_told() -> None:
        """Read conf and obey."""
        if (get_current_context()["dag_run"].conf or {}).get("fail"):
            raise AirflowFailException("told to fail by the conf of this run")

    fail_if_told()


fails_on_demand()
