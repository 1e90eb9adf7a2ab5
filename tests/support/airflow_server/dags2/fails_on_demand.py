"""A DAG that fails when its conf has a true `fail`, and succeeds otherwise; as beside Airflow 3."""

from airflow import DAG
from airflow.exceptions import AirflowFailException
from airflow.operators.python import PythonOperator


def fail_if_told(**context):
    """Read conf and obey."""
    if (context["dag_run"].conf or {}).get("fail"):
        raise AirflowFailException("told to fail by the conf of this run")


with DAG("fails_on_demand", schedule=None):
    PythonOperator(task_id="fail_if_told", python_callable=fail_if_told)
