"""GET /api/v1/completion at a real bridge: it answers at once what it knows, and waits for the rest, within bounds."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge.flows.telling import RETRY_SECONDS
from bridge.words.roles import Role
from deploy.demo.processes import free_port
from tests.support.service import BridgeProcess, wait_for
from tests.web.conftest import TOKENS

MAPPING = "routes: []\n"


def run_event(run: str, *, event: str | None = None) -> bytes:
    """The webhook of a pipeline run that succeeded."""
    value = {"id": event or f"evt_{run}", "type": "pipeline.run.succeeded", "run_id": run, "status": "succeeded"}
    return json.dumps(value).encode()


def ask(bridge: BridgeProcess, *, role: Role = Role.VIEWER, **query: Any) -> httpx.Response:
    """Ask as a viewer."""
    return httpx.get(
        f"http://127.0.0.1:{bridge.admin_port}/api/v1/completion",
        params=query,
        headers={"Authorization": f"Bearer {TOKENS[role]}"},
        trust_env=False,
        timeout=90,
    )


def test_what_is_known_is_answered_at_once(bridge: BridgeProcess) -> None:
    """With status and delivery, and nothing of the payload."""
    delivery = bridge.send(run_event("run_known")).json()["delivery_id"]
    wait_for(lambda: bridge.api(f"deliveries/{delivery}")["state"] != "received", seconds=10, what="routed")
    said = {"outcome": "ended", "delivery_id": delivery, "status": "succeeded"}
    assert ask(bridge, run="run_known", wait=30).json() == said
    assert ask(bridge, run="run_unknown").json() == {"outcome": "open", "delivery_id": None, "status": None}


def test_a_webhook_ends_the_wait(bridge: BridgeProcess) -> None:
    """Other runs' webhooks do not; and while more wait than there are threads, other calls are answered."""
    with ThreadPoolExecutor(12) as pool:
        waiting = [pool.submit(ask, bridge, run="run_awaited", wait=30) for _ in range(12)]
        bridge.send(run_event("run_of_others"))
        for _ in range(3):
            assert bridge.api("status")
        delivery = bridge.send(run_event("run_awaited")).json()["delivery_id"]
        told = [each.result(90).json() for each in waiting]
    assert told == [{"outcome": "ended", "delivery_id": delivery, "status": "succeeded"}] * 12


def test_nothing_is_said_when_the_time_is_up(bridge: BridgeProcess) -> None:
    """`open`, and the next question is asked anew."""
    assert ask(bridge, run="run_never", wait=1).json()["outcome"] == "open"


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"wait": 5},
        {"run": "r", "wait": 31},
        {"run": "r", "wait": "-1"},
        {"run": "r", "wait": "1e1"},
        {"run": "r", "job": "x"},
        {"run": "r", "since": "never"},
        {"run": "r\0"},
    ],
)
def test_what_cannot_be_meant_is_refused(bridge: BridgeProcess, query: dict[str, Any]) -> None:
    """In the shape of the other errors."""
    answer = ask(bridge, **query)
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")


def test_no_more_wait_than_half_the_connections_and_a_stop_lets_them_go(tmp_path: Path) -> None:
    """The next one gets 429 with `Retry-After`; what is known is told all the same. A stop answers `open`."""
    settings = {"BRIDGE_MAX_CONNECTIONS": "8", "BRIDGE_VIEWER_TOKEN": TOKENS[Role.VIEWER]}
    place = f"http://127.0.0.1:{free_port()}"
    bridge = BridgeProcess(tmp_path, airflow_url=place, mapping=MAPPING, settings=settings)
    bridge.start()
    refused = threading.Event()

    def wait_until_refused() -> str:
        while not refused.is_set():
            try:
                answer = ask(bridge, run="run_never", wait=30)
            except httpx.TransportError:
                return "stopped"
            if answer.status_code == 429:
                assert answer.headers["Retry-After"] == str(int(RETRY_SECONDS))
                refused.set()
        return "refused" if answer.status_code == 429 else str(answer.json()["outcome"])

    try:
        with ThreadPoolExecutor(5) as pool:
            waiting = [pool.submit(wait_until_refused) for _ in range(5)]
            assert refused.wait(90)
            assert ask(bridge, run="run_never").json()["outcome"] == "open"
            bridge.stop()
            told = sorted(each.result(90) for each in waiting)
        assert told == ["open"] * 4 + ["refused"]
    finally:
        bridge.close()
