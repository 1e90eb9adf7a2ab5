"""A store is copied while a bridge serves it and restored after a kill, by the commands of the pages. No Airflow."""

import sqlite3
import stat
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from deploy.demo.processes import free_port
from tests.docs.pages import blocks, page
from tests.support.forkserver import COMMAND
from tests.support.service import BridgeProcess, under_load, wait_for

pytestmark = [pytest.mark.crash, pytest.mark.timeout(600)]

MAPPING = "routes:\n  - pipeline: pl_8f2a9c1d4e\n    dag: refresh_sales_marts\n"


@pytest.fixture
def bridge(start_bridge: Callable[..., BridgeProcess]) -> BridgeProcess:
    """A bridge whose Airflow is not there."""
    return start_bridge(airflow_url=f"http://127.0.0.1:{free_port()}", mapping=MAPPING)


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """The folder of the copies; a command of the page makes it."""
    return tmp_path / "copies"


def _run(bridge: BridgeProcess, name: str, heading: str, copies: Path, copy: str = "") -> None:
    """Run the first block of a part of a page, in folders of the test, without systemd and another user."""
    block = blocks(page(name).partition(f"\n## {heading}\n")[2])[0]
    for here, there in {
        "/var/lib/planasonix-bridge": str(bridge.folder),
        "/var/backups/planasonix-bridge": str(copies),
        "/opt/planasonix-bridge/bin/planasonix-bridge": str(COMMAND),
        "YOUR-COPY.db": copy,
        "-o planasonix-bridge -g planasonix-bridge ": "",
    }.items():
        block = block.replace(here, there)
    subprocess.run(["bash", "-euc", f"systemctl() {{ :; }}\n{block}"], env=bridge.environment, check=True, timeout=300)


def _deliveries(file: Path) -> set[str]:
    """Return what is stored in a file, which is whole."""
    with closing(sqlite3.connect(file)) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {f"dlv_{number:016x}" for (number,) in store.execute("SELECT id FROM deliveries")}


def test_a_copy_ends_beside_a_bridge_that_serves(bridge: BridgeProcess, copies: Path) -> None:
    """However often it commits: whatever was answered before is in the copy, and nobody else may read that."""
    with under_load(bridge, senders=4) as answered:
        wait_for(lambda: len(answered) > 50, seconds=30, what="some load")
        before = set(answered)
        _run(bridge, "plain-vm.md", "Back up", copies)
    (copy,) = copies.iterdir()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert before <= _deliveries(copy)


def test_a_store_is_restored_after_a_kill(bridge: BridgeProcess, copies: Path) -> None:
    """It is the copy, no more and no less, though the log of the killed one lies there; and nothing fires yet."""
    with under_load(bridge, senders=4) as answered:
        wait_for(lambda: len(answered) > 50, seconds=30, what="some load")
        _run(bridge, "plain-vm.md", "Back up", copies)
        count = len(answered)
        wait_for(lambda: len(answered) > count + 50, seconds=30, what="webhooks after the copy")
        bridge.kill()
    (copy,) = copies.iterdir()
    copied = _deliveries(copy)
    assert (bridge.folder / "bridge.db-wal").stat().st_size > 0
    assert answered.keys() - copied
    _run(bridge, "operating.md", "Restore", copies, copy.name)
    assert _deliveries(bridge.folder / "bridge.db") == copied
    bridge.start()
    assert [(each["kind"], each["name"]) for each in bridge.api("pauses")["pauses"]] == [("airflow", "default")]
    for delivery, payload in [*answered.items()][:20]:
        again = bridge.send(payload)
        assert (again.status_code, again.json()["delivery_id"] == delivery) == (200, True)
    lost = next(iter(answered.keys() - copied))
    assert bridge.send(answered[lost]).status_code == 202
