"""Tasks of a real Airflow are parked and woken by webhooks: no triggerer, no polling, no slot, whatever is killed.

BRIDGE_TEST_WAITS says how many tasks (5); `make test-all` takes 50.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.airflow_server import AirflowServer
from tests.support.loads import TASKS, ended, runs, variables, write_dag
from tests.support.runs_api import KEY, RunsApi
from tests.support.service import BridgeProcess, wait_for

pytestmark = [pytest.mark.scenario, pytest.mark.airflow, pytest.mark.timeout(3600)]

PATIENCE = 900
MAPPING = "routes: [{name: other, pipeline: pl_other, dag: loads}]\n"


@pytest.fixture
def airflow(tmp_path: Path, unpacked: Path, planasonix: RunsApi) -> Iterator[AirflowServer]:
    """An Airflow with the provider: api-server, scheduler and dag-processor, on PostgreSQL."""
    server = AirflowServer(more=variables(unpacked, planasonix), dags=write_dag(tmp_path, "parked=True"))
    try:
        server.start_scheduler()
        yield server
    finally:
        server.close()


@pytest.fixture
def bridge(tmp_path: Path, airflow: AirflowServer) -> Iterator[BridgeProcess]:
    """A bridge that wakes tasks, as the user `bridge`."""
    folder = tmp_path / "bridge"
    folder.mkdir()
    item = BridgeProcess(folder, airflow_url=airflow.url, mapping=MAPPING, more="    wake: true")
    item.start()
    yield item
    item.close()


@pytest.fixture
def cancelling(tmp_path: Path, airflow: AirflowServer, planasonix: RunsApi) -> Iterator[BridgeProcess]:
    """One that also cancels runs that nobody waits for."""
    folder = tmp_path / "cancelling"
    folder.mkdir()
    bridge = BridgeProcess(
        folder,
        airflow_url=airflow.url,
        mapping=MAPPING,
        more="    wake: true",
        source=f"    api: {{url: {planasonix.url}, key: {{env: PLANASONIX_API_KEY}}}}\n    cancel_abandoned: true",
        settings={"PLANASONIX_API_KEY": KEY},
    )
    bridge.start()
    yield bridge
    bridge.close()


def states(airflow: AirflowServer) -> dict[str, Any]:
    """Return the tasks of the DAG run, by their ids."""
    answer = airflow.api.call("GET", f"/dags/loads/dagRuns/one/taskInstances?limit={TASKS}").json()
    return {task["task_id"]: task for task in answer["task_instances"]}


def amount(airflow: AirflowServer, state: str) -> int:
    """Return how many tasks are in a state."""
    return sum(task["state"] == state for task in states(airflow).values())


def is_quiet(airflow: AirflowServer) -> bool:
    """Whether every task is parked or has ended: a scheduler that is killed takes its workers with it."""
    return amount(airflow, "awaiting_input") + amount(airflow, "success") == TASKS


def test_every_parked_task_goes_on_once_with_its_own_result(
    airflow: AirflowServer, bridge: BridgeProcess, planasonix: RunsApi
) -> None:
    """Webhooks come before, while and after the tasks are parked; bridge and scheduler are killed twice."""
    wait_for(lambda: airflow.has_dag("loads"), seconds=PATIENCE, what=airflow.broken_files)
    airflow.trigger("loads", "one")
    sent: set[int] = set()

    def send(most: int) -> None:
        ready = [(number, run) for number, run in runs(planasonix).items() if number not in sent][:most]
        random.shuffle(ready)
        for number, run in ready:
            assert bridge.send(ended(number, run)).status_code == 202
            sent.add(number)

    first = TASKS // 5
    wait_for(lambda: len(runs(planasonix)) > len(sent), seconds=PATIENCE, what="a run")
    while len(sent) < first:  # most of them before their task is parked
        send(first - len(sent))
    bridge.kill()
    wait_for(lambda: is_quiet(airflow), seconds=PATIENCE, what=lambda: str(states(airflow)))
    airflow.scheduler.kill()
    bridge.start()
    airflow.scheduler.start()
    wait_for(lambda: amount(airflow, "success") == first, seconds=PATIENCE, what=lambda: str(states(airflow)))
    pool = airflow.api.call("GET", "/pools/default_pool").json()
    assert (pool["occupied_slots"], pool["running_slots"], pool["deferred_slots"]) == (0, 0, 0)
    asked = len(planasonix.calls)
    airflow.scheduler.kill()
    send(TASKS // 2)
    bridge.kill()
    bridge.start()
    send(TASKS)
    airflow.scheduler.start()
    wait_for(lambda: amount(airflow, "success") == TASKS, seconds=PATIENCE, what=lambda: str(states(airflow)))

    assert len(planasonix.calls) == asked, "nobody asked while they waited, nor when they were woken"
    assert len(planasonix.runs) == TASKS
    for number, run in runs(planasonix).items():
        path = f"/dags/loads/dagRuns/one/taskInstances/load_{number}"
        result = airflow.api.call("GET", f"{path}/xcomEntries/return_value?deserialize=true").json()["value"]
        assert (result["run_id"], result["metrics"]) == (run, {"rowsWritten": 1000 + number})
    assert 'bridge_open_waits{airflow="default"} 0.0' in bridge.metrics()


def test_the_run_of_a_task_that_was_given_up_is_cancelled(
    airflow: AirflowServer, cancelling: BridgeProcess, planasonix: RunsApi
) -> None:
    """Of one task that is marked as failed, and of one that is cleared and starts another run; of no other."""
    wait_for(lambda: airflow.has_dag("loads"), seconds=PATIENCE, what=airflow.broken_files)
    airflow.trigger("loads", "one")
    wait_for(lambda: amount(airflow, "awaiting_input") == TASKS, seconds=PATIENCE, what=lambda: str(states(airflow)))
    wait_for(lambda: waiting(cancelling) == TASKS, seconds=PATIENCE, what="the bridge knows them")
    first = runs(planasonix)

    marked = airflow.api.call("PATCH", "/dags/loads/dagRuns/one/taskInstances/load_0", json={"new_state": "failed"})
    clear = {"dag_run_id": "one", "task_ids": ["load_1"], "dry_run": False, "only_failed": False}
    cleared = airflow.api.call("POST", "/dags/loads/clearTaskInstances", json=clear)
    assert (marked.status_code, cleared.status_code) == (200, 200), (marked.text, cleared.text)

    wait_for(lambda: len(cancelled(planasonix)) == 2, seconds=PATIENCE, what=lambda: str(states(airflow)))
    assert cancelled(planasonix) == {first[0], first[1]}
    wait_for(lambda: len(lines(cancelling)) == 2, seconds=PATIENCE, what="the audit log")
    assert {line["subject"] for line in lines(cancelling)} == {f"planasonix: {first[number]}" for number in (0, 1)}
    wait_for(lambda: waiting(cancelling) == TASKS - 1, seconds=PATIENCE, what="the new try waits for its own run")
    assert len(planasonix.runs) == TASKS + 1
    assert planasonix.count("DELETE") == 2


def waiting(bridge: BridgeProcess) -> int:
    """How many tasks the bridge knows to wait, and has nothing to decide about."""
    with bridge.database() as store:
        (amount,) = store.execute(
            "SELECT (SELECT COUNT(*) FROM waits) + 100 * (SELECT COUNT(*) FROM abandoned)"
        ).fetchone()
    return int(amount)


def cancelled(planasonix: RunsApi) -> set[str]:
    """Return the runs that were cancelled."""
    with planasonix.lock:
        return {name for name, run in planasonix.runs.items() if run["story"] == ["canceled"]}


def lines(bridge: BridgeProcess) -> list[dict[str, str]]:
    """Return what the bridge says that it has done, in its audit log."""
    return list(bridge.api("audit", actor="bridge")["audit"])
