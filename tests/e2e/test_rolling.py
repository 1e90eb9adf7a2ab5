"""A new version comes in under load: one replica after the other stops and starts, and no sender notices."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.balancer import Balancer
from tests.support.service import BridgeProcess, body, signed, wait_for
from tests.support.standin import Standin

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]
Start = Callable[..., BridgeProcess]
MAPPING = "routes:\n  - pipeline: pl_8f2a9c1d4e\n    dag: load_orders\n"
MORE = "    rate: 500"
_SENDERS = 6


@pytest.fixture
def standin() -> Iterator[Standin]:
    """A stand-in for Airflow, listening."""
    with Standin() as standin:
        yield standin


class Load:
    """Senders that never try again: every answer counts, and so does every connection that was not taken."""

    def __init__(self, port: int, *, keeps_connections: bool) -> None:
        """Send to a port of loopback."""
        self.answers: Counter[str] = Counter()
        self.acknowledged: list[str] = []
        self._url = f"http://127.0.0.1:{port}/hooks/planasonix"
        self._keeps = keeps_connections
        self._is_over = threading.Event()
        self._lock = threading.Lock()

    def run(self, meanwhile: Callable[[], None]) -> None:
        """Send until `meanwhile` has returned."""
        with ThreadPoolExecutor(_SENDERS) as pool:
            senders = [pool.submit(self._send, number) for number in range(_SENDERS)]
            try:
                self._wait_for_more()
                meanwhile()
                self._wait_for_more()
            finally:
                self._is_over.set()
            for sender in senders:
                sender.result()

    def _wait_for_more(self) -> None:
        before = self.answers.total()
        wait_for(lambda: self.answers.total() >= before + 10 * _SENDERS, seconds=10, what="load")

    def _send(self, number: int) -> None:
        limits = httpx.Limits(max_keepalive_connections=None if self._keeps else 0)
        with httpx.Client(timeout=120, trust_env=False, limits=limits) as client:
            count = 0
            while not self._is_over.is_set():
                count += 1
                event = f"evt_{number}_{count}"
                payload = body(event=event)
                try:
                    answer = client.post(self._url, content=payload, headers=signed(payload))
                    said = str(answer.status_code)
                except httpx.TransportError as error:
                    said = type(error).__name__
                with self._lock:
                    self.answers[said] += 1
                    if said == "202":
                        self.acknowledged.append(event)
                time.sleep(0.01)


def test_rolling_restart_is_not_noticed(postgres: str, standin: Standin, start_bridge: Start) -> None:
    """Two replicas behind a balancer, restarted in turn under load: 202 only, and one run for each webhook."""
    settings = {"BRIDGE_DATABASE_URL": postgres, "BRIDGE_DRAIN_SECONDS": "6"}
    replicas = [start_bridge(airflow_url=standin.url, mapping=MAPPING, settings=settings, more=MORE) for _ in range(2)]
    with Balancer([replica.port for replica in replicas]) as balancer:
        wait_for(lambda: len(balancer.ready) == 2, seconds=10, what="both ready")
        load = Load(balancer.port, keeps_connections=False)

        def restart_all() -> None:
            for replica in replicas:
                assert replica.stop() == 0
                replica.start()
                wait_for(lambda port=replica.port: port in balancer.ready, seconds=20, what="it is sent to again")

        load.run(restart_all)
    assert set(load.answers) == {"202"}, load.answers
    assert len(load.acknowledged) > 20 * _SENDERS
    wait_for(lambda: len(standin.runs()) == len(load.acknowledged), seconds=60, what="all fired")
    assert Counter(_events(standin)) == Counter(load.acknowledged)


def test_connections_that_are_kept_are_told_to_close(postgres: str, standin: Standin, start_bridge: Start) -> None:
    """A sender that keeps its connection is answered on it during the drain, and moves on without an error."""
    settings = {"BRIDGE_DATABASE_URL": postgres, "BRIDGE_DRAIN_SECONDS": "6"}
    replicas = [start_bridge(airflow_url=standin.url, mapping=MAPPING, settings=settings, more=MORE) for _ in range(2)]
    with Balancer([replica.port for replica in replicas]) as balancer:
        load = Load(balancer.port, keeps_connections=True)
        load.run(lambda: _restart(replicas[0]))
    assert set(load.answers) == {"202"}, load.answers


def _events(standin: Standin) -> list[str]:
    return [run["conf"]["planasonix"]["event_id"] for run in standin.runs()]


def _restart(replica: BridgeProcess) -> None:
    assert replica.stop() == 0
    replica.start()


def test_one_process_on_sqlite_stops_under_load(tmp_path: Path, standin: Standin, start_bridge: Start) -> None:
    """Without a second replica senders are refused or cut off while it restarts; what was answered is fired once."""
    bridge = start_bridge(airflow_url=standin.url, mapping=MAPPING, more=MORE)
    load = Load(bridge.port, keeps_connections=False)
    load.run(lambda: _restart(bridge))
    assert set(load.answers) <= {"202", "ConnectError", "ReadError", "RemoteProtocolError"}, load.answers
    wait_for(lambda: set(load.acknowledged) <= set(_events(standin)), seconds=30, what="all fired")
    assert max(Counter(_events(standin)).values()) == 1
