"""Values of a mapping or a call, held against each other."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def differences(old: Any, new: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Return every value that differs, as (place, old, new); None for what is not there."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from differences(old.get(key), new.get(key), f"{place}.{key}" if place else str(key))
    elif spell(old) != spell(new):
        yield place, old, new


def spell(value: Any) -> str:
    """Spell a value, equal for what JSON takes for equal."""
    return json.dumps(value, sort_keys=True, default=dict)


def view_values(values: Sequence[tuple[str, Any, Any]]) -> list[dict[str, Any]]:
    """Return what `differences` found as plain JSON values."""
    return [{"place": place, "old": old, "new": new} for place, old, new in values]
