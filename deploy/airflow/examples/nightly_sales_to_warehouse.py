"""A nightly pipeline, waited for in a worker: with the arguments of the vendor's page."""

from datetime import datetime

from airflow import DAG

from planasonix_provider.operators.planasonix import PlanasonixRunPipelineOperator

with DAG(
    dag_id="nightly_sales_to_warehouse",
    start_date=datetime(2025, 1, 1),
    schedule="0 2 * * *",
    catchup=False,
) as dag:
    run_pipeline = PlanasonixRunPipelineOperator(
        task_id="run_sales_pipeline",
        pipeline_id="pl_01hqxyz",
        environment="production",
        parameters={"business_date": "{{ ds }}"},
        wait_for_completion=True,
        timeout=3600,
        planasonix_conn_id="planasonix_default",
    )
