"""Each rule of docs/architecture.md against a kind of faults has a test that is there."""

import re

from tests.docs.pages import DOCS, REPOSITORY

_ROW = re.compile(r"^\| (\d+) \| .+ \| (.+) \|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_rule_against_a_kind_of_faults_names_tests_that_are_there() -> None:
    """None of the 45 is left without one, and a test that gets another name is named by it here too."""
    text = (DOCS / "architecture.md").read_text("utf-8")
    section = text[text.index("## Kinds of faults") : text.index("## The floors")]
    rows = {int(number): _TEST.findall(held_by) for number, held_by in _ROW.findall(section)}
    assert list(rows) == list(range(1, 46))
    assert all(rows.values())
    named = [(REPOSITORY / file, test) for tests in rows.values() for file, test in tests]
    assert [test for file, test in named if f"def {test}(" not in file.read_text("utf-8")] == []
