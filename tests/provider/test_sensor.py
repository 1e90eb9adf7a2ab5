"""PlanasonixRunSensor waits for runs of others: in a real Airflow 3.3 and 2.11, both ways."""

from typing import Any

import pytest

from tests.support.airflow_python import AirflowPython
from tests.support.runs_api import KEY, RunsApi

pytestmark = pytest.mark.xdist_group("provider")

DAG = """
from datetime import datetime
from airflow import DAG
from planasonix_provider.sensors.planasonix import PlanasonixRunSensor

with DAG(dag_id="DAG_ID", start_date=datetime(2025, 1, 1), schedule=None) as dag:
    PlanasonixRunSensor(task_id="wait", poke_interval=0.05, ARGUMENTS)
"""
BOTH_WAYS = pytest.mark.parametrize("deferrable", [False, True], ids=["blocking", "deferrable"])
SINCE = "2026-08-01T12:00:00+02:00"


def run(airflow: AirflowPython, api: RunsApi, arguments: str) -> dict[str, Any]:
    """Run a DAG of one sensor, and return what became of it."""
    airflow.output()
    connections = {"planasonix_default": {"conn_type": "planasonix", "host": api.url, "password": KEY}}
    result = airflow.run_dag(DAG.replace("ARGUMENTS", arguments), connections=connections)
    return dict(result["tasks"]["wait"], output=airflow.output())


@BOTH_WAYS
def test_it_waits_for_a_run_by_its_id(airflow_python: AirflowPython, planasonix: RunsApi, deferrable: bool) -> None:
    """And starts nothing."""
    planasonix.add("run_1", "pl_01hqxyz", ["queued", "running", "running", "succeeded"])
    task = run(airflow_python, planasonix, f'run_id="run_1", deferrable={deferrable}')
    assert task["state"] == "success", task["output"]
    assert task["xcom"]["return_value"]["metrics"] == {"rowsWritten": 44802}
    assert task["xcom"]["planasonix_run_url"].endswith("/runs/run_1")
    assert planasonix.count("POST") == 0


@BOTH_WAYS
def test_a_run_that_failed_fails_it(airflow_python: AirflowPython, planasonix: RunsApi, deferrable: bool) -> None:
    """With what Planasonix says of it."""
    planasonix.add("run_1", "pl_01hqxyz", ["running", "running", "failed"])
    task = run(airflow_python, planasonix, f'run_id="run_1", deferrable={deferrable}')
    assert task["state"] == "failed"
    assert "SOURCE_ERROR: Connection error" in task["output"]


@BOTH_WAYS
def test_it_waits_for_the_next_run_of_a_pipeline(
    airflow_python: AirflowPython, planasonix: RunsApi, deferrable: bool
) -> None:
    """One that started before is not it, one that failed before another succeeded neither."""
    planasonix.add("run_1", "pl_01hqxyz", ["succeeded"], startedAt="2026-08-01T09:59:59Z")
    planasonix.add("run_2", "pl_01hqxyz", ["failed"], startedAt="2026-08-01T10:00:00Z")
    planasonix.add("run_3", "pl_01hqxyz", ["succeeded"], startedAt="2026-08-01T11:00:00Z")
    task = run(
        airflow_python, planasonix, f'pipeline_name="sales_to_warehouse", since="{SINCE}", deferrable={deferrable}'
    )
    assert task["xcom"]["return_value"]["run_id"] == "run_3", task["output"]


@BOTH_WAYS
def test_old_runs_do_not_end_the_wait(airflow_python: AirflowPython, planasonix: RunsApi, deferrable: bool) -> None:
    """Without `since` a run counts that started after the data interval; when the time is up it fails for good."""
    planasonix.add("run_1", "pl_01hqxyz", ["succeeded"], startedAt="2026-08-01T10:00:00Z")
    task = run(airflow_python, planasonix, f'pipeline_id="pl_01hqxyz", timeout=0.2, retries=2, deferrable={deferrable}')
    assert task["state"] == "failed", task["output"]
    assert task["try_number"] == 1


@pytest.mark.parametrize(
    ("runs", "found"),
    [
        ([], [None, False]),
        ([("r1", "running", "10:00")], ["r1", False]),
        ([("r1", "failed", "10:00"), ("r2", "running", "11:00")], ["r2", False]),
        ([("r2", "running", "11:00"), ("r1", "failed", "10:00")], ["r2", False]),
        ([("r1", "running", "10:00"), ("r2", "failed", "11:00")], ["r2", False]),
        ([("r1", "failed", "10:00"), ("r2", "canceled", "11:00")], ["r2", True]),
        ([("r1", "succeeded", "10:00"), ("r2", "failed", "11:00")], ["r1", True]),
        ([("r1", "succeeded", "09:59")], [None, False]),
        ([("r1", "succeeded", "")], [None, False]),
    ],
)
def test_which_run_of_a_pipeline_counts(airflow_python: AirflowPython, runs: list[Any], found: list[Any]) -> None:
    """In any order of the list; a run without an instant is none that can be placed."""
    rows = [{"id": run_id, "status": status, "startedAt": at and f"2026-08-01T{at}:00Z"} for run_id, status, at in runs]
    code = """
        from planasonix_provider.runs import read_runs
        from planasonix_provider.watching import Sought
        found = Sought(pipeline_id="pl_1", since=since).among(read_runs(rows))
        result = [found.run and found.run.id, found.is_final]
    """
    assert airflow_python.python(code, rows=rows, since=SINCE) == found


@pytest.mark.parametrize("arguments", ["", 'run_id="r", pipeline_id="p"'])
def test_what_cannot_be_meant_is_said_when_the_dag_is_read(airflow_python: AirflowPython, arguments: str) -> None:
    """Not only when it runs."""
    code = f"""
from planasonix_provider.sensors.planasonix import PlanasonixRunSensor
try:
    PlanasonixRunSensor(task_id="t", {arguments})
except Exception as error:
    result = type(error).__name__
"""
    assert airflow_python.python(code) == "ValueError"
