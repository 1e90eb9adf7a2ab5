"""A running bridge makes up for webhooks that never came, also when it is killed meanwhile."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.support import forkserver
from tests.support.jobs_api import JobsApi
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin

pytestmark = pytest.mark.timeout(600)
MAPPING = "routes:\n  - pipeline: pl_1\n    dag: load_orders\n"
_PATIENCE = 300.0
_JOBS = [f"job_{number}" for number in range(8)]


def test_dropped_webhooks_and_a_kill_lose_and_double_nothing(start_bridge: Callable[..., BridgeProcess]) -> None:
    """Some webhooks come, some come late, some never do: every job has its one run."""
    ended = (datetime.now(UTC) - timedelta(minutes=30)).isoformat()
    with JobsApi() as planasonix, Standin() as airflow:
        planasonix.page_size = 3
        planasonix.jobs = {
            name: {"id": name, "status": "succeeded", "pipeline_id": "pl_1", "finished_at": ended} for name in _JOBS
        }
        api = f"    api: {{url: {planasonix.url}, key: {{env: PLANASONIX_API_KEY}}}}\n"
        bridge = start_bridge(
            airflow_url=airflow.url,
            mapping=MAPPING,
            source=api + "    reconcile: {every: 10s, grace: 10s, types: [job.succeeded]}",
            settings={"PLANASONIX_API_KEY": "plx_key_of_the_stand_in"},
        )
        for name in _JOBS[:2]:
            bridge.send(body(event=f"evt_{name}", job=name, pipeline="pl_1"))
        wait_for(lambda: len(_reconciled(bridge)) > 0, seconds=_PATIENCE, what="a webhook that never came")
        bridge.kill()
        bridge.start()
        wait_for(lambda: len(_runs(airflow)) == len(_JOBS), seconds=_PATIENCE, what=lambda: f"all: {_runs(airflow)}")
        for name in _JOBS[2:4]:
            late = bridge.send(body(event=f"evt_{name}", job=name, pipeline="pl_1")).json()["delivery_id"]
            wait_for(lambda late=late: _is_routed(bridge, late), seconds=_PATIENCE, what="the late webhook routed")
        assert _runs(airflow) == dict.fromkeys(_JOBS, 1)
        done = forkserver.run("reconcile", "--dry-run", env=bridge.environment)
        assert (done.returncode, done.stderr) == (0, "0 webhooks never came\n")
        _looks_at_the_running_bridge(bridge, planasonix)
        planasonix.jobs["job_more"] = planasonix.jobs["job_0"] | {"id": "job_more"}
        bridge.kill()
        for options, code in ((["--dry-run"], 1), ([], 0), (["--dry-run"], 0)):
            done = forkserver.run("reconcile", *options, env=bridge.environment)
            assert done.returncode == (code if options else 0)


def _looks_at_the_running_bridge(bridge: BridgeProcess, planasonix: JobsApi) -> None:
    """`--url` asks the running bridge, page by page; what is down says so, and nothing is added by a look."""
    there = ("reconcile", "--url", f"http://127.0.0.1:{bridge.admin_port}")
    known = len(bridge.api("deliveries")["deliveries"])
    planasonix.listed.clear()
    done = forkserver.run(*there, "--dry-run", "--since", "24h", env=bridge.environment)
    assert (done.returncode, done.stderr) == (0, "0 webhooks never came\n")
    assert [each.get("cursor") for each in planasonix.listed][:3] == [None, ["3"], ["6"]]
    done = forkserver.run(*there, env=bridge.environment)
    assert (done.returncode, "give --dry-run" in done.stderr) == (2, True)
    assert len(bridge.api("deliveries")["deliveries"]) == known


def _reconciled(bridge: BridgeProcess) -> list[str]:
    found = bridge.api("deliveries")["deliveries"]
    return [each["id"] for each in found if each["via"] == "reconciled"]


def _runs(airflow: Standin) -> dict[str, int]:
    return dict(Counter(run["conf"]["planasonix"]["job_id"] for run in airflow.runs()))


def _is_routed(bridge: BridgeProcess, delivery_id: str) -> bool:
    return bool(bridge.api(f"deliveries/{delivery_id}")["state"] == "routed")
