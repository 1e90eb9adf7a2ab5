"""The scripts behind the Makefile hide no failing exit code."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.demo.airflow import REPOSITORY
from scripts.switches import is_on

_CHECKERS = ("ruff", "mypy", "lint-imports", "bandit", "python")


@pytest.mark.parametrize(
    ("commands", "code", "last"),
    [
        (["true", "echo passed"], 0, "passed"),
        (["exit 3", "exit 4", "echo passed"], 3, "passed"),
        (["true", "echo failed; exit 5"], 5, "failed"),
        (["exit 3", "echo failed; exit 5"], 3, "failed"),
    ],
)
def test_everything_runs_and_the_first_failure_is_the_exit_code(commands: list[str], code: int, last: str) -> None:
    """The last line is the last command's own."""
    command = [str(REPOSITORY / "scripts" / "keep_going.sh"), *commands]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (code, last)


@pytest.mark.parametrize(("value", "expected"), [("", False), ("0", False), ("1", True), ("yes", True)])
def test_a_switch_that_is_0_is_off(monkeypatch: pytest.MonkeyPatch, value: str, expected: bool) -> None:
    """As one that is not there."""
    monkeypatch.setenv("WITHOUT_IMAGE", value)
    assert is_on("WITHOUT_IMAGE") is expected
    monkeypatch.delenv("WITHOUT_IMAGE")
    assert not is_on("WITHOUT_IMAGE")


def test_local_base_0_needs_a_base() -> None:
    """No base is made of Debian's packages."""
    env = os.environ | {"LOCAL_BASE": "0", "BASE": ""}
    done = run("deploy/image/build.sh", env=env)
    assert (done.returncode, "BASE must name an image by its digest" in done.stderr) == (2, True)


@pytest.mark.parametrize(("value", "expected"), [("", False), ("0", False), ("1", True)])
def test_extras_0_puts_none_into_the_image(tmp_path: Path, value: str, expected: bool) -> None:
    """buildah is told of the other lock only if they are wanted."""
    program(tmp_path / "buildah", 'echo "$*"')
    env = os.environ | {"EXTRAS": value, "BASE": f"base@sha256:{'0' * 64}", "LOCAL_BASE": ""}
    done = run("deploy/image/build.sh", "name:tag", env=env | {"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert (done.returncode, "LOCK=extras" in done.stdout) == (0, expected), done.stderr


@pytest.mark.parametrize(("value", "expected"), [("", ""), ("0", ""), ("1", "1")])
def test_without_promtool_0_fetches_it(value: str, expected: str) -> None:
    """As without that switch."""
    done = run("make", "--dry-run", "test", f"WITHOUT_PROMTOOL={value}", env=dict(os.environ))
    assert f'[ -n "{expected}" ] || scripts/debian.sh promtool' in done.stdout


def test_quick_asks_no_service(tmp_path: Path) -> None:
    """It leaves out the audit alone, which asks about each locked package."""
    (shown,) = [line for line in run("make", "--dry-run", "quick").stdout.splitlines() if "scripts/check.sh" in line]
    assert '"scripts/check.sh --without-audit"' in shown
    for name in ("check.sh", "keep_going.sh"):
        (tmp_path / "scripts").mkdir(exist_ok=True)
        shutil.copy(REPOSITORY / "scripts" / name, tmp_path / "scripts" / name)
    for name in _CHECKERS:
        program(tmp_path / ".venv" / "bin" / name, f'echo "{name} $*"')
    everything = run(str(tmp_path / "scripts" / "check.sh")).stdout.splitlines()
    assert everything[-1] == "python -m scripts.audit"
    assert run(str(tmp_path / "scripts" / "check.sh"), "--without-audit").stdout.splitlines() == everything[:-1]


def run(*command: str, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command in the repository."""
    return subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False, timeout=60)


def program(path: Path, text: str) -> None:
    """Write a shell script that stands in for a program from outside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
