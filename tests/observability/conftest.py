"""A bridge that runs, and what it exposes."""

from collections.abc import Iterator

import pytest

from deploy.demo.processes import free_port
from tests.observability.support import Series, series_of
from tests.service import BridgeProcess

MAPPING = "routes:\n  - pipeline: pl_8f2a9c1d4e\n    dag: load_orders\n"


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Series]:
    """What a bridge exposes that has just been started and has seen nothing yet."""
    folder = tmp_path_factory.mktemp("exposing")
    bridge = BridgeProcess(folder, airflow_url=f"http://127.0.0.1:{free_port()}", mapping=MAPPING)
    bridge.start()
    yield series_of(bridge.metrics())
    bridge.close()
