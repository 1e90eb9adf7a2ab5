"""pause and resume: nothing starts for a route, a source or an Airflow for a while; and what is paused."""

from typing import Annotated

import typer

from bridge.cli.asking import TokenFile, Url, asking, seconds
from bridge.cli.output import AsJson, print_fields, print_json, print_table, say
from bridge.rules import durations
from bridge.words.pauses import PauseKind

Name = Annotated[str, typer.Argument(help="Its name in mapping.yaml or bridge.yaml.")]
Why = Annotated[str | None, typer.Option(help="Why, for whoever wonders, and for the audit log.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(pause)
    app.command()(resume)


def pause(
    kind: Annotated[PauseKind | None, typer.Argument(help="What to pause. Without it: show what is paused.")] = None,
    name: Annotated[str | None, typer.Argument(help="Its name in mapping.yaml or bridge.yaml.")] = None,
    lasting: Annotated[
        str | None, typer.Option("--for", help="It ends by itself after so long: 90s, 15m, 2h, 7d.")
    ] = None,
    reason: Why = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Start nothing for a route, source or Airflow until it is resumed. Webhooks are taken in and wait.

    Without arguments: show what is paused; exit 1 if nothing is.
    """
    from bridge.web.beside import Beside

    if kind is not None and name is None:
        raise typer.BadParameter(f"say which {kind}")
    for_seconds = None if lasting is None else _for_seconds(lasting)
    with asking(url, token_file) as asked:
        if kind is None or name is None:
            _show(asked.get("pauses")["pauses"], as_json)
            return
        paused = asked.post("pause", {"kind": str(kind), "name": name, "for": for_seconds, "reason": reason})["paused"]
        if isinstance(asked, Beside) and not asked.knows(kind):
            say(f"nobody knows whether there is a {kind} {name}: its file cannot be read here")
    (print_json if as_json else print_fields)(paused)


def resume(
    kind: Annotated[PauseKind, typer.Argument(help="What to resume.")],
    name: Name,
    reason: Why = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """End a pause. What waits goes on, oldest first. Exit 1 if it is not paused."""
    with asking(url, token_file) as asked:
        asked.post("resume", {"kind": str(kind), "name": name, "reason": reason})
    (print_json if as_json else print_fields)({"resumed": str(kind), "name": name})


def _show(paused: list[dict[str, object]], as_json: bool) -> None:
    if as_json:
        print_json(paused)
    else:
        columns = ("kind", "name", "paused_at", "ends_at", "actor", "reason")
        rows = [[str(each[column]) if each[column] is not None else None for column in columns] for each in paused]
        gone = ["no longer configured" if each["is_gone"] else None for each in paused]
        print_table((*columns, "note"), [[*row, note] for row, note in zip(rows, gone, strict=True)])
    if not paused:
        raise typer.Exit(1)


def _for_seconds(text: str) -> float:
    found = seconds(text, "--for")
    if not 0 < found <= durations.LONGEST_SECONDS:
        raise typer.BadParameter("from one second to a year", param_hint="--for")
    return found
