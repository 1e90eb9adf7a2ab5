"""erase: remove what an event said from the store."""

from typing import Annotated, Any

import typer

from bridge.cli.asking import TokenFile, Url, asking
from bridge.cli.carrying_out import agrees
from bridge.cli.output import AsJson, print_fields, print_json, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(erase)


def erase(
    event_id: Annotated[str, typer.Argument(help="The event's id, or dlv_... for a delivery without one.")],
    source: Annotated[str, typer.Option("--source", help="Which source sent it.")],
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")],
    cancel: Annotated[bool, typer.Option("--cancel", help="Give up DAG runs that are still to be started.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Remove an event's payload and conf for good. A copy of it stays a duplicate, and the audit log keeps the line."""
    event = {"source": source, "event_id": event_id}
    with asking(url, token_file) as asked:
        _say(asked.post("erase", event | {"dry_run": True}))
        if not yes and not agrees("Erase it for good?", "erased"):
            raise typer.Exit(1)
        found = asked.post("erase", event | {"reason": reason, "cancel": cancel})
    if as_json:
        print_json({name: value for name, value in found.items() if name != "erased"})
    else:
        amounts = {"triggers": found["triggers"], "attempts": found["attempts"]}
        print_fields({"erased": " ".join(found["deliveries"])} | amounts)
    if not found["is_clean"]:
        say("it is erased, but the store's log is still being read; run the same command again to clean the file")
        raise typer.Exit(1)


def _say(found: dict[str, Any]) -> None:
    amount = "1 delivery" if len(found["deliveries"]) == 1 else f"{len(found['deliveries'])} deliveries"
    more = f"{found['triggers']} triggers and {found['attempts']} attempts"
    say(f"{amount}, {more}; {found['waiting']} still to happen")
