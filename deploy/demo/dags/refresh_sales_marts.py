"""What a pipeline's success should start: prints the conf that the bridge sent with the run."""

import json

from airflow.sdk import dag, get_current_context, task


@dag(schedule=None, catchup=False, tags=["planasonix"])
def refresh_sales_marts() -> None:
    """Refresh the sales marts from what Planasonix has just loaded."""

    @task
    def print_conf() -> None:
        """Show what arrived; a real DAG would transform the rows that the event tells of."""
        conf = get_current_context()["dag_run"].conf
        print(json.dumps(conf, indent=2, sort_keys=True))

    print_conf()


refresh_sales_marts()
