"""completion: what a shell reads so that Tab completes commands, options and their values.

The script asks this program at each Tab, so it knows the options of the release that is installed.
"""

import os
from enum import StrEnum
from typing import Annotated

import typer

_NAME = "planasonix-bridge"
_VARIABLE = "_PLANASONIX_BRIDGE_COMPLETE"


class Shell(StrEnum):
    """The shells that are known."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(completion)


def completion(shell: Annotated[Shell, typer.Argument(help="The shell that is to complete.")]) -> None:
    """Print what a shell reads to complete commands and options: `source <(planasonix-bridge completion bash)`."""
    from typer import completion as of_typer

    script = of_typer.get_completion_script(prog_name=_NAME, complete_var=_VARIABLE, shell=shell)  # type: ignore[attr-defined]  # nosec B604 - the name of one
    typer.echo(script)


def prepare() -> None:
    """Let the program answer a shell that asks at a Tab; nothing at any other time."""
    if _VARIABLE in os.environ:
        from typer import completion as of_typer

        of_typer.completion_init()  # type: ignore[attr-defined]
