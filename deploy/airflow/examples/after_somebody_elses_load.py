"""Wait for a pipeline that somebody else starts: a schedule in Planasonix, or another team."""

from datetime import datetime

from airflow import DAG

from planasonix_provider.operators.planasonix import PlanasonixRunPipelineOperator
from planasonix_provider.sensors.planasonix import PlanasonixRunSensor

with DAG(
    dag_id="after_somebody_elses_load",
    start_date=datetime(2025, 1, 1),
    schedule="0 2 * * *",
    catchup=False,
) as dag:
    loaded = PlanasonixRunSensor(
        task_id="sales_loaded",
        pipeline_name="sales_to_warehouse",
        timeout=4 * 3600,
        deferrable=True,
    )
    publish = PlanasonixRunPipelineOperator(task_id="publish", pipeline_id="pl_publish")
    loaded >> publish
