"""How a connection ends: by a sender that reads nothing, leaves half-way, or has begun the next request."""

import fcntl
import socket
import sqlite3
import struct
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.demo.processes import free_port
from tests.support.service import BridgeProcess, body, wait_for
from tests.web.conftest import MAPPING
from tests.web.server.test_slow_and_huge import open_connections
from tests.web.support import read_answer, request

SETTINGS = {"BRIDGE_IDLE_SECONDS": "6", "BRIDGE_HEAD_SECONDS": "6"}
_AT_ONCE = 15
_MOST_HELD = 64 << 20
_FULL_SECONDS = 2.0
SMALL = b"GET /hooks/nope HTTP/1.1\r\nHost: b\r\n\r\n"


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[BridgeProcess]:
    """A bridge that is soon tired of waiting."""
    item = BridgeProcess(tmp_path, airflow_url=f"http://127.0.0.1:{free_port()}", mapping=MAPPING, settings=SETTINGS)
    item.start()
    yield item
    item.close()


def answered_bytes(connection: socket.socket) -> int:
    """Return how many bytes the kernel holds of what was sent to this side: in the sender's queue and in our own."""
    unread = struct.unpack("i", fcntl.ioctl(connection, termios.FIONREAD, b"    "))[0]
    mine, theirs = (f":{address[1]:04X}" for address in (connection.getsockname(), connection.getpeername()))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, remote, _, queues = line.split()[1:5]
        if local.endswith(theirs) and remote.endswith(mine):
            return int(unread) + int(queues.partition(":")[0], 16)
    return int(unread)


def connection_full_of_answers(bridge: BridgeProcess) -> socket.socket:
    """Ask and read nothing, until the kernel takes no more answers and a few are left in the process."""
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as other:
        other.sendall(SMALL)
        size = len(other.recv(65_536))
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else many requests wait to leave together
    connection.settimeout(60)
    connection.connect(("127.0.0.1", bridge.port))
    asked = 0
    while asked < _MOST_HELD:
        connection.sendall(SMALL * _AT_ONCE)
        asked += _AT_ONCE * size
        until = time.monotonic() + _FULL_SECONDS
        while (answered := answered_bytes(connection)) < asked and time.monotonic() < until:
            time.sleep(0.001)
        if answered < asked:
            return connection
    raise AssertionError("the kernel takes any number of answers")


@pytest.mark.flood
@pytest.mark.parametrize("leaves", ["idle", "half-closed"])
def test_who_reads_no_answers_does_not_stay(bridge: BridgeProcess, leaves: str) -> None:
    """A little is left to send, for ever: the connection ends all the same."""
    with connection_full_of_answers(bridge) as connection:
        if leaves == "half-closed":
            connection.shutdown(socket.SHUT_WR)
        wait_for(lambda: open_connections(bridge) == 0, seconds=8, what="the connection has ended")


@pytest.mark.flood
def test_who_reads_no_answers_does_not_hold_up_a_stop(bridge: BridgeProcess) -> None:
    """It takes as long as the last answers may take, not as long as a stop may (two minutes here)."""
    bridge.stop()
    bridge.set_variable("BRIDGE_SHUTDOWN_SECONDS", "120")
    bridge.start()
    with connection_full_of_answers(bridge):
        began = time.monotonic()
        assert bridge.stop() == 0
        assert time.monotonic() - began < 60


@contextmanager
def locked_store(bridge: BridgeProcess) -> Iterator[None]:
    """Hold the store's write lock, so that no commit ends."""
    with sqlite3.connect(bridge.folder / "bridge.db", isolation_level=None, timeout=60) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
    other.close()


@pytest.mark.slow
def test_the_next_request_does_not_end_the_one_that_is_being_stored(bridge: BridgeProcess) -> None:
    """The beginning of a second one may take its time while the first one waits for its commit; and then no longer."""
    bridge.stop()
    bridge.set_variable("BRIDGE_HEAD_SECONDS", "1")  # well below the five seconds for which SQLite waits for a lock
    bridge.start()
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        with locked_store(bridge):
            connection.sendall(request(body(event="evt_first")))
            time.sleep(0.2)
            connection.sendall(b"POST /ho")
            time.sleep(1.5)
        assert read_answer(connection).status == 202
        assert connection.recv(1) == b""


def test_who_leaves_with_requests_under_way_causes_no_error(bridge: BridgeProcess) -> None:
    """Two webhooks and a question in one packet, then the end: what was taken in is stored, and nothing is logged."""
    with locked_store(bridge), socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
        connection.sendall(
            b"".join(request(body(event=f"evt_{n}")) for n in "12") + b"GET /readyz HTTP/1.1\r\nHost: b\r\n\r\n"
        )
        connection.shutdown(socket.SHUT_WR)
        time.sleep(0.3)
    wait_for(lambda: len(bridge.api("deliveries")["deliveries"]) >= 1, seconds=10, what="it is stored")
    time.sleep(0.3)
    assert "Traceback" not in bridge.log
