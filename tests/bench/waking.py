"""Tasks that the bridge wakes: from the end of their run to their own end, and what it costs to let a thousand wait.

The first half is a real Airflow with scheduler, dag-processor and triggerer, in which tasks are parked, and as many are
deferred with the operator's default poll. Three end after each other. For a parked one its webhook is sent; another
parked one is answered by hand, straight at Airflow's API: that is Airflow's own share. The two change places each time,
so that neither is always the one that finds the scheduler awake. For the deferred one Planasonix says so from then on;
it is not waited for, and ends beside others. What is counted ends with the task's `end_date`, which Airflow stamps by
the same clock. So the scheduler's and the worker's share is in all.

The second half is the stand-in for Airflow with a thousand parked tasks, and a Planasonix that counts.
"""

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from deploy.demo import provider
from deploy.demo.processes import free_port
from tests.bench import machine, servers
from tests.support.airflow_server import AirflowServer
from tests.support.parked import ParkedTasks
from tests.support.runs_api import KEY, RunsApi
from tests.support.service import BridgeProcess, wait_for
from tests.support.standin import Standin

_PATIENCE = 1800.0
_LOOK_SECONDS = 0.5  # an Airflow that is asked all the time is slow to take an answer; its own clock stamps the end
_WAYS = ("parked", "by_hand", "deferrable")
_DAGS = """
from datetime import datetime, timedelta
from airflow import DAG
from planasonix_provider.operators.planasonix import PlanasonixRunPipelineOperator

for way, how in (("parked", "parked"), ("by_hand", "parked"), ("deferrable", "deferrable")):
    with DAG(dag_id=way, start_date=datetime(2025, 1, 1), schedule=None, max_active_tasks=1000) as dag:
        for number in range(TASKS):
            PlanasonixRunPipelineOperator(
                task_id=f"load_{number}", pipeline_id="pl_01hqxyz", retries=9, retry_delay=timedelta(0), **{how: True}
            )
    globals()[way] = dag
"""


def measure(*, waits: int, parked: int, seconds: int) -> list[str]:
    """Wake so many tasks, let `parked` wait for `seconds`, and return the section of the report."""
    servers.FOLDER.mkdir(parents=True, exist_ok=True)
    took, answered = _wake(waits)
    airflow, planasonix = _let_wait(parked, seconds)
    names = ("parked, woken by the bridge", "parked, answered by hand", "deferrable, its default poll")
    rows = list(zip(names, (took[way] for way in _WAYS), strict=True))
    middle = [machine.percentile(values, 50) for _, values in rows]
    return [
        "## Tasks that the bridge wakes",
        "",
        f"A real Airflow on PostgreSQL, {waits} tasks each way, one at a time: from the end of a run to the end"
        " of its task.",
        "",
        "| way | p50 s | p99 s | worst s |",
        "|---|---|---|---|",
        *(f"| {name} | {' | '.join(f'{value:.1f}' for value in _cuts(values))} |" for name, values in rows),
        f"| the bridge's share of it | {middle[0] - middle[1]:.1f} | | |",
        f"| of the deferrable way's p50 | {middle[0] / middle[2]:.2f} | | |",
        "",
        f"From a webhook's receipt to Airflow's yes: {answered:.2f} s, the mean of the {waits} that the bridge woke.",
        "",
        f"While {parked:,} tasks wait (the stand-in for Airflow, {seconds} s):",
        "",
        "| | requests a minute |",
        "|---|---|",
        f"| to Airflow | {airflow:.1f} |",
        f"| to Planasonix | {planasonix:.1f} |",
    ]


def _cuts(values: list[float]) -> list[float]:
    return [machine.percentile(values, 50), machine.percentile(values, 99), max(values)]


def _wake(waits: int) -> tuple[dict[str, list[float]], float]:
    with RunsApi() as planasonix, _airflow(planasonix, waits) as airflow:
        planasonix.story = ["running"]
        for way in _WAYS:
            wait_for(lambda way=way: airflow.has_dag(way), seconds=_PATIENCE, what=airflow.broken_files)
            airflow.trigger(way, "one")
        with servers.bridge(mapping=servers.MATCHES_NOTHING, airflow_url=airflow.url, more="    wake: true") as bridge:
            _wait_until_all_wait(airflow, bridge, waits)
            took: dict[str, list[float]] = {way: [] for way in _WAYS}
            deferred_began: list[float] = []
            for number in range(waits):
                task = f"load_{number}"
                for way in ("parked", "by_hand") if number % 2 else ("by_hand", "parked"):
                    began = _end(way, task, airflow, planasonix, bridge)
                    took[way].append(_ended_at(airflow, way, task) - began)
                deferred_began.append(_end("deferrable", task, airflow, planasonix, bridge))
            ends = [_ended_at(airflow, "deferrable", f"load_{number}") for number in range(waits)]
            took["deferrable"] = [end - start for end, start in zip(ends, deferred_began, strict=True)]
            return took, _mean_seconds(bridge)


