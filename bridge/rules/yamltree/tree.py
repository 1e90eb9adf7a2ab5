"""The values of a file with their places, and how a mistake at a place is put into words."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.words.errors import ConfigError, Problem

_MAX_PROBLEMS = 100  # a page of them is read, a log of half a million is not

Path = tuple[str | int, ...]
Place = tuple[int, int]


@dataclass(slots=True)
class Tree:
    """The values of one file and the place (1-based line and column) of each."""

    file: str
    value: Any = None
    places: dict[Path, Place] = field(default_factory=dict)
    spelled: dict[Path, str] = field(default_factory=dict)  # what stands in the file for each value without quotes

    def place(self, path: Path) -> Place:
        """Return where a path stands: its key, its item, or else its nearest ancestor."""
        while path not in self.places and path:
            path = path[:-1]
        return self.places.get(path, (1, 1))

    def problem(self, path: Path, what: str) -> Problem:
        """Return a problem at the place of a path."""
        line, column = self.place(path)
        return Problem(self.file, line, column, what)


def config_error(problems: Iterable[Problem]) -> ConfigError:
    """Return the error that tells each of these problems once; of a great many the first, and how many more."""
    shown = sorted(set(problems))
    if len(shown) <= _MAX_PROBLEMS:
        return ConfigError(shown)
    last = shown[_MAX_PROBLEMS]
    more = replace(last, what=f"... and {len(shown) - _MAX_PROBLEMS} more, from here on")
    return ConfigError([*shown[:_MAX_PROBLEMS], more])


def nearest(word: str, words: Sequence[str]) -> str:
    """Return `, did you mean "..."?` with the nearest valid word, or nothing."""
    found = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return "".join(f', did you mean "{each}"?' for each in found)
