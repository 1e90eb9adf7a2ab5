"""Opens a SQLite store: engines with what it needs to be durable and to fail early; and reads the store's URL.

WAL (readers never wait for the writer), synchronous=FULL (the commit is on the disk before it
returns), one writer connection. Readers are read-only connections.
"""

import fcntl
import os
import sqlite3
import stat
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from bridge.words.errors import ConfigError, InboxInUse, Problem

BUSY_MILLISECONDS = 5_000
_LOG_BYTES = 67_108_864  # a log that grew beyond this (a reader held it back) is cut when it is begun anew


def read_url(text: str) -> URL:
    """Read BRIDGE_DATABASE_URL; ConfigError for anything but a SQLite file or a PostgreSQL database."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise ConfigError([Problem("BRIDGE_DATABASE_URL", 0, 0, "not a database URL")]) from None
    if is_postgresql(url):
        return url
    if url.get_backend_name() != "sqlite":
        what = f"{url.get_backend_name()!r} is not supported, use sqlite:///path/to/bridge.db or postgresql://..."
        raise ConfigError([Problem("BRIDGE_DATABASE_URL", 0, 0, what)])
    if not url.database or url.database == ":memory:":
        what = "the store must be a file, e.g. sqlite:///./bridge.db"
        raise ConfigError([Problem("BRIDGE_DATABASE_URL", 0, 0, what)])
    if not Path(url.database).resolve().parent.is_dir():
        what = f"the folder of {url.database} does not exist"
        raise ConfigError([Problem("BRIDGE_DATABASE_URL", 0, 0, what)])
    return url.set(drivername="sqlite")


def is_postgresql(url: URL) -> bool:
    """Whether the store is a PostgreSQL database, however its URL spells that."""
    return url.get_backend_name() in ("postgresql", "postgres")


def is_missing(text: str) -> bool:
    """Whether a URL names a SQLite file that is not there yet; ConfigError for one that could not be made."""
    url = read_url(text)
    if is_postgresql(url):
        return False
    check_writable(url)
    return not Path(str(url.database)).exists()


def check_writable(url: URL) -> None:
    """Raise ConfigError, with the owner and the next step, for a SQLite file whose folder or files cannot be written.

    SQLite itself says only "unable to open database file", and writes a log and an index beside the file.
    """
    path = Path(str(url.database)).resolve()
    beside = [path.with_name(path.name + end) for end in ("", "-wal", "-shm", ".lock")]
    for each in (path.parent, *(file for file in beside if file.is_file())):
        wanted = os.R_OK | os.W_OK | (os.X_OK if each == path.parent else 0)
        if os.access(each, wanted, effective_ids=True):
            continue
        what = f"{each} cannot be written: {_why_not(each)}"
        raise ConfigError([Problem("BRIDGE_DATABASE_URL", 0, 0, what)])


def _why_not(path: Path) -> str:
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return "it is on a read-only file system; give the store a volume"
    found, groups = path.stat(), ", ".join(map(str, sorted({os.getegid(), *os.getgroups()})))
    return (
        f"it belongs to uid {found.st_uid}, gid {found.st_gid}, mode {stat.S_IMODE(found.st_mode):04o},"
        f" and this process is uid {os.geteuid()}, gid {groups}."
        " On Kubernetes give the pod the volume's group with `fsGroup`, elsewhere change the owner (chown)"
    )


def open_writer(url: URL) -> Engine:
    """Open the engine of the one writing connection; it never begins a transaction by itself."""
    # The hot insert has one statement per batch size; all of them should stay prepared.
    arguments = {"check_same_thread": False, "cached_statements": 512}
    engine = create_engine(url, isolation_level="AUTOCOMMIT", connect_args=arguments)
    event.listen(engine, "connect", _prepare_writer)
    return engine


def open_readers(url: URL, *, connections: int = 4) -> Engine:
    """Open the engine of the reading connections; they cannot write."""
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=connections,
        max_overflow=connections,
        connect_args={"check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare_reader)
    return engine


def _prepare_writer(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
    # What is deleted can be given back: a property of the file, set before WAL makes its first page. Later it would
    # wait for a lock at every start, and do nothing.
    if connection.execute("PRAGMA page_count").fetchone() == (0,):
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(f"PRAGMA journal_size_limit={_LOG_BYTES}")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    # What is pruned, erased or rewritten is overwritten with zeros. Inserts, the hot path, free nothing.
    connection.execute("PRAGMA secure_delete=ON")


def _prepare_reader(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
    connection.execute("PRAGMA query_only=ON")


class FileLock:
    """Holds the right to serve one SQLite file; the kernel gives it back when the process dies.

    Two locks, as a file may have several names. One is on the database file itself: links of any kind share it, and
    SQLite's own locks, which are of another sort, never meet it. The other is on a file beside it: the release before
    takes that one alone.
    """

    def __init__(self, url: URL) -> None:
        """Take both locks, or raise InboxInUse. Makes the files if they are not there. ConfigError if it may not."""
        check_writable(url)
        path = Path(str(url.database)).resolve()
        self._files: list[int] = []
        for name in (path, path.with_name(f"{path.name}.lock")):
            self._files.append(os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            try:
                fcntl.flock(self._files[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self.release()
                raise InboxInUse(
                    f"another planasonix-bridge already serves {url.database}; stop it, or give this one its own file"
                ) from None

    def release(self) -> None:
        """Give the locks back; to be called when the store is closed, since SQLite's locks on the file end too."""
        for file in self._files:
            os.close(file)
        self._files.clear()
