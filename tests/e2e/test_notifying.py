"""A running bridge notifies people by itself, and says whom it does not reach."""

import json
from collections.abc import Callable, Iterator

import pytest

from deploy.demo.processes import free_port
from tests.support import forkserver
from tests.support.receiver import Receiver
from tests.support.service import BridgeProcess, wait_for
from tests.support.standin import Standin

pytestmark = pytest.mark.timeout(600)
MAPPING = "routes:\n  - pipeline: pl_1\n    dag: load_orders\n"
NOTIFY = "notify:\n  - {to: {env: CHAT_URL}, after: 0s}\n  - {to: {env: DEAD_URL}, after: 0s}\n"
_PATIENCE = 300.0


@pytest.fixture
def chat() -> Iterator[Receiver]:
    """Where messages go."""
    with Receiver() as receiver:
        yield receiver


def _notify(bridge: BridgeProcess, *words: str) -> tuple[int, list[dict[str, str | None]]]:
    done = forkserver.run("notify", "--json", *words, env=bridge.environment)
    assert "hidden" not in done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout)["targets"]


def test_people_hear_of_a_broken_mapping_and_of_each_other(
    start_bridge: Callable[..., BridgeProcess], chat: Receiver
) -> None:
    """With the next step and the link to the page; who is not reached is shown, counted, and found by `--test`."""
    settings = {
        "CHAT_URL": chat.url,
        "DEAD_URL": f"json://bot:hidden-word@127.0.0.1:{free_port()}",
        "BRIDGE_PUBLIC_ADMIN_URL": "https://bridge.example.com",
    }
    with Standin() as airflow:
        bridge = start_bridge(airflow_url=airflow.url, mapping=MAPPING, settings=settings, more=NOTIFY)
        bridge.write_mapping("routes: [{pipelin: pl_1, dag: load_orders}]\n")
        wait_for(lambda: len(chat.taken) >= 2, seconds=_PATIENCE, what=lambda: f"two messages: {chat.titles}")
        assert sorted(chat.titles) == ["mapping_broken: mapping", "not_notified: DEAD_URL"]
        (broken,) = [message for message in chat.taken if "mapping" in message["title"]]
        assert "did you mean" in broken["message"]
        assert broken["message"].endswith("https://bridge.example.com/routes")
        assert {need["what"] for need in bridge.api("status")["needs"]} >= {"mapping_broken", "not_notified"}
        for sample in (
            'bridge_notifications_total{outcome="sent",target="CHAT_URL"} 2.0',
            'bridge_notify_failing{target="DEAD_URL"} 1.0',
        ):
            wait_for(lambda sample=sample: sample in bridge.metrics(), seconds=60, what=sample)
        assert "hidden" not in bridge.log
        code, found = _notify(bridge, "--test")
        assert code == 1
        assert [(each["to"], each["problem"] is None) for each in found] == [("CHAT_URL", True), ("DEAD_URL", False)]
        assert chat.titles[-1] == "Planasonix to Airflow bridge: a test"
        assert _notify(bridge)[0] == 1
        assert bridge.stop() == 0
