"""`diff OLD NEW --since` over everything that was received, while intake goes on at 200 a second.

The history is written by SQL: its deliveries are of as many pipelines as the mapping has routes. Two changes are
compared. One touches one route, as most changes do. The other touches the conf of every route, so that each body is
read and planned with both mappings: the worst there is. The first is compared over the API and beside the store.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bridge.edges.inbox import prepare
from tests.bench import filling, machine, paced, servers
from tests.support.forkserver import COMMAND
from tests.support.service import TOKEN, BridgeProcess, wait_for

_PER_SECOND = 200.0
_ALONE = 4_000  # webhooks, before anything is compared
_PIPELINE = "pl_another"  # of what is sent meanwhile: it matches no route that is compared
_ROUTES = 200


@dataclass(frozen=True, slots=True)
class _Edit:
    """What is changed, and whom the command asks."""

    what: str
    touched: range
    is_beside: bool = False
    since: str = "30d"  # everything

    def mapping(self) -> str:
        """Return the mapping after the change."""
        return _mapping(self.touched)


_ONE, _ALL = range(7, 8), range(_ROUTES)
_EDITS = (
    _Edit(f"one route of {_ROUTES}, over the API", _ONE),
    _Edit(f"one route of {_ROUTES}, beside the store", _ONE, is_beside=True),
    _Edit("the conf of every route, over the API", _ALL),
)


def measure(*, stored: int) -> list[str]:
    """Fill a store of each kind, compare the changes, and return the section of the report.

    Each row is also printed to stderr when it is there.
    """
    servers.FOLDER.mkdir(parents=True, exist_ok=True)
    rows = [*_on_sqlite(stored), *_on_postgresql(stored)]
    return [
        f"## `diff --since` over {stored:,} stored deliveries",
        "",
        f"Intake of {_PER_SECOND:.0f} webhooks a second goes on; its times are from when each was due. `serve` has its"
        " processor time for both.",
        "",
        "| store | the change touches | bodies | different | seconds | processor time of the command / of `serve`, s |"
        " ack p50 / p99 alone, ms | p50 / p99 meanwhile, ms |",
        "|---|---|---|---|---|---|---|---|",
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
    filling.fill(store, stored, pipelines=_ROUTES)
    os.sync()  # what was written is on the disk before the first answer is timed
    with servers.bridge(mapping=servers.MATCHES, store=store) as bridge:
        alone = _alone(bridge)
        for edit in _EDITS:
            before = _processor(bridge)
            with paced.sending(bridge, per_second=_PER_SECOND, pipeline=_PIPELINE) as times:
                seconds, counts = _diff(bridge, store, edit)
            command, service = (now - then for now, then in zip(_processor(bridge), before, strict=True))
            bodies, different = counts.total(), counts["other_conf"]
            row = (
                f"| {name} | {edit.what} | {bodies:,} | {different:,} | {seconds:.0f} | {command:.0f} / {service:.0f} |"
                f" {_spell(alone)} | {_spell(times)} |"
            )
            print(row, file=sys.stderr, flush=True)
            assert counts["same"] + different == bodies, counts
            yield row


def _processor(bridge: BridgeProcess) -> tuple[float, float]:
    """Return the seconds of processor time of every command until now, and of the service."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    fields = Path(f"/proc/{bridge.process.pid}/stat").read_text().rpartition(") ")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ended.ru_utime + ended.ru_stime, ticks / os.sysconf("SC_CLK_TCK")


def _alone(bridge: BridgeProcess) -> list[float]:
    with paced.sending(bridge, per_second=_PER_SECOND, pipeline=_PIPELINE) as times:
        wait_for(lambda: len(times) >= _ALONE, seconds=300, what="as many answers")
    return times


def _mapping(touched: range) -> str:
    more = {True: ", team: sales", False: ""}
    return "routes:\n" + "".join(
        f"  - {{pipeline: pl_{number:04}, dag: dag_{number},"
        f' conf: {{rows: "{{{{ event.rows_loaded }}}}"{more[number in touched]}}}}}\n'
        for number in range(_ROUTES)
    )


@contextmanager
def _files(*texts: str) -> Iterator[list[Path]]:
    with TemporaryDirectory(dir=servers.FOLDER) as folder:
        files = [Path(folder) / f"{number}.yaml" for number in range(len(texts))]
        for path, text in zip(files, texts, strict=True):
            path.write_text(text)
            path.chmod(0o600)
        yield files


def _diff(bridge: BridgeProcess, store: str, edit: _Edit) -> tuple[float, Counter[str]]:
    """Return how long it took, and how many bodies of each kind it says there are."""
    with _files(_mapping(range(0)), edit.mapping(), TOKEN) as (old, new, token):
        url = ["--url", f"http://127.0.0.1:{bridge.admin_port}", "--token-file", str(token)]
        whom = [] if edit.is_beside else url
        command = [str(COMMAND), "diff", str(old), str(new), "--since", edit.since, *whom, "--json"]
        settings = {"BRIDGE_DATABASE_URL": store} if edit.is_beside else {}
        began = time.monotonic()
        said = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment(settings))
        seconds = time.monotonic() - began
    assert said.returncode == 1, said.stderr
    return seconds, Counter(json.loads(said.stdout)["bodies"]["counts"])


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")} | dict(settings)


def _spell(times: list[float]) -> str:
    return " / ".join(f"{machine.percentile(times, percent) * 1e3:.1f}" for percent in (50, 99))
