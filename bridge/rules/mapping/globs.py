"""Globs as `fnmatch.fnmatchcase` reads them, but strict: what it silently takes for text or for nothing is an error."""

import fnmatch
import re
from collections.abc import Callable, Sequence

_is_open = re.compile(r"[*?[]")
_wild = re.compile(r"\[!?\]?[^]]*\]|[*?]")


_no_id = re.compile(r"[\s,{}^$\\|()]").search  # letters that no id has
_names_regex = re.compile(r"[\^$\\|()]").search


def mistake(pattern: str, *, of_an_id: bool = False) -> str | None:
    """Return what is wrong with a glob, None if nothing is. `of_an_id`: also if no id can match it."""
    if "{{" in pattern or "{%" in pattern:
        return f'"{pattern}" is a glob, not a template'
    if of_an_id and _no_id(pattern):
        return f'"{pattern}" can never match: {_instead(pattern)}'
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


def _instead(pattern: str) -> str:
    """Return what to write instead of a text that no id can match."""
    if pattern != pattern.strip():
        return "it begins or ends with a blank"
    if _names_regex(pattern):
        return "it is a glob (* ? [...]) and no regular expression"
    if "{" in pattern or "}" in pattern:
        return "a glob knows no {a,b}; write a list, one for each"
    if "," in pattern:
        return f"it is one text; write a list: [{', '.join(part.strip() for part in pattern.split(','))}]"
    return "no id holds a blank"


def _backward_range(members: str) -> str | None:
    ranges = (found[0] for found in re.finditer(".-.", members, re.DOTALL))
    return next((item for item in ranges if item[0] > item[2]), None)


def beginning(pattern: str) -> str:
    """Return the text with which everything that a glob matches begins: all of it if it has no `*`, `?` or `[`."""
    return _is_open.split(pattern, maxsplit=1)[0]


def certain(pattern: str) -> str:
    """Return the longest text that stands in everything that a glob matches; "" if there is none."""
    return max(_wild.split(pattern), key=len)


def is_literal(pattern: str) -> bool:
    """Whether a glob matches nothing but its own text."""
    return beginning(pattern) == pattern


def matcher(patterns: Sequence[str]) -> Callable[[str], object]:
    """Return a function that is true for a text that one of the globs matches; case counts on every system."""
    if all(map(is_literal, patterns)):
        return frozenset(patterns).__contains__
    return re.compile("|".join(map(fnmatch.translate, patterns))).match
