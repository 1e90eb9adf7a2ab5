"""replay: deliveries through the mapping, or triggers to Airflow, once more."""

import getpass
import sys
from typing import Annotated

import typer

from bridge.cli.browse import Since, Until, moment
from bridge.cli.output import AsJson, print_json, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)


def replay(
    ids: Annotated[list[str] | None, typer.Argument(help="Deliveries (dlv_...) or triggers (trg_...).")] = None,
    state: Annotated[str | None, typer.Option(help="All in this state: failed, unrouted, stale, ...")] = None,
    route: Annotated[str | None, typer.Option(help="Only triggers of this route.")] = None,
    source: Annotated[str | None, typer.Option(help="Only deliveries of this source.")] = None,
    since: Since = None,
    until: Until = None,
    run_again: Annotated[bool, typer.Option("--run-again", help="Start new runs, under new DAG run ids.")] = False,
    reason: Annotated[str | None, typer.Option(help="Why, for the audit log.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fire triggers, or route deliveries, once more. The DAG run id stays, so nothing runs twice by it."""
    from bridge.cli import context
    from bridge.edges.inbox import browsing
    from bridge.flows.replaying import Order, select
    from bridge.flows.replaying import replay as carry_out

    with context.store(context.environment()) as inbox:
        chosen = list(ids or [])
        if not chosen:
            wanted = browsing.Filter(state=state, route=route, source=source, since=moment(since), until=moment(until))
            chosen = select(inbox, wanted)
            say(f"{len(chosen)} match")
            if chosen and not yes and not _agrees():
                raise typer.Exit(1)
        order = Order(chosen, actor=f"cli:{getpass.getuser()}", is_new_run=run_again, reason=reason)
        outcomes = carry_out(inbox, order)
    if as_json:
        print_json({"count": len(chosen), "replayed": {str(name): amount for name, amount in outcomes.items()}})
    else:
        for name, amount in sorted(outcomes.items()):
            typer.echo(f"{amount}  {name}")
    if not chosen:
        raise typer.Exit(1)


def _agrees() -> bool:
    if not sys.stdin.isatty():
        say("nothing was replayed; add --yes to do it")
        return False
    return typer.confirm("Replay them?", err=True)
