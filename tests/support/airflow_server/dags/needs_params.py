"""A DAG whose params refuse some conf: a required string `city` and an integer `limit`, or Airflow answers 400."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Param

with DAG(
    "needs_params",
    schedule=None,
    params={"city": Param(type="string", minLength=1), "limit": Param(10, type="integer", minimum=1)},
):
    EmptyOperator(task_id="done")
