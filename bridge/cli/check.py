"""check and explain: what the configuration means, before anything is sent."""

import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli.output import AsJson, print_json, print_table, say, spell_json

if TYPE_CHECKING:
    from bridge.edges.airflow import Airflow
    from bridge.edges.settings import Config, Environment
    from bridge.rules.mapping import Mapping, Route
    from bridge.rules.planning import Plan, Subject
    from bridge.rules.sources import Source


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(check)
    app.command()(explain)


def check(
    airflow: Annotated[bool, typer.Option("--airflow", help="Ask every Airflow about every DAG.")] = False,
    planasonix: Annotated[bool, typer.Option("--planasonix", help="Ask the Planasonix API of every source.")] = False,
    mapping: Annotated[
        Path | None, typer.Option("--mapping", help="Check this mapping, a file or a folder, and nothing else.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 if there is a warning.")] = False,
) -> None:
    """Check the configuration and the mapping; with options, also what they name outside.

    Needs no secret: if none of them is there, that is a note. Exit 2: a mistake.
    """
    from bridge.cli import context

    if mapping is not None:
        used = Path(os.environ.get("BRIDGE_CONFIG", "config/bridge.yaml"))
        found = context.mapping(mapping, context.names(used))
        typer.echo(f"ok: {len(found.routes)} route(s), mapping {found.digest}")
        warnings = _warn(found)
    else:
        config, found = _configured(needs_secrets=airflow or planasonix)
        warnings = _warn(found) + _warn_of_keys(config)
        troubles = (_check_airflows(config, found) if airflow else 0) + (_check_planasonix(config) if planasonix else 0)
        if troubles:
            raise typer.Exit(1)
    if strict and warnings:
        raise typer.Exit(1)


def _configured(*, needs_secrets: bool) -> "tuple[Config, Mapping]":
    """Read everything, and say that it is well; raises ConfigError with the mistakes of all files at once."""
    from bridge.cli import context
    from bridge.words.errors import ConfigError, Problem

    environment = context.environment()
    problems: list[Problem] = []
    config: Config | None = None
    try:
        config = (context.configuration if needs_secrets else context.configuration_to_check)(environment)
    except ConfigError as error:
        problems += error.problems
    try:
        found = context.mapping(environment.mapping, config or context.names(environment.config))
    except ConfigError as error:
        problems += error.problems
    if problems or config is None:
        raise ConfigError(problems)
    typer.echo(
        f"ok: {len(config.sources)} source(s), {len(config.airflows)} Airflow(s), {len(found.routes)} route(s),"
        f" mapping {found.digest}"
    )
    _say_absent(config)
    return config, found


def _say_absent(config: "Config") -> None:
    if config.absent:
        say(f"note: no secret is set, and `serve` needs {', '.join(config.absent)}")


def _warn(mapping: "Mapping") -> int:
    """Say what is valid and yet hardly meant; returns how much that is."""
    for warning in mapping.warnings:
        say(f"warning: {warning}")
    return len(mapping.warnings)


def _warn_of_keys(config: "Config") -> int:
    from bridge.rules.signature import advise

    if config.absent:
        return 0
    warnings = [(name, said) for name, each in config.sources.items() for said in advise(each.verifier, time.time())]
    for name, said in warnings:
        say(f"warning: source {name}: {said}")
    _check_key_sets(config)
    return len(warnings)


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
    from bridge.rules.conforming import mistakes
    from bridge.words.errors import BridgeError

    try:
        facts = airflow.look_at(dag_id)
    except BridgeError as error:
        return f"could not be asked: {error}"
    if not facts.exists:
        return f"route {route.name}: Airflow has no such DAG"
    missing = sorted(set(facts.required) - set(route.conf_keys))
    troubles: dict[str, object] = {
        "the DAG's file has an import error": facts.has_import_errors,
        "the DAG is no longer in its file": facts.is_stale,
        "paused: runs are made but wait until it is unpaused": facts.is_paused,
        f"route {route.name}: conf lacks the DAG's required params {', '.join(missing)}": missing,
    }
    if route.holds_to_params and (found := "; ".join(mistakes(route, facts.params))):
        troubles[f"route {route.name}: {found}"] = True
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
    expect: Annotated[
        str | None,
        typer.Option("--expect", metavar="DAG,DAG", help="Exit 1 unless exactly these DAGs would be started."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show which routes match, why the others do not, and the exact calls; sends nothing.

    Exit 1: no DAG run would be started, or other ones than expected, or a route would fail on this event.
    """
    from bridge.cli import context
    from bridge.rules import views
    from bridge.rules.planning import plan

    if (payload is None) == (delivery is None):
        raise typer.BadParameter("give a payload file, or --delivery ID")
    environment = context.environment()
    config = context.configuration_to_check(environment)
    mapping = context.mapping(environment.mapping, config, pages_url=environment.public_admin_url)
    _say_absent(config)
    if delivery is not None:
        made = _plan_stored(environment, config, mapping, delivery)
    else:
        body = sys.stdin.buffer.read() if payload == "-" else Path(str(payload)).read_bytes()
        about = _imagined(context.source(config, source), body, pipeline_id)
        made = plan(about, mapping, new_trigger_id=_no_id, max_hops=environment.max_hops)
    if as_json:
        print_json(views.plan(made))
    else:
        _print_plan(made)
    if not (made.would_start if expect is None else _is_as_expected(made, expect)):
        raise typer.Exit(1)


def _is_as_expected(made: "Plan", expect: str) -> bool:
    """Say which DAGs differ from `dag_a,dag_b`; an empty text expects none. A route that fails is never expected."""
    from bridge.words.model import TriggerState

    wanted = sorted(filter(None, map(str.strip, expect.split(","))))
    started = sorted(planned.dag_id for planned in made.triggers if planned.state is TriggerState.PENDING)
    if started != wanted:
        say(f"expected: {', '.join(wanted) or 'nothing'}; would be started: {', '.join(started) or 'nothing'}")
    return started == wanted and len(started) == len(made.triggers)


def _no_id() -> str:
    return "trg_0000000000000000"


def _plan_stored(environment: "Environment", config: "Config", mapping: "Mapping", delivery_id: str) -> "Plan":
    from bridge.cli import context
    from bridge.edges.inbox import deliveries
    from bridge.flows.routing.tracing import plan_traced
    from bridge.rules.planning import Subject
    from bridge.words.errors import NotThere

    with context.store(environment) as inbox:
        found = inbox.read(deliveries.get, delivery_id)
        if found is None:
            raise NotThere(f"no delivery {delivery_id}")
        source = config.sources.get(found.source)
        about = Subject.of(found, zone=source.zone if source else None)
        return plan_traced(inbox, about, mapping, max_hops=environment.max_hops, new_trigger_id=_no_id)


def _imagined(source: "Source", body: bytes, pipeline_id: str | None) -> "Subject":
    from bridge.rules.planning import Subject
    from bridge.rules.views import instant

    now = instant(datetime.now(UTC)) or ""
    return Subject("dlv_0000000000000000", source.name, now, source.kept(body), pipeline_id, zone=source.zone)


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
        print(f"conf: {spell_json(call.conf, indent=2)}")
        if rivals := made.rivals(planned):
            print(f"also started by {', '.join(rivals)}; conf.planasonix.route tells the runs apart")
        if planned.reason is not None:
            print(f"{planned.state}: {planned.reason} ({planned.detail or planned.reason.why})")
    if made.wants_lookup:
        say("note: the event names no pipeline; serve asks the Planasonix API for it if the source has `api`")
