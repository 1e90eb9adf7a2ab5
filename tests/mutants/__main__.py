"""`make mutants`: careless edits made on purpose, one at a time; a test must notice each.

The edits come from cosmic-ray (`edits`). Each is made in a copy of the repository, where only the tests run that
concern the module: on SQLite, and what goes unnoticed there on PostgreSQL, too. What no test notices is printed with
its line, unless `survivors.txt` says why it may be so. That counts as unnoticed all the same; only what provably
changes nothing (`Same: ...`) is left out. Exit 0 if 9 of 10 were noticed.

A child process per edit, forked after the libraries are imported: a start of pytest costs more than most of the tests.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
TREE = REPOSITORY / ".cache" / f"mutants-{os.getpid()}"  # two may run beside each other
SAID = TREE.with_suffix(".log")  # what the tests said last
KNOWN = Path(__file__).with_name("survivors.txt")
_LIBRARIES = (
    "pytest",
    "hypothesis.strategies",
    "sqlalchemy",
    "msgspec",
    "jinja2.sandbox",
    "ruamel.yaml",
    "cryptography",
)
_ENOUGH = 0.9
SAME = "Same: "
_PATIENCE = 10  # times as long as the tests take without an edit: an endless loop was noticed, too
_SILENT = (0, 5)  # pytest's exit codes: all passed, none was chosen
_SQLITE, _POSTGRESQL = "not postgresql", "postgresql"
_STATEMENTS = "bridge/edges/inbox/*.py"  # what speaks to both databases, but for `engine`
_OWN_TESTS = (
    "auditing",
    "browsing",
    "chains",
    "dags",
    "erasing",
    "exporting",
    "grouping",
    "history",
    "pruning",
    "received",
    "refusals",
    "relocating",
    "turns",
    "vault",
)
_PARTS = ("choosing", "compiling", "doubts", "files", "globs", "routes", "runs", "schema")  # of the mapping
_MAPPING = (
    *(f"tests/rules/mapping/test_{part}.py" for part in _PARTS),
    "tests/rules/mapping",
    "tests/rules/test_planning.py",
    "tests/rules/test_conforming.py",
)
_TEMPLATES = (
    "tests/rules/test_rendering.py",
    "tests/rules/test_rendering_bounds.py",
    "tests/rules/test_rendering_filters.py",
)
_PLANS = "engine/test_plans.py"  # which index a statement is read by
_BESIDE = {  # the tests of statements, by module, below tests/edges/inbox or from the top
    "filtering": ("test_filtering.py", "test_browsing.py", "test_grouping.py", "test_walking.py", _PLANS),
    "finding": ("test_finding.py", _PLANS),
    "orders": ("test_orders.py", "tests/flows/test_ordering.py"),
    "pauses": ("test_pauses.py", _PLANS),
    "pausing": ("test_pauses.py",),
    "runs": ("test_runs.py", _PLANS),
    "walking": ("test_walking.py", _PLANS),
    "answers": ("test_answers.py", "tests/flows/test_routing.py"),
    "endings": ("test_endings.py", "tests/flows/test_telling.py"),
    "notices": ("test_notices.py", "tests/flows/test_notifying.py"),
    "reconciling": ("test_reconciling.py", "test_erasing.py", "tests/flows/test_reconciling.py"),
    "shapes": ("test_shapes.py", "tests/chores/test_shapes.py"),
    "silences": ("test_silences.py", "tests/chores/test_silences.py"),
    "tailing": ("test_tailing.py", "tests/flows/test_tailing.py"),
    "unsettled": ("test_unsettled.py", "tests/flows/test_explaining.py"),
    "waits": ("test_waits.py", "tests/flows/test_waking.py"),
}
# The tests that concern a module; the first pattern that fits counts.
TESTS: dict[str, tuple[str, ...]] = {
    "bridge/rules/event/*.py": ("tests/rules/event", "tests/rules/test_strict_json.py"),
    "bridge/rules/mapping/*.py": _MAPPING,
    "bridge/rules/rendering/doubting.py": ("tests/rules/rendering/test_doubting.py",),
    **{
        f"bridge/rules/rendering/{stem}.py": (f"tests/rules/rendering/test_{stem}.py", *_TEMPLATES)
        for stem in ("sandbox", "wording", "checking", "moments")
    },
    "bridge/rules/rendering/*.py": _TEMPLATES,
    "bridge/rules/samples.py": ("tests/rules/test_samples.py", "tests/rules/event/test_bodies.py"),
    "bridge/rules/retrying/*.py": ("tests/rules/retrying",),
    "bridge/rules/comparing/*.py": ("tests/rules/test_comparing.py",),
    "bridge/rules/expecting/*.py": ("tests/rules/test_expecting.py",),
    "bridge/rules/signature/*.py": ("tests/rules/signature/test_{stem}.py", "tests/rules/signature"),
    "bridge/rules/yamltree/*.py": (
        "tests/rules/test_yamltree.py",
        "tests/rules/test_yamltree_messages.py",
        "tests/rules/mapping/test_files.py",
    ),
    "bridge/rules/troubles.py": (
        "tests/rules/test_attention.py",
        "tests/rules/test_troubles.py",
        "tests/flows/test_attending.py",
        "tests/chores/test_silences.py",
    ),
    "bridge/rules/notifying/*.py": ("tests/rules/test_notifying.py", "tests/rules/test_wording.py"),
    "bridge/rules/sources.py": ("tests/rules/event",),
    "bridge/rules/records.py": ("tests/web/test_refusals.py", "tests/cli/test_audit.py"),
    "bridge/rules/counts.py": ("tests/edges/inbox/test_history.py",),
    "bridge/rules/notes.py": ("tests/rules/test_attention.py",),
    "bridge/rules/hops.py": ("tests/rules/test_hops.py", "tests/edges/inbox/test_chains.py"),
    "bridge/rules/causes.py": (
        "tests/rules/test_causes.py",
        "tests/edges/inbox/test_grouping.py",
        "tests/web/test_asking.py",
    ),
    "bridge/rules/views.py": ("tests/cli/test_payloads.py",),
    "bridge/rules/completion.py": ("tests/rules/test_completion.py", "tests/rules/test_run_names.py"),
    "bridge/rules/waking.py": ("tests/rules/test_waking.py", "tests/flows/test_inquiring.py"),
    "bridge/rules/abandoning.py": ("tests/rules/test_abandoning.py", "tests/flows/test_abandoning.py"),
    "bridge/edges/inbox/abandoned.py": ("tests/edges/inbox/test_abandoned.py",),
    "bridge/rules/reconciling.py": ("tests/flows/test_reconciling.py", "tests/rules/test_reconciling.py"),
    "bridge/rules/need.py": ("tests/rules/test_attention.py",),
    "bridge/rules/odd.py": ("tests/rules/test_odd.py", "tests/rules/test_attention.py"),
    "bridge/rules/standing.py": ("tests/rules/test_standing.py", "tests/rules/test_attention.py"),
    "bridge/rules/drift/*.py": ("tests/rules/test_drift.py", "tests/rules/test_drift_limits.py"),
    "bridge/rules/*.py": ("tests/rules/test_{stem}.py",),
    "bridge/edges/inbox/adding.py": (
        "tests/edges/inbox/test_adding.py",
        "tests/edges/inbox/test_completions.py",
        "tests/edges/inbox/test_replays.py",
        "tests/edges/inbox/test_triggers.py",
        "tests/edges/inbox/test_deadlines.py",
        "tests/edges/inbox/test_vault.py",
        "tests/flows/test_freeing.py",
    ),
    "bridge/edges/inbox/completions.py": ("tests/edges/inbox/test_completions.py", "tests/flows/test_copies.py"),
    "bridge/edges/inbox/agreeing.py": ("tests/edges/inbox/test_agreeing.py", "tests/edges/inbox/test_completions.py"),
    "bridge/edges/inbox/replays.py": ("tests/edges/inbox/test_replays.py", "tests/edges/inbox/test_completions.py"),
    "bridge/edges/inbox/run_ids.py": ("tests/edges/inbox/test_completions.py", "tests/edges/inbox/test_triggers.py"),
    "bridge/edges/inbox/claiming.py": ("tests/edges/inbox/test_claiming.py", "tests/edges/inbox/test_triggers.py"),
    "bridge/edges/inbox/moving.py": ("tests/edges/inbox/test_moving.py", "tests/chores/test_clock.py"),
    # Of `engine` what no thread waits for, since an edit that hangs costs a minute, and what SQLite runs.
    "bridge/edges/inbox/engine/ids.py": ("tests/edges/inbox/engine/test_ids.py",),
    "bridge/edges/inbox/engine/intake.py": ("tests/edges/inbox/engine/test_intake.py",),
    "bridge/edges/inbox/deliveries.py": (
        "tests/edges/inbox/test_deliveries.py",
        "tests/edges/inbox/test_rows.py",
        "tests/edges/inbox/test_triggers.py",
        "tests/edges/inbox/test_replays.py",
        "tests/edges/inbox/test_completions.py",
    ),
    "bridge/edges/inbox/duties.py": ("tests/edges/inbox/test_duties.py", "tests/edges/inbox/test_runs.py"),
    "bridge/edges/inbox/rows.py": (
        "tests/edges/inbox/test_rows.py",
        "tests/edges/inbox/test_browsing.py",
        "tests/edges/inbox/test_vault.py",
    ),
    "bridge/edges/inbox/triggers.py": (
        "tests/edges/inbox/test_triggers.py",
        "tests/edges/inbox/test_runs.py",
        "tests/edges/inbox/test_deadlines.py",
        "tests/flows/test_renaming.py",
    ),
    **{f"bridge/edges/inbox/{stem}.py": (f"tests/edges/inbox/test_{stem}.py",) for stem in _OWN_TESTS},
    **{
        f"bridge/edges/inbox/{stem}.py": tuple(
            test if test.startswith("tests/") else f"tests/edges/inbox/{test}" for test in tests
        )
        for stem, tests in _BESIDE.items()
    },
    "bridge/edges/inbox/unmapped.py": ("tests/edges/inbox/test_unmapped.py", "tests/flows/test_unmapped.py"),
    "bridge/edges/inbox/holds.py": ("tests/edges/inbox/test_holds.py", "tests/flows/test_freeing.py"),
    "bridge/edges/inbox/heard.py": ("tests/edges/inbox/test_heard.py", "tests/chores/test_heard.py"),
    "bridge/edges/inbox/loaded.py": ("tests/chores/test_loaded.py",),
    "bridge/edges/inbox/*.py": ("tests/edges/inbox",),
}
SKIPPED = ("__init__.py", "views.py")


def concerning(module: Path) -> tuple[str, ...]:
    """Return which tests concern a module."""
    for pattern, tests in TESTS.items():
        if module.match(pattern):
            return tuple(test.format(stem=module.stem) for test in tests)
    raise SystemExit(f"no tests are named for {module}: add them to TESTS in tests/mutants/__main__.py")


def _modules(given: Sequence[str]) -> list[Path]:
    if given:
        return [Path(item) for item in given]
    found = sorted(path for pattern in TESTS for path in REPOSITORY.glob(pattern) if path.name not in SKIPPED)
    return list(dict.fromkeys(path.relative_to(REPOSITORY) for path in found))


def _copy() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0"):
        if name and (REPOSITORY / name).is_file():
            (TREE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, TREE / name)
    for name in (".venv", ".venv-airflow"):
        if (REPOSITORY / name).exists():
            (TREE / name).symlink_to(REPOSITORY / name)


def _edits(modules: Sequence[Path], seed: int) -> Iterator[dict[str, Any]]:
    python = REPOSITORY / ".venv-mutants" / "bin" / "python"
    command = [python, REPOSITORY / "tests" / "mutants" / "edits.py", str(seed), *modules]
    made = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return map(json.loads, made.stdout.splitlines())


def _run(tests: Sequence[str], chosen: str) -> None:
    """Run in the child: tests, in the copy and on its code."""
    os.setsid()
    os.chdir(TREE)
    for name in [name for name in sys.modules if name.partition(".")[0] in ("bridge", "tests", "deploy")]:
        del sys.modules[name]
    sys.path[:] = [str(TREE), *(place for place in sys.path if place not in ("", str(REPOSITORY)))]
    said = os.open(SAID, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    without = [word for plugin in ("cacheprovider", "randomly", "xdist") for word in ("-p", f"no:{plugin}")]
    options = ["-x", "-q", "-k", chosen, "-W", "ignore::pytest.PytestAssertRewriteWarning", *without]
    os._exit(int(importlib.import_module("pytest").main([*options, *tests])))


def _ends(tests: Sequence[str], chosen: str, limit_seconds: float | None) -> int | None:
    """Return how the tests ended, None if they did not."""
    child = multiprocessing.get_context("fork").Process(target=_run, args=(tests, chosen))
    child.start()
    child.join(limit_seconds)
    if child.exitcode is None:
        child.kill()
        child.join()
        return None
    return child.exitcode


@cache
def _limit_seconds(tests: tuple[str, ...], chosen: str) -> float:
    """Return how long the tests may take with an edit. Raises SystemExit if they fail without any."""
    began = time.monotonic()
    if _ends(tests, chosen, None) not in _SILENT:
        raise SystemExit(f"without any edit these tests fail already: {' '.join(tests)} (see {SAID})")
    return _PATIENCE * (time.monotonic() - began) + 10


def _stages(module: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    """Return the tests to run one after the other until some notice: the module's own, which are quick, come first."""
    tests = concerning(module)
    own = tuple(test for test in tests if Path(test).name == f"test_{module.stem}.py")
    if own and own != tests:
        yield own, _SQLITE
    yield tests, _SQLITE
    if module.match(_STATEMENTS):
        yield tests, _POSTGRESQL


