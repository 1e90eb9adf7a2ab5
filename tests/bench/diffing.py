"""`diff OLD NEW --since` over everything that a running bridge received, while intake goes on at 200 a second.

The history is written by SQL: every delivery is of one pipeline. Two changes are compared. One touches a route of
another pipeline, as most changes do, so each body takes one look. One touches the conf of the only route that
fits, so that each body is planned with both mappings: the worst there is.
"""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bridge.edges.inbox import prepare
from tests.bench import filling, machine, paced, servers
from tests.support.forkserver import COMMAND
from tests.support.service import TOKEN, BridgeProcess, wait_for

_PER_SECOND = 200.0
_ALONE = 4_000  # webhooks, before anything is compared
_PIPELINE = "pl_another"  # of what is sent meanwhile: it matches no route that is compared
_OLD = """\
routes:
  - {name: orders, pipeline: pl_01hqxyz, dag: refresh_sales_marts, conf: {rows: "{{ event.rows_loaded }}"}}
  - {name: other, pipeline: pl_other, dag: other}
"""
_CHANGES = {
    "a route that no body meets": _OLD.replace("dag: other", "dag: another"),
    "the route that every body meets": _OLD.replace("conf: {", "conf: {team: sales, "),
}


def measure(*, stored: int) -> list[str]:
    """Fill a store of each kind, compare both changes, and return the section of the report."""
    servers.FOLDER.mkdir(parents=True, exist_ok=True)
    rows = [*_on_sqlite(stored), *_on_postgresql(stored)]
    return [
        f"## `diff --since --url` over {stored:,} stored deliveries",
        "",
        f"Intake of {_PER_SECOND:.0f} webhooks a second goes on; its times are from when each was due.",
        "",
        "| store | the change touches | seconds | different | ack p50 / p99 alone, ms | p50 / p99 meanwhile, ms |",
        "|---|---|---|---|---|---|",
        *rows,
    ]


def _on_sqlite(stored: int) -> Iterator[str]:
    with TemporaryDirectory(dir=servers.FOLDER) as folder:
        yield from _compare("SQLite", f"sqlite:///{Path(folder) / 'bridge.db'}", stored)


def _on_postgresql(stored: int) -> Iterator[str]:
    with servers.postgres() as server:
        yield from _compare("PostgreSQL", server.create_database("diffing"), stored)


def _compare(name: str, store: str, stored: int) -> Iterator[str]:
    prepare(store)
    filling.fill(store, stored)
    with servers.bridge(mapping=servers.MATCHES, store=store) as bridge:
        alone = _alone(bridge)
        for what, new in _CHANGES.items():
            with paced.sending(bridge, per_second=_PER_SECOND, pipeline=_PIPELINE) as times, _files(new) as files:
                seconds, counts = _diff(bridge, *files)
            assert counts["same"] + counts["other_conf"] >= stored, counts
            yield (
                f"| {name} | {what} | {seconds:.0f} | {counts['other_conf']:,} | {_spell(alone)} | {_spell(times)} |"
            )


def _alone(bridge: BridgeProcess) -> list[float]:
    with paced.sending(bridge, per_second=_PER_SECOND, pipeline=_PIPELINE) as times:
        wait_for(lambda: len(times) >= _ALONE, seconds=300, what="as many answers")
    return times


@contextmanager
def _files(new: str) -> Iterator[tuple[Path, Path, Path]]:
    with TemporaryDirectory(dir=servers.FOLDER) as folder:
        files = Path(folder) / "old.yaml", Path(folder) / "new.yaml", Path(folder) / "token"
        for path, text in zip(files, (_OLD, new, TOKEN), strict=True):
            path.write_text(text)
        files[2].chmod(0o600)
        yield files


def _diff(bridge: BridgeProcess, old: Path, new: Path, token: Path) -> tuple[float, dict[str, int]]:
    """Return how long it took, and how many bodies of each kind it says there are."""
    url = f"http://127.0.0.1:{bridge.admin_port}"
    command = [str(COMMAND), "diff", str(old), str(new), "--since", "30d", "--url", url, "--token-file", str(token)]
    began = time.monotonic()
    said = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False, env=_environment())
    seconds = time.monotonic() - began
    assert said.returncode == 1, said.stderr
    counts: dict[str, int] = json.loads(said.stdout)["bodies"]["counts"]
    return seconds, counts


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")}


def _spell(times: list[float]) -> str:
    return " / ".join(f"{machine.percentile(times, percent) * 1e3:.1f}" for percent in (50, 99))
