"""What following open DAG runs costs: requests a minute and processor time, against the same bridge with none open.

Airflow is the loopback stand-in. The runs are as young as can be, which is the dearest time: each is due at every
interval.
"""

import asyncio
import time

from deploy.demo.processes import free_port
from tests.bench import machine, servers
from tests.bench.load import Requests, send_all
from tests.support.service import BridgeProcess, wait_for
from tests.support.standin import Standin

_DAG = "refresh_sales_marts"
_MORE = "    concurrency: 16\n    rate: 1000"


def measure(*, open_runs: int, seconds: int) -> list[str]:
    """Let so many runs be open, look for `seconds`, let them end, and return the section of the report."""
    servers.FOLDER.mkdir(parents=True, exist_ok=True)
    with Standin(free_port()) as airflow:
        airflow.dags[_DAG] = {"is_paused": False}
        with servers.bridge(mapping=servers.MATCHES, airflow_url=airflow.url, more=_MORE) as bridge:
            _open(bridge, airflow, open_runs)
            before = len(airflow.asked), airflow.lists(), time.monotonic()
            busy = machine.cpu_share(bridge.process.pid, seconds)
            minutes = (time.monotonic() - before[2]) / 60
            asked, lists = len(airflow.asked) - before[0], airflow.lists() - before[1]
            ended = _end(bridge, airflow, open_runs)
            idle = machine.cpu_share(bridge.process.pid, seconds)
    return [
        f"## Following {open_runs:,} open DAG runs",
        "",
        f"The stand-in for Airflow, SQLite, the default interval of 5 s; {seconds} s each, the runs just started.",
        "",
        "| | |",
        "|---|---|",
        f"| requests a minute | {asked / minutes:.0f}, {lists / minutes:.0f} of them lists |",
        f"| processor time of the bridge with no run open | {idle * 1000:.1f} ms a second |",
        f"| with {open_runs:,} open | {busy * 1000:.1f} ms a second |",
        f"| from the end of all of them to the last one known | {ended:.0f} s |",
    ]


def _open(bridge: BridgeProcess, airflow: Standin, amount: int) -> None:
    path = servers.FOLDER / "requests.following"
    asyncio.run(send_all(Requests(path, amount=amount), port=bridge.port))
    path.unlink()
    wait_for(lambda: _count(bridge, "state = 'fired'") == amount, seconds=300, what="every run started")
    assert len(airflow.runs(_DAG)) == amount


def _end(bridge: BridgeProcess, airflow: Standin, amount: int) -> float:
    for run in airflow.runs(_DAG):
        airflow.move_run("success", run["dag_run_id"], _DAG)
    began = time.monotonic()
    wait_for(lambda: _count(bridge, "run_state = 'success'") == amount, seconds=600, what="every end known")
    return time.monotonic() - began


def _count(bridge: BridgeProcess, condition: str) -> int:
    return servers.ask(bridge, None, f"SELECT count(*) FROM triggers WHERE {condition}")  # noqa: S608
