"""Whoever follows a link of the documentation arrives."""

from pathlib import Path

import pytest

from deploy.demo.airflow import REPOSITORY
from tests.docs.pages import DOCS, anchors, links, pages, prose


@pytest.mark.parametrize("path", pages(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_link_and_anchor_resolves(path: Path) -> None:
    """A relative link names a file that is there, and an anchor a heading of it."""
    wrong = []
    for link in links(path.read_text()):
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        is_there = target.exists() and target.is_relative_to(REPOSITORY)
        if not is_there or (anchor and anchor not in anchors(target.read_text())):
            wrong.append(link)
    assert wrong == []


def test_every_page_is_in_the_table_of_contents() -> None:
    """docs/README.md links each page once, and the README leads there."""
    found = links((DOCS / "README.md").read_text())
    own = [str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md") if path != DOCS / "README.md"]
    assert sorted(link for link in found if not link.startswith("../")) == sorted(own)
    assert "docs/README.md" in links((REPOSITORY / "README.md").read_text())


def test_a_page_begins_with_whom_it_is_for() -> None:
    """Each page outside reference/ says so in its second paragraph."""
    for path in DOCS.glob("*.md"):
        if path.name != "README.md":
            assert prose(path.read_text()).split("\n\n")[1].startswith("For whoever "), path.name
