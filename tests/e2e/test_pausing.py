"""Pausing real bridges: two replicas on one PostgreSQL, a restart in between, and each DAG run once."""

from collections.abc import Callable, Iterator

import pytest

from tests.support import forkserver
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]
Start = Callable[..., BridgeProcess]
MAPPING = """\
routes:
  - {name: orders, pipeline: pl_8f2a9c1d4e, dag: load_orders}
  - {name: other, pipeline: pl_other, dag: load_orders}
  - {name: hurry, pipeline: pl_hurry, dag: load_orders, deadline: 1s}
"""


@pytest.fixture
def standin() -> Iterator[Standin]:
    """A stand-in for Airflow, listening."""
    with Standin() as standin:
        yield standin


def knows(bridge: BridgeProcess, *names: str) -> None:
    """Wait until a replica knows what is paused."""
    wait_for(
        lambda: [item["name"] for item in bridge.api("status")["paused"]] == list(names), seconds=5, what="it knows"
    )


def holds(bridge: BridgeProcess, count: int) -> None:
    """Wait until so many triggers are held by a pause."""

    def held() -> int:
        return [item["reason"] for item in bridge.triggers(state="held")].count("paused_by_person")

    wait_for(lambda: held() == count, seconds=10, what=lambda: f"{count} are held; there is {bridge.triggers()}")


def command(bridge: BridgeProcess, *words: str) -> None:
    """Run a command beside a bridge."""
    done = forkserver.run(*words, env=bridge.environment)
    assert done.returncode == 0, done.stderr


def test_two_replicas_hold_what_is_paused_and_each_run_starts_once(
    postgres: str, standin: Standin, start_bridge: Start
) -> None:
    """A route and a source, paused at one replica: both hold, one restarts, and nothing is lost or doubled."""
    settings = {"BRIDGE_DATABASE_URL": postgres}
    first, second = (
        start_bridge(airflow_url=standin.url, mapping=MAPPING, settings=settings, more="    rate: 200")
        for _ in range(2)
    )
    first.api("pause", post={"kind": "route", "name": "orders", "reason": "a move"})
    knows(second, "orders")
    for number in range(20):
        bridge = (first, second)[number % 2]
        assert bridge.send(body(event=f"evt_{number}")).status_code == 202
    assert first.send(body(event="evt_other", pipeline="pl_other")).status_code == 202
    wait_for(lambda: len(second.triggers(state="fired")) == 1, seconds=10, what="the other route's")
    holds(first, 20)
    detail = second.triggers(route="orders")[0]["detail"]
    assert detail.startswith("route orders is paused by token:admin since ")

    second.api("pause", post={"kind": "source", "name": "planasonix"})
    knows(first, "orders", "planasonix")
    first.kill()
    first.start()
    for number in range(20, 30):
        bridge = (first, second)[number % 2]
        assert bridge.send(body(event=f"evt_{number}")).status_code == 202
    assert second.send(body(event="evt_29")).json()["status"] == "duplicate"
    first.api("resume", post={"kind": "route", "name": "orders"})
    wait_for(lambda: len(second.triggers(state="fired")) == 21, seconds=20, what="what the route held")
    deliveries = first.api("deliveries", state="received", limit=500)["deliveries"]
    assert {item["reason"] for item in deliveries} == {"paused_by_person"}
    assert len(deliveries) == 10

    second.api("resume", post={"kind": "source", "name": "planasonix"})
    wait_for(lambda: len(first.triggers(state="fired")) == 31, seconds=20, what="what the source sent")
    assert standin.posts() == len(standin.runs()) == 31


def test_the_command_pauses_a_running_bridge_and_a_restart_changes_nothing(
    standin: Standin, start_bridge: Start
) -> None:
    """An Airflow on SQLite: what comes before and after the restart waits, and starts unless its deadline passed."""
    bridge = start_bridge(airflow_url=standin.url, mapping=MAPPING)
    command(bridge, "pause", "airflow", "default", "--reason", "a move")
    knows(bridge, "default")
    assert bridge.send(body(event="evt_1")).status_code == 202
    holds(bridge, 1)
    assert bridge.stop() == 0
    bridge.start()
    assert bridge.send(body(event="evt_2", pipeline="pl_other")).status_code == 202
    holds(bridge, 2)
    assert bridge.send(body(event="evt_3", pipeline="pl_hurry")).status_code == 202
    late = bridge.wait_for_trigger("cancelled")
    assert (late["route"], late["reason"]) == ("hurry", "too_late")
    assert standin.posts() == 0
    assert 'bridge_paused_timestamp_seconds{kind="airflow",name="default"}' in bridge.metrics()
    command(bridge, "resume", "airflow", "default")
    wait_for(lambda: len(bridge.triggers(state="fired")) == 2, seconds=10, what="both have started")
    assert standin.posts() == 2
