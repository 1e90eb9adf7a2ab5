"""The filters for texts: slug, basename, regex_replace. Each bounded, whatever the event holds.

A pattern is written in the template, never by an event, and its worst case is computed before it is used:

1. Only what a search can be counted for is allowed: characters, classes, anchors, groups, alternatives, and repeats. No
   look-around, no back-reference, and no repeat of what can itself match in several ways (`(a+)+`): that is refused
   when the mapping is loaded.
2. So a search takes at most as many steps as there are beginnings in the text (one, if the pattern begins with `^`),
   times how often each repeat may match, times the ways of each choice, times the pattern's length.
3. A text for which that is more than 20 million steps (measured: 0.06 s at worst) is an error of the trigger, before
   the search.
"""

import functools
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from re import _parser as parser  # type: ignore[attr-defined] # the tree that `re` itself compiles; no public one exists
from typing import Any

from jinja2.exceptions import SecurityError

MAX_BYTES = 65_536
_MAX_PATTERN = 200
_MAX_STEPS = 20_000_000
_ONE_CHARACTER = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN", "CATEGORY", "RANGE"})
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT"})
_is_control = re.compile("[\x00-\x08\x0b-\x1f]").search
_not_in_a_slug = re.compile("[^a-z0-9]+")

Ways = Callable[[int], int]  # of a text's length: in how many ways a part of a pattern may match


def slug(value: Any) -> str:
    """Return a text as lower-case letters and digits with `-` between: `Täglich, 6 Uhr` is `taglich-6-uhr`."""
    text = _text("slug", value).casefold()
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    found = _not_in_a_slug.sub("-", plain).strip("-")
    if not found:
        raise SecurityError("slug: no letter a-z and no digit remains, so texts could not be told apart")
    return found


def basename(value: Any) -> str:
    """Return the last part of a path or URL: `s3://lake/orders/2025.csv` is `2025.csv`."""
    return _text("basename", value).rstrip("/").rpartition("/")[2]


def regex_replace(value: Any, pattern: str, replacement: str) -> str:
    r"""Replace every match of a pattern; `\1` in the replacement is its first group."""
    text = _text("regex_replace", value)
    found, ways, is_anchored = _compiled(pattern)
    steps = ways(len(text) + 1) * len(pattern) * (1 if is_anchored else len(text) + 1)
    if steps > _MAX_STEPS:
        raise SecurityError(
            f"regex_replace: the text has {len(text)} characters, which could take this pattern too long; begin it "
            "with ^, or use fewer * and +"
        )
    size = 0

    def replaced(match: re.Match[str]) -> str:
        nonlocal size
        new = match.expand(replacement)
        size += len(new)
        if size > MAX_BYTES:
            raise SecurityError(f"the result is longer than {MAX_BYTES}")
        return new

    return found.sub(replaced, text)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_BYTES:
        raise SecurityError(f"{name} takes a text of at most {MAX_BYTES} characters")
    return value


def check_pattern(_: Any, pattern: Any, replacement: Any) -> None:
    """Look at the two texts of regex_replace; raises ValueError."""
    if not isinstance(pattern, str) or not isinstance(replacement, str):
        raise ValueError("takes two texts: the pattern, and what replaces it")  # noqa: TRY004 - as every check here
    if _is_control(pattern + replacement):
        raise ValueError("holds a control character: in a template, a backslash is written twice, as in '\\\\1'")
    found = _compiled(pattern)[0]
    try:
        parser.parse_template(replacement, found)
    except (re.error, IndexError) as error:
        raise ValueError(f"the replacement cannot be read: {error}") from None


@functools.lru_cache(256)
def _compiled(pattern: str) -> tuple[re.Pattern[str], Ways, bool]:
    if len(pattern) > _MAX_PATTERN:
        raise ValueError(f"the pattern is longer than {_MAX_PATTERN} characters")
    try:
        tree, compiled = list(parser.parse(pattern)), re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"the pattern cannot be read: {error}") from None
    is_anchored = bool(tree) and str(tree[0][0]) == "AT" and str(tree[0][1]) in {"AT_BEGINNING", "AT_BEGINNING_STRING"}
    is_anchored = is_anchored and not compiled.flags & re.MULTILINE
    return compiled, _ways(tree), is_anchored


def _ways(parts: Iterable[Any]) -> Ways:
    """Return in how many ways a sequence may match: the product of its parts'."""
    each = [way for part in parts if (way := _ways_of(str(part[0]), part[1])) is not None]

    def product(length: int) -> int:
        count = 1
        for way in each:
            count = min(count * way(length), _MAX_STEPS + 1)
        return count

    return product


def _ways_of(kind: str, details: Any) -> Ways | None:
    """Return in how many ways one part may match, None for one way; raises ValueError for what is not allowed."""
    if kind in _ONE_CHARACTER or kind == "AT":
        return None
    if kind == "SUBPATTERN":
        return _ways(details[-1])
    if kind == "BRANCH":
        branches = [_ways(branch) for branch in details[1]]
        return lambda length: sum(branch(length) for branch in branches)
    if kind in _REPEATS:
        times, body = int(details[1]), _ways(details[2])
        if times <= 1:
            return lambda length: 1 + body(length)
        if body(_MAX_PATTERN) > 1:
            raise ValueError("a repeat of what can itself match in several ways could take for ever; unfold it")
        return lambda length: min(times, length) + 1
    what = {"GROUPREF": "a back-reference", "ASSERT": "a look-around", "ASSERT_NOT": "a look-around"}.get(kind, "this")
    raise ValueError(f"{what} is not allowed in a pattern here; use characters, classes, groups, | and repeats")


def _check_none(_: Any) -> None:
    """Take no argument."""


FILTERS: Mapping[str, Callable[..., Any]] = {"slug": slug, "basename": basename, "regex_replace": regex_replace}
CHECKS: Mapping[str, Callable[..., None]] = {
    "slug": _check_none,
    "basename": _check_none,
    "regex_replace": check_pattern,
}
