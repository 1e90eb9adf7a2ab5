"""A running bridge says that a source is silent, and stops saying so with the next webhook."""

import sqlite3
from collections.abc import Callable

import pytest

from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin

pytestmark = pytest.mark.timeout(600)
_PATIENCE = 300.0


def _silent(bridge: BridgeProcess) -> list[str]:
    return [need["about"] for need in bridge.api("status")["needs"] if need["what"] == "source_silent"]


def test_a_silent_source_is_said_until_it_sends(start_bridge: Callable[..., BridgeProcess]) -> None:
    """In `status` and as a metric."""
    sample = 'bridge_source_silent{source="planasonix"} '
    with Standin() as airflow:
        bridge = start_bridge(airflow_url=airflow.url, source="    silent_after: 26h")
        with sqlite3.connect(bridge.folder / "bridge.db", timeout=120) as store:
            expected = "SELECT COUNT(*) FROM silences"
            wait_for(lambda: store.execute(expected).fetchone()[0], seconds=_PATIENCE, what="a first look")
            assert _silent(bridge) == []
            store.execute("UPDATE silences SET since = since - 100000000000")
        assert _silent(bridge) == ["planasonix"]
        wait_for(lambda: f"{sample}1.0" in bridge.metrics(), seconds=_PATIENCE, what="the metric")
        assert bridge.send(body(event="evt_1")).status_code == 202
        wait_for(lambda: not _silent(bridge), seconds=_PATIENCE, what="its end")
        wait_for(lambda: f"{sample}0.0" in bridge.metrics(), seconds=_PATIENCE, what="the metric's end")
