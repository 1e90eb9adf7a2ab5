"""Globs as `fnmatch.fnmatchcase` reads them, but strict: what it silently takes for text or for nothing is an error."""

import fnmatch
import re
from collections.abc import Callable, Sequence

_is_open = re.compile(r"[*?[]")
_wild = re.compile(r"\[!?\]?[^]]*\]|[*?]")
_one_letter = re.compile(r"\[!?\]?[^]]*\]|\?")

# The grammar of an id: bridge.rules.event.grammar. A letter of the second pattern is a slip inside `[...]`, too.
_LONGEST_ID = 128
_not_of_an_id = re.compile(r"[^A-Za-z0-9_.:-]").search
_is_slip = re.compile(r"[\s,{}^$\\|()]").search
_begins_an_id = re.compile(r"[A-Za-z0-9*?\[]").match
_names_regex = re.compile(r"[\^$\\|()]").search
_is_surely_regex = re.compile(r"\^|.*\$$|.*\\[.dws]", re.DOTALL).match  # a name may hold the rest
_AS_SPELLED = "write it as webhooks spell it"
_NEXT = {" ": "no id holds a blank", "%": 'no id holds "%"; write `*` for any text'}


def mistake(pattern: str, *, of_an_id: bool) -> str | None:
    """Return what is wrong with a glob, None if nothing is. `of_an_id`: also if no id can match it."""
    if "{{" in pattern or "{%" in pattern:
        return f'"{pattern}" is a glob, not a template'
    return _bad_glob(pattern) or (_no_id(pattern) if of_an_id else None)


def doubt(pattern: str) -> str | None:
    """Return what is hardly meant in a glob of names, which may hold any letter; None if nothing is."""
    if pattern != pattern.strip():
        return "begins or ends with a blank"
    as_meant = "write ? for the letter if it is part of the name"
    if _is_surely_regex(pattern):
        return f"is a glob (* ? [...]) and no regular expression; {as_meant}"
    if "," in pattern:
        return f"{_a_list(pattern)}; {as_meant}"
    return None


def _bad_glob(pattern: str) -> str | None:
    start = pattern.find("[")
    while start != -1:
        first = start + 2 if pattern[start + 1 : start + 2] == "!" else start + 1
        end = pattern.find("]", first + 1)  # a "]" in the first place stands for itself
        if end == -1:
            return f'bad glob "{pattern}": a "[" without its "]"'
        if backward := _backward_range(pattern[first:end]):
            return f'bad glob "{pattern}": the range "{backward}" is empty'
        start = pattern.find("[", end)
    return None


def _no_id(pattern: str) -> str | None:
    """Return why no id can match a glob, and what to write instead; None if one can."""
    if found := _is_slip(pattern) or _not_of_an_id(_wild.sub("", pattern)):
        why = _instead(pattern, found[0])
    elif pattern and not _begins_an_id(pattern):
        why = f"an id begins with a letter or digit, and never with {_named(pattern[0])}; {_AS_SPELLED}"
    elif (length := len(_one_letter.sub("?", pattern).replace("*", ""))) > _LONGEST_ID:
        why = f"it asks for {length} letters, and an id has {_LONGEST_ID} at most; {_AS_SPELLED}"
    else:
        return None
    return f'"{pattern[:_LONGEST_ID]}{"..." if len(pattern) > _LONGEST_ID else ""}" can never match: {why}'


def _instead(pattern: str, letter: str) -> str:
    """Return what to write instead of a text with a letter that no id has."""
    if pattern != pattern.strip():
        return "it begins or ends with a blank"
    if "://" in pattern:
        return "it is a URL; write the id alone, as webhooks spell it"
    if _names_regex(pattern):
        return "it is a glob (* ? [...]) and no regular expression"
    if "{" in pattern or "}" in pattern:
        return "a glob knows no {a,b}; write a list, one for each"
    if "," in pattern:
        return f"it {_a_list(pattern)}"
    return _NEXT.get(letter) or f"no id holds {_named(letter)}, only A to Z, a to z, digits and `_.:-`; {_AS_SPELLED}"


def _a_list(pattern: str) -> str:
    bare = pattern[1:-1] if pattern.startswith("[") and pattern.endswith("]") else pattern
    return f"is one text; write a list: [{', '.join(part.strip() for part in bare.split(','))}]"


def _named(letter: str) -> str:
    return f'"{letter}"' if letter.isprintable() else f"U+{ord(letter):04X}"


def _backward_range(members: str) -> str | None:
    ranges = (found[0] for found in re.finditer(".-.", members, re.DOTALL))
    return next((item for item in ranges if item[0] > item[2]), None)


def beginning(pattern: str) -> str:
    """Return the text with which everything that a glob matches begins: all of it if it has no `*`, `?` or `[`."""
    return _is_open.split(pattern)[0]


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
