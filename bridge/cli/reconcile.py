"""reconcile: which webhooks never came, as far as the Planasonix API tells; and make up for them, once.

Beside the store, also while the bridge runs. What is added here is routed by the running bridge, or when it starts.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.output import AsJson, local, print_json, print_table, say, visible

if TYPE_CHECKING:
    from bridge.flows.reconciling import Look
    from bridge.rules.reconciling import Ended


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(reconcile)


def reconcile(
    since: Annotated[str, typer.Option(help="How far back jobs are looked at, such as 24h; at most as retention.")] = (
        "24h"
    ),
    source: Annotated[str | None, typer.Option("--source", help="Which; default: the only one with `api`.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Add nothing. Exit 1 if a webhook never came.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask Planasonix which jobs have ended, and start what their webhooks would have started if they never came."""
    with _looking(since, source) as look:
        now = datetime.now(UTC)
        if look.is_behind(now):
            say("webhooks of this source still wait for routing; nobody knows yet what they tell")
            if not dry_run:
                raise typer.Exit(1)
        found = list(_missed(look, now, is_dry=dry_run))
    if as_json:
        print_json(found)
    elif found:
        print_table(
            ("job", "status", "ended", "delivery"),
            [[visible(str(cell or "")) for cell in row.values()] for row in found],
        )
    if not as_json:
        say(f"{len(found)} webhooks never came" + ("" if dry_run else ", and were made up for"))
    if dry_run and found:
        raise typer.Exit(1)


def _missed(look: "Look", now: datetime, *, is_dry: bool) -> Iterator[dict[str, Any]]:
    seen, at = look.types(), look.start(now)
    if not seen:
        say("no type of a job's webhook was ever seen here; name them in `reconcile: {types: [...]}`")
    while not at.is_whole:
        missed, at = look.page(at, seen)
        yield from _each(look, missed, now, is_dry=is_dry)


def _each(look: "Look", missed: "list[Ended]", now: datetime, *, is_dry: bool) -> Iterator[dict[str, Any]]:
    for ended in missed:
        added = [] if is_dry else look.add([ended], now)
        if is_dry or added:
            about, at = ended.completion, local(ended.ended_at.isoformat())
            yield {"job_id": about.id, "status": about.status, "ended_at": at, "delivery_id": next(iter(added), None)}


@contextmanager
def _looking(since: str, source: str | None) -> "Iterator[Look]":
    """Give what looks at one source's jobs. Raises ConfigError."""
    from dataclasses import replace

    from bridge.cli import context
    from bridge.edges.planasonix import PlanasonixClient
    from bridge.flows.reconciling import Look
    from bridge.rules import durations
    from bridge.words.targets import Reconcile

    try:
        seconds = float(durations.seconds(since))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None
    settings = context.environment()
    config = context.configuration_so_far(settings)
    name, api = context.with_api(config, source)
    chosen = config.sources[name]
    setting = replace(chosen.reconcile or Reconcile(), since_seconds=seconds)
    retention = timedelta(days=settings.retention_days)
    with closing(PlanasonixClient(api)) as client, context.store(settings) as inbox:
        yield Look(chosen, client, inbox=inbox, setting=setting, retention=retention)
