"""A bridge that runs, and what it exposes."""

import re
from collections.abc import Iterator

import pytest

from deploy.demo.processes import free_port
from tests.observability.support import Series, series_of
from tests.support.service import BridgeProcess

MAPPING = "routes:\n  - pipeline: pl_8f2a9c1d4e\n    dag: load_orders\n"


@pytest.fixture(scope="session")
def exposition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What a bridge exposes that has just been started and has seen nothing yet."""
    folder = tmp_path_factory.mktemp("exposing")
    bridge = BridgeProcess(folder, airflow_url=f"http://127.0.0.1:{free_port()}", mapping=MAPPING)
    bridge.start()
    yield bridge.metrics()
    bridge.close()


@pytest.fixture(scope="session")
def series(exposition: str) -> Series:
    """The same, by name of the sample."""
    return series_of(exposition)


@pytest.fixture(scope="session")
def store_gauges(exposition: str) -> frozenset[str]:
    """The gauges that every replica tells alike, as their help texts say."""
    return frozenset(re.findall(r"^# HELP (\w+) .* Of the store\.$", exposition, re.MULTILINE))
