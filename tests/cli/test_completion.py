"""Tab completes: what a shell reads, and what it is answered."""

import os
import shutil
import subprocess

import pytest

from tests.support.forkserver import COMMAND

PATH = f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}"


def ask(shell: str, **variables: str) -> str:
    """Ask as a shell does at a Tab."""
    asked = {"PATH": PATH, "_PLANASONIX_BRIDGE_COMPLETE": f"complete_{shell}"} | variables
    return subprocess.run([COMMAND], env=asked, capture_output=True, text=True, check=True, timeout=300).stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_given_a_script(shell: str) -> None:
    """It names the command, and asks it in the way that this one answers; a shell that knows it accepts its grammar."""
    done = subprocess.run([COMMAND, "completion", shell], capture_output=True, text=True, check=True, timeout=300)
    assert "planasonix-bridge" in done.stdout
    assert f"_PLANASONIX_BRIDGE_COMPLETE=complete_{shell}" in done.stdout
    if (program := shutil.which(shell)) is not None:
        subprocess.run([program, "-n"], input=done.stdout, text=True, check=True, timeout=300)


def test_commands_options_and_values_are_completed() -> None:
    """In the words of each shell."""
    assert ask("bash", COMP_WORDS="planasonix-bridge refu", COMP_CWORD="1").split() == ["refusals"]
    assert "--dry-run" in ask("bash", COMP_WORDS="planasonix-bridge replay --d", COMP_CWORD="2").split()
    assert ask("bash", COMP_WORDS="planasonix-bridge pause r", COMP_CWORD="2").split() == ["route"]
    assert '"refusals"' in ask("zsh", _TYPER_COMPLETE_ARGS="planasonix-bridge re")
    fish = {"_TYPER_COMPLETE_ARGS": "planasonix-bridge re", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    assert "refusals\t" in ask("fish", **fish)


def test_bash_itself_completes() -> None:
    """The script, read by a real bash, fills in what the command answers."""
    script = (
        'source <("$0" completion bash); COMP_WORDS=(planasonix-bridge pau); COMP_CWORD=1;'
        ' _planasonix_bridge_completion planasonix-bridge; echo "${COMPREPLY[@]}"'
    )
    words = ["bash", "-c", script, str(COMMAND)]
    done = subprocess.run(words, env={"PATH": PATH}, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split() == ["pause"]
