"""deliveries and triggers: what is stored, newest first, or one of them whole."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from bridge.cli.output import AsJson, print_fields, print_json, print_table
from bridge.words.model import DeliveryState, TriggerState
from bridge.words.runs import RunState

Since = Annotated[str | None, typer.Option(help="From this instant on: 2025-03-27T14:00:00Z, or 90m, 24h, 7d ago.")]
Until = Annotated[str | None, typer.Option(help="Before this instant.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many rows at most.")]
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(deliveries)
    app.command()(triggers)


def moment(text: str | None) -> datetime | None:
    """Read an instant, absolute or as an age; BadParameter for anything else."""
    if text is None:
        return None
    try:
        if text[:-1].isdecimal() and text[-1] in _UNITS:
            return datetime.now(UTC) - timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
        value = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is neither an instant nor an age like 24h") from None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def deliveries(
    delivery_id: Annotated[str | None, typer.Argument(help="Show this one whole.")] = None,
    state: Annotated[DeliveryState | None, typer.Option(help="Only in this state.")] = None,
    source: Annotated[str | None, typer.Option(help="Only of this source.")] = None,
    event_id: Annotated[str | None, typer.Option("--event", help="Only with this event id.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List deliveries, or show one with its triggers. Exit 1 if there is none."""
    from bridge.cli import context
    from bridge.edges.inbox import browsing
    from bridge.edges.inbox import deliveries as statements
    from bridge.rules import views
    from bridge.words.errors import NotThere

    settings = context.environment()
    with context.store(settings) as inbox:
        if delivery_id is not None:
            item = inbox.read(statements.get, delivery_id)
            if item is None:
                raise NotThere(f"no delivery {delivery_id}")
            mine = inbox.read(browsing.triggers, wanted=browsing.Filter(delivery_id=delivery_id), limit=1000)
            _one(views.delivery(item), "triggers", [views.trigger_entry(t) for t in mine], as_json)
            return
        wanted = browsing.Filter(
            state=state,
            source=source,
            event_id=event_id,
            since=moment(since),
            until=moment(until),
            among=(source,) if source else context.sources(settings) if event_id else (),
        )
        found = [views.delivery_entry(item) for item in inbox.read(browsing.deliveries, wanted=wanted, limit=limit)]
    print_many(found, ("id", "received_at", "source", "event_id", "state", "reason"), as_json)


def triggers(
    trigger_id: Annotated[str | None, typer.Argument(help="Show this one whole.")] = None,
    state: Annotated[TriggerState | None, typer.Option(help="Only in this state.")] = None,
    run_state: Annotated[RunState | None, typer.Option(help="Only those whose DAG run is in this state.")] = None,
    route: Annotated[str | None, typer.Option(help="Only of this route.")] = None,
    dag_id: Annotated[str | None, typer.Option("--dag", help="Only for this DAG.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """List triggers, or show one with its attempts. Exit 1 if there is none."""
    from bridge.cli import context
    from bridge.edges.inbox import browsing, chains, dags
    from bridge.edges.inbox import triggers as statements
    from bridge.rules import views
    from bridge.words.errors import NotThere

    with context.store(context.environment()) as inbox:
        if trigger_id is not None:
            item = inbox.read(statements.get, trigger_id)
            if item is None:
                raise NotThere(f"no trigger {trigger_id}")
            tries = inbox.read(browsing.attempts, trigger_id)
            mine = inbox.read(browsing.triggers, wanted=browsing.Filter(delivery_id=item.delivery_id), limit=1000)
            known = inbox.read(dags.one, airflow=item.call.airflow, dag_id=item.call.dag_id)
            chain = inbox.read(chains.behind, item.delivery_id)
            shown = views.trigger(item) | views.chain(chain) | views.rivals(item.entry, mine) | views.of_dag(known)
            _one(shown, "attempt_log", [views.attempt(t) for t in tries], as_json)
            return
        wanted = browsing.Filter(
            state=state, run_state=run_state, route=route, dag_id=dag_id, since=moment(since), until=moment(until)
        )
        found = [views.trigger_entry(item) for item in inbox.read(browsing.triggers, wanted=wanted, limit=limit)]
    print_many(
        found,
        ("id", "created_at", "route", "dag_id", "dag_run_id", "state", "run_state", "reason", "attempts"),
        as_json,
    )


def _one(value: dict[str, object], name: str, parts: Sequence[dict[str, object]], as_json: bool) -> None:
    if as_json:
        print_json(value | {name: parts})
        return
    print_fields(value)
    print(f"\n{name}:")
    for part in parts:
        print_fields(part)
        print()


def print_many(found: Sequence[dict[str, object]], columns: Sequence[str], as_json: bool) -> None:
    """Print what a list has, and exit 1 if that is nothing."""
    if as_json:
        print_json(found)
    else:
        print_table(
            columns, [[str(item[name]) if item[name] is not None else None for name in columns] for item in found]
        )
    if not found:
        raise typer.Exit(1)
