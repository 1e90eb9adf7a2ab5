"""A small journal in a file: what a command has done so far, so that another run goes on where it was stopped.

It holds no secret, has mode 0600, and is written as a whole or not at all. Two runs at once are kept apart by a lock
on its folder, which ends with the process.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Journal:
    """One file, and the folder that it is in. Every method may raise OSError."""

    def __init__(self, path: Path) -> None:
        """Open nothing yet."""
        self.path = path

    def read(self) -> dict[str, Any] | None:
        """Return what is noted, None if nothing is. ValueError for what is no journal."""
        try:
            found = json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        if not isinstance(found, dict):
            raise ValueError(f"{self.path} is no journal")  # noqa: TRY004 - the file is wrong, no caller
        return found

    def write(self, noted: Mapping[str, Any]) -> None:
        """Note this instead of what was noted; it is durable when this returns."""
        beside = self.path.with_name(f"{self.path.name}.new")
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(noted, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)
        with self._folder() as folder:
            os.fsync(folder)

    def end(self) -> None:
        """Forget everything: what was noted is done."""
        self.path.unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Keep other runs away meanwhile; gives False if there is one already."""
        with self._folder() as folder:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    @contextmanager
    def _folder(self) -> Iterator[int]:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            yield folder
        finally:
            os.close(folder)
