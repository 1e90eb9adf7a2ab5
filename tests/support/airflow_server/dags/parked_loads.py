"""Three tasks that run a pipeline of Planasonix, and are parked until the bridge tells how their runs ended."""

from datetime import timedelta

from airflow.sdk import DAG

try:
    from planasonix_provider.operators.planasonix import PlanasonixRunPipelineOperator
except ImportError:  # an older release of Airflow 3, with older providers: it parks nothing
    PlanasonixRunPipelineOperator = None

if PlanasonixRunPipelineOperator is not None:
    with DAG("parked_loads", schedule=None):
        for number in range(3):
            PlanasonixRunPipelineOperator(
                task_id=f"load_{number}",
                pipeline_id="pl_01hqxyz",
                parked=True,
                retries=9,  # a worker that cannot reach a slow api-server fails its task before anything of ours runs
                retry_delay=timedelta(0),
            )
