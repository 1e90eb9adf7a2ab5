"""Parked tasks of a real Airflow go on when their webhooks come; test_waking.py is the long story of many tasks."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.airflow_server import AirflowServer
from tests.support.runs_api import KEY, RunsApi
from tests.support.service import BridgeProcess, wait_for

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

PATIENCE = 300
TASKS = 3
MAPPING = "routes: [{name: other, pipeline: pl_other, dag: refresh_sales_marts}]\n"
PLACE = "/dags/parked_loads/dagRuns/one"
Start = Callable[..., BridgeProcess]


@pytest.fixture
def planasonix(executing_airflow: AirflowServer) -> Iterator[RunsApi]:
    """A Planasonix whose runs go on, behind the connection that tasks use."""
    with RunsApi() as api:
        api.story = ["running"]
        connection = {"connection_id": "planasonix_default", "conn_type": "planasonix"}
        body = connection | {"host": api.url, "password": KEY}
        executing_airflow.api.call("POST", "/connections", json=body).raise_for_status()
        yield api
        executing_airflow.api.call("DELETE", "/connections/planasonix_default").raise_for_status()


def runs(planasonix: RunsApi) -> dict[str, str]:
    """Return the runs that were started, by their task."""
    with planasonix.lock:
        return {run["metadata"]["task_id"]: name for name, run in planasonix.runs.items()}


def states(airflow: AirflowServer) -> dict[str, Any]:
    """Return how the tasks stand."""
    answer = airflow.api.call("GET", f"{PLACE}/taskInstances").json()
    return {task["task_id"]: task["state"] for task in answer["task_instances"]}


def result(airflow: AirflowServer, task: str) -> tuple[str, Any]:
    """Return what a task has left: its run, and the rows that the webhook told of."""
    path = f"{PLACE}/taskInstances/{task}/xcomEntries/return_value?deserialize=true"
    value = airflow.api.call("GET", path).json()["value"]
    return value["run_id"], value["metrics"]


def test_parked_tasks_go_on_when_their_webhooks_come(
    start_bridge: Start, executing_airflow: AirflowServer, planasonix: RunsApi
) -> None:
    """One webhook comes as soon as its run has begun, one while its task is parked, one before the bridge is killed.

    No triggerer runs, no slot is held, nobody asks Planasonix, and each task goes on once with its own result.
    """
    airflow, bridge = (
        executing_airflow,
        start_bridge(airflow_url=executing_airflow.url, mapping=MAPPING, more="    wake: true"),
    )
    sent: list[str] = []

    def send(task: str) -> None:
        run = runs(planasonix)[task]
        sent.append(task)
        event = {"id": f"evt_{run}", "type": "pipeline.run.succeeded", "status": "succeeded", "run_id": run}
        webhook = event | {"pipeline_id": "pl_01hqxyz", "rows_loaded": 1000 + int(task[-1])}
        assert bridge.send(json.dumps(webhook).encode()).status_code == 202

    def reach(**expected: int) -> None:
        def now() -> dict[str, int]:
            found = list(states(airflow).values())
            return {state: found.count(state) for state in {*expected, *map(str, found)} if found.count(state)}

        wait_for(lambda: now() == expected, seconds=PATIENCE, what=lambda: f"{expected}; there is {states(airflow)}")

    airflow.trigger("parked_loads", "one")
    wait_for(lambda: bool(runs(planasonix)), seconds=PATIENCE, what="a run")
    send(next(iter(runs(planasonix))))
    reach(success=1, awaiting_input=2)
    pool = airflow.api.call("GET", "/pools/default_pool").json()
    assert (pool["occupied_slots"], pool["running_slots"], pool["deferred_slots"]) == (0, 0, 0)
    asked = len(planasonix.calls)
    second, third = sorted(set(runs(planasonix)) - set(sent))
    send(second)
    reach(success=2, awaiting_input=1)
    send(third)
    bridge.kill()
    bridge.start()
    reach(success=3)

    assert len(planasonix.calls) == asked, "nobody asked while they waited, nor when they were woken"
    assert len(planasonix.runs) == TASKS
    for task, run in runs(planasonix).items():
        assert result(airflow, task) == (run, {"rowsWritten": 1000 + int(task[-1])})
