"""test: what the mapping makes of bodies, held against what it must make of them.

1. Read everything: the mapping, bridge.yaml if it is there, every file of tests. Exit 2 with all mistakes at once.
2. Plan each body as the router does, and compare. No secret, no store and no network is needed.
3. Print each test, each difference at its place in the file, and the routes that no test reached. Exit 1: a failure.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bridge.cli import bodies
from bridge.cli.output import AsJson, print_json, say, visible

if TYPE_CHECKING:
    from bridge.edges.settings import Config, Environment
    from bridge.rules.expecting import Case, Outcome, Suite
    from bridge.rules.mapping import Mapping, Route
    from bridge.rules.planning import Plan

    _Outcomes = dict[str, list[Outcome]]
    _Read = tuple[Config | None, Mapping, list[Suite]]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="test")(run_tests)


def run_tests(
    files: Annotated[list[Path], typer.Argument(help="Files of tests, or folders of such.")],
    mapping: Annotated[
        Path | None, typer.Option("--mapping", help="Test this mapping, a file or a folder; default: BRIDGE_MAPPING.")
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write the outcomes as JUnit's XML, too.")] = None,
    all_routes: Annotated[
        bool, typer.Option("--all-routes", help="Exit 1 also if a route is not reached by any test.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Test the mapping: bodies, and what they must start. Needs no secret, no store and no network.

    Exit 1: a test failed. Exit 2: a file has a mistake.
    """
    from bridge.cli import context
    from bridge.rules import expecting

    environment = context.file_settings()
    path = mapping or environment.mapping
    config, tested, suites = _read_all(path, environment, files)
    if config is None:
        say(f"note: there is no {environment.config}, so names of sources and Airflows are not compared with it")
    outcomes: _Outcomes = {
        suite.file: [expecting.judge(case, _plan(case, tested, config, environment.max_hops)) for case in suite.cases]
        for suite in suites
    }
    missed = _missed(tested, outcomes)
    if junit is not None:
        junit.write_text(expecting.junit(outcomes), "utf-8")
    if as_json:
        _print_as_json(outcomes, missed, tested)
    else:
        _print(outcomes, missed, tested)
    if any(not each.has_passed for found in outcomes.values() for each in found) or (all_routes and missed):
        raise typer.Exit(1)


def _read_all(path: Path, environment: "Environment", files: Sequence[Path]) -> "_Read":
    """Read everything that is needed; raises ConfigError with the mistakes of all files at once."""
    from bridge.cli import context
    from bridge.words.errors import ConfigError, Problem

    problems: list[Problem] = []
    config, tested, suites = None, None, []
    try:
        config = context.configuration_if_there(environment)
    except ConfigError as error:
        problems += error.problems
    try:
        tested = context.mapping(path, config or context.names(environment.config))
    except ConfigError as error:
        problems += error.problems
    for file in _spread(files):
        try:
            suites.append(bodies.read_suite(file, config))
        except ConfigError as error:
            problems += error.problems
    if problems or tested is None:
        raise ConfigError(problems)
    return config, tested, suites


def _spread(files: Sequence[Path]) -> list[Path]:
    """Return the files; a folder stands for every `*.yaml` in it."""
    found: list[Path] = []
    for path in files:
        inside = sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
        if not inside:
            raise typer.BadParameter(f"{path}: there is no *.yaml in this folder")
        found += inside
    return list(dict.fromkeys(found))


def _plan(case: "Case", mapping: "Mapping", config: "Config | None", max_hops: int) -> "Plan":
    from bridge.rules.planning import plan

    about = bodies.of_case(case, config)
    return plan(about, mapping, new_trigger_id=lambda: bodies.TRIGGER_ID, max_hops=max_hops)


def _missed(mapping: "Mapping", outcomes: "_Outcomes") -> "list[Route]":
    """Return the routes that no test reached."""
    reached = {name for found in outcomes.values() for outcome in found for name in outcome.routes}
    return [route for route in mapping.routes if route.enabled and route.name not in reached]


def _print(outcomes: "_Outcomes", missed: "list[Route]", mapping: "Mapping") -> None:
    for file, found in outcomes.items():
        for outcome in found:
            word = "ok    " if outcome.has_passed else "FAILED"
            print(visible(f"{word}  {file}:{outcome.case.line}  {outcome.case.form.name}"))
            for difference in outcome.differences:
                print(f"        {visible(str(difference))}")
    every = [outcome for found in outcomes.values() for outcome in found]
    enabled = sum(route.enabled for route in mapping.routes)
    print(f"\n{len(every)} test(s), {sum(not outcome.has_passed for outcome in every)} failed")
    print(f"{enabled - len(missed)} of {enabled} route(s) reached by a test")
    for route in missed:
        print(f"        {route.file}:{route.line}: no test reaches the route {route.name}")


def _print_as_json(outcomes: "_Outcomes", missed: "list[Route]", mapping: "Mapping") -> None:
    tests = [
        {
            "file": file,
            "line": outcome.case.line,
            "name": outcome.case.form.name,
            "passed": outcome.has_passed,
            "differences": [
                {"line": item.line, "column": item.column, "what": item.what} for item in outcome.differences
            ],
        }
        for file, found in outcomes.items()
        for outcome in found
    ]
    enabled = sum(route.enabled for route in mapping.routes)
    unreached = [{"name": route.name, "file": route.file, "line": route.line} for route in missed]
    print_json({"tests": tests, "routes": {"enabled": enabled, "unreached": unreached}})
