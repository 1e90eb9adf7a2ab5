"""A bridge that runs, and what it exposes."""

import re
from collections.abc import Iterator

import pytest

from tests.observability.support import Series, series_of
from tests.support.service import BridgeProcess, wait_for
from tests.support.standin import Standin

MAPPING = "routes:\n  - pipeline: pl_8f2a9c1d4e\n    dag: load_orders\n"
SOURCE = "    api: {url: http://127.0.0.1:9, key: {env: PLANASONIX_API_KEY}}\n    reconcile: {every: 5m}"
NOTIFY = "notify: [{to: {env: CHAT_URL}, after: 1d}]"


@pytest.fixture(scope="session")
def exposition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What a bridge exposes that has seen no webhook yet: its DAGs were looked at, and a source is paused."""
    folder = tmp_path_factory.mktemp("exposing")
    with Standin() as airflow:
        places = {"CHAT_URL": "json://127.0.0.1:9", "PLANASONIX_API_KEY": "k" * 30}
        bridge = BridgeProcess(
            folder, airflow_url=airflow.url, mapping=MAPPING, settings=places, source=SOURCE, more=NOTIFY
        )
        bridge.start()
        bridge.api("pause", post={"kind": "source", "name": "planasonix"})
        for name in ("bridge_dag_state{", "bridge_paused_timestamp_seconds{"):
            wait_for(lambda name=name: name in bridge.metrics(), seconds=30, what=name)
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