@contextmanager
def _airflow(planasonix: RunsApi, waits: int) -> Iterator[AirflowServer]:
    place = Path(tempfile.mkdtemp(prefix="waking-", dir=servers.FOLDER))
    dags = place / "dags"
    dags.mkdir()
    (dags / "loads.py").write_text(_DAGS.replace("TASKS", str(waits)))
    provider.install(place / "provider")
    connection = {"conn_type": "planasonix", "host": planasonix.url, "password": KEY}
    more = {
        "PYTHONPATH": str(place / "provider"),
        "AIRFLOW_CONN_PLANASONIX_DEFAULT": json.dumps(connection),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    server = AirflowServer(more=more, dags=dags)
    triggerer = server.component("triggerer", "--skip-serve-logs")
    try:
        server.start_scheduler()
        triggerer.start()
        yield server
    finally:
        triggerer.stop()
        server.close()
        shutil.rmtree(place, ignore_errors=True)


def _wait_until_all_wait(airflow: AirflowServer, bridge: BridgeProcess, waits: int) -> None:
    for way in _WAYS:
        state = "deferred" if way == "deferrable" else "awaiting_input"
        wait_for(
            lambda way=way, state=state: sum(task["state"] == state for task in _tasks(airflow, way)) == waits,
            seconds=_PATIENCE,
            what=f"{waits} tasks {state}",
        )
    shown = f'bridge_open_waits{{airflow="default"}} {2 * waits}.0'
    wait_for(lambda: shown in bridge.metrics(), seconds=_PATIENCE, what="every wait known")


def _tasks(airflow: AirflowServer, way: str) -> list[dict[str, Any]]:
    answer = airflow.api.call("GET", f"/dags/{way}/dagRuns/one/taskInstances?limit=1000").json()
    return list(answer["task_instances"])


def _end(way: str, task: str, airflow: AirflowServer, planasonix: RunsApi, bridge: BridgeProcess) -> float:
    """Let the run of a task end now, and say so as its way wants it; returns when."""
    with planasonix.lock:
        found = [(run["metadata"], name) for name, run in planasonix.runs.items()]
    run = next(name for about, name in found if (about["dag_id"], about["task_id"]) == (way, task))
    began = time.time()
    if way == "deferrable":
        with planasonix.lock:
            planasonix.runs[run]["story"] = ["succeeded"]
    elif way == "parked":
        event = {"id": f"evt_{os.urandom(6).hex()}", "type": "pipeline.run.succeeded", "status": "succeeded"}
        bridge.send(json.dumps(event | {"run_id": run, "pipeline_id": "pl_01hqxyz"}).encode()).raise_for_status()
    else:
        path = f"/dags/by_hand/dagRuns/one/taskInstances/{task}/-1/hitlDetails"
        answer = {"chosen_options": ["succeeded"], "params_input": {"run_id": run}}
        airflow.api.call("PATCH", path, json=answer).raise_for_status()
    return began


def _ended_at(airflow: AirflowServer, way: str, task: str) -> float:
    path = f"/dags/{way}/dagRuns/one/taskInstances/{task}"
    seen: dict[str, Any] = {}

    def has_ended() -> bool:
        time.sleep(_LOOK_SECONDS)
        seen.update(airflow.api.call("GET", path).json())
        return bool(seen["state"] == "success")

    wait_for(has_ended, seconds=_PATIENCE, what=f"{task} of {way} ends")
    return datetime.fromisoformat(seen["end_date"]).timestamp()


def _mean_seconds(bridge: BridgeProcess) -> float:
    """Return how long it took, as the bridge saw it, from a webhook's receipt to Airflow's yes."""
    found = dict(re.findall(r"^bridge_wait_answered_seconds_(sum|count) (\S+)$", bridge.metrics(), re.MULTILINE))
    return float(found["sum"]) / float(found["count"])


def _let_wait(amount: int, seconds: int) -> tuple[float, float]:
    """Return the requests a minute to Airflow and to Planasonix, while nothing but waiting happens."""
    with Standin(free_port()) as airflow, RunsApi() as planasonix:
        tasks = ParkedTasks(airflow)
        for number in range(amount):
            tasks.park(f"load_{number}", f"Planasonix bridge: run run_{number} pipeline pl_1 started yes")
        source = f"    api: {{url: {planasonix.url}, key: {{env: BENCH_KEY}}}}\n    cancel_abandoned: true"
        with servers.bridge(
            mapping=servers.MATCHES_NOTHING,
            airflow_url=airflow.url,
            more="    wake: true",
            source=source,
            settings={"BENCH_KEY": KEY},
        ) as bridge:
            shown = f'bridge_open_waits{{airflow="default"}} {amount}.0'
            wait_for(lambda: shown in bridge.metrics(), seconds=_PATIENCE, what="every wait known")
            before, began = (len(airflow.asked), len(planasonix.calls)), time.monotonic()
            time.sleep(seconds)
            minutes = (time.monotonic() - began) / 60
            asked = len(airflow.asked) - before[0], len(planasonix.calls) - before[1]
    return asked[0] / minutes, asked[1] / minutes
