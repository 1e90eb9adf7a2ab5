"""The store hangs, is locked or is full: senders hear 503 in time, every 2xx is true, and it mends itself."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.crash.world import small_disk
from tests.support.airflow_server import PostgresServer
from tests.support.service import BridgeProcess, body, signed, wait_for
from tests.support.standin import Standin
from tests.support.store import Store

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]
Start = Callable[..., BridgeProcess]
MAPPING = "routes:\n  - pipeline: pl_8f2a9c1d4e\n    dag: load_orders\n"
MORE = "    rate: 500"
_SENDERS = 8
# PostgreSQL that hangs: 12 s for the answer that does not come, 5 s for the connection after it; and as long again for
# whoever came just after that began. A busy machine gets as much again: without any limit they would wait for ever.
_LONGEST_SECONDS = 80


@pytest.fixture
def standin() -> Iterator[Standin]:
    """A stand-in for Airflow, listening."""
    with Standin() as standin:
        yield standin


@dataclass
class Told:
    """What senders were told: by event the status, and how long the slowest had to wait."""

    answers: dict[str, list[int]] = field(default_factory=dict)
    refusals_without_a_time: int = 0
    slowest: float = 0.0

    def of(self, status: int) -> set[str]:
        """Return the events that were answered so at least once."""
        return {event for event, statuses in self.answers.items() if status in statuses}


class Senders:
    """Senders as Planasonix is one: an event that is not answered 2xx comes again, until it is."""

    def __init__(self, bridge: BridgeProcess) -> None:
        """Send to this bridge."""
        self.told = Told()
        self._url = f"http://127.0.0.1:{bridge.port}/hooks/planasonix"
        self._is_over = threading.Event()
        self._lock = threading.Lock()

    @contextmanager
    def sending(self) -> Iterator[Told]:
        """Send meanwhile; at the end every event that was begun is answered 2xx."""
        with ThreadPoolExecutor(_SENDERS) as pool:
            senders = [pool.submit(self._send, number) for number in range(_SENDERS)]
            try:
                wait_for(lambda: len(self.told.of(202)) > 40, seconds=20, what="some load")
                yield self.told
                before = len(self.told.of(202))
                wait_for(lambda: len(self.told.of(202)) > before + 40, seconds=60, what="taken in again")
            finally:
                self._is_over.set()
            for sender in senders:
                sender.result()

    def _send(self, number: int) -> None:
        with httpx.Client(timeout=_LONGEST_SECONDS + 20, trust_env=False) as client:
            count = 0
            while not self._is_over.is_set():
                count += 1
                self._deliver(client, f"evt_{number}_{count}")
                time.sleep(0.01)

    def _deliver(self, client: httpx.Client, event: str) -> None:
        payload = body(event=event)
        while True:
            began = time.monotonic()
            answer = client.post(self._url, content=payload, headers=signed(payload))
            with self._lock:
                told = self.told
                told.answers.setdefault(event, []).append(answer.status_code)
                told.slowest = max(told.slowest, time.monotonic() - began)
                told.refusals_without_a_time += answer.status_code == 503 and "Retry-After" not in answer.headers
            if answer.is_success:
                return
            time.sleep(0.2)


def compare(told: Told, where: Path | str, standin: Standin, bridge: BridgeProcess) -> None:
    """Hold what was told against what is stored and what runs."""
    statuses = {status for statuses in told.answers.values() for status in statuses}
    assert statuses <= {202, 200, 503}
    assert 503 in statuses
    assert told.refusals_without_a_time == 0
    assert told.slowest < _LONGEST_SECONDS
    acknowledged = told.of(202) | told.of(200)
    with closing(Store(where)) as store:
        stored = [row[0] for row in store.rows("SELECT event_id FROM deliveries")]
    # A 200 to an event that was never accepted: the first try was stored, and only its answer was lost.
    assert sorted(stored) == sorted(acknowledged) == sorted(told.answers)
    assert all(statuses.count(202) <= 1 for statuses in told.answers.values())
    wait_for(bridge.is_ready, seconds=30, what="ready again")
    wait_for(lambda: len(standin.runs()) >= len(acknowledged), seconds=60, what=lambda: f"{len(standin.runs())} runs")
    events = [run["conf"]["planasonix"]["event_id"] for run in standin.runs()]
    assert sorted(events) == sorted(acknowledged)


def test_postgresql_hangs(own_server: PostgresServer, standin: Standin, start_bridge: Start) -> None:
    """Every process of the server is stopped, so that its connections stay open and nothing is answered on them."""
    url = own_server.create_database("bridge")
    bridge = start_bridge(airflow_url=standin.url, mapping=MAPPING, more=MORE, settings={"BRIDGE_DATABASE_URL": url})
    with Senders(bridge).sending() as told:
        own_server.freeze()
        wait_for(lambda: len(told.of(503)) >= _SENDERS, seconds=_LONGEST_SECONDS, what="everyone is refused")
        # However long it has hung by now: a store that hangs is no reason to be killed.
        assert httpx.get(f"http://127.0.0.1:{bridge.port}/livez", timeout=120, trust_env=False).status_code == 200
        own_server.freeze(is_frozen=False)
    compare(told, url, standin, bridge)


def test_a_lock_on_the_table(postgres: str, standin: Standin, start_bridge: Start) -> None:
    """Somebody forgot a transaction that locks `deliveries`, as a migration by hand does."""
    bridge = start_bridge(
        airflow_url=standin.url, mapping=MAPPING, more=MORE, settings={"BRIDGE_DATABASE_URL": postgres}
    )
    with Senders(bridge).sending() as told:
        other = psycopg.connect(postgres)
        other.execute("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE")
        wait_for(lambda: len(told.of(503)) >= _SENDERS, seconds=_LONGEST_SECONDS, what="everyone is refused")
        other.close()
    compare(told, postgres, standin, bridge)


def test_sqlite_is_locked_by_another_program(tmp_path: Path, standin: Standin, start_bridge: Start) -> None:
    """Somebody has begun to write in a shell of their own and went for lunch."""
    bridge = start_bridge(airflow_url=standin.url, mapping=MAPPING, more=MORE)
    with Senders(bridge).sending() as told:
        other = bridge.database()
        other.execute("BEGIN IMMEDIATE")
        wait_for(lambda: len(told.of(503)) >= _SENDERS, seconds=_LONGEST_SECONDS, what="everyone is refused")
        other.close()
    compare(told, bridge.folder / "bridge.db", standin, bridge)


def test_a_full_disk(tmp_path: Path, standin: Standin, start_bridge: Start) -> None:
    """No byte is left on the store's volume; when there is room again nobody has to do anything."""
    with small_disk(tmp_path) as disk:
        if disk is None:
            pytest.skip("a small volume can be mounted by root alone")
        settings = {"BRIDGE_DATABASE_URL": f"sqlite:///{disk / 'bridge.db'}"}
        bridge = start_bridge(airflow_url=standin.url, mapping=MAPPING, more=MORE, settings=settings)
        with Senders(bridge).sending() as told:
            fill(disk / "filler")
            wait_for(lambda: len(told.of(503)) >= _SENDERS, seconds=30, what="everyone is refused")
            (disk / "filler").unlink()
        compare(told, disk / "bridge.db", standin, bridge)
        bridge.close()


def fill(path: Path) -> None:
    """Leave no byte on a volume."""
    with path.open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            return
