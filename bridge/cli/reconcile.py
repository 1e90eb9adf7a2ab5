"""reconcile: which webhooks never came, as far as the Planasonix API tells; and make up for them, once.

Beside the store, also while the bridge runs. What is added here is routed by the running bridge, or when it starts. At
a running bridge (`--url`) it only lists them: that one makes up for them by itself, as its `reconcile` says.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.asking import TokenFile, Url, seconds
from bridge.cli.output import AsJson, local, print_json, print_table, say, visible
from bridge.words.errors import LookupUnavailable

if TYPE_CHECKING:
    from bridge.edges.remote import Remote
    from bridge.flows.reconciling import Look
    from bridge.rules.reconciling import Ended


_MOST_PAGES = 1000
_BEHIND = "webhooks of this source still wait for routing; nobody knows yet what they tell"
_NO_TYPES = "no type of a job's webhook is known here; name them in `reconcile: {types: [...]}`"
_STOPPED = (
    "not made up for, as the source tells of runs now and of jobs no more: {}; `reconcile: {{types: [...]}}` does"
)


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
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Ask Planasonix which jobs have ended, and start what their webhooks would have started if they never came."""
    from bridge.cli import context

    bridge = context.remote(context.environment(), url, token_file)
    if bridge is not None:
        if not dry_run:
            raise typer.BadParameter("a running bridge only lists them: give --dry-run", param_hint="--url")
        found = list(_at(bridge, since, source))
    else:
        found = _beside(since, source, is_dry=dry_run)
    _print(found, is_dry=dry_run, as_json=as_json)


def _beside(since: str, source: str | None, *, is_dry: bool) -> list[dict[str, Any]]:
    with _looking(since, source) as look:
        now = datetime.now(UTC)
        if look.is_behind(now, look.start(now)):
            say(_BEHIND)
            if not is_dry:
                raise typer.Exit(1)
        return list(_missed(look, now, is_dry=is_dry))


def _at(bridge: "Remote", since: str, source: str | None) -> Iterator[dict[str, Any]]:
    """Have a running bridge look, page by page."""
    asked = {"since": (datetime.now(UTC) - timedelta(seconds=seconds(since, "--since"))).isoformat()}
    asked |= {} if source is None else {"source": source}
    for _ in range(_MOST_PAGES):
        page = bridge.get("missed", **asked)
        if "after" not in asked:
            if page["is_behind"]:
                say(_BEHIND)
            _say_types(page["has_types"], page.get("stopped_types", []))  # the release before has none
        for each in page["missed"]:
            yield _row(each["job_id"], each["status"], each["ended_at"], None)
        if page["next"] is None:
            return
        asked |= {"since": page["since"], "until": page["until"], "after": page["next"]}
    raise LookupUnavailable(f"the Planasonix API has more than {_MOST_PAGES} pages of jobs; shorten `since`")


def _say_types(has_types: bool, stopped: list[str]) -> None:
    if stopped:
        say(_STOPPED.format(visible(", ".join(stopped))))
    elif not has_types:
        say(_NO_TYPES)


def _row(job_id: str, status: str, ended_at: str, delivery_id: str | None) -> dict[str, Any]:
    return {"job_id": job_id, "status": status, "ended_at": local(ended_at), "delivery_id": delivery_id}


def _print(found: list[dict[str, Any]], *, is_dry: bool, as_json: bool) -> None:
    if as_json:
        print_json(found)
    elif found:
        print_table(
            ("job", "status", "ended", "delivery"),
            [[visible(str(cell or "")) for cell in row.values()] for row in found],
        )
    if not as_json:
        say(f"{len(found)} webhooks never came" + ("" if is_dry else ", and were made up for"))
    if is_dry and found:
        raise typer.Exit(1)


def _missed(look: "Look", now: datetime, *, is_dry: bool) -> Iterator[dict[str, Any]]:
    seen, at = look.types(), look.start(now)
    _say_types(bool(seen), look.stopped_types())
    while not at.is_whole:
        missed, at = look.page(at, seen)
        yield from _each(look, missed, now, is_dry=is_dry)


def _each(look: "Look", missed: "list[Ended]", now: datetime, *, is_dry: bool) -> Iterator[dict[str, Any]]:
    for ended in missed:
        added = [] if is_dry else look.add([ended], now)
        if is_dry or added:
            about = ended.completion
            yield _row(about.id, about.status, ended.ended_at.isoformat(), next(iter(added), None))


@contextmanager
def _looking(since: str, source: str | None) -> "Iterator[Look]":
    """Give what looks at one source's jobs. Raises ConfigError."""
    from dataclasses import replace

    from bridge.cli import context
    from bridge.edges.planasonix import PlanasonixClient
    from bridge.flows.reconciling import Look
    from bridge.words.targets import Reconcile

    since_seconds = seconds(since, "--since")
    settings = context.environment()
    config = context.configuration_so_far(settings)
    name, api = context.with_api(config, source)
    chosen = config.sources[name]
    setting = replace(chosen.reconcile or Reconcile(), since_seconds=since_seconds)
    retention = timedelta(days=settings.retention_days)
    with closing(PlanasonixClient(api)) as client, context.store(settings) as inbox:
        yield Look(chosen, client, inbox=inbox, setting=setting, retention=retention)
