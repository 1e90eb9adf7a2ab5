"""A real PgBouncer in front of a PostgreSQL server, pooling by transaction: out of a package (scripts/debian.sh)."""

import os
import pwd
import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from deploy.demo.airflow import REPOSITORY
from deploy.demo.processes import Process, free_port, wait_until
from tests.support.airflow_server import PostgresServer

_OWN = REPOSITORY / ".cache" / "debian" / "pgbouncer"
_CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={server}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 3
"""


class PgBouncer:
    """One process in a directory of its own, which `stop` deletes. Three connections serve whoever comes."""

    def __init__(self, server: PostgresServer) -> None:
        """Prepare it; skips where nobody has fetched the program, and says how."""
        if not _OWN.exists():
            pytest.skip("there is no PgBouncer: run scripts/debian.sh pgbouncer")
        # Directly below /tmp: it does not run as root, and `nobody` may not enter pytest's directory.
        self._folder = Path(tempfile.mkdtemp(prefix="pgbouncer-", dir="/tmp"))
        self._folder.chmod(0o755)
        self.port = free_port()
        program = self._folder / "pgbouncer"
        shutil.copy(_OWN.resolve(), program)
        if (files := _OWN.with_name("pgbouncer.files")).exists():
            shutil.copytree(files, self._folder / files.name)
        (self._folder / "users").write_text('"postgres" ""\n')
        configuration = self._folder / "pgbouncer.ini"
        configuration.write_text(_CONFIGURATION.format(server=server.port, port=self.port, folder=self._folder))
        self._process = Process(
            "pgbouncer",
            [str(program), str(configuration)],
            env={},
            log=self._folder / "log",
            user_id=pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None,
        )

    def start(self) -> None:
        """Start it and return when it takes connections. Raises DidNotStart."""
        self._process.start()
        wait_until(self._takes_connections, of=self._process, timeout_seconds=120)

    def stop(self) -> None:
        """Stop it and delete its directory."""
        self._process.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, database: str) -> str:
        """The URL of a database, by way of the pooler."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def _takes_connections(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=2).close()
        except OSError:
            return False
        return True
