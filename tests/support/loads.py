"""A DAG of many tasks, each of which runs a pipeline of Planasonix and waits for it: for scenarios in real Airflows.

BRIDGE_TEST_WAITS says how many tasks (5); `make test-all` takes 50.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.runs_api import KEY, RunsApi

TASKS = int(os.environ.get("BRIDGE_TEST_WAITS", "5"))
PIPELINE = "pl_01hqxyz"
_DAG = """
from datetime import datetime, timedelta
from airflow import DAG
from planasonix_provider.operators.planasonix import PlanasonixRunPipelineOperator

with DAG(dag_id="loads", start_date=datetime(2025, 1, 1), schedule=None, max_active_tasks=1000) as dag:
    for number in range(TASKS):
        PlanasonixRunPipelineOperator(
            task_id=f"load_{number}",
            pipeline_id="PIPELINE",
            retries=9,  # a worker that cannot reach a slow api-server fails its task before anything of ours runs
            retry_delay=timedelta(0),
            ARGUMENTS,
        )
"""


@pytest.fixture
def planasonix() -> Iterator[RunsApi]:
    """A Planasonix whose runs go on until the test says that they have ended."""
    with RunsApi() as api:
        api.story = ["running"]
        yield api


def write_dag(folder: Path, arguments: str) -> Path:
    """Write the DAG `loads` into a new folder for DAGs, and return that; `arguments` are those of each task."""
    dags = folder / "dags"
    dags.mkdir()
    text = _DAG.replace("TASKS", str(TASKS)).replace("PIPELINE", PIPELINE).replace("ARGUMENTS", arguments)
    (dags / "loads.py").write_text(text)
    return dags


def variables(unpacked: Path, planasonix: RunsApi, **extra: str) -> dict[str, str]:
    """Return what an Airflow needs to find the provider and Planasonix; `extra` is more of the connection."""
    connection = {"conn_type": "planasonix", "host": planasonix.url, "password": KEY, "extra": extra}
    return {
        "PYTHONPATH": str(unpacked),
        "AIRFLOW_CONN_PLANASONIX_DEFAULT": json.dumps(connection),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


def ended(number: int, run: str) -> bytes:
    """Return the webhook of a run that has ended; its rows tell whose it is."""
    value = {"id": f"evt_{run}", "type": "pipeline.run.succeeded", "run_id": run, "pipeline_id": PIPELINE}
    return json.dumps(value | {"status": "succeeded", "rows_loaded": 1000 + number}).encode()


def runs(planasonix: RunsApi) -> dict[int, str]:
    """Return the runs that were started, by the number of their task."""
    with planasonix.lock:
        return {int(run["metadata"]["task_id"].split("_")[1]): name for name, run in planasonix.runs.items()}
