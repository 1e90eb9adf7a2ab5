"""JSON pointers (RFC 6901): a place in a body, as people write it (`/data/pipeline/uuid`). Pure."""

import re
from typing import Any

Path = tuple[str, ...]
_BAD_ESCAPE = re.compile(r"~(?![01])")
_is_index = re.compile(r"0|[1-9][0-9]{0,8}").fullmatch


def read_pointer(text: str, *, example: str = "/data/pipeline/uuid") -> Path:
    """Return the steps of a pointer; ValueError if it is none."""
    if not text.startswith("/") or _BAD_ESCAPE.search(text):
        raise ValueError(f"{text[:80]!r} is not a JSON pointer like {example} (`~` is ~0, `/` is ~1)")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/"))


def spell_pointer(path: Path) -> str:
    """Return the pointer with these steps."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in path)


def is_index(step: str) -> bool:
    """Say whether a step may be an element of a list."""
    return bool(_is_index(step))


def child(place: Any, step: str) -> Any:
    """Return what stands one step further, None if nothing does."""
    if isinstance(place, dict):
        return place.get(step)
    if isinstance(place, list) and is_index(step) and int(step) < len(place):
        return place[int(step)]
    return None


def look(whole: Any, path: Path) -> Any:
    """Return what stands at a place, None if nothing does."""
    place = whole
    for step in path:
        place = child(place, step)
    return place
