"""One event, one DAG or one clock must not stop or hasten all others: seen from outside, at a real `serve`."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Answer, Standin

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]
Start = Callable[..., BridgeProcess]
MAPPING = """\
routes:
  - {pipeline: pl_8f2a9c1d4e, dag: load_orders}
  - {pipeline: pl_slow, dag: slow}
"""


@pytest.fixture
def standin() -> Iterator[Standin]:
    """A stand-in for Airflow, listening."""
    with Standin() as standin:
        standin.dags["slow"] = {"is_paused": False}
        yield standin


@pytest.mark.parametrize("concurrency", [4, 1])
def test_poisoned_events_stop_no_other(start_bridge: Start, standin: Standin, concurrency: int) -> None:
    """A firewall answers as many events as there are places, again and again; 60 behind them are fired."""

    def block(run: dict[str, Any]) -> Answer | None:
        return (200, "<html>blocked</html>") if "UNION SELECT" in json.dumps(run["conf"]) else None

    standin.before = block
    more = f"    rate: 500\n    concurrency: {concurrency}"
    bridge = start_bridge(airflow_url=standin.url, mapping=MAPPING, more=more)
    for number in range(concurrency):
        bridge.send(body(event=f"evt_bad_{number}", query="1 UNION SELECT 2"))
    for number in range(60):
        bridge.send(body(event=f"evt_{number}"))
    wait_for(lambda: len(standin.runs()) == 60, seconds=60, what=lambda: f"{len(standin.runs())} runs")
    assert bridge.api("status")["airflows"][0]["is_available"] is True
    held = {(item["reason"], item["attempts"] > 0) for item in bridge.triggers(state="held")}
    assert held <= {("call_blocked", True)}
    standin.before = lambda _: None
    wait_for(lambda: len(standin.runs()) == 60 + concurrency, seconds=90, what="the poisoned ones, once they may")


def test_a_dag_that_hangs_stops_no_other(start_bridge: Start, standin: Standin) -> None:
    """Its calls hang for longer than this test waits, and there are more of them than places."""
    gate = threading.Event()

    def hang(run: dict[str, Any]) -> Answer | None:
        if run["conf"]["planasonix"]["pipeline_id"] == "pl_slow":
            gate.wait(100)
        return None

    standin.before = hang
    more = "    rate: 500\n    read_seconds: 100\n    deadline_seconds: 100"
    bridge = start_bridge(airflow_url=standin.url, mapping=MAPPING, more=more)
    try:
        for number in range(8):
            bridge.send(body(event=f"evt_slow_{number}", pipeline="pl_slow"))
        wait_for(lambda: standin.posts() == 3, seconds=30, what="as many calls as one DAG may have")
        for number in range(20):
            bridge.send(body(event=f"evt_{number}"))
        wait_for(lambda: len(standin.runs()) == 20, seconds=80, what=lambda: f"{len(standin.runs())} runs")
    finally:
        gate.set()
