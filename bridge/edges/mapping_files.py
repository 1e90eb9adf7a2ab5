"""The files that BRIDGE_MAPPING names, as they stand at this moment: one file, or every `*.yaml` of a folder.

In a folder the files count that stand in it themselves, not those of folders below, nor hidden ones: a ConfigMap keeps
its own behind `..data`. That link is swapped for all files at once, so a look that saw it change begins again.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.words.errors import ConfigError, Problem

_MAX_BYTES = 1_048_576
_MAX_FILES = 1000
_TRIES = 3
Content = bytes | str  # what a file holds, or why that cannot be known


@dataclass(frozen=True, slots=True)
class Look:
    """Every file with its content, in the order of their names; `problem`: why nothing is known of any."""

    files: Mapping[str, Content] = field(default_factory=dict)
    problem: str | None = None


def look(path: Path) -> Look:
    """Return what BRIDGE_MAPPING names now. Never raises for what a disk may hold."""
    try:
        if not path.is_dir():
            return Look({str(path): _read(path)})
        for _ in range(_TRIES):
            before = _swapped(path)
            found = _look_inside(path)
            if _swapped(path) == before:
                break
        return found
    except OSError as error:
        return Look(problem=f"cannot be read: {error.strerror}")


def text_of(file: str, content: Content) -> str:
    """Return the text of a file that was looked at; raises ConfigError."""
    if isinstance(content, str):
        raise ConfigError([Problem(file, 0, 0, content)])
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError([Problem(file, line, 1, "is not UTF-8")]) from None


def _look_inside(folder: Path) -> Look:
    names = sorted(name for name in os.listdir(folder) if name.endswith(".yaml") and not name.startswith("."))
    if not names:
        return Look(problem="is a folder without any *.yaml")
    if len(names) > _MAX_FILES:
        return Look(problem=f"has more than {_MAX_FILES} files")
    files: dict[str, Content] = {}
    for name in names:
        try:
            files[str(folder / name)] = _read(folder / name)
        except OSError as error:
            files[str(folder / name)] = f"cannot be read: {error.strerror}"
    return Look(files)


def _read(path: Path) -> Content:
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    return content if len(content) <= _MAX_BYTES else f"is larger than {_MAX_BYTES} bytes"


def _swapped(folder: Path) -> str | None:
    """Return where a ConfigMap's files are at this moment, None for a plain folder."""
    try:
        return os.readlink(folder / "..data")
    except OSError:
        return None
