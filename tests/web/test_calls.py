"""What says whether the bridge is well depends on nothing that an admin call can use up; who left is not worked for.

A real PostgreSQL whose table is locked makes calls hang without any clock: they wait for as long as the lock is held
(or for the store's lock timeout, after which the next one takes the place).
"""

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psycopg
import pytest

from bridge.edges.inbox import Inbox, browsing
from bridge.edges.inbox.engine import stores
from bridge.web.calls import CHANGES, LOOKS, Calls, ClientLeft
from deploy.demo.processes import free_port
from tests.support.fixtures import inbox, path  # noqa: F401 - fixtures
from tests.support.service import TOKEN, BridgeProcess, body, wait_for
from tests.support.store import wait_for as wait_until
from tests.web.conftest import MAPPING
from tests.web.support import request

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
_WAITING = (
    "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = %s)"
)


class Locked:
    """A bridge whose admin calls hang: somebody holds the table `triggers`."""

    def __init__(self, bridge: BridgeProcess, database: psycopg.Connection) -> None:
        """Hold it."""
        self.bridge = bridge
        self._database = database
        self._transaction = database.transaction()
        self._transaction.__enter__()
        database.execute("LOCK TABLE triggers IN ACCESS EXCLUSIVE MODE")

    def waiting(self) -> int:
        """Return how many statements wait for it."""
        found = self._database.execute(_WAITING, [self._database.info.dbname]).fetchone()
        assert found is not None
        return int(found[0])

    def release(self) -> None:
        """Let everybody go on."""
        self._transaction.__exit__(None, None, None)

    def erased(self) -> set[str]:
        """Return the events of which nothing is kept."""
        return {row[0] for row in self._database.execute("SELECT event_id FROM deliveries WHERE erased_at > 0")}

    def connections(self) -> int:
        """Return how many connections the admin listener counts, the asking one among them."""
        text = httpx.get(f"{self.url}/metrics", headers=HEADERS, timeout=60, trust_env=False).text
        found = re.search(r'bridge_connections\{listener="admin"} (\S+)', text)
        assert found is not None
        return int(float(found[1]))

    @property
    def url(self) -> str:
        """The admin listener."""
        return f"http://127.0.0.1:{self.bridge.admin_port}"


@pytest.fixture
def locked(bridge: BridgeProcess, postgres: str) -> Iterator[Locked]:
    """The bridge of the test, with the table held."""
    with psycopg.connect(postgres, autocommit=True) as database:
        yield Locked(bridge, database)


@pytest.fixture
def bridge(tmp_path_factory: pytest.TempPathFactory, postgres: str) -> Iterator[BridgeProcess]:
    """A bridge on PostgreSQL that has two events."""
    item = BridgeProcess(
        tmp_path_factory.mktemp("bridge"),
        airflow_url=f"http://127.0.0.1:{free_port()}",
        mapping=MAPPING,
        settings={"BRIDGE_DATABASE_URL": postgres},
    )
    item.start()
    for event in ("evt_held", "evt_kept"):
        assert item.send(body(event=event)).status_code == httpx.codes.ACCEPTED
    yield item
    item.close()


@pytest.fixture
def connections() -> Iterator[Callable[[int], socket.socket]]:
    """Connections of the test, closed at its end."""
    with contextlib.ExitStack() as stack:
        yield lambda port: stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))


def look() -> bytes:
    """A call that only looks."""
    return request(method="GET", path="/api/v1/triggers", headers=HEADERS, length=False)


def erase(event: str) -> bytes:
    """A call that changes something."""
    payload = b'{"source": "planasonix", "event_id": "%s", "reason": "a test", "cancel": true}' % event.encode()
    return request(payload, path="/api/v1/erase", headers=HEADERS | {"Content-Type": "application/json"})


def test_probes_and_metrics_answer_however_many_admin_calls_hang(
    locked: Locked, connections: Callable[[int], socket.socket]
) -> None:
    """Forty looks and forty changes wait for the store; /readyz, /livez, /metrics and webhooks do not wait for them."""
    for _ in range(40):
        connections(locked.bridge.admin_port).sendall(look())
        connections(locked.bridge.admin_port).sendall(erase("evt_held"))
    wait_for(lambda: locked.waiting() >= LOOKS, seconds=30, what="calls that hang")
    public = f"http://127.0.0.1:{locked.bridge.port}"
    for url in (f"{public}/readyz", f"{public}/livez", f"{locked.url}/metrics"):
        assert httpx.get(url, headers=HEADERS, timeout=60, trust_env=False).status_code == httpx.codes.OK, url
    assert locked.bridge.send(body(event="evt_meanwhile")).status_code == httpx.codes.ACCEPTED
    locked.release()


def test_changes_that_hang_hold_up_no_look(locked: Locked, connections: Callable[[int], socket.socket]) -> None:
    """Whoever looks why nothing moves gets an answer."""
    for _ in range(20):
        connections(locked.bridge.admin_port).sendall(erase("evt_held"))
    answer = httpx.get(f"{locked.url}/api/v1/routes", headers=HEADERS, timeout=60, trust_env=False)
    assert answer.status_code == httpx.codes.OK
    assert [each["fired"] for each in answer.json()["routes"]] == [None] * len(answer.json()["routes"])  # store away
    locked.release()


def test_work_of_a_client_that_left_is_not_begun(
    bridge: BridgeProcess, locked: Locked, connections: Callable[[int], socket.socket]
) -> None:
    """Its change waits for a thread when it leaves; when the threads are free again, it is not made."""
    for _ in range(CHANGES):
        connections(bridge.admin_port).sendall(erase("evt_held"))
    wait_for(lambda: locked.connections() == CHANGES + 1, seconds=30, what="the changes before it")
    with socket.create_connection(("127.0.0.1", bridge.admin_port), timeout=60) as leaving:
        leaving.sendall(erase("evt_kept"))
        wait_for(lambda: locked.connections() == CHANGES + 2, seconds=30, what="one that waits")
    wait_for(lambda: locked.connections() == CHANGES + 1, seconds=30, what="the bridge to notice")
    locked.release()
    headers = HEADERS | {"Content-Type": "application/json"}
    nothing = {"source": "planasonix", "event_id": "evt_none", "reason": "comes behind it"}
    behind = httpx.post(f"{locked.url}/api/v1/erase", json=nothing, headers=headers, timeout=60, trust_env=False)
    assert behind.status_code == httpx.codes.NOT_FOUND
    assert "evt_kept" not in locked.erased()


def test_work_under_way_ends_when_its_client_leaves(inbox: Inbox) -> None:  # noqa: F811 - the fixture
    """It would never end by itself: the next read finds that nobody waits."""
    has_begun, ended = threading.Event(), threading.Event()

    def never_ending() -> None:
        try:
            while True:
                inbox.read(browsing.waiting)
                has_begun.set()
        finally:
            ended.set()

    async def receive() -> dict[str, Any]:
        await asyncio.to_thread(has_begun.wait)
        return {"type": "http.disconnect"}

    with pytest.raises(ClientLeft):
        asyncio.run(Calls("test", 1).run(receive, never_ending))
    wait_until(ended.is_set)
    assert inbox.read(browsing.waiting)  # a thread of its own is asked no question


def test_all_calls_together_leave_connections_to_others() -> None:
    """The store's pools are larger than what admin calls may hold at once, with room for probe, routing and firing."""
    assert LOOKS + CHANGES <= stores._CONNECTIONS // 2
