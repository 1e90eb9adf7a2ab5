"""Find out how a webhook may spell each field of an event: by reading small bodies with the bridge's own reader."""

import ast
import json
from collections.abc import Iterable, Iterator
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any

from bridge.rules.event import read, reader, reading
from bridge.words.errors import Unreadable
from bridge.words.model import Event

_SAMPLES: tuple[Any, ...] = ("x1", "2026-01-02T03:04:05Z", "failed", 7, {"a": 1}, True)
_WRONG: Any = [[1]]  # of no type that any field has
_NOTHING = Event()


def _words() -> list[str]:
    """Return every word that the reader could look for, in both casings; a dot is a path of two."""
    folder = Path(reading.__file__).parent
    names = ("reading", "reader", "peeking")
    nodes = [node for name in names for node in ast.walk(ast.parse((folder / f"{name}.py").read_text()))]
    texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    found = [text for text in texts if text.replace("_", "").replace(".", "").isalnum() and not text.endswith(".")]
    return list(dict.fromkeys(spelling for name in found for spelling in _spellings(name)))


def _spellings(name: str) -> Iterator[str]:
    parts = [reader.spellings(part) for part in name.split(".")]
    yield from (".".join(chosen) for chosen in product(*parts))


def _body(path: str, value: Any, *, is_inside: bool) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return {"data": value} if is_inside else value  # type: ignore[no-any-return]


def _changed(body: dict[str, Any]) -> set[str]:
    """Return the fields that a body sets, without `data`, which holds whatever was sent."""
    try:
        event = read(json.dumps(body).encode())
    except Unreadable:
        return set()
    names = {field.name for field in fields(Event)} - {"data", "unreadable", "origins", "whole"}
    return {name for name in names if getattr(event, name) != getattr(_NOTHING, name)}


def _is_noted(path: str, *, is_inside: bool) -> bool:
    return bool(read(json.dumps(_body(path, _WRONG, is_inside=is_inside)).encode()).unreadable)


def _found(field: str, words: Iterable[str], *, is_inside: bool) -> list[str]:
    return [
        word
        for word in words
        if any(field in _changed(_body(word, sample, is_inside=is_inside)) for sample in _SAMPLES)
    ]


def spelled() -> list[tuple[str, str, str, str]]:
    """Return a row for each field: its spellings, where they may stand, and whether an unreadable value is noted."""
    words = _words()
    rows = []
    for field in fields(Event):
        # What is sent as it is, two faces of `status`, and the notes.
        if field.name in {"data", "status_word", "is_running", "unreadable", "origins", "whole"}:
            continue
        at_top = _found(field.name, words, is_inside=False)
        inside = _found(field.name, words, is_inside=True)
        where = "`data`, top" if at_top and inside else "top" if at_top else "`data`"
        found = list(dict.fromkeys([*at_top, *inside]))
        is_noted = any(_is_noted(word, is_inside=not at_top) for word in found)
        spellings = ", ".join(f"`{word}`" for word in found)
        rows.append((f"`{field.name}`", spellings, where, "a note" if is_noted else "left out"))
    return rows
