"""The servers that are measured, each a real process on loopback with a folder of its own."""

import contextlib
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from deploy.demo.airflow import REPOSITORY
from deploy.demo.processes import Process, free_port, wait_until
from tests.support.airflow_server.postgres import PostgresServer
from tests.support.service import BridgeProcess

FOLDER = REPOSITORY / ".cache" / "bench"
MATCHES = "routes:\n  - pipeline: pl_01hqxyz\n    dag: refresh_sales_marts\n"
MATCHES_NOTHING = "routes:\n  - pipeline: pl_another\n    dag: refresh_sales_marts\n"


@contextmanager
def bare() -> Iterator[tuple[Process, int]]:
    """Start the bare server; yields it and its port."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.bare", str(port)]
    process = Process("the bare server", command, env={"PYTHONPATH": str(REPOSITORY)}, log=FOLDER / "bare.log")
    process.start()
    try:
        wait_until(lambda: answers(port), of=process, timeout_seconds=120)
        yield process, port
    finally:
        process.stop()


@contextmanager
def bridge(
    *,
    mapping: str,
    airflow_url: str | None = None,
    store: str | None = None,
    source: str = "",
    more: str = "",
    without: Sequence[str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[BridgeProcess]:
    """Start a bridge with an empty store; without `airflow_url`, its Airflow refuses every connection.

    `store` is the URL of an empty PostgreSQL database; None: SQLite in the bridge's folder. `source` is YAML added
    below the source, `more` below the Airflow. `without`: run by plain.py without these tricks. `settings` are more
    BRIDGE_* variables.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bridge-", dir=FOLDER))
    settings = dict(settings or {}) | ({"BRIDGE_DATABASE_URL": store} if store else {})
    # Nobody listens on port 9 (discard) of loopback.
    url = airflow_url or "http://127.0.0.1:9"
    process = BridgeProcess(folder, airflow_url=url, mapping=mapping, settings=settings, source=source, more=more)
    if without is not None:
        process.use_command(sys.executable, "-m", "tests.bench.plain", *without)
    try:
        process.start()
        yield process
        assert process.stop() == 0, process.log[-2000:]
    finally:
        process.close()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """Start PostgreSQL with its own defaults (fsync and synchronous_commit on) and the memory of a small server."""
    server = PostgresServer(options={"shared_buffers": "512MB", "max_wal_size": "4GB"})
    try:
        server.start()
        yield server
    finally:
        server.stop()


def ask(bridge: BridgeProcess | None, store: str | None, statement: str) -> int:
    """Return the number that a statement gives, of the bridge's SQLite file or of the PostgreSQL database `store`."""
    if store is None:
        with contextlib.closing(bridge.database()) as sqlite:
            (found,) = sqlite.execute(statement).fetchone()
    else:
        with psycopg.connect(store) as connection:
            (found,) = connection.execute(statement.encode()).fetchone() or (0,)
    return int(found)


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
