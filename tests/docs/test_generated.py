"""The tables of docs/ are what the code says: `make docs` writes them, and nobody edits them by hand."""

import re
from pathlib import Path

import pytest

from deploy.demo.airflow import REPOSITORY
from scripts.write_docs import FLOORS, TABLES, modules, written
from tests.docs.pages import DOCS, blocks, page

PAGES = sorted(DOCS.rglob("*.md"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def test_a_page_is_what_the_script_writes(path: Path) -> None:
    """If this fails, run `make docs`."""
    assert written(path.read_text()) == path.read_text(), "run `make docs`"


def test_every_table_stands_in_one_page() -> None:
    """A table that no page asks for would be made for nobody."""
    asked = re.findall(r"<!-- generated: ([a-z-]+) -->", "".join(path.read_text() for path in PAGES))
    assert sorted(asked) == sorted(TABLES)


def test_a_word_of_a_command_is_what_its_help_says() -> None:
    """`why ID`: no heading and no row has the name of a Python parameter, such as `ID_`."""
    assert re.findall(r"(?m)^(?:###|\|) `[^`]*\w_(?!\w)[^`]*`", page("reference/cli.md")) == []


def test_a_change_by_hand_is_noticed() -> None:
    """What stands between the markers is replaced."""
    text = page("reference/settings.md")
    assert written(text.replace("`BRIDGE_PORT`", "`BRIDGE_PROT`")) == text


def test_the_floors_are_the_folders() -> None:
    """The list in architecture.md, the one of the script and `ls bridge` are the same."""
    folders = {path.parent.name for path in (REPOSITORY / "bridge").glob("*/__init__.py")}
    (listed,) = [block for block in blocks(page("architecture.md")) if block.startswith("cli ")]
    assert re.findall(r"(?m)^(\w+)", listed) == list(FLOORS)
    assert set(FLOORS) == folders


@pytest.mark.parametrize("floor", FLOORS)
def test_the_modules_of_a_floor_are_listed(floor: str) -> None:
    """architecture.md has a row for every module and package of the folder, and for nothing else."""
    part = page("architecture.md").partition(f"### `bridge/{floor}/`")[2].partition("\n### ")[0]
    assert re.findall(r"(?m)^\| `(\w+)/?` \|", part) == [name for name in modules(floor) if name != "__init__"]
