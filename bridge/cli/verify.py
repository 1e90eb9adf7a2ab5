"""verify: compare what was asked for, what the store says and what Airflow has. Changes nothing.

Beside the store, with the configuration that is here; or by a running bridge (`--url`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli.asking import TokenFile, Url, moment
from bridge.cli.output import AsJson, print_json, print_table, say
from bridge.words.errors import ConfigError, RemoteUnavailable

if TYPE_CHECKING:
    from bridge.edges.remote import Remote
    from bridge.edges.settings import Config, Environment

    Tell = Callable[[str, int, int], None]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)


def verify(
    since: Annotated[str, typer.Option(help="What came from this instant on, or 24h ago.")] = "24h",
    url: Url = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Compare every webhook that was acknowledged with the DAG runs that Airflow has. Exit 1 if anything is off."""
    from bridge.cli import context

    begin = moment(since)
    assert begin is not None  # noqa: S101 - only None gives None
    settings = context.environment()
    bridge = context.remote(settings, url, token_file)
    with _progress() as tell:
        report = _here(settings, begin, tell) if bridge is None else _at(bridge, begin, tell)
    if as_json:
        print_json(report)
    else:
        _print(report)
    if not report["is_well"]:
        raise typer.Exit(1)


def _here(settings: "Environment", since: datetime, tell: "Tell") -> dict[str, Any]:
    """Compare beside the store."""
    from bridge.cli import context
    from bridge.edges.airflow import Airflow
    from bridge.flows import verifying
    from bridge.rules import views

    config = context.configuration(settings)
    airflows = {name: Airflow(target) for name, target in config.airflows.items()}
    try:
        with context.store(settings) as inbox:
            dags, now = _dags(settings, config), datetime.now(UTC)
            report = verifying.verify(inbox, airflows, since=since, now=now, dags=dags, tell=tell)
    finally:
        for airflow in airflows.values():
            airflow.close()
    return views.report(report)


def _at(bridge: "Remote", since: datetime, tell: "Tell") -> dict[str, Any]:
    """Have a running bridge compare."""
    for name, content in bridge.events("verify", since=since.isoformat()):
        if name == "progress":
            tell(content["step"], content["done"], content["total"])
        elif name == "report":
            return content
        elif name == "failed":
            raise RemoteUnavailable(f"the comparison failed there: {content['detail']}")
    raise RemoteUnavailable("the comparison was cut off; ask again")


def _dags(settings: "Environment", config: "Config") -> dict[str, set[str]]:
    """Return the DAGs of the mapping by Airflow, nothing if it cannot be used."""
    from bridge.cli import context
    from bridge.flows.verifying import dags_of

    try:
        return dags_of(context.mapping(settings.mapping, config))
    except ConfigError as error:
        say(f"note: the mapping cannot be used, so only DAGs that the store names are compared: {error.problems[0]}")
        return {}


def _print(report: dict[str, Any]) -> None:
    """Print what is off as a table, then the sums."""
    columns = ("result", "airflow", "dag_id", "dag_run_id", "trigger_id", "delivery_id", "detail")
    if report["findings"]:
        print_table(columns, [[item[name] for name in columns] for item in report["findings"]])
        print()
    if report.get("is_cut"):
        say("these are the first; the sums count all")
    sums = ", ".join(f"{amount} {result}" for result, amount in sorted(report["results"].items()) if amount)
    total, routed = sum(report["deliveries"].values()), report["deliveries"].get("routed", 0)
    print(f"{total} deliveries, of which {routed} routed: {sums or 'nothing was asked for'}")
    for why, amount in sorted(report["waiting"].items()):
        print(f"waiting: {amount}  {why}")
    for name, why in report["unasked"].items():
        say(f"error: Airflow {name!r} could not be asked: {why}")
    for each in report.get("unread", ()):  # an older bridge has none
        runs = f"{each['runs']} run(s) of DAG {each['dag_id']!r}, the first of them {each['dag_run_id']!r}"
        say(f"error: Airflow {each['airflow']!r} did not let {runs}, be looked at: {each['why']}")


@contextmanager
def _progress() -> "Iterator[Tell]":
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
