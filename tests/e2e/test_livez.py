"""`/livez` is red when a background loop has really stopped, and nothing that hangs outside turns it red."""

import ctypes
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from deploy.demo.airflow import REPOSITORY
from tests.support.jobs_api import JobsApi, body
from tests.support.service import BridgeProcess, wait_for
from tests.support.standin import Standin

pytestmark = pytest.mark.crash
MAPPING = "routes:\n  - pipeline: pl_1\n    dag: load_orders\n"
_STALL_SECONDS = 30  # three times as long as a question to an Airflow may hang
_ATTACH, _DETACH, _WALL = 16, 17, 0x40000000


@contextmanager
def stopped(thread: int) -> Iterator[None]:
    """Stop one thread of another process as a debugger does, by its id in the kernel; the others run on."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if libc.ptrace(_ATTACH, thread, None, None):
        raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(thread, _WALL)
    try:
        yield
    finally:
        libc.ptrace(_DETACH, thread, None, None)


def _threads(pid: int) -> dict[str, int]:
    """Return the ids in the kernel of a process's threads, by name."""
    command = [str(REPOSITORY / ".venv" / "bin" / "py-spy"), "dump", "--json", "--pid", str(pid)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if "ermission" in done.stderr:
        pytest.skip("this machine lets only root look into another process (ptrace)")
    return {thread["thread_name"]: thread["os_thread_id"] for thread in json.loads(done.stdout)}


def _livez(bridge: BridgeProcess) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{bridge.port}/livez", timeout=120, trust_env=False)


@pytest.mark.parametrize("name", ["clock", "inbox-writer"])
def test_a_loop_that_stops_turns_livez_red_until_it_turns_again(
    start_bridge: Callable[..., BridgeProcess], name: str
) -> None:
    """The answer names no loop, the log does."""
    with Standin() as airflow:
        settings = {"BRIDGE_STALL_SECONDS": "10"}
        bridge = start_bridge(airflow_url=airflow.url, mapping=MAPPING, settings=settings)
        wait_for(lambda: _livez(bridge).status_code == 200, seconds=60, what="every loop turns")
        with stopped(_threads(bridge.process.pid)[name]):
            wait_for(lambda: _livez(bridge).status_code == 503, seconds=60, what="the stop shows")
            assert name not in _livez(bridge).text
        wait_for(lambda: _livez(bridge).status_code == 200, seconds=60, what="it turns again")
        (line,) = [json.loads(line) for line in bridge.log.splitlines() if "loops_stalled" in line][:1]
        assert name in line["loops"]


def test_places_that_hang_are_no_reason_to_be_killed(start_bridge: Callable[..., BridgeProcess]) -> None:
    """Calls and look-ups have threads of their own, following and reconciling ask in theirs: no beat grows too old."""
    gate, hanging = threading.Event(), {"a call": threading.Event(), "a list": threading.Event()}

    def hang(what: str) -> Callable[[object], None]:
        def wait(_: object) -> None:
            hanging[what].set()
            gate.wait(120)

        return wait

    with Standin() as airflow, JobsApi() as planasonix:
        where = f"url: {planasonix.url}, key: {{env: PLANASONIX_API_KEY}}"
        api = f"    api: {{{where}, timeout_seconds: {_STALL_SECONDS / 2}}}"
        bridge = start_bridge(
            airflow_url=airflow.url,
            mapping=MAPPING,
            source=f"{api}\n    reconcile: {{every: 10s, types: [job.succeeded]}}",
            settings={"BRIDGE_STALL_SECONDS": str(_STALL_SECONDS), "PLANASONIX_API_KEY": "k" * 30},
        )
        bridge.send(body("evt_open", job_id="job_0", data={"pipeline_id": "pl_1"}))
        bridge.wait_for_trigger("fired")  # its DAG run is open: following asks for it
        airflow.before, airflow.before_list = hang("a call"), hang("a list")
        planasonix.gate.clear()
        lists = len(planasonix.listed)
        bridge.send(body("evt_named", data={"pipeline_id": "pl_1"}))
        bridge.send(body("evt_asked"))
        wait_for(lambda: all(each.is_set() for each in hanging.values()), seconds=60, what="Airflow hangs")
        wait_for(lambda: bool(planasonix.asked), seconds=60, what="a look-up that hangs")
        wait_for(lambda: len(planasonix.listed) > lists, seconds=60, what="a list of jobs that hangs")
        began = time.monotonic()
        answers = set()
        while time.monotonic() - began < _STALL_SECONDS + 2:
            answers.add(_livez(bridge).status_code)
        gate.set()
        planasonix.gate.set()
        assert answers == {200}
