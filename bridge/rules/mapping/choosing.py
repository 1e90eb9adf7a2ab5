"""Which content of each file of the mapping is in use: its newest, or the last good one. Pure.

    1. A file that can be read stands as it is now; one that cannot keeps its last good content, or has none yet.
    2. While two files have one name, the one of them that changed last goes back to its last good content. So one
       team's mistake stops no other team's edit, and a route that moves from file to file in one change is no mistake.

The last good contents go together, so this ends: each round takes one file back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.rules.mapping.files import Part, taken
from bridge.words.errors import Problem


@dataclass(frozen=True, slots=True)
class Choice:
    """What is in use by file, in the order of their names; what is wrong with the files that had to go back."""

    parts: Mapping[str, Part]
    clashes: Mapping[str, Sequence[Problem]]


def choose(found: Mapping[str, Part | None], *, good: Mapping[str, Part], changed_at: Mapping[str, int]) -> Choice:
    """Return what is to be used. `found`: every file that is there, None for one with mistakes of its own.

    `good`: what is in use so far. `changed_at`: greater for a file that changed later; of files that changed together
    the later one in the alphabet is at fault.
    """
    used = {file: part for file in sorted(found) if (part := found[file] or good.get(file)) is not None}
    clashes: dict[str, Sequence[Problem]] = {}
    while (pair := _clash(used)) is not None:
        fault = max(pair, key=lambda file: (_is_new(used[file], good.get(file)), changed_at.get(file, 0), file))
        clashes[fault] = taken(used[fault], [part for file, part in used.items() if file != fault])
        last = good.get(fault)
        if last is None or not _is_new(used[fault], last):
            del used[fault]
        else:
            used[fault] = last
    return Choice(used, clashes)


def _is_new(part: Part, last: Part | None) -> bool:
    return last is None or part.digest != last.digest


def _clash(used: Mapping[str, Part]) -> tuple[str, str] | None:
    """Return two files that have a name in common, None if none do."""
    owners: dict[str, str] = {}
    for file, part in used.items():
        for route in part.routes:
            if owners.setdefault(route.name, file) != file:
                return owners[route.name], file
    return None
