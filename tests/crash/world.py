"""One round's world: Airflow's stand-in, the way to it, the store, the bridges. Every process is ended by its pid."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.demo.airflow import REPOSITORY
from deploy.demo.processes import Process, free_port
from tests.crash.clock import Clock
from tests.crash.relay import Relay
from tests.support.airflow_server import PostgresServer
from tests.support.fault_proxy import FaultProxy
from tests.support.jobs_api import JobsApi
from tests.support.service import BridgeProcess, wait_for

PIPELINE = "pl_8f2a9c1d4e"
MAPPING = """\
defaults: {max_age: 30m}
routes:
  - {name: one, pipeline: pl_8f2a9c1d4e, dag: load_orders}
"""
WIDER_MAPPING = MAPPING + "  - {name: two, pipeline: pl_8f2a9c1d4e, dag: refresh_marts}\n"
LEASE_SECONDS = 1
START_SECONDS = 120.0  # nine bridges start at once, perhaps on one core
_DISK_BYTES = 24 * 1024 * 1024
_RECONCILE = """\
    api: {{url: {url}, key: {{env: PLANASONIX_API_KEY}}}}
    reconcile: {{every: 10s, grace: 10s, types: [job.succeeded]}}"""
_TARGET = "    rate: 500\n    connect_seconds: 1\n    read_seconds: 2\n    deadline_seconds: 3"


class AirflowProcess:
    """The stand-in as a process, and what it has written down."""

    def __init__(self, folder: Path) -> None:
        """Describe it."""
        self.port = free_port()
        self.journal = folder / "airflow.runs"
        command = [sys.executable, "-m", "tests.crash.airflow", str(self.port), str(self.journal)]
        env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        self.process = Process("the stand-in for Airflow", command, env=env, log=folder / "airflow.log")

    def start(self) -> None:
        """Start it; the bridges wait for it by themselves."""
        self.process.start()


@dataclass(slots=True)
class World:
    """What a fault may break."""

    folder: Path
    airflow: AirflowProcess
    way_to_airflow: FaultProxy
    bridges: list[BridgeProcess]
    clock: Clock
    postgres: PostgresServer | None = None
    way_to_postgres: Relay | None = None
    disk: Path | None = None  # of the SQLite store, small enough to be filled
    planasonix: JobsApi | None = None  # knows every job that was sent; None: nobody asks
    drops_webhooks: bool = False
    store_url: str = ""  # the direct way, which no fault cuts
    readers: ExitStack = field(default_factory=ExitStack)  # other programs that hold a reading lock on the store

    @property
    def is_shared(self) -> bool:
        """Whether the store is PostgreSQL."""
        return self.postgres is not None


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A file system of 24 MiB; None where none can be mounted (it takes root)."""
    disk = folder / "disk"
    disk.mkdir()
    options = f"size={_DISK_BYTES}"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=False, capture_output=True)
    try:
        yield disk if mounted.returncode == 0 else None
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "-l", disk], check=True)


@contextmanager
def world(
    folder: Path,
    *,
    replicas: int,
    postgres: PostgresServer | None,
    database: str,
    fakes_time: bool,
    reconciles: bool = False,
) -> Iterator[World]:
    """Start everything; `replicas` is 1 on SQLite. Ends everything it started."""
    with ExitStack() as left:
        airflow = AirflowProcess(folder)
        left.callback(airflow.process.kill)
        airflow.start()
        proxy = left.enter_context(FaultProxy(f"http://127.0.0.1:{airflow.port}"))
        clock = Clock(folder / "clock", is_faked=fakes_time)
        made = World(folder, airflow, proxy, [], clock, postgres=postgres)
        settings = {"BRIDGE_LEASE_SECONDS": str(LEASE_SECONDS), **clock.variables}
        if postgres is None:
            made.disk = left.enter_context(small_disk(folder))
            made.store_url = settings["BRIDGE_DATABASE_URL"] = f"sqlite:///{(made.disk or folder) / 'bridge.db'}"
        else:
            made.store_url = url = postgres.create_database(database)
            made.way_to_postgres = left.enter_context(Relay(postgres.port))
            settings["BRIDGE_DATABASE_URL"] = url.replace(f":{postgres.port}/", f":{made.way_to_postgres.port}/")
        left.enter_context(made.readers)
        source = ""
        if reconciles:
            made.planasonix = left.enter_context(JobsApi())
            source = _RECONCILE.format(url=made.planasonix.url)
            settings["PLANASONIX_API_KEY"] = "plx_key_of_the_stand_in"
        for number in range(replicas):
            home = folder / f"bridge-{number}"
            home.mkdir()
            bridge = BridgeProcess(
                home, airflow_url=proxy.url, mapping=MAPPING, source=source, settings=settings, more=_TARGET
            )
            left.callback(bridge.close)
            made.bridges.append(bridge)
            bridge.process.start()
        for bridge in made.bridges:
            wait_for(bridge.is_ready, seconds=START_SECONDS, what=bridge.process.tail)
        yield made
