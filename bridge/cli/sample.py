"""sample: a webhook's body as Planasonix sends it, to try a mapping or a source with."""

import json
import secrets
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bridge.cli.output import print_table, spell_json
from bridge.rules import samples


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sample)


def sample(
    name: Annotated[str, typer.Argument(metavar="TYPE", help="Which body; --list names them.")] = "job.succeeded",
    pipeline: Annotated[str | None, typer.Option(help="Of this pipeline.")] = None,
    connection: Annotated[str | None, typer.Option(help="Of this connection.")] = None,
    environment: Annotated[str | None, typer.Option(help="In this environment.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="FIELD=VALUE", help="Another value: rows_loaded=0, or /data/x=1 by JSON pointer."
        ),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="With ids that no other has, and today's time.")] = False,
    compact: Annotated[bool, typer.Option("--compact", help="In one line, byte for byte as it is sent.")] = False,
    as_list: Annotated[bool, typer.Option("--list", help="List the bodies that there are.")] = False,
) -> None:
    """Print a webhook's body as Planasonix sends it. Needs no configuration."""
    if as_list:
        print_table(("type", "what"), [(shape.name, shape.about) for shape in samples.SHAPES.values()])
        return
    named = {"pipeline_id": pipeline, "connection_id": connection, "environment": environment}
    given: dict[str, Any] = {field: value for field, value in named.items() if value is not None}
    if fresh:
        given["occurred_at"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        body = samples.changed(name, given | dict(map(_read, changes or ())))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if fresh:
        body = samples.renamed(body, f"_{secrets.token_hex(6)}")
    if compact:
        sys.stdout.buffer.write(samples.compact(body))
    else:
        print(spell_json(body, indent=2))


def _read(change: str) -> tuple[str, Any]:
    """Read FIELD=VALUE; the value is JSON, or else text."""
    field, equals, text = change.partition("=")
    if not equals:
        raise typer.BadParameter(f"--set {change}: write FIELD=VALUE")
    try:
        return field, json.loads(text)
    except (ValueError, RecursionError):
        return field, text
