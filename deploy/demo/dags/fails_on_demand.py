"""A DAG that fails when its conf says so: to see a run that was started and did not succeed."""

from airflow.sdk import dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException


@dag(schedule=None, catchup=False, tags=["planasonix"])
def fails_on_demand() -> None:
    """Fail if `conf` has a true `fail`."""

    @task
    def fail_if_told() -> None:
        """Read conf and obey."""
        if (get_current_context()["dag_run"].conf or {}).get("fail"):
            raise AirflowFailException("told to fail by the conf of this run")
        print("not told to fail")

    fail_if_told()


fails_on_demand()
