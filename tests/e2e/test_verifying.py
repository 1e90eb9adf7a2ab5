"""verify on a real Airflow: it finds exactly what was planted, and nothing else."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import forkserver
from tests.support.airflow_server import AirflowServer
from tests.support.service import BridgeProcess, body, wait_for

pytestmark = [pytest.mark.airflow, pytest.mark.crash, pytest.mark.timeout(300)]
DAG = "refresh_sales_marts"
# What a database under Airflow might spell in another way.
ODD: dict[str, Any] = {
    "large": 1e23,
    "whole": 100.0,
    "ratio": 0.1,
    "text": "é \U0001f600",
    "none": None,
    "list": [1, {}],
}


def verify(bridge: BridgeProcess) -> tuple[int, dict[str, Any]]:
    """Run the command beside the service, and have the service do it; return the exit code and what both say."""
    url = {"BRIDGE_URL": f"http://127.0.0.1:{bridge.admin_port}"}
    (code, beside), (other_code, there) = (_run(bridge.environment | more) for more in ({}, url))
    assert there.pop("is_cut") is False
    assert [there[name] for name in ("results", "findings", "deliveries")] == [
        beside[name] for name in ("results", "findings", "deliveries")
    ]
    assert code == other_code
    return code, beside


def _run(variables: dict[str, str]) -> tuple[int, dict[str, Any]]:
    done = forkserver.run("verify", "--since", "1h", "--json", env=variables)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def lose(bridge: BridgeProcess, trigger_id: str) -> None:
    """Take a trigger's row out of the store."""
    number = int(trigger_id.removeprefix("trg_"), 16)
    connection = bridge.database()
    connection.execute("DELETE FROM attempts WHERE trigger_id = ?", (number,))
    connection.execute("DELETE FROM triggers WHERE id = ?", (number,))
    connection.close()


def test_exactly_what_was_planted_is_found(start_bridge: Callable[..., BridgeProcess], airflow: AirflowServer) -> None:
    """A run deleted, one made by hand, a row lost, a conf changed; the others are fine."""
    bridge = start_bridge(airflow_url=airflow.url)
    for number in range(5):
        assert bridge.send(body(event=f"evt_{number}", **ODD)).status_code == 202
    wait_for(lambda: len(bridge.triggers(state="fired")) == 5, seconds=60, what=lambda: str(bridge.triggers()))
    code, report = verify(bridge)
    assert (code, report["results"]["ok"], report["findings"]) == (0, 5, [])

    deleted, lost, changed, *_ = bridge.triggers()
    airflow.delete_run(DAG, deleted["dag_run_id"])
    airflow.trigger(DAG, "planasonix__by_hand", {})
    airflow.trigger(DAG, "manual__of_somebody", {"rows": 1})
    lose(bridge, lost["id"])
    conf = bridge.api(f"triggers/{changed['id']}")["conf"]
    airflow.delete_run(DAG, changed["dag_run_id"])
    airflow.trigger(DAG, changed["dag_run_id"], conf | {"rows": 0})

    code, report = verify(bridge)
    found = {(item["result"], item["dag_run_id"], item["trigger_id"]) for item in report["findings"]}
    assert found == {
        ("deleted", deleted["dag_run_id"], deleted["id"]),
        ("extra", "planasonix__by_hand", None),
        ("extra", lost["dag_run_id"], lost["id"]),
        ("missing", None, None),
        ("changed", changed["dag_run_id"], changed["id"]),
    }
    assert [item["delivery_id"] for item in report["findings"] if item["result"] == "missing"] == [lost["delivery_id"]]
    assert (code, report["results"]["ok"], len(report["findings"])) == (1, 2, 5)
    assert report["requests"] < 5
