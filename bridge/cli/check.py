"""check: what is wrong with the files, and on request with what they name outside.

    files   bridge.yaml, the mapping and the settings: every mistake at once, exit 2
    more    secrets (--secrets), the store (--store), every Airflow (--airflow), the Planasonix API (--planasonix)

`--at-start` asks what `serve` needs to start, no more: a broken mapping stops nothing there, so it is a warning.
"""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from bridge.cli.output import print_table, say

if TYPE_CHECKING:
    from bridge.edges.settings import Config, Environment
    from bridge.rules.mapping import Mapping
    from bridge.words.errors import Problem


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(check)


def check(
    airflow: Annotated[bool, typer.Option("--airflow", help="Ask every Airflow about every DAG.")] = False,
    planasonix: Annotated[bool, typer.Option("--planasonix", help="Ask the Planasonix API of every source.")] = False,
    store: Annotated[bool, typer.Option("--store", help="Open the store, and see that a write commits.")] = False,
    secrets: Annotated[
        bool, typer.Option("--secrets", help="A secret that is not there is a mistake, as it is for `serve`.")
    ] = False,
    at_start: Annotated[
        bool, typer.Option("--at-start", help="Only what `serve` needs: secrets too; a broken mapping is a warning.")
    ] = False,
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
        needs_secrets = secrets or at_start or airflow or planasonix
        read = _read(needs_secrets=needs_secrets, may_be_broken=at_start)
        config, found = read.config, read.mapping
        warnings = read.broken + _warn(found) + _warn_of_keys(config) + _warn_of_certificate(read)
        troubles = _check_store() if store else 0
        troubles += (_check_airflows(config, found) if airflow else 0) + (
            _check_planasonix(config) if planasonix else 0
        )
        if troubles:
            raise typer.Exit(1)
    if strict and warnings:
        raise typer.Exit(1)


class _Read(NamedTuple):
    """What the files say; `broken`: how many mistakes of the mapping are warnings."""

    environment: "Environment"
    config: "Config"
    mapping: "Mapping"
    broken: int
    lacking: tuple[str, ...]  # variables that name a file which is not there, where no secret is


def _read(*, needs_secrets: bool, may_be_broken: bool) -> _Read:
    """Read everything, and say that it is well; raises ConfigError with the mistakes of all files at once.

    `may_be_broken`: mistakes of the mapping are warnings.
    """
    from bridge.cli import context
    from bridge.rules.mapping import join
    from bridge.wiring import fitting
    from bridge.words.errors import ConfigError

    environment, lacking = (context.environment(), ()) if needs_secrets else context.environment_to_check()
    problems: list[Problem] = []
    broken: list[Problem] = []
    config: Config | None = None
    found = join([])
    try:
        config = (context.configuration if needs_secrets else context.configuration_to_check)(environment)
        if lacking and not config.absent:  # secrets are here, so these files were forgotten
            environment, lacking = context.environment(), ()
        problems += fitting.misfits(environment, config)
    except ConfigError as error:
        problems += error.problems
    try:
        found = context.mapping(environment.mapping, config or context.names(environment.config))
    except ConfigError as error:
        broken += error.problems
    if config is None or problems or (broken and not may_be_broken):
        raise ConfigError(problems + broken)
    routes = "a broken mapping" if broken else f"{len(found.routes)} route(s), mapping {found.digest}"
    typer.echo(f"ok: {len(config.sources)} source(s), {len(config.airflows)} Airflow(s), {routes}")
    for problem in broken:
        say(f"warning: {problem}")
    if absent := (*config.absent, *lacking):
        context.note_no_secret(absent)
    return _Read(environment, config, found, len(broken), lacking)


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


def _warn_of_certificate(read: _Read) -> int:
    """Read the admin listener's certificate, if its files are there; raises ConfigError if it cannot be used."""
    from datetime import UTC, datetime

    from bridge.edges.settings.tls import VARIABLES, admin_tls
    from bridge.rules.troubles import of_certificate

    if not VARIABLES.isdisjoint(read.lacking):
        return 0
    used = admin_tls(read.environment)
    problems = list(of_certificate(used.ends_at if used else None, datetime.now(UTC)))
    for problem in problems:
        say(f"warning: {problem.says}")
    return len(problems)


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


def _check_store() -> int:
    """Open the store, and say what is in it; a store that is not there yet is well. Returns the number of troubles."""
    from bridge.cli import context
    from bridge.edges import inbox
    from bridge.words.errors import InboxUnavailable

    environment = context.environment()
    try:
        found = inbox.try_out(environment.database_url, password=environment.database_password)
    except InboxUnavailable as error:
        say(f"error: BRIDGE_DATABASE_URL: {error}")
        return 1
    typer.echo(f"ok: the store, schema {found}" if found else "ok: the store, empty: `serve` fills it")
    return 0


def _check_airflows(config: "Config", mapping: "Mapping") -> int:
    """Print what each Airflow says of each DAG; returns the number of troubles."""
    from bridge.edges.airflow import Airflow
    from bridge.flows.examining.airflows import dag_fact

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
                    fact = dag_fact(airflow, route, dag_id)
                    troubles += fact.next_step is not None
                    rows.append((name, dag_id, fact.says))
        airflow.close()
    print_table(("airflow", "dag", "fact"), rows)
    return troubles


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
