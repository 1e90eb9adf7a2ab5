"""The scripts behind the Makefile hide no failing exit code."""

import subprocess

import pytest

from deploy.demo.airflow import REPOSITORY


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
