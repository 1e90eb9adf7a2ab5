"""A module, a file or a page that is named somewhere is there: in docstrings, in comments and in the documentation."""

import importlib
import re
from pathlib import Path

import pytest

from deploy.demo.airflow import REPOSITORY
from scripts.write_docs import FLOORS
from tests.docs.pages import headings, pages, prose

CODE = sorted(
    path
    for folder in ("bridge", "config", "deploy", "scripts", "tests")
    for path in (REPOSITORY / folder).rglob("*")
    if path.suffix in {".py", ".sh", ".toml", ".yaml"}
    and path != Path(__file__)
    and "build" not in path.relative_to(REPOSITORY).parts  # what is built there comes and goes
)
TEXTS = [*pages(), *(path for path in CODE if path.suffix == ".py")]
_ON_A_FLOOR = re.compile(rf"(?<![\w/.])(?:bridge/)?((?:{'|'.join(FLOORS)})/[a-z][a-z_/]*[a-z](?:\.py)?)(?![\w/-])")
_CITED = re.compile(r"\b(docs/[\w/-]+\.md)(?:, \"([^\"]+)\")?")
_HALF_CITED = re.compile(r"(?<![\w/.\"-])[a-z][\w-]*\.md(?:, \"?[A-Z]|'s )|\bdocs/[\w/-]+\.md, [A-Z]")


def name(path: Path) -> str:
    """Return a path as people write it."""
    return str(path.relative_to(REPOSITORY))


def is_there(dotted: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        place = REPOSITORY.joinpath(*parts[:length])
        if place.is_dir() or place.with_suffix(".py").is_file():
            rest = parts[length:]
            return not rest or hasattr(importlib.import_module(".".join(parts[:length])), rest[0])
    return False


def unknown_modules(text: str) -> list[str]:
    """Return the modules that a text names and that are not there."""
    dotted = set(re.findall(r"\bbridge(?:\.[a-z_]+)+(?![\w*(/@-])", text))
    places = {item: REPOSITORY / "bridge" / item.removesuffix(".py") for item in _ON_A_FLOOR.findall(text)}
    return sorted(
        [item for item in dotted if item.split(".")[1] in FLOORS and not is_there(item)]
        + [item for item, place in places.items() if not place.is_dir() and not place.with_suffix(".py").is_file()]
    )


def test_modules_that_are_named_are_there() -> None:
    """`bridge.flows.routing`, `web/hooks`, `chores/loop.py`: whoever looks for it finds it."""
    assert {name(path): found for path in TEXTS if (found := unknown_modules(path.read_text()))} == {}


def test_a_module_that_is_gone_is_noticed() -> None:
    """The test above is no empty promise."""
    assert unknown_modules("see bridge.flows.reloading, web/doors and chores/loop.py") == [
        "bridge.flows.reloading",
        "web/doors",
    ]


@pytest.mark.parametrize("path", pages(), ids=name)
def test_files_that_a_page_names_are_there(path: Path) -> None:
    """A path in backquotes that begins with a folder of the repository; of one with NAME or NNNN, its folder."""
    named = re.findall(
        r"`((?:bridge|config|deploy|docs|requirements|scripts|tests)/[\w./-]+)(?:::\w+)?`", prose(path.read_text())
    )
    places = [re.sub(r"[^/]*(NAME|NNNN).*", "", item) for item in named]
    assert [item for item in places if not (REPOSITORY / item).exists()] == []


def test_pages_that_the_code_cites_are_there() -> None:
    """`docs/security.md`, and the heading behind it if there is one."""
    wrong = [
        (name(path), page, heading)
        for path in CODE
        for page, heading in _CITED.findall(path.read_text())
        if not (REPOSITORY / page).is_file() or (heading and heading not in headings((REPOSITORY / page).read_text()))
    ]
    assert wrong == []


def test_a_page_is_cited_in_full() -> None:
    """`docs/security.md, "Limits"`; in a shorter form, nobody would see that its page or heading is gone."""
    wrong = [
        (name(path), line)
        for path in [*CODE, REPOSITORY / "pyproject.toml"]
        for line in path.read_text().splitlines()
        if _HALF_CITED.search(line)
    ]
    assert wrong == []


def test_a_half_cited_page_is_noticed() -> None:
    """The test above is no empty promise."""
    assert _HALF_CITED.search("security.md, Parsing: bounds")
    assert _HALF_CITED.search("docs/security.md, Parsing: bounds")
    assert not _HALF_CITED.search('docs/security.md, "Limits"')


def test_a_comment_that_leans_on_a_rule_says_where_it_stands() -> None:
    """A "design contract" or a "security rule" cites a page of docs/ in the same line."""
    wrong = [
        (name(path), line)
        for path in CODE
        for line in path.read_text().splitlines()
        if re.search("design contract|security rule", line, re.I) and not _CITED.search(line)
    ]
    assert wrong == []
