"""diff: what a change of the mapping does, to its routes and to bodies.

1. Read both mappings, each a file, a folder or REV:PATH of git, and every body. Exit 2 with the mistakes of all.
2. Compare the routes; plan each body with both mappings.
3. Print counts first, then the first ten of each kind. Exit 0: no difference; 1: there is one.
"""

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bridge.cli import bodies
from bridge.cli.asking import TokenFile, Until, Url
from bridge.cli.output import AsJson, print_json, spell_json, visible
from bridge.cli.received import Change, Tally, compare_received, go_last, read_both
from bridge.words.errors import ConfigError, Problem

if TYPE_CHECKING:
    from bridge.edges.settings import Config, Environment
    from bridge.rules.comparing import RouteChanges
    from bridge.rules.mapping import Mapping
    from bridge.rules.planning import Subject

_SHOWN = 10
_WORDS = {
    "fails": "a route would fail that does not fail now",
    "nothing": "would start nothing any more",
    "other_dags": "would start other DAGs",
    "other_conf": "would start the same DAGs otherwise",
    "something": "would start something, and start nothing now",
    "same": "stay the same",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(diff)


Old = Annotated[str, typer.Argument(metavar="OLD", help="The mapping as it was: a file, a folder, or REV:PATH of git.")]
New = Annotated[str, typer.Argument(metavar="NEW", help="The mapping as it shall be: a file, a folder, or REV:PATH.")]
Given = Annotated[
    list[Path] | None, typer.Argument(metavar="BODY", help="Bodies (.json), files of tests (.yaml), or folders.")
]
Since = Annotated[
    str | None,
    typer.Option("--since", help="Compare what was received from this time on: 7d, 02:30..03:00, 2025-03-27."),
]


def diff(
    old: Old,
    new: New,
    given: Given = None,
    source: Annotated[str | None, typer.Option("--source", help="Which source the bodies come to.")] = None,
    since: Since = None,
    until: Until = None,
    url: Url = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Show what a change of the mapping does, to its routes and to bodies. Needs no secret, no store and no network.

    With --since it does, to what the store received, or with --url a running bridge. Exit 0: there is no difference.
    Exit 1: there is one. Exit 2: a file has a mistake.
    """
    from bridge.cli import context
    from bridge.rules.comparing import compare_routes

    if since is None and (url or token_file or until):
        raise typer.BadParameter("say what was received since when: --since 7d", param_hint="--since")
    change, (before, after), subjects = _read_all(context.file_settings(), (old, new), given or (), source)
    routes, tally = compare_routes(before, after), _compare_given(subjects, before, after, change.max_hops)
    if since is not None:
        tally.add(_compare_received(change, since, until, url, token_file))
    if as_json:
        _print_as_json(routes, tally)
    else:
        _print_routes(routes)
        if given or since is not None:
            _print_bodies(tally)
    if routes or any(kind != "same" and amount for kind, amount in tally.counts.items()):
        raise typer.Exit(1)


def _compare_given(
    subjects: "Sequence[tuple[str, Subject]]", before: "Mapping", after: "Mapping", max_hops: int
) -> Tally:
    from bridge.rules.comparing import Comparison

    tally, comparison = Tally(limit=sys.maxsize), Comparison.of(before, after, max_hops=max_hops)
    for name, about in subjects:
        tally.note(name, about, comparison)
    return tally


def _compare_received(change: Change, since: str, until: str | None, url: str | None, token_file: Path | None) -> Tally:
    """Compare what was received; shows how far it is by the time of receipt."""
    from rich.console import Console
    from rich.progress import Progress

    from bridge.cli.asking import asking, times

    begin, end = times(since, until)
    assert begin is not None  # noqa: S101 - `since` is given
    last = end or datetime.now(UTC)
    console = Console(stderr=True)
    go_last()
    with asking(url, token_file) as asked, Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("bodies", total=max(1.0, (last - begin).total_seconds()))
        return compare_received(
            asked,
            change,
            query={"since": begin.isoformat(), "until": last.isoformat()},
            on_page=lambda at: bar.update(task, completed=(at - begin).total_seconds()),
        )


def _read_all(
    environment: "Environment", mappings: tuple[str, str], given: Sequence[Path], source: str | None
) -> "tuple[Change, tuple[Mapping, Mapping], list[tuple[str, Subject]]]":
    """Read everything that is given; raises ConfigError with the mistakes of all of it at once."""
    from bridge.cli import context, revisions
    from bridge.edges.settings import Names

    problems: list[Problem] = []
    files: list[tuple[tuple[str, Any], ...]] = []
    try:
        config = context.configuration_if_there(environment)
    except ConfigError as error:
        problems, config = error.problems, None
    for where in mappings:
        try:
            files.append(tuple(revisions.files_of(where).items()))
        except ConfigError as error:
            problems += error.problems
            files.append(())
    names = config or context.names(environment.config)
    known = None if names is None else Names(tuple(names.sources), tuple(names.airflows))
    spellings = () if config is None else tuple((name, each.spelling) for name, each in config.sources.items())
    change = Change(files[0], files[1], known, spellings, environment.max_hops)
    read: tuple[Mapping, Mapping] | None = None
    try:
        read = read_both(change)
    except ConfigError as error:
        problems += error.problems
    subjects: list[tuple[str, Subject]] = []
    for path in _spread(given):
        try:
            subjects += _subjects(path, config, source)
        except ConfigError as error:
            problems += error.problems
    if problems or read is None:
        raise ConfigError(problems)
    return change, read, subjects


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


def _print_bodies(tally: Tally) -> None:
    from bridge.rules.comparing import Kind

    print(f"\nbodies: {tally.counts.total()}")
    for kind in Kind:
        print(f"  {tally.counts[kind]} {_WORDS[kind]}")
    if tally.locked:
        print(f"  {tally.locked} cannot be decrypted: no key that is configured opens them")
    for kind in Kind:
        found = tally.first.get(kind, [])
        if not found:
            continue
        print(f"\n{_WORDS[kind]}:")
        for each in found[:_SHOWN]:
            print(f"  {visible(each.name)}")
            if kind is Kind.OTHER_CONF:
                _print_values(each.values, "    ")
                continue
            for word, started, why in zip(("now", "then"), (each.now, each.then), each.why, strict=True):
                print(visible(f"    {word.ljust(4)} {', '.join(started) or f'nothing ({why})'}"))
        if (more := tally.counts[kind] - _SHOWN) > 0:
            print(f"  ... and {more} more bodies")


def _print_values(values: Sequence[tuple[str, Any, Any]], indent: str) -> None:
    for place, before, after in values[:_SHOWN]:
        print(visible(f"{indent}{place}: {spell_json(before)} -> {spell_json(after)}"))
    _print_more(values, "values", indent)


def _print_more(found: Sequence[Any], word: str, indent: str = "  ") -> None:
    if len(found) > _SHOWN:
        print(f"{indent}... and {len(found) - _SHOWN} more {word}")


def _print_as_json(routes: "RouteChanges", tally: Tally) -> None:
    from bridge.rules import comparing

    kinds = [*comparing.Kind]
    different = [comparing.view(each) for kind in kinds for each in tally.first.get(kind, [])]
    counts = {str(kind): tally.counts[kind] for kind in kinds}
    found = {"counts": counts, "locked": tally.locked, "different": different}
    print_json({"routes": comparing.view_routes(routes), "bodies": found})
