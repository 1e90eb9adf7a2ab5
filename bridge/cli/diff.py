"""diff: what a change of the mapping does, to its routes and to bodies.

1. Read both mappings, each a file, a folder or REV:PATH of git, and every body. Exit 2 with the mistakes of all.
2. Compare the routes; plan each body with both mappings.
3. Print counts first, then the first ten of each kind. Exit 0: no difference; 1: there is one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli import bodies
from bridge.cli.output import AsJson, print_json, spell_json, visible
from bridge.words.errors import ConfigError, Problem

if TYPE_CHECKING:
    from bridge.edges.settings import Config, Environment
    from bridge.rules.comparing import Changed, Kind, RouteChanges
    from bridge.rules.mapping import Mapping
    from bridge.rules.planning import Plan, Subject

_SHOWN = 10
_WORDS = {
    "fails": "a route would fail that does not fail now",
    "nothing": "would start nothing any more",
    "other_dags": "would start other DAGs",
    "other_conf": "would start the same DAGs otherwise",
    "something": "would start something, and start nothing now",
    "same": "stay the same",
}


@dataclass(frozen=True, slots=True)
class Compared:
    """One body with both plans."""

    name: str
    old: "Plan"
    new: "Plan"
    kind: "Kind"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(diff)


def diff(
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="The mapping as it was: a file, a folder, or REV:PATH of git.")
    ],
    new: Annotated[
        str, typer.Argument(metavar="NEW", help="The mapping as it shall be: a file, a folder, or REV:PATH.")
    ],
    given: Annotated[
        list[Path] | None, typer.Argument(metavar="BODY", help="Bodies (.json), files of tests (.yaml), or folders.")
    ] = None,
    source: Annotated[str | None, typer.Option("--source", help="Which source the bodies come to.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a change of the mapping does, to its routes and to bodies. Needs no secret, no store and no network.

    Exit 0: there is no difference. Exit 1: there is one. Exit 2: a file has a mistake.
    """
    from bridge.cli import context
    from bridge.rules.comparing import compare_routes

    environment = context.environment()
    before, after, subjects = _read_all(environment, (old, new), given or (), source)
    routes = compare_routes(before, after)
    compared = [_compare(name, about, before, after, environment.max_hops) for name, about in subjects]
    if as_json:
        _print_as_json(routes, compared)
    else:
        _print_routes(routes)
        if given:
            _print_bodies(compared)
    if routes or any(each.kind != "same" for each in compared):
        raise typer.Exit(1)


def _read_all(
    environment: "Environment", mappings: tuple[str, str], given: Sequence[Path], source: str | None
) -> "tuple[Mapping, Mapping, list[tuple[str, Subject]]]":
    from bridge.cli import context

    problems: list[Problem] = []
    read: list[Mapping] = []
    try:
        config = context.configuration_if_there(environment)
    except ConfigError as error:
        problems, config = error.problems, None
    names = config or context.names(environment.config)
    for where in mappings:
        try:
            read.append(_mapping(where, names))
        except ConfigError as error:
            problems += error.problems
    subjects: list[tuple[str, Subject]] = []
    for path in _spread(given):
        try:
            subjects += _subjects(path, config, source)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return read[0], read[1], subjects


def _mapping(where: str, names: Any) -> "Mapping":
    """Read a mapping; one that names an Airflow or source of another bridge.yaml than today's is read all the same."""
    from bridge.cli import context, revisions

    files = revisions.files_of(where)
    try:
        return context.mapping_of(files, names)
    except ConfigError:
        return context.mapping_of(files, None)


def _spread(given: Sequence[Path]) -> Iterator[Path]:
    for path in given:
        if not path.is_dir():
            yield path
            continue
        inside = sorted(each for each in path.rglob("*") if each.suffix in {".json", ".yaml"})
        if not inside:
            raise typer.BadParameter(f"{path}: there is no *.json and no *.yaml in this folder")
        yield from inside


def _subjects(path: Path, config: "Config | None", source: str | None) -> "Iterator[tuple[str, Subject]]":
    """Return the bodies of a file, each with its name: a body, or those of a file of tests."""
    if path.suffix == ".yaml":
        for case in bodies.read_suite(path, config).cases:
            yield f"{path}:{case.line} {case.form.name}", bodies.of_case(case, config)
    else:
        yield str(path), bodies.of_file(path, config, source)


