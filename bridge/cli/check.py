"""check, explain and schema: what the configuration means, before anything is sent."""

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.output import AsJson, print_json, print_table, say

if TYPE_CHECKING:
    from bridge.edges.airflow import Airflow
    from bridge.edges.settings import Config
    from bridge.rules.mapping import Mapping, Route
    from bridge.rules.planning import Plan, Subject


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(check)
    app.command()(explain)
    app.command()(schema)


def check(
    airflow: Annotated[bool, typer.Option("--airflow", help="Ask every Airflow about every DAG.")] = False,
    planasonix: Annotated[bool, typer.Option("--planasonix", help="Ask the Planasonix API of every source.")] = False,
) -> None:
    """Check the configuration and the mapping; with options, also what they name outside."""
    from bridge.cli import context
    from bridge.rules.signature import advise

    environment = context.environment()
    config = context.configuration(environment)
    mapping = context.mapping(environment, config)
    typer.echo(
        f"ok: {len(config.sources)} source(s), {len(config.airflows)} Airflow(s), {len(mapping.routes)} route(s),"
        f" mapping {mapping.digest}"
    )
    for name, configured in config.sources.items():
        for said in advise(configured.verifier, time.time()):
            say(f"warning: source {name}: {said}")
    _check_key_sets(config)
    troubles = 0
    if airflow:
        troubles += _check_airflows(config, mapping)
    if planasonix:
        troubles += _check_planasonix(config)
    if troubles:
        raise typer.Exit(1)


def _check_key_sets(config: "Config") -> None:
    """Fetch every JWKS URL once and print what it holds; only a warning if that fails, since `serve` starts as well."""
    from bridge.cli.keys import key_sets

    rows: list[tuple[str, ...]] = []
    for source, key, found in key_sets(config):
        if isinstance(found, str):
            say(f"warning: source {source}: key {key.id}: {found}")
            continue
        for kid, keys in found.keys.items():
            rows.extend((source, key.id, kid, str(key.algorithm), "ok") for _ in keys)
        rows.extend((source, key.id, name, "-", f"not used: {why}") for name, why in found.dropped)
    if rows:
        print_table(("source", "key", "kid", "algorithm", "fact"), rows)


def _check_airflows(config: "Config", mapping: "Mapping") -> int:
    """Print what each Airflow says of each DAG; returns the number of troubles."""
    from bridge.edges.airflow import Airflow

    troubles = 0
    rows: list[tuple[str, str, str]] = []
    for name, target in config.airflows.items():
        airflow = Airflow(target)
        problem = airflow.probe()
        if problem is not None:
            troubles += 1
            rows.append((name, "-", f"{problem.reason}: {problem.detail or problem.reason.why}"))
            continue
        for route in mapping.routes:
            if route.airflow == name and route.enabled:
                for dag_id in route.dags:
                    fact = _dag_fact(airflow, route, dag_id)
                    troubles += fact != "ok"
                    rows.append((name, dag_id, fact))
        airflow.close()
    print_table(("airflow", "dag", "fact"), rows)
    return troubles


def _dag_fact(airflow: "Airflow", route: "Route", dag_id: str) -> str:
    from bridge.words.errors import BridgeError

    try:
        facts = airflow.look_at(dag_id)
    except BridgeError as error:
        return f"could not be asked: {error}"
    if not facts.exists:
        return f"route {route.name}: Airflow has no such DAG"
    missing = sorted(set(facts.required) - set(route.conf_keys))
    troubles = {
        "the DAG's file has an import error": facts.has_import_errors,
        "the DAG is no longer in its file": facts.is_stale,
        "paused: runs are made but wait until it is unpaused": facts.is_paused,
        f"route {route.name}: conf lacks the DAG's required params {', '.join(missing)}": missing,
    }
    return next((problem for problem, is_so in troubles.items() if is_so), "ok")


