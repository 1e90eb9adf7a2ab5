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

from tests.mutants.concerning import SKIPPED, TESTS, concerning

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
