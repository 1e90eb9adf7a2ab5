"""The paths of a body: which fields stand where, and nothing of what they hold. Pure.

Not gone into, since what stands there is the user's own: `parameters`, `metadata` and the like, lists, and objects with
very many keys. A key that is no plain word (a digit, a dot, a blank) may be a value itself, so it is left out.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_FREE = frozenset(
    {"parameters", "params", "variables", "metadata", "meta", "tags", "labels", "headers", "context", "custom", "extra"}
)
_DEEPEST = 5
_MOST_KEYS = 60  # of one object; more are names that a person gave
_MOST_PATHS = 300  # of a body; the largest documented one has 30
_plain = re.compile(r"[A-Za-z_][A-Za-z_-]{0,63}").fullmatch


@lru_cache(maxsize=4096)
def _is_plain(key: str) -> bool:
    return _plain(key) is not None


def outline(body: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the JSON pointers of a body's fields, in its order; None: there are too many to learn."""
    found: list[str] = []
    waiting: list[tuple[str, Mapping[str, Any], int]] = [("", body, 1)]
    while waiting:
        at, part, depth = waiting.pop()
        if len(part) > _MOST_KEYS:
            continue
        for key, value in part.items():
            if not _is_plain(key):
                continue
            path = f"{at}/{key}"
            found.append(path)
            if isinstance(value, dict) and depth < _DEEPEST and key.lower() not in _FREE:
                waiting.append((path, value, depth + 1))
        if len(found) > _MOST_PATHS:
            return None
    return tuple(found)
