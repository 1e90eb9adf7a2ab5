"""A bridge that starts over a broken mapping takes webhooks in, says what is wrong, and loses and doubles none."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]
BAD = "routes:\n  - pipline: pl_8f2a9c1d4e\n    dag: load_orders\n"
GOOD = BAD.replace("pipline", "pipeline")


@pytest.fixture
def standin() -> Iterator[Standin]:
    """A stand-in for Airflow, listening."""
    with Standin() as standin:
        yield standin


def test_intake_goes_on_without_a_mapping(standin: Standin, start_bridge: Callable[..., BridgeProcess]) -> None:
    """202 and ready; what came waits with its reason, over a crash too; mended, each runs once. Then a restart over a
    broken file is none: the last good mapping is in the store."""
    bridge = start_bridge(airflow_url=standin.url, mapping=BAD)

    def waiting() -> list[dict[str, Any]]:
        return [item for item in bridge.api("deliveries")["deliveries"] if item["reason"] == "mapping_broken"]

    sent = [f"evt_{number}" for number in range(4)]
    for event in sent[:3]:
        assert bridge.send(body(event=event)).status_code == 202
    wait_for(lambda: len(waiting()) == 3, seconds=60, what="three that wait for a mapping")
    assert bridge.is_ready()
    assert {item["state"] for item in waiting()} == {"received"}
    status = bridge.api("status")
    assert (status["mapping"]["is_lacking"], status["mapping"]["routes"], status["is_well"]) == (True, 0, False)
    assert status["needs"][0]["what"] == "mapping_broken"
    assert "every webhook is taken in and waits: " in status["needs"][0]["says"]
    assert "bridge_mapping_broken 1.0" in bridge.metrics()

    bridge.kill()
    bridge.start()
    assert bridge.send(body(event=sent[3])).status_code == 202
    assert bridge.send(body(event=sent[0])).status_code == 200  # a copy stays one
    wait_for(lambda: len(waiting()) == 4, seconds=60, what="four that wait for a mapping")
    assert standin.runs() == []

    bridge.write_mapping(GOOD)
    wait_for(lambda: len(standin.runs()) == 4, seconds=60, what="a run for each")
    assert not bridge.api("status")["mapping"]["is_lacking"]
    bridge.stop()
    bridge.write_mapping(BAD)
    bridge.start()
    assert bridge.send(body(event="evt_last")).status_code == 202
    wait_for(lambda: len(standin.runs()) == 5, seconds=60, what="a run by the last good mapping")
    runs = Counter(run["conf"]["planasonix"]["event_id"] for run in standin.runs())
    assert runs == Counter([*sent, "evt_last"])
