"""A third DAG, for routes on failed events: takes any conf and succeeds."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("open_incident", schedule=None):
    EmptyOperator(task_id="done")
