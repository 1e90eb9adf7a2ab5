"""erase: remove what an event said from the store."""

import sys
from typing import Annotated

import typer

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
    as_json: AsJson = False,
) -> None:
    """Remove an event's payload and conf for good. A copy of it stays a duplicate, and the audit log keeps the line."""
    from bridge.cli import context
    from bridge.flows.erasing import Erasure, facts, look
    from bridge.flows.erasing import erase as carry_out

    with context.store(context.environment()) as inbox:
        found = look(inbox, source=source, event_id=event_id)
        amount = "1 delivery" if len(found.deliveries) == 1 else f"{len(found.deliveries)} deliveries"
        say(f"{amount}, {found.triggers} triggers and {found.attempts} attempts; {found.waiting} still to happen")
        if not yes and not _agrees():
            raise typer.Exit(1)
        erasure = Erasure(actor=context.actor(), reason=reason, is_cancelling=cancel)
        found, is_clean = carry_out(inbox, source=source, event_id=event_id, erasure=erasure)
    if as_json:
        print_json(facts(found) | {"is_clean": is_clean})
    else:
        print_fields({"erased": " ".join(found.deliveries), "triggers": found.triggers, "attempts": found.attempts})
    if not is_clean:
        say("it is erased, but the store's log is still being read; run the same command again to clean the file")
        raise typer.Exit(1)


def _agrees() -> bool:
    if not sys.stdin.isatty():
        say("nothing was erased; add --yes to do it")
        return False
    return typer.confirm("Erase it for good?", err=True)
