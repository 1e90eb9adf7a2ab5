"""Globs as `fnmatch.fnmatchcase` reads them, but strict: what it silently takes for text or for nothing is an error."""

import fnmatch
import re
from collections.abc import Callable, Sequence

_is_open = re.compile(r"[*?[]")


def mistake(pattern: str) -> str | None:
    """Return what is wrong with a glob, None if nothing is."""
    if "{{" in pattern or "{%" in pattern:
        return f'"{pattern}" is a glob, not a template'
    start = pattern.find("[")
    while start != -1:
        first = start + 2 if pattern[start + 1 : start + 2] == "!" else start + 1
        end = pattern.find("]", first + 1)  # a "]" in the first place stands for itself
        if end == -1:
            return f'bad glob "{pattern}": a "[" without its "]"'
        if backward := _backward_range(pattern[first:end]):
            return f'bad glob "{pattern}": the range "{backward}" is empty'
        start = pattern.find("[", end + 1)
    return None


def _backward_range(members: str) -> str | None:
    ranges = (found[0] for found in re.finditer(".-.", members, re.DOTALL))
    return next((item for item in ranges if item[0] > item[2]), None)


def beginning(pattern: str) -> str:
    """Return the text with which everything that a glob matches begins: all of it if it has no `*`, `?` or `[`."""
    return _is_open.split(pattern, maxsplit=1)[0]


def is_literal(pattern: str) -> bool:
    """Whether a glob matches nothing but its own text."""
    return beginning(pattern) == pattern


def matcher(patterns: Sequence[str]) -> Callable[[str], object]:
    """Return a function that is true for a text that one of the globs matches; case counts on every system."""
    if all(map(is_literal, patterns)):
        return frozenset(patterns).__contains__
    return re.compile("|".join(map(fnmatch.translate, patterns))).match
