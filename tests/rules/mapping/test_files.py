"""Whole mapping files: one per mistake, with the messages it must give beside it, and good ones."""

from pathlib import Path

import pytest

from bridge.rules.mapping import Mapping, read
from bridge.words.errors import ConfigError

_MAPPINGS = Path(__file__).parents[2] / "data" / "mappings"
_BAD = sorted(_MAPPINGS.glob("bad/*.yaml"))
_GOOD = sorted(_MAPPINGS.glob("good/*.yaml"))


def _read(text: str) -> Mapping:
    return read(text, file="mapping.yaml", airflows=["default", "eu"], sources=["planasonix"])


def _problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as error:
        _read(text)
    return [str(problem).removeprefix("mapping.yaml:") for problem in error.value.problems]


@pytest.mark.parametrize("path", _BAD, ids=lambda path: path.stem)
def test_each_mistake_is_told_at_its_place(path: Path) -> None:
    """A file with a mistake gives exactly the lines beside it: `line:column: what, and the nearest word`."""
    expected = path.with_suffix(".expected").read_text("utf-8").splitlines()

    assert _problems(path.read_text("utf-8")) == expected


def test_every_expectation_has_its_file() -> None:
    """No expectation is left behind without the file that it is about."""
    assert {path.stem for path in _MAPPINGS.glob("bad/*.expected")} == {path.stem for path in _BAD}


@pytest.mark.parametrize("path", _GOOD, ids=lambda path: path.stem)
def test_good_files_are_read(path: Path) -> None:
    """Whatever the contract allows is read, without a word."""
    assert len(_read(path.read_text("utf-8")).digest) == 12


def test_too_large() -> None:
    """A file over one mebibyte is refused before it is parsed."""
    assert _problems("# " + "x" * 1_048_576) == [" is larger than 1048576 bytes"]


@pytest.mark.parametrize("broken", ["\x00", "routes: \ud800\n", "\ud800", "routes: []\x00"])
def test_no_text_at_all(broken: str) -> None:
    """What UTF-8 cannot spell, or a file of bytes, is one problem and not a traceback."""
    (problem,) = _problems(broken)

    assert "not YAML" in problem


def test_problems_are_in_the_order_of_the_file() -> None:
    """An engineer mends a file from the top down."""
    lines = [int(line.split(":")[0]) for line in _problems((_MAPPINGS / "bad" / "several.yaml").read_text("utf-8"))]

    assert lines == sorted(lines)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("routes:\n  - dag: d1\n    pipline: x\n    when: event.row_loaded > 0\n", [3, 4]),
        ("routes:\n  - dag: '{{ event.id }}'\n    conf: {a: '{{ evnt }}'}\n", [2, 3]),
        ("defaults:\n  enviroment: x\n  conf: {a: '{{ evnt }}'}\nroutes: []\n", [2, 3]),
        ("routes:\n  - name: a\n    dag: d1\n    on: done\n  - name: a\n    dag: d2\n", [4, 5]),
    ],
)
def test_all_mistakes_of_one_route_at_once(text: str, lines: list[int]) -> None:
    """A misspelled key does not hide the bad template beside it."""
    assert [int(line.split(":")[0]) for line in _problems(text)] == lines
