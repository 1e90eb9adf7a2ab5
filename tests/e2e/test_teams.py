"""A mapping of two teams: one breaks its file while the other edits its own, on a real service, over a restart."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.processes import free_port
from tests.support.service import BridgeProcess, body, wait_for

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]
SALES = "owner: team-sales\nroutes:\n  - {name: sales, pipeline: pl_sales, dag: %s}\n"
CRM = "owner: team-crm\nroutes:\n  - {name: crm, pipeline: pl_crm, dag: %s}\n"


def _write(file: Path, text: str) -> None:
    """Replace a file as editors do."""
    beside = file.with_suffix(".new")
    beside.write_text(text)
    beside.rename(file)


def _dags(bridge: BridgeProcess, pipeline: str) -> list[str]:
    """Return what an event of a pipeline would start."""
    said = bridge.api("explain", post={"payload": json.loads(body(event="evt_x", pipeline=pipeline))})
    return [trigger["dag_id"] for trigger in said["triggers"]]


def _file(bridge: BridgeProcess, name: str) -> dict[str, Any]:
    files = bridge.api("status")["mapping"]["files"]
    (found,) = [file for file in files if file["file"].endswith(name)]
    return dict(found)


def test_one_teams_broken_file_stops_no_other_edit(tmp_path: Path, start_bridge: Callable[..., BridgeProcess]) -> None:
    """The edit of the same moment is in use, status says whose file is broken, a restart keeps both as they were."""
    folder = tmp_path / "mapping"
    folder.mkdir()
    (folder / "sales.yaml").write_text(SALES % "sales_1")
    (folder / "crm.yaml").write_text(CRM % "crm_1")
    url = f"http://127.0.0.1:{free_port()}"
    bridge = start_bridge(airflow_url=url, mapping="routes: []\n", settings={"BRIDGE_MAPPING": str(folder)})
    assert (_dags(bridge, "pl_sales"), _dags(bridge, "pl_crm")) == (["sales_1"], ["crm_1"])
    _write(folder / "sales.yaml", SALES.replace("pipeline", "pipline") % "sales_2")
    _write(folder / "crm.yaml", CRM % "crm_2")
    wait_for(lambda: _dags(bridge, "pl_crm") == ["crm_2"], seconds=10, what="the edit is in use")
    for _ in range(2):
        wait_for(lambda: bool(_file(bridge, "sales.yaml")["problems"]), seconds=10, what="the mistake is said")
        sales, crm = _file(bridge, "sales.yaml"), _file(bridge, "crm.yaml")
        assert (sales["owner"], crm["owner"], crm["problems"]) == ("team-sales", "team-crm", [])
        assert 'sales.yaml:3:19: unknown key "pipline"' in str(sales["problems"])
        assert (_dags(bridge, "pl_sales"), _dags(bridge, "pl_crm")) == (["sales_1"], ["crm_2"])
        assert bridge.stop() == 0
        bridge.start()
