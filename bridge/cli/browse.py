"""deliveries and triggers: what is stored, newest first, or one of them whole."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from bridge.cli.asking import MAX_ROWS, Limit, Listed, Since, TokenFile, Until, Url, asking, pages, told_times
from bridge.cli.output import AsJson, print_fields, print_json, print_table, say, visible
from bridge.words.model import DeliveryState, Status, TriggerState
from bridge.words.runs import RunState

Why = Annotated[str | None, typer.Option("--reason", help="Only for this reason, as `triggers` shows it.")]
Source = Annotated[str | None, typer.Option("--source", help="Only of what came to this source.")]
Pipeline = Annotated[str | None, typer.Option("--pipeline", help="Only of events of this pipeline (its id).")]
Job = Annotated[str | None, typer.Option("--job", help="Only of events that tell of this job.")]
Run = Annotated[str | None, typer.Option("--run", help="Only of events that tell of this pipeline run.")]
Ended = Annotated[Status | None, typer.Option("--status", help="Only of events that tell of this status.")]

_LIMITS = (500, MAX_ROWS)
_TRIGGER_COLUMNS = ("id", "created_at", "route", "dag_id", "dag_run_id", "state", "run_state", "reason", "attempts")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(deliveries)
    app.command()(triggers)


def deliveries(
    delivery_id: Annotated[str | None, typer.Argument(help="Show this one whole.")] = None,
    state: Annotated[DeliveryState | None, typer.Option(help="Only in this state.")] = None,
    reason: Why = None,
    source: Source = None,
    event_id: Annotated[str | None, typer.Option("--event", help="Only with this event id.")] = None,
    pipeline: Pipeline = None,
    job: Job = None,
    run: Run = None,
    status: Ended = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """List deliveries, or show one with its triggers. Exit 1 if there is none."""
    filters = {
        "state": state,
        "reason": reason,
        "source": source,
        "event_id": event_id,
        "pipeline_id": pipeline,
        "job_id": job,
        "run_id": run,
        "status": status,
        **told_times(since, until),
    }
    with asking(url, token_file) as asked:
        if delivery_id is not None:
            _print_whole(asked.get("deliveries", delivery_id), "triggers", as_json)
            return
        found = pages(asked, "deliveries", filters, limit=limit)
    if not (state or reason) and (id_ := pipeline or job or run):
        say(visible(f"what waits, was set aside or cannot be read is in no such list: `planasonix-bridge why {id_}`"))
    print_many(found, ("id", "received_at", "source", "event_id", "state", "reason"), as_json)


def triggers(
    trigger_id: Annotated[str | None, typer.Argument(help="Show this one whole.")] = None,
    state: Annotated[TriggerState | None, typer.Option(help="Only in this state.")] = None,
    run_state: Annotated[RunState | None, typer.Option(help="Only those whose DAG run is in this state.")] = None,
    reason: Why = None,
    source: Source = None,
    route: Annotated[str | None, typer.Option(help="Only of this route.")] = None,
    dag_id: Annotated[str | None, typer.Option("--dag", help="Only for this DAG.")] = None,
    airflow: Annotated[str | None, typer.Option(help="Only of this Airflow.")] = None,
    delivery_id: Annotated[str | None, typer.Option("--delivery", help="Only of this delivery.")] = None,
    pipeline: Pipeline = None,
    job: Job = None,
    run: Run = None,
    status: Ended = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 20,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """List triggers, or show one with its attempts. Exit 1 if there is none."""
    filters: dict[str, str | None] = {"state": state, "run_state": run_state, "reason": reason, "source": source}
    filters |= {"route": route, "dag_id": dag_id, "airflow": airflow, "delivery_id": delivery_id}
    filters |= {"pipeline_id": pipeline, "job_id": job, "run_id": run, "status": status, **told_times(since, until)}
    with asking(url, token_file) as asked:
        if trigger_id is not None:
            _print_whole(asked.get("triggers", trigger_id), "attempt_log", as_json)
            return
        found = pages(asked, "triggers", filters, limit=limit)
    print_many(found, _TRIGGER_COLUMNS, as_json)


def _print_whole(value: dict[str, Any], name: str, as_json: bool) -> None:
    if as_json:
        print_json(value)
        return
    print_fields({field: each for field, each in value.items() if field != name})
    print(f"\n{name}:")
    for part in value[name]:
        print_fields(part)
        print()


def print_many(found: Listed, columns: Sequence[str], as_json: bool) -> None:
    """Print what a list has, say if it is cut, and exit 1 if there is nothing."""
    if as_json:
        print_json(found.rows)
    else:
        print_table(
            columns, [[str(item[name]) if item[name] is not None else None for name in columns] for item in found.rows]
        )
    if found.is_cut:
        say(_cut(len(found.rows)))
    if not found.rows:
        raise typer.Exit(1)


def _cut(shown: int) -> str:
    """Say that only the newest rows are shown, and how to see more."""
    further = next((limit for limit in _LIMITS if limit > shown), None)
    more = "a narrower filter shows others" if further is None else f"--limit {further} shows more"
    return f"only the newest {shown} are shown; {more}"
