"""DAGs that a test pauses and lets go again, one for each place to wait in."""

from airflow import DAG
from airflow.operators.empty import EmptyOperator

for name in ("waits_there", "waits_here"):
    with DAG(name, schedule=None):
        EmptyOperator(task_id="done")