def _compare(name: str, about: "Subject", before: "Mapping", after: "Mapping", max_hops: int) -> Compared:
    from bridge.rules.comparing import compare_plans
    from bridge.rules.planning import plan

    old, new = (
        plan(about, each, new_trigger_id=lambda: bodies.TRIGGER_ID, max_hops=max_hops) for each in (before, after)
    )
    return Compared(name, old, new, compare_plans(old, new))


def _print_routes(routes: "RouteChanges") -> None:
    kinds = {"added": routes.added, "removed": routes.removed, "changed": routes.changed, "renamed": routes.renamed}
    print("routes: " + ", ".join(f"{len(found)} {word}" for word, found in kinds.items()))
    for route in routes.added[:_SHOWN]:
        print(f"  added    {route.name} ({route.file}:{route.line}): starts {', '.join(route.dags)}")
    for route in routes.removed[:_SHOWN]:
        print(f"  removed  {route.name}: started {', '.join(route.dags)}")
    for word in ("changed", "renamed"):
        for each in getattr(routes, word)[:_SHOWN]:
            former = f"{each.former_name} -> " if each.is_renamed else ""
            print(f"  {word}  {former}{each.route.name} ({each.route.file}:{each.route.line})")
            _print_values(each.keys, "    ")
    for word, found in kinds.items():
        _print_more(found, word)


def _print_bodies(compared: Sequence[Compared]) -> None:
    from bridge.rules.comparing import Kind, conf_changes, starts

    by_kind = {kind: [each for each in compared if each.kind is kind] for kind in Kind}
    print(f"\nbodies: {len(compared)}")
    for kind, found in by_kind.items():
        print(f"  {len(found)} {_WORDS[kind]}")
    for kind, found in by_kind.items():
        if kind is Kind.SAME or not found:
            continue
        print(f"\n{_WORDS[kind]}:")
        for each in found[:_SHOWN]:
            print(f"  {visible(each.name)}")
            if kind is Kind.OTHER_CONF:
                _print_values(conf_changes(each.old, each.new), "    ")
                continue
            for word, plan in (("now", each.old), ("then", each.new)):
                print(
                    visible(
                        f"    {word.ljust(4)} {', '.join(starts(plan)) or f'nothing ({plan.reason or plan.state})'}"
                    )
                )
        _print_more(found, "bodies")


def _print_values(values: Sequence[tuple[str, Any, Any]], indent: str) -> None:
    for place, before, after in values[:_SHOWN]:
        print(visible(f"{indent}{place}: {spell_json(before)} -> {spell_json(after)}"))
    _print_more(values, "values", indent)


def _print_more(found: Sequence[Any], word: str, indent: str = "  ") -> None:
    if len(found) > _SHOWN:
        print(f"{indent}... and {len(found) - _SHOWN} more {word}")


def _print_as_json(routes: "RouteChanges", compared: Sequence[Compared]) -> None:
    from bridge.rules.comparing import Kind, conf_changes, starts

    print_json(
        {
            "routes": {
                "added": [route.name for route in routes.added],
                "removed": [route.name for route in routes.removed],
                "changed": [_as_json(each) for each in routes.changed],
                "renamed": [_as_json(each) for each in routes.renamed],
            },
            "bodies": {
                "counts": {str(kind): sum(each.kind is kind for each in compared) for kind in Kind},
                "different": [
                    {
                        "body": each.name,
                        "kind": str(each.kind),
                        "now": starts(each.old),
                        "then": starts(each.new),
                        "values": _values(conf_changes(each.old, each.new)) if each.kind is Kind.OTHER_CONF else [],
                    }
                    for each in compared
                    if each.kind is not Kind.SAME
                ],
            },
        }
    )


def _as_json(changed: "Changed") -> dict[str, Any]:
    return {"name": changed.route.name, "former_name": changed.former_name, "values": _values(changed.keys)}


def _values(values: Sequence[tuple[str, Any, Any]]) -> list[dict[str, Any]]:
    return [{"place": place, "old": old, "new": new} for place, old, new in values]
