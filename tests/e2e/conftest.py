"""A bridge in front of a real Airflow."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.airflow_server import PostgresServer
from tests.support.loads import planasonix
from tests.support.service import BridgeProcess

__all__ = ["planasonix"]

MAPPING = """\
routes:
  - pipeline: pl_8f2a9c1d4e
    dag: refresh_sales_marts
    conf: {rows: "{{ event.rows_loaded }}"}
  - name: bad_conf
    pipeline: pl_bad_conf
    dag: needs_params
    conf: {limit: many}
  - pipeline: pl_paused
    dag: paused_dag
  - pipeline: pl_unknown_dag
    dag: there_is_no_such_dag
  - name: bad_template
    pipeline: pl_bad_template
    dag: open_incident
    conf: {date: "{{ event.parameters.business_date }}"}
  - name: bad_condition
    pipeline: pl_bad_condition
    when: event.parameters.size > 3
    dag: open_incident
"""


@pytest.fixture
def start_bridge(tmp_path: Path) -> Iterator[Callable[..., BridgeProcess]]:
    """Start a bridge: `start_bridge(airflow_url=...)`; every one is gone after the test."""
    started: list[BridgeProcess] = []

    def start(*, mapping: str = MAPPING, **options: Any) -> BridgeProcess:
        folder = tmp_path / f"bridge{len(started)}"
        folder.mkdir()
        started.append(BridgeProcess(folder, mapping=mapping, **options))
        started[-1].start()
        return started[-1]

    yield start
    for bridge in started:
        bridge.close()


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A PostgreSQL that this test may kill or freeze."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.freeze(is_frozen=False)
        server.stop()
