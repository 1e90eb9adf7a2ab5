"""schema: the JSON Schemas of the files that people write, for editors."""

from typing import Annotated, Literal

import typer

from bridge.cli.output import print_json


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(schema)


def schema(
    of: Annotated[Literal["mapping", "tests", "bridge"], typer.Argument(help="Of which file.")] = "mapping",
) -> None:
    """Print the JSON Schema of a file, for editors."""
    from bridge.edges import settings
    from bridge.rules import expecting, mapping

    of_each = {"mapping": mapping.json_schema, "tests": expecting.json_schema, "bridge": settings.json_schema}
    print_json(of_each[of]())
