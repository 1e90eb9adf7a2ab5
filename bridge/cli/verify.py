"""verify: compare what was asked for, what the store says and what Airflow has. Changes nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.asking import moment
from bridge.cli.output import AsJson, print_json, print_table, say

if TYPE_CHECKING:
    from bridge.edges.settings import Config, Environment
    from bridge.rules.verifying import Report


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)


def verify(
    since: Annotated[str, typer.Option(help="What came from this instant on, or 24h ago.")] = "24h",
    as_json: AsJson = False,
) -> None:
    """Compare every webhook that was acknowledged with the DAG runs that Airflow has. Exit 1 if anything is off."""
    from bridge.cli import context
    from bridge.edges.airflow import Airflow
    from bridge.flows import verifying
    from bridge.rules import views

    begin = moment(since)
    assert begin is not None  # noqa: S101 - only None gives None
    settings = context.environment()
    config = context.configuration(settings)
    airflows = {name: Airflow(target) for name, target in config.airflows.items()}
    with context.store(settings) as inbox, _progress() as tell:
        report = verifying.verify(
            inbox, airflows, since=begin, now=datetime.now(UTC), dags=_dags(settings, config), tell=tell
        )
    for airflow in airflows.values():
        airflow.close()
    if as_json:
        print_json(views.report(report))
    else:
        _print(report)
    if not report.is_well:
        raise typer.Exit(1)


def _dags(settings: "Environment", config: "Config") -> dict[str, set[str]]:
    """Return the DAGs of the mapping by Airflow: one whose every row was lost has runs that nobody else names."""
    from bridge.cli import context
    from bridge.words.errors import ConfigError

    found: dict[str, set[str]] = {}
    try:
        for route in context.mapping(settings.mapping, config).routes:
            found.setdefault(route.airflow, set()).update(route.dags)
    except ConfigError as error:
        say(f"note: the mapping cannot be used, so only DAGs that the store names are compared: {error.problems[0]}")
    return found


def _print(report: "Report") -> None:
    """Print what is off as a table, then the sums."""
    columns = ("result", "airflow", "dag_id", "dag_run_id", "trigger_id", "delivery_id", "detail")
    if report.findings:
        print_table(columns, [[getattr(item, name) for name in columns] for item in report.findings])
        print()
    sums = ", ".join(f"{amount} {result}" for result, amount in sorted(report.results.items()))
    routed = report.deliveries["routed"]
    print(f"{report.deliveries.total()} deliveries, of which {routed} routed: {sums or 'nothing was asked for'}")
    for why, amount in sorted(report.waiting.items()):
        print(f"waiting: {amount}  {why}")
    for name, why in report.unasked.items():
        say(f"error: Airflow {name!r} could not be asked: {why}")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Give a function that shows how far each step is, on stderr."""
    from rich.console import Console
    from rich.progress import Progress, TaskID

    tasks: dict[str, TaskID] = {}
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:

        def tell(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total)
            bar.update(tasks[step], completed=done, total=total)

        yield tell
