"""The files that BRIDGE_MAPPING names, as they stand at this moment: one file, or every `*.yaml` of a folder.

In a folder the files count that stand in it themselves, not those of folders below, nor hidden ones: a ConfigMap keeps
its own behind `..data`. That link is swapped for all files at once, so a look that saw it change begins again.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.words.errors import ConfigError, Problem

_MAX_BYTES = 1_048_576
_MAX_FILES = 1000
_TRIES = 3
_MOMENT_SECONDS = 0.3  # between the two looks of a start; webhooks are not answered meanwhile
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


def agreed(before: Look, found: Look, settled: Look) -> Look:
    """Return what is settled once two looks in a row have agreed on it; the rest stays as it was."""
    if before.problem is not None or found.problem is not None:
        return Look(settled.files, found.problem) if before.problem == found.problem else settled
    files = {file: each for file, each in settled.files.items() if file in found.files or file in before.files}
    files |= {file: each for file, each in found.files.items() if before.files.get(file) == each}
    return Look(files)


def look_at_start(path: Path, *, kept: Mapping[str, str], wait: Callable[[float], None]) -> tuple[Look, Look]:
    """Return what to begin with, and the newest look.

    `kept`: the texts that were in use before. Files that hold just these are used at once. If one differs, all are
    looked at once more; a file that is being written begins with what was kept of it, or with nothing.
    """
    settled, found = Look({file: text.encode() for file, text in kept.items()}), look(path)
    if found != settled:
        before = found
        wait(_MOMENT_SECONDS)
        found = look(path)
        settled = agreed(before, found, settled)
    return settled, found


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
