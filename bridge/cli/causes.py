"""causes: what failed, is held, or ended badly in Airflow, grouped: 500 failures of one DAG are one line."""

from typing import Annotated, Any

import typer

from bridge.cli.asking import Since, TokenFile, Until, Url, asking, told_times
from bridge.cli.browse import Ended, Job, Pipeline, Run, Source
from bridge.cli.output import AsJson, print_json, print_table, say


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(causes)


def causes(
    reason: Annotated[str | None, typer.Option(help="Only for this reason.")] = None,
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
    url: Url = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Group failed and held triggers and failed DAG runs by reason, route, DAG and Airflow. Exit 1 if there is any."""
    filters = {"reason": reason, "route": route, "dag_id": dag_id, "airflow": airflow, "delivery_id": delivery_id}
    filters |= {"source": source, "pipeline_id": pipeline, "job_id": job, "run_id": run, "status": status}
    filters |= told_times(since, until)
    given = {name: value for name, value in filters.items() if value is not None}
    with asking(url, token_file) as asked:
        answer = asked.get("causes", **given)
    found = answer["causes"]
    if as_json:
        print_json(answer)
    elif found:
        columns = ("count", "state", "reason", "route", "dag_id", "airflow", "oldest", "newest", "example")
        rows = [each | {"state": f"run {each['run_state']}" if each["run_state"] else each["state"]} for each in found]
        print_table(columns, [[None if row[name] is None else str(row[name]) for name in columns] for row in rows])
        for each in {item["next_step"]: item for item in reversed(found) if item["next_step"]}.values():
            say(f"{each['reason'] or 'run ' + str(each['run_state'])}: {each['next_step']}")
    elif given:
        print("nothing of this failed or is held; `causes` without filters shows all")
    else:
        print("nothing failed, and nothing is held")
    _say_rest(answer)
    if found:
        raise typer.Exit(1)


def _say_rest(answer: dict[str, Any]) -> None:
    """Say what has no line: smaller groups, and what is older than what is counted."""
    if left_out := answer.get("left_out"):  # a bridge of the release before says nothing of it
        others = "1 smaller cause is" if left_out == 1 else f"{left_out} smaller causes are"
        say(f"{others} not shown: narrow it down with --route, --dag, --reason or --since")
    if not answer["is_whole"]:
        say("there is more than is counted: only the newest 20,000 of a kind are; --until counts what is older")
