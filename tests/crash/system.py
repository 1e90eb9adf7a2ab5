"""The processes of one round: the store, the stand-in for Airflow, the proxies between them, and the replicas."""

import contextlib
import ctypes
import errno
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.demo.airflow import REPOSITORY
from deploy.demo.processes import Process, free_port, wait_until
from tests.airflow_server.postgres import PostgresServer
from tests.crash.plans import CLOCKS, LEASE_SECONDS, Plan
from tests.fault_proxy import FaultProxy
from tests.service import BridgeProcess
from tests.tcp_proxy import TcpProxy

ROUTE = "routes:\n  - name: first\n    pipeline: pl_8f2a9c1d4e\n    dag: load_orders\n"
SECOND_ROUTE = "  - name: second\n    pipeline: pl_8f2a9c1d4e\n    dag: load_more\n"
_LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
HAS_CLOCKS = _LIBRARY is not None
_libc = ctypes.CDLL(None, use_errno=True)


class Replica:
    """One bridge and its clock; a supervisor in small: whoever ended by itself is started again."""

    def __init__(self, folder: Path, system: "System", *, has_clock: bool) -> None:
        """Write its configuration."""
        folder.mkdir()
        self.offset_seconds = 0
        self._offset = folder / "clock"
        self._offset.write_text("+0\n")
        settings = {"BRIDGE_DATABASE_URL": system.database_url, "BRIDGE_LEASE_SECONDS": str(LEASE_SECONDS)}
        if has_clock:
            settings |= {
                "LD_PRELOAD": str(_LIBRARY),
                "FAKETIME_TIMESTAMP_FILE": str(self._offset),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        self.bridge = BridgeProcess(
            folder, airflow_url=system.airflow.url, mapping=ROUTE, settings=settings, more="    rate: 200"
        )
        self.url = f"http://127.0.0.1:{self.bridge.port}/hooks/planasonix"
        self.is_down_on_purpose = False

    def move_clock(self, seconds: int) -> None:
        """Let its wall clock jump, at once."""
        self.offset_seconds += seconds
        beside = self._offset.with_suffix(".new")
        beside.write_text(f"{self.offset_seconds:+d}\n")
        beside.rename(self._offset)

    def now(self) -> int:
        """The Unix time that it lives in."""
        return int(time.time()) + self.offset_seconds

    def kill(self) -> None:
        """kill -9, and no supervisor for now."""
        self.is_down_on_purpose = True
        self.bridge.kill()

    def revive(self) -> None:
        """Let the supervisor start it again."""
        self.is_down_on_purpose = False
        self.supervise()

    def supervise(self) -> None:
        """Start it if it ended."""
        if not self.is_down_on_purpose and not self.bridge.process.is_running:
            self.bridge.process.start()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process itself."""
        os.kill(self.bridge.process.pid, number)


class System:
    """Everything of one round, gone after the `with` block."""

    def __init__(self, plan: Plan, postgres: PostgresServer | None) -> None:
        """Prepare; nothing runs yet. `postgres` is needed for that store only."""
        self._stack = contextlib.ExitStack()
        self.plan = plan
        self.folder = Path(tempfile.mkdtemp(prefix=f"crash-{plan.seed}-"))
        self.postgres = postgres
        self.replicas: list[Replica] = []

    def __enter__(self) -> Self:
        """Start it all; returns when every replica is ready."""
        with self._stack:
            self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self._start_airflow()
            self._open_store()
            has_clock = any(kind in CLOCKS for kind in self.plan.kinds)
            for number in range(self.plan.replicas):
                self.replicas.append(Replica(self.folder / f"bridge{number}", self, has_clock=has_clock))
                self._stack.callback(self.replicas[-1].bridge.close)
                self.replicas[-1].bridge.start()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End every process of the round."""
        self._stack.close()

    def supervise(self) -> None:
        """Start again what ended without being told to."""
        for replica in self.replicas:
            replica.supervise()

    def restart_airflow(self) -> None:
        """Start the stand-in, on its port and with its runs."""
        self.standin.start()

    def fill_disk(self) -> None:
        """Leave no room for one more page."""
        if not self.is_mounted:
            size = max(path.stat().st_size for path in self._disk.iterdir())
            _limit_file_size(self.replicas[0].bridge.process.pid, size)
            return
        with (self._disk / "ballast").open("ab", buffering=0) as ballast:
            for piece in (65_536, 4096, 512):
                with contextlib.suppress(OSError):
                    while True:
                        ballast.write(b"\0" * piece)

    def free_disk(self) -> None:
        """Give the room back."""
        if self.is_mounted:
            (self._disk / "ballast").unlink(missing_ok=True)
        elif self.replicas[0].bridge.process.is_running:
            _limit_file_size(self.replicas[0].bridge.process.pid, resource.RLIM_INFINITY)

    def _start_airflow(self) -> None:
        port = free_port()
        self.journal = self.folder / "journal"
        command = [sys.executable, "-m", "tests.standin", str(port), str(self.journal)]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        self.standin = Process("the stand-in", command, env=environment, log=self.folder / "standin.log")
        self._stack.callback(self.standin.kill)
        self.standin.start()
        self.airflow = self._stack.enter_context(FaultProxy(f"http://127.0.0.1:{port}"))
        wait_until(self.journal.exists, of=self.standin, timeout_seconds=20)

    def _open_store(self) -> None:
        self._disk = self.folder / "store"
        self._disk.mkdir()
        self.is_mounted = False
        self.way_to_postgres: TcpProxy | None = None
        if self.plan.store == "sqlite":
            if "disk_full" in self.plan.kinds:
                self.is_mounted = _mount(self._disk)
                if self.is_mounted:
                    self._stack.callback(_unmount, self._disk)
            self.database_url = f"sqlite:///{self._disk / 'bridge.db'}"
            self.direct_url = self.database_url
            return
        assert self.postgres is not None
        name = f"crash_{self.plan.seed}"
        self.direct_url = self.postgres.create_database(name)
        self._stack.callback(self.postgres.drop_database, name)
        self.way_to_postgres = self._stack.enter_context(TcpProxy(self.postgres.port))
        self.database_url = f"postgresql://postgres@127.0.0.1:{self.way_to_postgres.port}/{name}"


def _mount(folder: Path) -> bool:
    """Mount a small tmpfs; False where that is not allowed."""
    if _libc.mount(b"tmpfs", str(folder).encode(), b"tmpfs", 0, b"size=8m") == 0:
        return True
    assert ctypes.get_errno() in (errno.EPERM, errno.EACCES, errno.ENOSYS)
    return False


def _unmount(folder: Path) -> None:
    _libc.umount2(str(folder).encode(), 2)  # MNT_DETACH


def _limit_file_size(pid: int, size: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextlib.contextmanager
def postgres_for(stores: tuple[str, ...]) -> Iterator[PostgresServer | None]:
    """A PostgreSQL that rounds may kill, if one of the stores needs it."""
    if "postgresql" not in stores:
        yield None
        return
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()
