"""Two real bridges on one PostgreSQL: either may die, the database may die, and nothing is lost or doubled."""

import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.airflow_server import PostgresServer
from tests.support.forkserver import COMMAND
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin

pytestmark = [pytest.mark.crash, pytest.mark.timeout(120)]
Start = Callable[..., BridgeProcess]
MAPPING = "routes:\n  - pipeline: pl_8f2a9c1d4e\n    dag: load_orders\n"
LEASE_SECONDS = 3


@pytest.fixture
def standin() -> Iterator[Standin]:
    """A stand-in for Airflow, listening."""
    with Standin() as standin:
        yield standin


@pytest.fixture
def start_replica(start_bridge: Start, standin: Standin) -> Callable[[str], BridgeProcess]:
    """Start a bridge on a PostgreSQL URL."""

    def start(url: str) -> BridgeProcess:
        settings = {"BRIDGE_DATABASE_URL": url, "BRIDGE_LEASE_SECONDS": str(LEASE_SECONDS)}
        more = "    rate: 200"
        return start_bridge(airflow_url=standin.url, mapping=MAPPING, settings=settings, more=more)

    return start


def fired(bridge: BridgeProcess) -> int:
    """Return how many triggers have ended well."""
    return len(bridge.triggers(state="fired"))


def test_two_replicas_that_get_the_same_webhooks(
    postgres: str, standin: Standin, start_replica: Callable[[str], BridgeProcess]
) -> None:
    """Of two copies of an event sent to two replicas at once, one is accepted, one a duplicate, and one run starts."""
    replicas = [start_replica(postgres), start_replica(postgres)]
    events = [f"evt_{number}" for number in range(60)]

    def send(number: int) -> tuple[int, str]:
        answer = replicas[number % 2].send(body(event=events[number // 2]))
        return answer.status_code, answer.json()["delivery_id"]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(2 * len(events))))
    assert Counter(status for status, _ in answers) == {202: len(events), 200: len(events)}
    assert all(answers[at][1] == answers[at + 1][1] for at in range(0, len(answers), 2))
    wait_for(lambda: fired(replicas[0]) == len(events), seconds=30, what="all fired")
    assert len(standin.runs()) == len(events)


def test_work_of_a_killed_replica_is_taken_over_after_its_lease(
    postgres: str, standin: Standin, start_replica: Callable[[str], BridgeProcess]
) -> None:
    """kill -9 while calls to Airflow are under way: the other replica fires them, one run each."""
    victim = start_replica(postgres)
    gate = threading.Event()
    standin.before = lambda _: gate.wait(20) and None
    for number in range(12):
        assert victim.send(body(event=f"evt_{number}")).status_code == 202
    wait_for(lambda: standin.posts() >= 2, seconds=10, what="calls under way")
    other = start_replica(postgres)
    victim.kill()
    gate.set()
    wait_for(lambda: fired(other) == 12, seconds=LEASE_SECONDS + 60, what="all fired")
    assert len(standin.runs()) == 12
    assert other.api("status")


def test_postgresql_is_killed_and_comes_back(
    own_server: PostgresServer, standin: Standin, start_replica: Callable[[str], BridgeProcess]
) -> None:
    """Meanwhile senders get 503 with Retry-After, never a false 2xx; afterwards everything goes on by itself."""
    url = own_server.create_database("bridge")
    replicas = [start_replica(url), start_replica(url)]
    acknowledged: dict[str, str] = {}
    refused: list[httpx.Response] = []
    is_over = threading.Event()

    def sender(number: int) -> None:
        count = 0
        while not is_over.is_set():
            count += 1
            event = f"evt_{number}_{count}"
            answer = replicas[number % 2].send(body(event=event))
            if answer.is_success:
                acknowledged[event] = answer.json()["delivery_id"]
            else:
                refused.append(answer)
            time.sleep(0.02)

    with ThreadPoolExecutor(4) as pool:
        senders = [pool.submit(sender, number) for number in range(4)]
        try:
            wait_for(lambda: len(acknowledged) > 40, seconds=20, what="some load")
            own_server.kill()
            wait_for(lambda: len(refused) > 40, seconds=20, what="refusals")
            own_server.start()
            before = len(acknowledged)
            wait_for(lambda: len(acknowledged) > before + 40, seconds=20, what="taken in again")
        finally:
            is_over.set()
        for item in senders:
            item.result()
    assert {(item.status_code, "Retry-After" in item.headers) for item in refused} == {(503, True)}
    wait_for(lambda: all(item.is_ready() for item in replicas), seconds=20, what="ready again")
    wait_for(lambda: len(standin.runs()) >= len(acknowledged), seconds=40, what=lambda: f"{len(standin.runs())} runs")
    triggered = {run["conf"]["planasonix"]["event_id"] for run in standin.runs()}
    assert set(acknowledged) <= triggered
    assert len(triggered) == len(standin.runs())
    for event in list(acknowledged)[:: max(1, len(acknowledged) // 20)]:
        again = replicas[0].send(body(event=event))
        assert (again.status_code, again.json()["delivery_id"]) == (200, acknowledged[event])


def test_stopping_and_starting_without_postgresql(
    own_server: PostgresServer, standin: Standin, start_replica: Callable[[str], BridgeProcess]
) -> None:
    """A bridge whose store is away still ends in order; one that cannot start says why in one line, no password."""
    url = own_server.create_database("bridge").replace("postgres@", "postgres:never-to-be-shown@")
    bridge = start_replica(url)
    bridge.send(body(event="evt_1"))
    own_server.kill()
    wait_for(lambda: bridge.send(body(event="evt_2")).status_code == 503, seconds=10, what="a refusal")
    wait_for(lambda: not bridge.is_ready(), seconds=10, what="not ready")
    assert bridge.stop() == 0
    done = subprocess.run(
        [COMMAND, "serve"], env=bridge.environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert "the store cannot be opened" in done.stderr
    assert "Connection refused" in done.stderr
    assert "Traceback" not in done.stderr
    assert "never-to-be-shown" not in done.stderr + bridge.log
