"""doctor: the whole way of a webhook, a line a step: fine, wrong or unknown, and what to do."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.asking import TokenFile, Url, asking
from bridge.cli.output import AsJson, print_json, visible
from bridge.cli.urls import checked

if TYPE_CHECKING:
    from bridge.edges.settings import Config, Environment
    from bridge.rules.mapping import Mapping
    from bridge.words.errors import ConfigError
    from bridge.words.findings import Finding


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    base: Annotated[
        str | None,
        typer.Option("--base", help="Where the bridge is reached from outside; else as subscriptions have it."),
    ] = None,
    sender_test: Annotated[
        bool, typer.Option("--sender-test", help="Have Planasonix send its test event, which may start a DAG run.")
    ] = False,
    wait_seconds: Annotated[float, typer.Option(help="How long an event may take to arrive and be routed.")] = 30.0,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Go the whole way of a webhook and say of each step: fine, wrong or unknown, and what to do.

    It sends a signed test event, which starts no DAG run. Exit 0: nothing is wrong, else 1.
    """
    root = None if base is None else checked(base, "--base")
    found = []
    for item in _found(root, url, token_file, is_tested=sender_test, wait_seconds=wait_seconds):
        found.append(item)
        if not as_json:
            _print(item)
    if as_json:
        print_json([asdict(item) for item in found])
    if any(item.verdict == "wrong" for item in found):
        raise typer.Exit(1)


def _print(item: "Finding") -> None:
    print(visible(f"{item.verdict:<8} {item.step:<14} {item.about}: {item.says}"), flush=True)
    if item.next_step:
        print(visible(f"         next: {item.next_step}"), flush=True)


def _found(
    base: str | None, url: str | None, token_file: Path | None, *, is_tested: bool, wait_seconds: float
) -> "Iterator[Finding]":
    """Yield the findings; files with mistakes are one each, and then nothing else can be looked at."""
    from bridge.cli import context
    from bridge.edges.settings.database_url import store_folder
    from bridge.flows.examining import Examined, examine
    from bridge.words.errors import ConfigError
    from bridge.words.findings import fine, wrong

    environment = context.environment()
    read = _read(environment)
    if isinstance(read, ConfigError):
        for problem in read.problems:
            about = f"{problem.file}:{problem.line}" if problem.line else problem.file
            yield wrong("configuration", about, problem.what, "Correct it, and run `planasonix-bridge check`.")
        return
    config, mapping = read
    yield fine(
        "configuration", str(environment.config), f"{len(config.sources)} source(s), {len(mapping.routes)} route(s)"
    )
    with ExitStack() as opened:
        ask = None
        try:
            ask = opened.enter_context(asking(url, token_file)).get
        except ConfigError as error:
            yield wrong("store", url or "-", str(error), "Start `serve`, or give --url and --token-file.")
        yield from examine(
            Examined(
                config=config,
                mapping=mapping,
                base=base,
                here=f"http://127.0.0.1:{environment.port}",
                ask=ask,
                disk=store_folder(environment.database_url) if url is None and environment.url is None else None,
                is_tested=is_tested,
                wait_seconds=wait_seconds,
            )
        )


def _read(environment: "Environment") -> "tuple[Config, Mapping] | ConfigError":
    from bridge.cli import context
    from bridge.words.errors import ConfigError

    try:
        config = context.configuration(environment)
        return config, context.mapping(environment.mapping, config)
    except ConfigError as error:
        return error
