"""How long one team's edit takes to be in use while another team's file is broken in the same moment.

The mapping is a folder with a file of each of two teams. In each round both files are replaced: one by a file with a
mistake, the other by an edit. The clock runs until the running bridge would start what the edit says.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

from tests.bench import paced, servers
from tests.support.service import BridgeProcess, body, wait_for

_ROUTES = 100  # of each team
_PER_SECOND = 200.0


def measure(*, rounds: int) -> list[str]:
    """Edit and break so often, alone and beside intake, and return the section of the report."""
    servers.FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=servers.FOLDER) as name:
        folder = Path(name)
        for team in ("crm", "sales"):
            _write(folder, team, version=0)
        with servers.bridge(mapping="routes: []\n", settings={"BRIDGE_MAPPING": str(folder)}) as bridge:
            alone = [_edit(bridge, folder, version) for version in range(1, rounds + 1)]
            with paced.sending(bridge, per_second=_PER_SECOND, pipeline="pl_another"):
                beside = [_edit(bridge, folder, version) for version in range(rounds + 1, 2 * rounds + 1)]
    return [
        "## One team's edit while another team's file is broken",
        "",
        f"Two files of {_ROUTES} routes each, both replaced in the same moment, one of them broken; {rounds} rounds."
        " Seconds until the edit is in use; `status` then names the broken file:",
        "",
        "| intake | median | longest |",
        "|---|---|---|",
        *(
            f"| {what} | {statistics.median(times):.2f} | {max(times):.2f} |"
            for what, times in (("none", alone), (f"{_PER_SECOND:.0f}/s", beside))
        ),
    ]


def _edit(bridge: BridgeProcess, folder: Path, version: int) -> float:
    """Break one file and edit the other; returns the seconds until the edit is in use. Both are whole afterwards."""
    _write(folder, "sales", version=version, key="pipline")
    _write(folder, "crm", version=version)
    began = time.monotonic()
    wait_for(lambda: _dag(bridge, "pl_crm_1") == f"crm_{version}", seconds=2, what="the edit is in use")
    seconds = time.monotonic() - began
    wait_for(lambda: _broken(bridge) == ["sales.yaml"], seconds=2, what="the broken file is named")
    _write(folder, "sales", version=version)
    wait_for(lambda: _dag(bridge, "pl_sales_1") == f"sales_{version}", seconds=2, what="the mended file is in use")
    return seconds


def _write(folder: Path, team: str, *, version: int, key: str = "pipeline") -> None:
    """Replace a team's file as editors do."""
    beside = folder / f"{team}.new"
    routes = (
        f"  - {{{key}: pl_{team}_{number}, name: {team}_{number}, dag: {team}_{version}}}\n"
        for number in range(_ROUTES)
    )
    beside.write_text(f"owner: team-{team}\nroutes:\n{''.join(routes)}")
    beside.rename(folder / f"{team}.yaml")


def _dag(bridge: BridgeProcess, pipeline: str) -> str:
    """Return what an event of a pipeline would start."""
    said = bridge.api("explain", post={"payload": json.loads(body(event="evt_x", pipeline=pipeline))})
    (trigger,) = said["triggers"]
    return str(trigger["dag_id"])


def _broken(bridge: BridgeProcess) -> list[str]:
    files = bridge.api("status")["mapping"]["files"]
    return [Path(file["file"]).name for file in files if file["problems"]]
