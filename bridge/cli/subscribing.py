"""subscribe, subscriptions, unsubscribe: what Planasonix sends here, over its API. No secret is ever printed.

Creating a subscription is the only moment in which its secret is shown, so the order counts:

1. Make the place for the secret. If it cannot be written, nothing was changed.
2. Look for a subscription to this URL. If there is one, it is updated, and its secret stays as it is.
3. Create it, and write the secret from the answer. If that fails now, `--new-secret` asks for another one.
"""

from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.output import AsJson, local, print_json, print_table, say, visible
from bridge.cli.urls import checked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from bridge.edges.planasonix.subscriptions import Subscriptions
    from bridge.words.subscriptions import Subscription

SourceName = Annotated[str | None, typer.Option("--source", help="Whose API to ask; default: the only one with `api`.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(subscribe)
    app.command()(subscriptions)
    app.command()(unsubscribe)


def subscribe(
    url: Annotated[str, typer.Option("--url", help="Where the bridge is reached from outside, or a URL of `urls`.")],
    secret_out: Annotated[
        Path | None, typer.Option("--secret-out", help="Where to write the new secret (mode 0600); must not exist.")
    ] = None,
    events: Annotated[
        list[str] | None, typer.Option("--events", help="What to deliver; several times, or with commas between.")
    ] = None,
    source: SourceName = None,
    kubernetes_secret: Annotated[
        str | None, typer.Option(help="NAME/KEY: write a manifest of this Secret instead of the secret alone.")
    ] = None,
    new_secret: Annotated[
        bool, typer.Option("--new-secret", help="If it exists already: ask for a new secret; the old one ends at once.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over the file.")] = False,
) -> None:
    """Have Planasonix deliver events to the bridge; creates the subscription, or updates the one to this URL.

    The secret goes to a file and nowhere else. Exit 1: no secret was written, though one was asked for.
    """
    from bridge.edges.planasonix.hooks import at_url, hook_url

    public, wanted, spell = checked(url, "--url"), _wanted(events), _spelling(kubernetes_secret)
    with opened(source) as (name, api), _place(secret_out, is_forced=force) as write:
        address = hook_url(public, name)
        there = at_url(api.every(), address)
        if len(there) > 1:
            say(f"note: {len(there)} subscriptions deliver to {address}; the oldest is updated, the others stay")
        if there:
            _update(api, there[0], wanted, None if write is None else (write, spell), is_new=new_secret)
        elif write is None:
            raise typer.BadParameter("none is there yet, and its secret is shown once: give --secret-out PATH")
        else:
            created = api.create(address, wanted)
            typer.echo(f"created {visible(created.id)}: {', '.join(wanted)} to {address}")
            _keep(write, spell, created)
            say(f"the secret is in {secret_out}")


def _wanted(events: "Sequence[str] | None") -> list[str]:
    """Return the names of events that `--events` has, with commas or several times; else the usual ones."""
    from bridge.rules.subscribing import USUAL_EVENTS

    given = [name.strip() for each in events or [] for name in each.split(",")]
    return [name for name in given if name] or [*USUAL_EVENTS]


def _update(
    api: "Subscriptions",
    there: "Subscription",
    wanted: "Sequence[str]",
    out: "tuple[Callable[[str], None], Callable[[str], str]] | None",
    *,
    is_new: bool,
) -> None:
    """Let the subscription deliver what is wanted; its secret stays unless a new one is asked for."""
    if is_new and out is None:
        raise typer.BadParameter("a new secret needs --secret-out PATH")
    api.update(there.id, url=there.url, events=wanted)
    typer.echo(f"updated {visible(there.id)}: {', '.join(wanted)} to {visible(there.url)}")
    if out is None:
        return
    if not is_new:
        say("no secret was written: Planasonix shows it once, when a subscription is created, and this one existed")
        say("next: --new-secret asks for another one; the one in use then ends at once")
        say("without that gap: `planasonix-bridge rotate`")
        raise typer.Exit(1)
    write, spell = out
    write(spell(api.new_secret(there.id).reveal()))
    say("the new secret is in the file; what was signed with the one before is refused from now on")


def _keep(write: "Callable[[str], None]", spell: "Callable[[str], str]", created: "Subscription") -> None:
    """Write the secret of a subscription that exists since a moment ago."""
    lost = f"{created.id} exists, but its secret was not written; run this again with --new-secret"
    if created.secret is None:
        say(f"error: Planasonix answered without a secret. {lost}")
        raise typer.Exit(1)
    try:
        write(spell(created.secret.reveal()))
    except OSError as error:
        say(f"error: {error.strerror}. {lost}")
        raise typer.Exit(1) from None


def subscriptions(
    subscription_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Show the latest deliveries of this one.")
    ] = None,
    source: SourceName = None,
    as_json: AsJson = False,
) -> None:
    """List what Planasonix sends where, with the last delivery and the failures of the last 24 hours."""
    from bridge.rules import views

    with opened(source) as (_, api):
        if subscription_id is not None:
            _show_deliveries(api, subscription_id, as_json=as_json)
            return
        found: list[dict[str, Any]] = [
            {
                "id": item.id,
                "url": item.url,
                "events": [*item.events],
                "enabled": item.is_enabled,
                "last_delivery_at": views.instant(item.last_delivery_at),
                "failures_24h": item.failures,
            }
            for item in api.every()
        ]
    if as_json:
        print_json(found)
        return
    print_table(
        ("id", "url", "events", "enabled", "last delivery", "failures in 24 h"),
        [[_cell(value) for value in row.values()] for row in found],
    )


def _show_deliveries(api: "Subscriptions", subscription_id: str, *, as_json: bool) -> None:
    from bridge.rules import views

    head = ("id", "event", "status", "http_status", "at", "error")
    rows = [
        (item.id, item.event, item.status, item.http_status, views.instant(item.at), item.error)
        for item in api.deliveries(subscription_id)
    ]
    if as_json:
        print_json([dict(zip(head, row, strict=True)) for row in rows])
    else:
        print_table(head, [[_cell(value) for value in row] for row in rows])


def _cell(value: Any) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return None if value is None else ", ".join(value) if isinstance(value, list) else local(str(value))


def unsubscribe(
    subscription_id: Annotated[str, typer.Argument(metavar="ID", help="Which; `subscriptions` lists them.")],
    source: SourceName = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove a subscription. What it would have delivered from then on does not come."""
    with opened(source) as (_, api):
        found = next((item for item in api.every() if item.id == subscription_id), None)
        if found is None:
            say(f"error: there is no subscription {subscription_id}; `planasonix-bridge subscriptions` lists them")
            raise typer.Exit(1)
        what = f"{found.id}: {', '.join(found.events) or 'all events'} to {found.url}"
        if not yes and not typer.confirm(visible(f"Remove {what}?"), err=True):
            raise typer.Exit(1)
        api.delete(found.id)
        typer.echo(visible(f"removed {what}"))


def opened(source: str | None) -> "AbstractContextManager[tuple[str, Subscriptions]]":
    """Give the source's name and the subscriptions of its tenant. Raises ConfigError."""
    from contextlib import contextmanager

    from bridge.cli import context
    from bridge.edges.planasonix import PlanasonixClient
    from bridge.edges.planasonix.subscriptions import Subscriptions

    name, api = context.with_api(context.configuration_so_far(context.environment()), source)

    @contextmanager
    def giving() -> "Iterator[tuple[str, Subscriptions]]":
        with closing(PlanasonixClient(api)) as client:
            yield name, Subscriptions(client)

    return giving()


def _place(path: Path | None, *, is_forced: bool) -> "AbstractContextManager[Callable[[str], None] | None]":
    from bridge.edges.secret_out import secret_out

    return nullcontext() if path is None else secret_out(path, is_forced=is_forced)


def _spelling(kubernetes_secret: str | None) -> "Callable[[str], str]":
    """Return how the file spells the secret: alone, or in a manifest."""
    from bridge.edges.secret_out import manifest

    if kubernetes_secret is None:
        return lambda secret: secret + "\n"
    name, _, key = kubernetes_secret.partition("/")
    if not name or not key:
        raise typer.BadParameter(
            "give NAME/KEY, like planasonix-bridge/webhook-secret", param_hint="--kubernetes-secret"
        )
    return lambda secret: manifest(name, key, secret)
