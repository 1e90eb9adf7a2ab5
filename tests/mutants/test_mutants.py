"""`make mutants` knows for every rule and statement which tests concern it."""

from pathlib import Path

import pytest

from tests.mutants.__main__ import REPOSITORY, SAME, _try_all, accepted
from tests.mutants.concerning import SKIPPED, TESTS, concerning

MODULES = sorted(
    path.relative_to(REPOSITORY)
    for folder in ("bridge/rules", "bridge/edges/inbox")
    for path in (REPOSITORY / folder).rglob("*.py")
    if path.name not in SKIPPED and ("engine" not in path.parts or path.relative_to(REPOSITORY).as_posix() in TESTS)
)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_rule_and_statement_has_tests_that_are_there(module: Path) -> None:
    """A new module without tests is named, instead of being tried against nothing."""
    assert all((REPOSITORY / test).exists() for test in concerning(module))


def test_every_accepted_survivor_has_a_module_and_a_reason() -> None:
    """An edit that nothing notices is listed with why that is right."""
    for (module, after), reason in accepted().items():
        assert (REPOSITORY / module).is_file()
        assert after
        assert reason.endswith(".")


def test_no_pattern_is_left_over() -> None:
    """Each names modules that are there."""
    assert [pattern for pattern in TESTS if not list(REPOSITORY.glob(pattern))] == []


def test_what_may_stay_unnoticed_counts_unless_it_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The figure says how much the tests see, whatever reasons are written down."""
    known = accepted()
    edits = [{"module": module, "after": after} for module, after in known]
    assert _try_all(iter(edits), float("inf")) == 1
    counted = sum(not reason.startswith(SAME) for reason in known.values())
    assert 0 < counted < len(edits)
    assert capsys.readouterr().out.splitlines()[-1] == f"0 of {counted} careless edits were noticed"
