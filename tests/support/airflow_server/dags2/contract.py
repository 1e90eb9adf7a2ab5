"""The DAGs of the contract tests, for Airflow 2: the same names and params as beside Airflow 3."""

from airflow import DAG
from airflow.models.param import Param
from airflow.operators.empty import EmptyOperator

with DAG("refresh_sales_marts", schedule=None):
    EmptyOperator(task_id="done")

with DAG("paused_dag", schedule=None, is_paused_upon_creation=True):
    EmptyOperator(task_id="done")

with DAG(
    "needs_params",
    schedule=None,
    params={"city": Param(type="string", minLength=1), "limit": Param(10, type="integer", minimum=1)},
):
    EmptyOperator(task_id="done")
