"""urls: what to register in Planasonix, for each source and for each pipeline that the mapping names."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.output import AsJson, print_json, print_table, say

if TYPE_CHECKING:
    from bridge.rules.mapping import Mapping

Base = Annotated[
    str, typer.Option("--base", help="Where the bridge is reached from outside, like https://hooks.example.com.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(urls)


def urls(base: Base, as_json: AsJson = False) -> None:
    """Print the URL to register for each source, and for each pipeline that the mapping names. Needs no secret.

    The URL of a pipeline is only needed where bodies name none.
    """
    from bridge.cli import context
    from bridge.edges.planasonix.hooks import hook_url

    root = checked(base, "--base")
    environment = context.file_settings()
    config = context.names(environment.config)
    if config is None:
        context.file_text(environment.config)  # says why, if it cannot be read
        raise typer.BadParameter(f"{environment.config} names no source: run `planasonix-bridge check`")
    rows: list[tuple[str, str | None, str]] = [(source, None, hook_url(root, source)) for source in config.sources]
    for source, pipeline in sorted(set(_named(context.mapping(environment.mapping, config), config.sources))):
        rows.append((source, pipeline, hook_url(root, source, pipeline)))
    if as_json:
        print_json([dict(zip(("source", "pipeline", "url"), row, strict=True)) for row in rows])
    else:
        print_table(("source", "pipeline", "url"), rows)


def checked(url: str, option: str) -> str:
    """Return a public URL without its last slash; BadParameter, and a word on stderr where it is not encrypted."""
    from bridge.edges.settings import plain_url

    try:
        found = plain_url(url)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
    if not found.startswith("https:"):
        say("warning: Planasonix delivers over https:// only")
    return found


def _named(mapping: "Mapping", sources: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Return every pipeline id that a route names in full, with each source that the route is for."""
    from bridge.rules.mapping.globs import is_literal

    for route in mapping.routes:
        tests = {test.key: test for test in route.tests}
        wanted = tests["pipeline"].wanted if route.enabled and "pipeline" in tests else ()
        for source in sources:
            if "source" not in tests or tests["source"].accepts(source):
                yield from ((source, text) for text in wanted if is_literal(text))
