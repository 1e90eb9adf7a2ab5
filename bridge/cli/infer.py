"""infer: the `body` block of a source, proposed from bodies that its sender has sent."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.output import AsJson, print_json, say, spell_json

if TYPE_CHECKING:
    from bridge.rules.inferring import Proposal


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(infer)


def infer(
    bodies: Annotated[list[Path], typer.Argument(metavar="BODY.json...", help="Bodies as they were received.")],
    as_json: AsJson = False,
) -> None:
    """Propose the `body` block of bridge.yaml from recorded bodies. Needs no configuration; sends nothing.

    Exit 1: some body has no pipeline or no status, or a status word that nobody knows.
    """
    from dataclasses import asdict

    from bridge.rules.inferring import propose
    from bridge.words.errors import ConfigError, Problem, Unreadable

    contents = []
    for path in bodies:
        contents.append(path.read_bytes())
        try:
            propose(contents[-1:])
        except Unreadable as error:
            raise ConfigError([Problem(str(path), 0, 0, error.detail or str(error))]) from None
    found = propose(contents)
    if as_json:
        print_json(asdict(found) | {"is_complete": found.is_complete})
    else:
        _print(found)
    if not found.is_complete:
        raise typer.Exit(1)


def _print(found: "Proposal") -> None:
    """Print the block on stdout, and what to know of it on stderr."""
    for name, places in found.found.items():
        if places:
            say(f"{name} is read from {', '.join(places)} without any setting")
    for name in found.missing:
        say(f"{name} was found in none of the places that speak of it: name its place yourself")
    if not found.fields and not found.statuses and not found.unknown:
        say("no `body` block is needed")
        return
    print("body:")
    if found.fields:
        print("  fields:")
        for name, where in found.fields.items():
            print(f"    {name}: {spell_json(where)}")
    if found.statuses or found.unknown:
        print("  statuses:")
        for meaning, words in found.statuses.items():
            print(f"    {meaning}: {spell_json(list(words))}")
        if found.unknown:
            print(f"    # put these under the status that they mean: {spell_json(list(found.unknown))}")
