"""A running bridge notifies people by itself, and says whom it does not reach."""

import json
from collections.abc import Callable, Iterator

import pytest

from deploy.demo.processes import free_port
from tests.support import forkserver
from tests.support.airflow_server import PostgresServer
from tests.support.receiver import Receiver
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin
from tests.support.store import Store

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


def test_two_replicas_say_once_that_a_source_is_silent_and_once_that_it_is_over(
    postgres_server: PostgresServer, start_bridge: Callable[..., BridgeProcess], chat: Receiver
) -> None:
    """Whichever looks first has said it for both. A clock of hours is made by moving what is stored."""
    shared = postgres_server.create_database("silent_and_notified")
    settings = {"CHAT_URL": chat.url, "BRIDGE_DATABASE_URL": shared}
    hours = 100_000_000_000  # microseconds, more than a day
    with Standin() as airflow:
        replicas = [
            start_bridge(
                airflow_url=airflow.url,
                mapping=MAPPING,
                settings=settings,
                source="    silent_after: 26h",
                more="notify:\n  - {to: {env: CHAT_URL}, after: 0s}\n",
            )
            for _ in range(2)
        ]
        store = Store(shared)
        wait_for(lambda: bool(store.rows("SELECT 1 FROM silences")), seconds=_PATIENCE, what="a first look")
        store.rows("UPDATE silences SET since = since - ?", hours)
        wait_for(lambda: bool(chat.titles), seconds=_PATIENCE, what="a message")
        for bridge in replicas:
            wait_for(lambda one=bridge: _is_silent(one), seconds=_PATIENCE, what="both know it")
        assert replicas[0].send(body(event="evt_1", pipeline="pl_1")).status_code == 202
        gone = "SELECT 1 FROM notices WHERE gone_at IS NOT NULL"
        wait_for(lambda: bool(store.rows(gone)), seconds=_PATIENCE, what="the cause is gone")
        store.rows("UPDATE notices SET sent_at = sent_at - ?, gone_at = gone_at - ?", hours, hours)
        wait_for(lambda: len(chat.titles) > 1, seconds=_PATIENCE, what="the word that it is over")
        store.close()
        assert [bridge.stop() for bridge in replicas] == [0, 0]
        assert chat.titles == ["source_silent: planasonix", "over: source_silent: planasonix"]


def _is_silent(bridge: BridgeProcess) -> bool:
    return 'bridge_source_silent{source="planasonix"} 1.0' in bridge.metrics()
