"""The mapping as `diff` names it: a file, a folder, or REV:PATH of git, which may be a folder too."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from bridge.edges.mapping_files import Content, look
from bridge.words.errors import ConfigError, Problem

_GIT_SECONDS = 60


def files_of(where: str) -> Mapping[str, Content]:
    """Return every file of a mapping with its content; raises ConfigError."""
    revision, colon, inside = where.partition(":")
    if not colon or Path(where).exists():
        found = look(Path(where))
        if found.problem is not None:
            raise _unreadable(where, found.problem)
        return found.files
    if revision.startswith("-") or not revision:
        raise _unreadable(where, "cannot be read: write REV:PATH, such as main:config/mapping.yaml")
    if _git(where, "cat-file", "-t", where).strip() != b"tree":
        return {where: _git(where, "cat-file", "blob", where)}
    names = _git(where, "ls-tree", "-z", "--name-only", where).decode("utf-8", "replace").split("\0")
    files = [name for name in sorted(names) if name.endswith(".yaml") and not name.startswith(".")]
    if not files:
        raise _unreadable(where, "is a folder without any *.yaml")
    spelled = [f"{revision}:{PurePosixPath(inside) / name}" for name in files]
    return {file: _git(file, "cat-file", "blob", file) for file in spelled}


def _git(where: str, *words: str) -> bytes:
    git = shutil.which("git")
    if git is None:
        raise _unreadable(where, "cannot be read: git is not installed here")
    done = subprocess.run([git, *words], capture_output=True, check=False, timeout=_GIT_SECONDS)  # noqa: S603 - a path, no shell
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["git failed"]
        raise _unreadable(where, f"cannot be read: {said[0].removeprefix('fatal: ')}")
    return done.stdout


def _unreadable(where: str, what: str) -> ConfigError:
    return ConfigError([Problem(where, 0, 0, what)])