def _check_planasonix(config: "Config") -> int:
    from bridge.edges.planasonix import PlanasonixClient
    from bridge.words.errors import BridgeError

    troubles = 0
    rows: list[tuple[str, str]] = []
    for name, source in config.sources.items():
        if source.api is None:
            rows.append((name, "no api configured: events that name no pipeline cannot be looked up"))
            continue
        client = PlanasonixClient(source.api)
        try:
            client.check()
            rows.append((name, "ok"))
        except BridgeError as error:
            troubles += 1
            rows.append((name, str(error)))
        finally:
            client.close()
    print_table(("source", "fact"), rows)
    return troubles


def explain(
    payload: Annotated[str | None, typer.Argument(help="A JSON file with a webhook's body, or - for stdin.")] = None,
    delivery: Annotated[str | None, typer.Option("--delivery", help="Use a stored delivery instead.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Which source sent it.")] = None,
    pipeline_id: Annotated[str | None, typer.Option("--pipeline-id", help="As if sent to the URL of it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show which routes match, why the others do not, and the exact calls; sends nothing.

    Exit 1: no DAG run would be started, or a route would fail on this event.
    """
    from bridge.cli import context
    from bridge.rules import views
    from bridge.rules.planning import plan

    if (payload is None) == (delivery is None):
        raise typer.BadParameter("give a payload file, or --delivery ID")
    environment = context.environment()
    config = context.configuration(environment)
    mapping = context.mapping(environment, config)
    if delivery is not None:
        about = _stored(environment, delivery)
    else:
        body = sys.stdin.buffer.read() if payload == "-" else Path(str(payload)).read_bytes()
        sender = context.source(config, source)
        about = _imagined(sender.kept(body), sender.name, pipeline_id)
    made = plan(about, mapping, new_trigger_id=lambda: "trg_0000000000000000", max_hops=environment.max_hops)
    if as_json:
        print_json(views.plan(made))
    else:
        _print_plan(made)
    if not made.would_start:
        raise typer.Exit(1)


def _stored(environment: object, delivery_id: str) -> "Subject":
    from bridge.cli import context
    from bridge.edges.inbox import deliveries
    from bridge.rules.planning import Subject
    from bridge.words.errors import NotThere

    with context.store(environment) as inbox:  # type: ignore[arg-type]
        found = inbox.read(deliveries.get, delivery_id)
    if found is None:
        raise NotThere(f"no delivery {delivery_id}")
    return Subject.of(found)


def _imagined(body: bytes, source: str, pipeline_id: str | None) -> "Subject":
    from bridge.rules.planning import Subject
    from bridge.rules.views import instant

    now = instant(datetime.now(UTC)) or ""
    return Subject("dlv_0000000000000000", source, now, body, pipeline_id)


def _print_plan(made: "Plan") -> None:
    """Print a plan for people: the state, the routes, then the calls."""
    print(f"delivery: {made.state}" + (f" ({made.reason}: {made.reason.why})" if made.reason else ""))
    if made.detail:
        print(f"detail: {made.detail}")
    if made.verdicts:
        print_table(
            ("route", "matches", "why not"),
            [
                (
                    item.route.name,
                    "yes" if item.matches else "no",
                    item.why_not or (str(item.error) if item.error else None),
                )
                for item in made.verdicts
            ],
        )
    for planned in made.triggers:
        if planned.call is None:
            print(f"\n{planned.route.name} -> {planned.dag_id}: {planned.state} ({planned.reason}) {planned.detail}")
            continue
        call = planned.call
        print(f"\n{planned.route.name} -> POST dagRuns of {call.dag_id} at Airflow {call.airflow!r}")
        print(f"dag_run_id: {call.dag_run_id}")
        if call.note is not None:
            print(f"note: {call.note}")
        print(f"conf: {json.dumps(call.conf, indent=2, ensure_ascii=False)}")
        if planned.reason is not None:
            print(f"{planned.state}: {planned.reason} ({planned.detail or planned.reason.why})")
    if made.wants_lookup:
        say("note: the event names no pipeline; serve asks the Planasonix API for it if the source has `api`")


def schema() -> None:
    """Print the JSON Schema of the mapping file, for editors."""
    from bridge.rules.mapping import json_schema

    print_json(json_schema())
