"""Whom a command asks: a running bridge over its admin API (`--url`, BRIDGE_URL), else the store beside it.

Both have the same paths, filters and answers, so a command is written once. Times that a person writes without a zone
are local; the API is told instants.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Protocol

import typer

from bridge.rules import durations, when

Url = Annotated[
    str | None, typer.Option("--url", help="Ask this running bridge (its admin listener) instead of the store.")
]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", help="A file with its token; else BRIDGE_ADMIN_TOKEN is sent.")
]
Since = Annotated[
    str | None,
    typer.Option(help="From this time on: 02:40, 2025-03-27T14:00, 90m or 7d ago; a range: 02:30..03:00."),
]
Until = Annotated[str | None, typer.Option(help="Before this time; 03:00 is the first one after --since.")]
MAX_ROWS = 10_000
Limit = Annotated[int, typer.Option(min=1, max=MAX_ROWS, help="How many rows at most, the newest.")]
_PAGE = 500


class Asked(Protocol):
    """A running bridge, or the store beside: whatever answers as the admin API does."""

    def get(self, path: str, /, *ids: str, **query: str) -> dict[str, Any]:
        """Return what `GET /api/v1/path/id` answers."""

    def post(self, path: str, asked: Mapping[str, Any], /, *ids: str) -> dict[str, Any]:
        """Have `POST /api/v1/path` done, `{id}` in it being the id."""

    def events(self, path: str, /, **query: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what `GET /api/v1/path` streams, as name and JSON object of each event."""


@contextmanager
def asking(url: str | None, token_file: Path | None) -> Iterator[Asked]:
    """Give whoever is to be asked. Raises ConfigError."""
    from bridge.cli import context
    from bridge.cli.around import around
    from bridge.web.beside import Beside

    settings = context.environment()
    bridge = context.remote(settings, url, token_file)
    if bridge is not None:
        yield bridge
        return
    spelling_of = context.spelling_of(settings)
    with context.store(settings) as inbox:
        yield Beside(
            inbox,
            sources=context.sources(settings),
            spellings={name: spelling_of(name) for name in context.sources(settings)},
            actor=context.actor(),
            names=lambda: context.pausable(settings),
            troubles=lambda: context.troubles(settings),
            routes=lambda: context.routes(settings) or (),
            around=around(settings, inbox),
        )


class Listed(NamedTuple):
    """The newest rows of a list."""

    rows: list[dict[str, Any]]
    is_cut: bool  # there are older ones, or older ones were not looked at


def pages(asked: Asked, path: str, filters: Mapping[str, str | None], *, limit: int) -> Listed:
    """Return up to `limit` rows of a list, page after page; and whether that is all."""
    query = {name: value for name, value in filters.items() if value is not None}
    found: list[dict[str, Any]] = []
    while len(found) < limit:
        page = asked.get(path, **query, limit=str(min(_PAGE, limit - len(found))))
        found += page[path]
        if not page["next"]:
            return Listed(found, is_cut=False)
        query["after"] = page["next"]
    further = asked.get(path, **query, limit="1")  # a page that is full has a `next`, also the last one
    return Listed(found, is_cut=bool(further[path] or further["next"]))


def seconds(text: str, option: str) -> float:
    """Read how long something lasts; BadParameter for anything else."""
    try:
        return float(durations.seconds(text))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def moment(text: str | None) -> datetime | None:
    """Read an instant as people write it; BadParameter for anything else."""
    if text is None:
        return None
    try:
        return when.instant(text, now=datetime.now(UTC), localize=datetime.astimezone)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def times(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    """Read `--since`, which may be a range, and `--until`, which is after it; BadParameter for anything else."""
    now = datetime.now(UTC)
    try:
        begin, end = (None, None) if since is None else when.span(since, now=now, localize=datetime.astimezone)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None
    if until is None:
        return begin, end
    if end is not None:
        raise typer.BadParameter("the range of --since has an end", param_hint="--until")
    try:
        return begin, when.end(until, begin, now=now, localize=datetime.astimezone)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--until") from None


def told_times(since: str | None, until: str | None) -> dict[str, str | None]:
    """Read both as the API wants them."""
    found = zip(("since", "until"), times(since, until), strict=True)
    return {name: None if at is None else at.isoformat() for name, at in found}
