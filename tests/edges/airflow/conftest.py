"""A bridge's Airflow object connected to the real one; a misbehaving server, and one call to it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bridge.edges.airflow import Airflow
from bridge.edges.airflow.transport import Transport
from bridge.edges.airflow.wire import Answer, Failure
from bridge.words.targets import AirflowAuth, AirflowTarget, Secret
from tests.edges.airflow.support import Behaviour, RawServer, Serve
from tests.support.airflow_server import AirflowServer
from tests.support.fixtures import standin

__all__ = ["standin"]


@pytest.fixture
def connect(airflow: AirflowServer) -> Iterator[Callable[..., Airflow]]:
    """Connect to the real Airflow, as the user `bridge` unless said otherwise."""
    opened: list[Airflow] = []

    def make(url: str | None = None, *, auth: AirflowAuth | None = None, user: str = "bridge", **more: Any) -> Airflow:
        usual = AirflowAuth(Secret(user), Secret(airflow.passwords[user]))
        opened.append(Airflow(AirflowTarget("default", url or airflow.url, auth or usual, **more)))
        return opened[-1]

    yield make
    for item in opened:
        item.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server with a behaviour; it is gone after the test."""
    servers: list[RawServer] = []

    def start(behaviour: Behaviour) -> RawServer:
        servers.append(RawServer(behaviour).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
def call() -> Iterator[Callable[..., Answer | Failure]]:
    """Make one call to a URL with a transport of its own."""
    opened: list[Transport] = []

    def make(url: str, method: str = "POST", *, seconds: float = 5.0, **target: Any) -> Answer | Failure:
        opened.append(Transport(AirflowTarget("default", url, **target)))
        return opened[-1].call(method, "/api", headers={"X-Own": "1"}, body={"a": "ü"}, seconds=seconds)

    yield make
    for transport in opened:
        transport.close()
