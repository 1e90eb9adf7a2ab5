"""Tasks of real Airflows wait in the triggerer, which asks Planasonix: 3.3 on PostgreSQL, and 2.11 on SQLite.

BRIDGE_TEST_WAITS says how many tasks (5); `make test-all` takes 50.
"""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.processes import Process
from tests.support.airflow_server import AirflowServer
from tests.support.airflow_server.legacy import LegacyAirflowServer
from tests.support.runs_api import KEY, RunsApi
from tests.support.service import wait_for

pytestmark = [pytest.mark.scenario, pytest.mark.airflow, pytest.mark.timeout(5400)]

TASKS = int(os.environ.get("BRIDGE_TEST_WAITS", "5"))
PATIENCE = 1800
SERVERS = {"3.3": AirflowServer, "2.11": LegacyAirflowServer}
PLACE = "/dags/loads/dagRuns/one"
DAG = """
from datetime import datetime, timedelta
from airflow import DAG
from planasonix_provider.operators.planasonix import PlanasonixRunPipelineOperator

with DAG(dag_id="loads", start_date=datetime(2025, 1, 1), schedule=None, max_active_tasks=1000) as dag:
    for number in range(TASKS):
        PlanasonixRunPipelineOperator(
            task_id=f"load_{number}",
            pipeline_id="pl_01hqxyz",
            deferrable=True,
            poll_interval=5,
            retries=9,  # a worker that cannot reach a slow api-server fails its task before anything of ours runs
            retry_delay=timedelta(0),
        )
"""


class Place:
    """An Airflow with scheduler and triggerer, which may be killed."""

    def __init__(self, server: AirflowServer | LegacyAirflowServer) -> None:
        self.server = server
        self.triggerer: Process = server.component("triggerer", "--skip-serve-logs")

    def start(self) -> None:
        """Start what executes."""
        self.server.start_scheduler()
        self.triggerer.start()

    def kill(self) -> None:
        """Kill it, as a power cut would; nothing may be running then, since workers die with the scheduler."""
        self.server.scheduler.kill()
        self.triggerer.kill()

    def get(self, path: str) -> Any:
        """Ask the REST API."""
        return self.server.get(path)

    def states(self) -> dict[str, str]:
        """Return how the tasks stand."""
        found = self.get(f"{PLACE}/taskInstances?limit={TASKS}")["task_instances"]
        return {task["task_id"]: task["state"] for task in found}

    def reach(self, **expected: int) -> None:
        """Wait until so many tasks are in each state, and none in any other."""

        def now() -> dict[str, int]:
            found = list(self.states().values())
            return {str(state): found.count(state) for state in set(found)}

        wait_for(
            lambda: now() == {state: amount for state, amount in expected.items() if amount},
            seconds=PATIENCE,
            what=lambda: f"{expected}; there is {now()}",
        )


@pytest.fixture
def planasonix() -> Iterator[RunsApi]:
    """A Planasonix whose runs go on until the test says that they have ended."""
    with RunsApi() as api:
        api.story = ["running"]
        yield api


@pytest.fixture(params=SERVERS)
def place(request: pytest.FixtureRequest, tmp_path: Path, unpacked: Path, planasonix: RunsApi) -> Iterator[Place]:
    """Each Airflow with the provider."""
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "loads.py").write_text(DAG.replace("TASKS", str(TASKS)))
    connection = {"conn_type": "planasonix", "host": planasonix.url, "password": KEY}
    more = {
        "PYTHONPATH": str(unpacked),
        "AIRFLOW_CONN_PLANASONIX_DEFAULT": json.dumps(connection),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    server = SERVERS[request.param](more=more, dags=dags)
    item = Place(server)
    try:
        item.start()
        yield item
    finally:
        item.triggerer.stop()
        server.close()


def test_every_deferred_task_goes_on_once_with_its_own_result(place: Place, planasonix: RunsApi) -> None:
    """Runs end in any order; scheduler and triggerer are killed twice; no slot is held, and no load started twice."""
    wait_for(lambda: place.server.has_dag("loads"), seconds=PATIENCE, what=place.server.broken_files)
    place.server.trigger("loads", "one", {})
    place.reach(deferred=TASKS)
    pool = place.get("/pools/default_pool")
    assert (pool["occupied_slots"], pool["running_slots"]) == (0, 0)

    with planasonix.lock:
        runs = {run["metadata"]["task_id"]: name for name, run in planasonix.runs.items()}
    order = random.sample(sorted(runs), TASKS)
    for begin, end in ((0, TASKS // 2), (TASKS // 2, TASKS)):
        place.kill()
        with planasonix.lock:
            for task in order[begin:end]:
                planasonix.runs[runs[task]]["story"] = ["succeeded"]
        place.start()
        place.reach(success=end, deferred=TASKS - end)

    assert len(planasonix.bodies) == len(runs) == TASKS
    for task, run in runs.items():
        value = place.get(f"{PLACE}/taskInstances/{task}/xcomEntries/return_value")["value"]
        assert run in str(value), f"{task}: {value}"
