"""Fixtures for the real things that tests run against: PostgreSQL, Airflow, a lossy network, a free port.

Each is started by the first test that asks for it, and none for a run of tests that need none.
"""

import itertools
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

from deploy.demo import processes, provider
from tests.support import forkserver
from tests.support.airflow_server import AirflowServer, PostgresServer
from tests.support.fault_proxy import FaultProxy

# How long an example takes depends on the machine.
hypothesis.settings.register_profile("any-machine", deadline=None)
hypothesis.settings.load_profile("any-machine")
_NUMBERS = itertools.count(1)
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the long way."""
    parser.addoption("--exec", action="store_true", help="start each bridge and command as users do, not by a fork")


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker ports of its own, and a server that forks what it starts."""
    if not config.getoption("--exec"):
        forkserver.use()
    processes.draw_ports_from(int(_WORKER), of=int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def pytest_unconfigure() -> None:
    """Leave nobody behind."""
    forkserver.end()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keep what shares something dear on one worker: a real Airflow, or a bridge that a whole module uses.

    At this moment already: xdist reads the groups before any hook that changes the collected items.
    """
    if item.get_closest_marker("airflow"):
        version = "2" if "airflow_2" in item.nodeid else ""
        item.add_marker(pytest.mark.xdist_group(f"airflow{version}"))
    elif item.get_closest_marker("flood"):
        item.add_marker(pytest.mark.xdist_group("flood"))


@pytest.fixture
def standard_logging() -> Iterator[None]:
    """Put back what `configure` changes for the whole process."""
    root, uvicorn = logging.getLogger(), logging.getLogger("uvicorn")
    before = (root.handlers[:], root.level, uvicorn.level, logging.raiseExceptions)
    yield
    root.handlers[:], level, uvicorn_level, logging.raiseExceptions = before
    root.setLevel(level)
    uvicorn.setLevel(uvicorn_level)
    structlog.reset_defaults()


@pytest.fixture
def free_port() -> int:
    """A port on loopback that nobody listens on."""
    return processes.free_port()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The PostgreSQL server of this test session, for tests that need more than one database."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[str]:
    """The `postgresql://` URL of a database that is empty, and gone after the test."""
    name = f"test_{next(_NUMBERS)}"
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that `make provider` builds."""
    return provider.build(tmp_path_factory.mktemp("provider"))


@pytest.fixture(scope="session")
def unpacked(wheel: Path) -> Path:
    """The wheel's content, with its entry points."""
    return provider.unpack(wheel, wheel.parent / "unpacked")


@pytest.fixture(scope="session")
def _airflow_server(unpacked: Path) -> Iterator[AirflowServer]:
    server = AirflowServer(beside=unpacked)
    yield server
    server.close()


@pytest.fixture
def airflow(_airflow_server: AirflowServer) -> AirflowServer:
    """A running Airflow without DAG runs: it accepts them, and leaves them queued. Mark the test `airflow`."""
    _airflow_server.reset()
    return _airflow_server


@pytest.fixture
def executing_airflow(airflow: AirflowServer) -> Iterator[AirflowServer]:
    """The same Airflow with a scheduler, which executes DAG runs (5 s to start, so ask for it rarely)."""
    airflow.start_scheduler()
    yield airflow
    airflow.stop_scheduler()


@pytest.fixture
def fault_proxy() -> Iterator[Callable[[str], FaultProxy]]:
    """Put a FaultProxy in front of a base URL: `proxy = fault_proxy(airflow.url)`."""
    proxies: list[FaultProxy] = []

    def in_front_of(target: str) -> FaultProxy:
        proxies.append(FaultProxy(target).__enter__())
        return proxies[-1]

    yield in_front_of
    for proxy in proxies:
        proxy.cut()
