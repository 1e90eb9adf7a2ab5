"""`make mutants` knows for every rule and statement which tests concern it."""

from pathlib import Path

import pytest

from tests.mutants.__main__ import KNOWN, REPOSITORY, SKIPPED, TESTS, concerning

MODULES = sorted(
    path.relative_to(REPOSITORY)
    for folder in ("bridge/rules", "bridge/edges/inbox")
    for path in (REPOSITORY / folder).rglob("*.py")
    if path.name not in SKIPPED and "engine" not in path.parts
)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_rule_and_statement_has_tests_that_are_there(module: Path) -> None:
    """A new module without tests is named, instead of being tried against nothing."""
    assert all((REPOSITORY / test).exists() for test in concerning(module))


def test_every_accepted_survivor_has_a_module_and_a_reason() -> None:
    """An edit that nothing notices is listed with why that is right."""
    lines = [line for line in KNOWN.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    for edit, reason in zip(lines[::2], lines[1::2], strict=True):
        assert edit.partition(": ")[0] in map(str, MODULES)
        assert reason.startswith("    ")


def test_no_pattern_is_left_over() -> None:
    """Each names modules that are there."""
    assert [pattern for pattern in TESTS if not list(REPOSITORY.glob(pattern))] == []
