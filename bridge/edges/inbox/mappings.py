"""Statements on the last good content of each mapping file, so that a restart keeps what was in use.

Files are named by their whole path. Each replica writes what it took over; all of them read the same files.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from bridge.edges.inbox.rows import instant, microseconds

_ALL = text("SELECT file, content, loaded_at FROM mappings")
_KEEP = text(
    "INSERT INTO mappings (file, content, loaded_at) VALUES (:file, :content, :loaded_at)"
    " ON CONFLICT (file) DO UPDATE SET content = excluded.content, loaded_at = excluded.loaded_at"
)
_FORGET = text("DELETE FROM mappings WHERE file = :file")


@dataclass(frozen=True, slots=True)
class KeptFile:
    """The last good content of one file, and since when it is in use."""

    file: str
    content: str
    loaded_at: datetime


def kept(connection: Connection) -> list[KeptFile]:
    """Return the last good content of every file, in the order of their names: the same in every replica."""
    found = [KeptFile(row.file, row.content, instant(row.loaded_at)) for row in connection.execute(_ALL)]
    return sorted(found, key=lambda each: each.file)


def keep(connection: Connection, files: Iterable[KeptFile], *, gone: Iterable[str]) -> None:
    """Keep these contents, and none of files that are gone. Idempotent."""
    for each in files:
        values = {"file": each.file, "content": each.content, "loaded_at": microseconds(each.loaded_at)}
        connection.execute(_KEEP, values)
    for file in gone:
        connection.execute(_FORGET, {"file": file})