def _is_noticed(edit: dict[str, Any]) -> bool:
    place = TREE / edit["module"]
    right = place.read_text("utf-8")
    for tests, chosen in _stages(Path(edit["module"])):
        limit_seconds = _limit_seconds(tests, chosen)
        place.write_text(edit["source"], "utf-8")
        try:
            if _ends(tests, chosen, limit_seconds) not in _SILENT:
                return True
        finally:
            place.write_text(right, "utf-8")
    return False


def accepted() -> dict[tuple[str, str], str]:
    """Return why an edit may go unnoticed, by its module and the edited line."""
    lines = [line for line in KNOWN.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    found: dict[tuple[str, str], str] = {}
    for edit, reason in zip(lines[::2], lines[1::2], strict=True):
        module, _, after = edit.partition(": ")
        found[module, after] = reason.strip()
    return found


def _try_all(edits: Iterator[dict[str, Any]], end: float) -> int:
    """Try edits until the time is up, say which went unnoticed, and return the exit code."""
    known, tried, noticed = accepted(), Counter[str](), Counter[str]()
    for edit in edits:
        if time.monotonic() > end:
            break
        module = edit["module"]
        reason = known.get((module, edit["after"]))
        if reason is not None:
            tried[module] += not reason.startswith(SAME)
            continue
        tried[module] += 1
        if _is_noticed(edit):
            noticed[module] += 1
        else:
            print(f"{module}:{edit['line']}: {edit['edit']}\n  - {edit['before']}\n  + {edit['after']}", flush=True)
    for module in sorted(tried):
        print(f"{noticed[module]:5} of {tried[module]:5}  {module}")
    print(f"{noticed.total()} of {tried.total()} careless edits were noticed")
    return 0 if noticed.total() >= _ENOUGH * tried.total() else 1


def main() -> int:
    """Read the command line, and leave no copy behind."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", help="bridge/rules/pacing.py ...; without any, all that TESTS names")
    parser.add_argument("--seconds", type=float, default=1800.0, help="how long edits are tried")
    parser.add_argument("--seed", type=int, default=1, help="fixes their order")
    given = parser.parse_args()
    sys.dont_write_bytecode = True
    try:
        _copy()
        for library in _LIBRARIES:
            importlib.import_module(library)
        return _try_all(_edits(_modules(given.modules), given.seed), time.monotonic() + given.seconds)
    finally:
        shutil.rmtree(TREE, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
