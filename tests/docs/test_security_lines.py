"""The list of what the bridge must survive is covered: every line names tests that exist, or says that it has none."""

import ast
import re
import tomllib
from functools import cache
from typing import Any

import pytest

from deploy.demo.airflow import REPOSITORY

TESTS = REPOSITORY / "tests"
LINES: list[dict[str, Any]] = tomllib.loads((TESTS / "data" / "security.toml").read_text())["line"]
LOCKS = sorted((REPOSITORY / "requirements").glob("*.txt"))
LEAST = {"starlette": (1, 0, 1), "h11": (0, 16), "pyjwt": (2, 13)}


@cache
def names_in(path: str) -> frozenset[str]:
    """Return the tests that a module defines."""
    tree = ast.parse((TESTS / path).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["says"][:60])
def test_every_line_has_tests_that_exist(line: dict[str, Any]) -> None:
    """A test that is renamed or removed is missed here."""
    assert ("gap" in line) != bool(line.get("tests"))
    for name in line.get("tests", ()):
        path, _, test = name.partition("::")
        assert test.startswith("test_")
        assert test in names_in(path), f"{name} does not exist"


def test_no_line_stands_twice() -> None:
    """Each has one place to look for."""
    said = [line["says"] for line in LINES]
    assert len(said) == len(set(said))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_locks_are_hashed(lock: Any) -> None:
    """security: every pinned package has a hash, so that nobody can put another file in its place."""
    packages = re.split(r"\n(?=[A-Za-z0-9])", re.sub(r"(?m)^\s*#.*\n", "", lock.read_text()).strip())
    pinned = [package for package in packages if "==" in package]
    assert pinned
    assert [package.partition(" ")[0] for package in pinned if "--hash=sha256:" not in package] == []


def test_versions_with_known_holes_are_not_locked() -> None:
    """security: starlette 1.0.1 (CVE-2026-48710), h11 0.16 (CVE-2025-43859), PyJWT 2.13, or newer."""
    text = (REPOSITORY / "requirements" / "runtime.txt").read_text()
    for name, least in LEAST.items():
        found = re.search(rf"(?m)^{name}==([0-9.]+)", text)
        assert found is not None, f"{name} is not in runtime.txt"
        assert tuple(int(part) for part in found[1].split(".")) >= least
