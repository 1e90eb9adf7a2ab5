"""A bridge that dies while it asks Planasonix for a job's pipeline."""

import os
from collections.abc import Callable

import pytest

from tests.support.jobs_api import JobsApi, body
from tests.support.service import BridgeProcess, wait_for
from tests.support.standin import Standin

pytestmark = pytest.mark.crash
MAPPING = "routes:\n  - pipeline: pl_1\n    dag: load_orders\n"


def give_api(bridge: BridgeProcess, planasonix: JobsApi) -> None:
    """Start a bridge anew whose source may ask this API."""
    bridge.stop()
    config = bridge.folder / "bridge.yaml"
    api = f"    api: {{url: {planasonix.url}, key: {{env: PLANASONIX_API_KEY}}}}\nairflow:\n"
    config.write_text(config.read_text().replace("airflow:\n", api))
    bridge.start()


def test_a_lookup_that_died_is_made_again_at_once(
    start_bridge: Callable[..., BridgeProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    """kill -9 during a look-up: after the restart the job is asked for again, and its one run starts."""
    monkeypatch.setitem(os.environ, "PLANASONIX_API_KEY", "k" * 30)
    with Standin() as airflow, JobsApi() as planasonix:
        bridge = start_bridge(airflow_url=airflow.url, mapping=MAPPING)
        give_api(bridge, planasonix)
        planasonix.jobs["job_1"] = {"id": "job_1", "pipeline_id": "pl_1"}
        planasonix.gate.clear()
        assert bridge.send(body()).status_code == 202
        wait_for(lambda: len(planasonix.asked) == 1, seconds=10, what="a look-up under way")
        bridge.kill()
        planasonix.gate.set()
        bridge.start()
        wait_for(lambda: len(airflow.runs()) == 1, seconds=15, what="a run")
        assert len(planasonix.asked) == 2
        assert bridge.wait_for_trigger("fired")["dag_id"] == "load_orders"


def test_what_a_dead_replica_asked_is_asked_by_another_within_a_lease(
    start_bridge: Callable[..., BridgeProcess], monkeypatch: pytest.MonkeyPatch, postgres: str
) -> None:
    """kill -9 of one of two replicas during its look-up: the other one asks, and one run starts."""
    monkeypatch.setitem(os.environ, "PLANASONIX_API_KEY", "k" * 30)
    settings = {"BRIDGE_DATABASE_URL": postgres, "BRIDGE_LEASE_SECONDS": "3"}
    with Standin() as airflow, JobsApi() as planasonix:
        victim, other = (start_bridge(airflow_url=airflow.url, mapping=MAPPING, settings=settings) for _ in "12")
        for bridge in (victim, other):
            give_api(bridge, planasonix)
        planasonix.jobs["job_1"] = {"id": "job_1", "pipeline_id": "pl_1"}
        planasonix.gate.clear()
        assert victim.send(body()).status_code == 202
        wait_for(lambda: len(planasonix.asked) == 1, seconds=10, what="a look-up under way")
        victim.kill()
        planasonix.gate.set()
        wait_for(lambda: len(airflow.runs()) == 1, seconds=10, what="a run")
        assert len(planasonix.asked) == 2
        assert other.wait_for_trigger("fired")["dag_id"] == "load_orders"
