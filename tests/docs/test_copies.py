"""What the pages say of copying the store, putting a copy back, and upgrading loses nothing."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import blocks, page, pages

STOPS = {
    "operating.md": "systemctl stop planasonix-bridge",
    "compose.md": "docker compose stop bridge",
    "kubernetes.md": "--replicas=0",
}
PUTS_BACK = {
    "operating.md": "install -m 0600 ",
    "compose.md": "pg_restore ",
    "kubernetes.md": "cat > bridge.db",
}
STARTS = {
    "operating.md": "systemctl start planasonix-bridge",
    "compose.md": "docker compose up -d",
    "kubernetes.md": "--replicas=1",
}
UPGRADES = {"plain-vm.md": "systemctl restart planasonix-bridge", "compose.md": "docker compose up -d"}


def _restoring(name: str) -> str:
    """Return the block of a page that puts a copy back."""
    (block,) = [block for block in blocks(page(name)) if PUTS_BACK[name] in block]
    return block


def _upgrading(name: str) -> str:
    """Return the block of a page that upgrades."""
    part = re.split(r"(?m)^## Upgrade.*$", page(name))[1]
    return blocks(part)[0]


def test_no_page_copies_a_store_by_a_command_that_may_never_end() -> None:
    """sqlite3's `.backup` copies 100 pages at a time, and begins anew after each commit of the bridge."""
    assert [path.name for path in pages() if re.search(r"[\"'] ?\.backup|\.backup [\"'/]", path.read_text())] == []


@pytest.mark.parametrize("name", ["plain-vm.md", "operating.md", "kubernetes.md"])
def test_a_copy_is_for_its_owner_alone(name: str) -> None:
    """It holds webhook bodies, and SQLite gives a new file the mode that the umask says."""
    shown = [line for line in page(name).splitlines() if "VACUUM INTO" in line]
    assert shown
    assert [line for line in shown if "umask 077" not in line and "umask(0o077)" not in line] == []


@pytest.mark.parametrize("name", PUTS_BACK)
def test_a_copy_is_put_back_while_the_bridge_is_stopped(name: str) -> None:
    """First it is stopped, then the copy is put there and everything paused, then it starts."""
    block = _restoring(name)
    steps = [STOPS[name], PUTS_BACK[name], " migrate", " pause airflow ", STARTS[name]]
    places = [block.index(step) for step in steps]
    assert places == sorted(places)


@pytest.mark.parametrize("name", ["operating.md", "kubernetes.md"])
def test_all_files_of_the_store_are_moved_before_a_copy_is_put_there(name: str) -> None:
    """What an old `-wal` holds would be written into the copy."""
    before = _restoring(name).partition(PUTS_BACK[name])[0]
    assert [file for file in ("bridge.db ", "bridge.db-wal ", "bridge.db-shm;") if file not in before] == []


def test_a_second_restore_keeps_what_the_first_has_kept(tmp_path: Path) -> None:
    """Each one moves the store into a folder of its own, and writes nothing if it cannot."""
    (script,) = re.findall(r"sh -c \\\n +'([^']+)' < bridge-copy.db", _restoring("kubernetes.md"))
    for copy in (b"first", b"second"):
        (tmp_path / "bridge.db-wal").write_bytes(copy)
        subprocess.run(["sh", "-c", script.replace("/data", str(tmp_path))], input=copy, check=True)
        assert not (tmp_path / "bridge.db-wal").exists()
    assert (tmp_path / "bridge.db").read_bytes() == b"second"
    kept = {tuple(sorted(file.read_bytes() for file in folder.iterdir())) for folder in tmp_path.glob("aside.*")}
    assert kept == {(b"first",), (b"first", b"second")}


def test_a_dump_is_restored_into_an_empty_database() -> None:
    """pg_restore adds to what is there, and rows that are there already end it in the middle."""
    assert "createdb " in _restoring("compose.md").partition("pg_restore ")[0]


@pytest.mark.parametrize("name", UPGRADES)
def test_an_upgrade_copies_the_store_and_checks_before_it_starts(name: str) -> None:
    """The new release finds mistakes that the one before did not; found at the start, nobody answers meanwhile."""
    block = _upgrading(name)
    (copied,) = [word for word in ("VACUUM INTO", "pg_dump") if word in block]
    places = [block.index(step) for step in (copied, " check --secrets", UPGRADES[name])]
    assert places == sorted(places)
