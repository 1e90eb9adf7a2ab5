"""A pipeline by its name, with tasks before and after it: with the imports of the vendor's page."""

from datetime import datetime

from airflow import DAG
from airflow.operators.empty import EmptyOperator

from planasonix_provider.operators.planasonix import PlanasonixRunPipelineOperator

with DAG(
    dag_id="crm_then_marts",
    start_date=datetime(2025, 1, 1),
    schedule="@hourly",
    catchup=False,
) as dag:
    start = EmptyOperator(task_id="start")
    load = PlanasonixRunPipelineOperator(
        task_id="load_crm",
        pipeline_name="sales_to_warehouse",
        environment="production",
        parameters={"hour": "{{ ts }}"},
        wait_for_completion=True,
        timeout=7200,
        planasonix_conn_id="planasonix_default",
    )
    marts = EmptyOperator(task_id="refresh_marts")
    start >> load >> marts
