"""A DAG that is paused from the start: its runs are created and stay queued."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("paused_dag", schedule=None, is_paused_upon_creation=True):
    EmptyOperator(task_id="done")
