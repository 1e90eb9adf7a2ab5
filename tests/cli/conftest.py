"""The installed command in a folder with a configuration of its own."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from bridge import cli
from deploy.demo.processes import free_port
from tests.support import forkserver
from tests.support.service import CONFIG, SECRET, TOKEN
from tests.support.store import empty_store

MAPPING = """\
routes:
  - pipeline: pl_8f2a9c1d4e
    dag: load_orders
    conf: {rows: "{{ event.rows_loaded }}"}
  - name: bad
    pipeline: pl_bad
    dag: load_orders
    conf: {date: "{{ event.parameters.business_date }}"}
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout as JSON."""
        return json.loads(self.out)


class Place:
    """A folder with bridge.yaml, mapping.yaml and maybe a store, and the command run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configure(f"http://127.0.0.1:{free_port()}")
        (folder / "mapping.yaml").write_text(MAPPING)
        self.variables = {name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")} | {
            "BRIDGE_DATABASE_URL": f"sqlite:///{folder / 'bridge.db'}",
            "BRIDGE_CONFIG": str(folder / "bridge.yaml"),
            "BRIDGE_MAPPING": str(folder / "mapping.yaml"),
            "BRIDGE_ADMIN_TOKEN": TOKEN,
            "BRIDGE_PORT": str(free_port()),
            "PLANASONIX_WEBHOOK_SECRET": SECRET,
            "AIRFLOW_USERNAME": "bridge",
            "AIRFLOW_PASSWORD": "bridge-password",
        }

    def configure(self, airflow_url: str) -> None:
        """Write bridge.yaml."""
        (self.folder / "bridge.yaml").write_text(CONFIG.format(url=airflow_url, more=""))

    def store(self) -> Path:
        """Make an empty store."""
        return empty_store(self.folder / "bridge.db")

    def run(self, *words: str, stdin: bytes = b"", **variables: str | None) -> Ended:
        """Run the command; variables that are None are taken away."""
        changed = {**self.variables, **variables}
        env = {name: value for name, value in changed.items() if value is not None}
        done = forkserver.run(*words, env=env, cwd=self.folder, stdin=stdin)
        ended = Ended(done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in ended.err or "--debug" in words
        return ended

    def here(self, *words: str, stdin: str = "", **variables: str | None) -> Ended:
        """Run the command in this process: as good, and quicker, for what neither serves nor ends the process."""
        return run_here(self.folder, {**self.variables, **variables}, *words, stdin=stdin)


def run_here(folder: Path, variables: Mapping[str, str | None], *words: str, stdin: str = "") -> Ended:
    """Run the command in this process, in a folder and with these variables alone."""
    former, out, err = dict(os.environ), io.StringIO(), io.StringIO()
    os.environ.clear()
    os.environ.update({name: value for name, value in variables.items() if value is not None})
    spoken, sys.stdin = sys.stdin, io.StringIO(stdin)
    try:
        with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = _ended_with(words)
    finally:
        sys.stdin = spoken
        os.environ.clear()
        os.environ.update(former)
    return Ended(code, out.getvalue(), err.getvalue())


def _ended_with(words: tuple[str, ...]) -> int:
    """Return the exit code, as `main` has it."""
    try:
        return int(cli.app([*words], standalone_mode=False) or 0)
    except typer.Abort:
        return 1
    except typer.BadParameter as error:
        error.show(sys.stderr)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - what `main` does
        return cli.explain(error)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder to run the command in."""
    return Place(tmp_path)


def repository(folder: Path) -> None:
    """Make a folder a git repository whose first commit holds what is in it."""
    author = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    for words in (("init", "-q"), ("add", "."), (*author, "commit", "-q", "-m", "first")):
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


Run = Callable[..., Ended]
