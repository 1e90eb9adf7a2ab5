"""export: deliveries, triggers or attempts as JSON, one a line, the oldest first. For audits and other tools."""

from enum import StrEnum
from typing import Annotated

import typer

from bridge.cli.asking import Asked, Since, TokenFile, Until, Url, asking, told_times
from bridge.cli.browse import Ended, Job, Pipeline, Run, Source, Why
from bridge.cli.output import say, spell_json

_PAGE = 500


class Kind(StrEnum):
    """What can be exported."""

    DELIVERIES = "deliveries"
    TRIGGERS = "triggers"
    ATTEMPTS = "attempts"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)


def export(
    what: Annotated[Kind, typer.Argument(help="What to export; attempts by the filters of their triggers.")],
    state: Annotated[str | None, typer.Option(help="Only in this state.")] = None,
    reason: Why = None,
    source: Source = None,
    route: Annotated[str | None, typer.Option(help="Only triggers of this route.")] = None,
    dag_id: Annotated[str | None, typer.Option("--dag", help="Only triggers for this DAG.")] = None,
    airflow: Annotated[str | None, typer.Option(help="Only triggers of this Airflow.")] = None,
    delivery_id: Annotated[str | None, typer.Option("--delivery", help="Only triggers of this delivery.")] = None,
    pipeline: Pipeline = None,
    job: Job = None,
    run: Run = None,
    status: Ended = None,
    since: Since = None,
    until: Until = None,
    after: Annotated[str | None, typer.Option(help="Go on behind this id, as an export that was cut off says.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Stop after about so many lines; the attempts of a trigger stay together.")
    ] = None,
    url: Url = None,
    token_file: TokenFile = None,
) -> None:
    """Print deliveries, triggers or attempts as JSON, one a line, the oldest first; page by page, so of any size.

    Bodies, confs and details are in it: a running bridge wants an operator's token. If it is cut off, stderr says
    where to go on.
    """
    of_both = {"state": state, "reason": reason, "pipeline_id": pipeline, "job_id": job, "run_id": run, "after": after}
    of_both |= {"source": source, "status": status}
    of_triggers = {"route": route, "dag_id": dag_id, "airflow": airflow, "delivery_id": delivery_id}
    filters = {**of_both, **of_triggers, **told_times(since, until)}
    query = {name: value for name, value in filters.items() if value is not None}
    with asking(url, token_file) as asked:
        _print(asked, what, query, limit)


def _print(asked: Asked, what: Kind, query: dict[str, str], limit: int | None) -> None:
    """Print page after page; whatever cuts it off, say where it goes on."""
    printed = 0
    is_whole = False
    try:
        while limit is None or printed < limit:
            size = _PAGE if limit is None else min(_PAGE, limit - printed)
            page = asked.get("export", what, **query, limit=str(size))
            for line in page["lines"]:
                print(spell_json(line))
            printed += len(page["lines"])
            if page["next"] is None:
                is_whole = True
                return
            query["after"] = page["next"]
    finally:
        if not is_whole and "after" in query:
            say(f"there may be more: go on with --after {query['after']}")
