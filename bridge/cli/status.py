"""status: all is well, or what is not and the next step of each. For people at 3 am; for scripts, the exit code."""

from typing import Any

import typer

from bridge.cli.asking import TokenFile, Url, asking
from bridge.cli.output import AsJson, local, print_json, visible

_SHOWN = 8  # so that it stays one screen


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(url: Url = None, token_file: TokenFile = None, as_json: AsJson = False) -> None:
    """Say that all is well, or what needs a person and the next step of each. Exit 0 if all is well, else 1.

    Beside the store it also says if no bridge serves it. Of a running bridge (--url) it says what only that one knows,
    too: its Airflows, secrets and key sets.
    """
    with asking(url, token_file) as asked:
        answer = asked.get("status")
    if as_json:
        print_json(answer)
    else:
        _print(answer)
    if not answer["is_well"]:
        raise typer.Exit(1)


def _print(answer: dict[str, Any]) -> None:
    needs = answer["needs"]
    if not needs:
        print("all is well")
    else:
        print(f"{len(needs)} thing{'s' * (len(needs) > 1)} need{'s' * (len(needs) == 1)} you")
    for need in needs[:_SHOWN]:
        _print_need(need)
    if len(needs) > _SHOWN:
        print(f"\nand {len(needs) - _SHOWN} more: --json has them all, `causes` those of triggers and DAG runs")
    for note in answer.get("notes", ())[:_SHOWN]:  # a bridge of the release before sends none
        _print_need(note, "note: ")
    print()
    for name, each in answer["waiting"].items():
        oldest = f", the oldest since {local(each['oldest'])}" if each["oldest"] else ""
        print(f"{name.ljust(9)} {each['count']}{oldest}")
    for source in answer["sources"]:
        _print_source(source)
    for replica in answer.get("replicas", ()):  # a bridge of the release before tells of none
        since = local(replica["loaded_at"])
        print(visible(f"replica {replica['host']} {replica['replica']}: mapping {replica['mapping']} since {since}"))
    for airflow in answer.get("airflows", ()):
        found = airflow.get("waits")
        waits = f", {found['open']} tasks wait to be woken" if found and found["open"] else ""
        if found and found.get("abandoned"):
            waits += f", {found['abandoned']} runs perhaps to be cancelled"
        print(visible(f"Airflow {airflow['name']}: {'well' if airflow['is_available'] else airflow['reason']}{waits}"))


def _print_source(source: dict[str, Any]) -> None:
    heard = local(source["last_delivery"]) if source["last_delivery"] else "never"
    refused = source.get("last_refusal")  # a bridge of the release before does not tell
    last = f", last refused {local(refused)} ({source['last_refusal_reason']})" if refused else ""
    print(visible(f"source {source['name']}: last webhook {heard}{last}"))


def _print_need(need: dict[str, Any], mark: str = "") -> None:
    since = f", since {local(need['since'])}" if need["since"] else ""
    example = f" ({need['example']})" if need["example"] else ""
    print(visible(f"\n{mark}{need['what']}: {need['about']}: {need['count']}{since}{example}".strip("\n")))
    print(visible(f"  {need['says']}"))
    print(visible(f"  next: {need['next_step']}"))
