"""The command line. stdout is the answer, stderr is talk; exit 0 yes, 1 no, 2 wrong usage or configuration.

`wait` has one more: 3 when the time is up. A traceback is shown only with --debug. Each command imports what it needs
when it runs, so that `--help` and `explain` do not pay for the server.
"""

import os
import re
import sys
from typing import Annotated, NoReturn

import typer

from bridge import __version__
from bridge.cli import (
    audit,
    browse,
    causes,
    check,
    completion,
    diff,
    doctor,
    erase,
    explaining,
    export,
    infer,
    init,
    keys,
    move,
    notify,
    ordering,
    pausing,
    reconcile,
    record,
    refusals,
    rotate,
    sample,
    schemas,
    send,
    serve,
    status,
    subscribing,
    tail,
    testing,
    urls,
    verify,
    wait,
    why,
)
from bridge.cli.output import escape_unprintable, say
from bridge.edges import logs
from bridge.rules.scrubbing import scrub
from bridge.words.errors import BadFilter, BridgeError, ConfigError, InboxInUse

_is_secret = re.compile("SECRET|TOKEN|PASSWORD|KEY|CREDENTIAL|_URL").search
app = typer.Typer(
    name="planasonix-bridge",
    help="Receives signed Planasonix webhooks and starts exactly the Airflow DAG runs that a mapping asks for.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for module in (
    init,
    serve,
    move,
    check,
    explaining,
    testing,
    diff,
    schemas,
    sample,
    infer,
    send,
    status,
    why,
    browse,
    causes,
    tail,
    notify,
    wait,
    verify,
    ordering,
    pausing,
    refusals,
    audit,
    export,
    erase,
    keys,
    urls,
    subscribing,
    rotate,
    completion,
    doctor,
    record,
    reconcile,
):
    module.register(app)


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
) -> None:
    pass


def main() -> NoReturn:
    """Run a command and exit as this module's docstring tells."""
    logs.configure("warning", "console", sys.stderr)  # `serve` has its own way
    escape_unprintable()
    os.umask(0o077)  # the store holds payloads: its files are for this user alone
    completion.prepare()
    try:
        app()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        sys.exit(explain(error))
    sys.exit(0)


def explain(error: Exception) -> int:
    """Say what is wrong in one line a problem; returns the exit code."""
    if isinstance(error, ConfigError):
        for problem in error.problems:
            say(f"error: {problem}")
        return 2
    if isinstance(error, BridgeError):
        say(f"error: {error}")
        return 2 if isinstance(error, InboxInUse | BadFilter) else 1
    if isinstance(error, OSError) and error.filename:
        say(f"error: {error.filename}: {error.strerror}")
        return 2
    said = scrub(str(error), (value for name, value in os.environ.items() if _is_secret(name)))
    say(f"error: {type(error).__name__}: {said} (run with --debug for the traceback)")
    return 1
