"""Tasks of real Airflows wait in the triggerer, at Planasonix or at the bridge: 3.3 on PostgreSQL, and 2.11 on SQLite.

BRIDGE_TEST_WAITS says how many tasks (5); `make test-all` takes 50.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.processes import Process, free_port
from tests.support.airflow_server import AirflowServer
from tests.support.airflow_server.legacy import LegacyAirflowServer
from tests.support.loads import TASKS, ended, runs, variables, write_dag
from tests.support.runs_api import RunsApi
from tests.support.service import BridgeProcess, wait_for

pytestmark = [pytest.mark.scenario, pytest.mark.airflow, pytest.mark.timeout(5400)]

PATIENCE = 1800
SERVERS = {"3.3": AirflowServer, "2.11": LegacyAirflowServer}
VIEWER_TOKEN = "viewer-token-of-the-tests-0001"
PLACE = "/dags/loads/dagRuns/one"


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
def bridge(tmp_path: Path) -> Iterator[BridgeProcess]:
    """A bridge that starts nothing, with a viewer's token."""
    folder = tmp_path / "bridge"
    folder.mkdir()
    nowhere = f"http://127.0.0.1:{free_port()}"
    item = BridgeProcess(
        folder, airflow_url=nowhere, mapping="routes: []\n", settings={"BRIDGE_VIEWER_TOKEN": VIEWER_TOKEN}
    )
    item.start()
    yield item
    item.close()


@pytest.fixture(params=SERVERS)
def place(request: pytest.FixtureRequest, tmp_path: Path, unpacked: Path, planasonix: RunsApi) -> Iterator[Place]:
    """Each Airflow with the provider, which asks Planasonix."""
    dags = write_dag(tmp_path, "deferrable=True, poll_interval=5")
    yield from _started(SERVERS[request.param](more=variables(unpacked, planasonix), dags=dags))


@pytest.fixture(params=SERVERS)
def place_beside_bridge(
    request: pytest.FixtureRequest, tmp_path: Path, unpacked: Path, planasonix: RunsApi, bridge: BridgeProcess
) -> Iterator[Place]:
    """Each Airflow with the provider, whose connection names the bridge; by itself it asks once an hour."""
    named = {"bridge_url": f"http://127.0.0.1:{bridge.admin_port}", "bridge_token": VIEWER_TOKEN}
    dags = write_dag(tmp_path, "deferrable=True, poll_interval=3600")
    yield from _started(SERVERS[request.param](more=variables(unpacked, planasonix, **named), dags=dags))


def _started(server: AirflowServer | LegacyAirflowServer) -> Iterator[Place]:
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

    started = runs(planasonix)
    order = random.sample(sorted(started), TASKS)
    for begin, end in ((0, TASKS // 2), (TASKS // 2, TASKS)):
        place.kill()
        end_runs(planasonix, [started[task] for task in order[begin:end]])
        place.start()
        place.reach(success=end, deferred=TASKS - end)

    assert len(planasonix.bodies) == len(started) == TASKS
    expect_results(place, started)


def test_every_task_that_waits_at_the_bridge_goes_on_with_its_own_result(
    place_beside_bridge: Place, planasonix: RunsApi, bridge: BridgeProcess
) -> None:
    """Webhooks come in any order, while the triggerer is away and while the bridge is; Planasonix is hardly asked."""
    place = place_beside_bridge
    wait_for(lambda: place.server.has_dag("loads"), seconds=PATIENCE, what=place.server.broken_files)
    place.server.trigger("loads", "one", {})
    place.reach(deferred=TASKS)
    started = runs(planasonix)
    order = random.sample(sorted(started), TASKS)

    def finish(tasks: list[int]) -> None:
        end_runs(planasonix, [started[task] for task in tasks])
        for task in tasks:
            assert bridge.send(ended(task, started[task])).status_code == 202

    half = TASKS // 2
    place.kill()
    finish(order[:half])
    place.start()
    place.reach(success=half, deferred=TASKS - half)
    bridge.kill()
    bridge.start()
    finish(order[half:])
    place.reach(success=TASKS)
    assert len(planasonix.bodies) == len(started) == TASKS
    expect_results(place, started)


def end_runs(planasonix: RunsApi, names: list[str]) -> None:
    """Let these runs succeed."""
    with planasonix.lock:
        for name in names:
            planasonix.runs[name]["story"] = ["succeeded"]


def expect_results(place: Place, started: dict[int, str]) -> None:
    """Each task has the result of its own run."""
    for task, run in started.items():
        value = place.get(f"{PLACE}/taskInstances/load_{task}/xcomEntries/return_value")["value"]
        assert run in str(value), f"{task}: {value}"
