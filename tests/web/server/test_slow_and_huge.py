"""Many, slow and huge: what a flood costs the bridge in memory, and that honest senders do not notice it.

docs/security.md, "What a stranger may cost", in figures: 500 slow connections and a 100 MB header cost less than 32
MiB. Loopback only; every flood is bounded in number and time.
"""

import re
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.demo.processes import free_port
from tests.support.service import BridgeProcess, body, signed, wait_for
from tests.web.conftest import MAPPING
from tests.web.support import read_answer

pytestmark = [pytest.mark.crash, pytest.mark.flood, pytest.mark.timeout(180)]

MIB = 1 << 20
MOST_MIB = 32
HONEST = 5
HEAD = b"POST /hooks/planasonix HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module", autouse=True)
def _many_files() -> Iterator[None]:
    """Ten thousand connections are as many files here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """A bridge with the limits that it is shipped with, warm: everything is imported and has been used."""
    item = BridgeProcess(
        tmp_path_factory.mktemp("bridge"), airflow_url=f"http://127.0.0.1:{free_port()}", mapping=MAPPING
    )
    item.start()
    for number in range(300):
        assert item.send(body(event=f"evt_warm_{number}")).status_code == 202
    before = -1
    while before != (before := resident_bytes(item) // MIB):
        time.sleep(2)
    yield item
    item.close()


def resident_bytes(bridge: BridgeProcess) -> int:
    """Return the memory that the process has now."""
    status = Path(f"/proc/{bridge.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


@dataclass
class Watch:
    """What honest senders and the process's memory went through meanwhile."""

    before_bytes: int
    most_bytes: int = 0
    statuses: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def extra_mib(self) -> float:
        """How much the process grew at its largest."""
        return (self.most_bytes - self.before_bytes) / MIB

    def check(self, what: str, *, most_mib: int = MOST_MIB) -> None:
        """Fail if the flood cost too much, or if anybody honest was not served within a minute."""
        print(f"{what}: {self.extra_mib:+.1f} MiB, {len(self.seconds)} honest, slowest {max(self.seconds):.3f} s")
        assert self.extra_mib < most_mib
        assert set(self.statuses) == {202}
        assert len(self.statuses) >= HONEST


def send_at_once(bridge: BridgeProcess, payload: bytes) -> int:
    """Send one webhook in one piece and return its status, 0: cut off.

    A client that is not scheduled between head and body would be the most silent sender of all, which gives way.
    """
    headers = signed(payload) | {"Content-Length": str(len(payload))}
    lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in headers.items())
    try:
        with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as item:
            item.sendall(HEAD.replace(b"Content-Type: application/json\r\n", b"") + lines + b"\r\n" + payload)
            return read_answer(item).status
    except OSError:
        return 0


@contextmanager
def watched(bridge: BridgeProcess, name: str) -> Iterator[Watch]:
    """Send honest webhooks on new connections and look at the memory, every 50 ms."""
    watch, is_over = Watch(resident_bytes(bridge)), threading.Event()

    def look() -> None:
        while not is_over.wait(0.05):
            payload = body(event=f"evt_{name}_{len(watch.statuses)}")
            began = time.monotonic()
            status = send_at_once(bridge, payload)
            watch.seconds.append(time.monotonic() - began)
            watch.statuses.append(status)
            watch.most_bytes = max(watch.most_bytes, resident_bytes(bridge))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watch
        # On a slow machine few of them came in the meantime: the others are sent now.
        wait_for(lambda: len(watch.statuses) >= HONEST, seconds=120, what="honest webhooks")
    finally:
        is_over.set()
        thread.join()


@contextmanager
def connections(bridge: BridgeProcess, amount: int) -> Iterator[list[socket.socket]]:
    """Open so many connections, and close them at the end."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(("127.0.0.1", bridge.port), timeout=60)) for _ in range(amount)
        ]


def trickle(bridge: BridgeProcess, made: list[socket.socket], piece: Callable[[int], bytes]) -> None:
    """Send a piece on every connection again and again, until the bridge has ended nearly all of them."""
    wait_for(lambda: open_connections(bridge) >= len(made), seconds=5, what="all of them are open")
    round_ = 0
    while open_connections(bridge) >= 10:
        for item in made:
            try:
                item.settimeout(0)
                item.send(piece(round_))
            except OSError:
                continue
        round_ += 1
        time.sleep(0.5)


def open_connections(bridge: BridgeProcess) -> int:
    """Return how many connections the bridge counts."""
    found = re.search(r'bridge_connections\{listener="public"} (\S+)', bridge.metrics())
    assert found is not None
    return int(float(found[1]))


def test_500_slow_heads(bridge: BridgeProcess) -> None:
    """A byte of a header now and then: each is cut off after BRIDGE_HEAD_SECONDS."""
    with watched(bridge, "slow_heads") as watch, connections(bridge, 500) as made:
        trickle(bridge, made, lambda round_: b"a" if round_ else HEAD + b"X-Slow: ")
    watch.check("500 slow heads")


def test_500_slow_bodies(bridge: BridgeProcess) -> None:
    """A byte of the body now and then: each is answered 408 after BRIDGE_BODY_SECONDS."""
    first = HEAD + b"Content-Length: 100000\r\n\r\n" + b"x" * 1000
    with watched(bridge, "slow_bodies") as watch, connections(bridge, 500) as made:
        trickle(bridge, made, lambda round_: b"a" if round_ else first)
        for item in made[::100]:
            item.settimeout(60)
            assert read_answer(item).status == 408
    watch.check("500 slow bodies")


def test_500_large_heads_and_bodies_that_never_end(bridge: BridgeProcess) -> None:
    """As much as the limits of one connection allow on every one, 265 MB: 8 MiB are held, the rest is passing by."""
    filler = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 1000) for number in range(60))
    heads = HEAD + filler
    bodies = HEAD + b"Content-Length: 1048576\r\n\r\n" + b"x" * 1_000_000
    with watched(bridge, "large") as watch:
        for _ in range(4):
            with connections(bridge, 500) as made:
                for place, item in enumerate(made):
                    with suppress(OSError):
                        item.sendall(bodies if place % 2 else heads)
                time.sleep(0.5)
    assert re.search(r'reason="memory"} [1-9]', bridge.metrics())
    watch.check("250 heads of 60 KB and 250 bodies of 1 MB that never end", most_mib=48)


def test_4000_requests_of_60_kb_that_are_answered_at_once(bridge: BridgeProcess) -> None:
    """Each in one packet, 401 or 429, on connections that stay open for a while: 240 MB pass by, nothing is kept."""
    request = HEAD + b"Content-Length: 60000\r\n\r\n" + b"x" * 60_000
    with watched(bridge, "answered") as watch:
        for _ in range(10):
            with connections(bridge, 400) as made:
                for item in made:
                    item.sendall(request)
                assert {read_answer(item).status for item in made} <= {401, 429}
    watch.check("4000 requests of 60 KB")


def test_a_header_of_100_mb(bridge: BridgeProcess) -> None:
    """It is cut off after BRIDGE_MAX_HEAD_BYTES, however it is packed."""
    with watched(bridge, "huge_header") as watch:
        for head in (HEAD + b"X-Huge: ", HEAD[:-2] + b"\r\n"):
            piece = b"x" * MIB if head.endswith(b": ") else b"X-Many: y\r\n" * 90_000
            sent = 0
            with socket.create_connection(("127.0.0.1", bridge.port), timeout=60) as connection:
                connection.sendall(head)
                try:
                    while sent < 100 * MIB:
                        sent += connection.send(piece)
                except ConnectionError:
                    pass
            assert sent < 100 * MIB
        time.sleep(1)
    watch.check("a header of 100 MB")


def test_a_body_of_5_mb_without_length(bridge: BridgeProcess) -> None:
    """413 as soon as it is too large, ten at a time."""
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    with watched(bridge, "huge_body") as watch:
        for _ in range(10):
            with connections(bridge, 10) as made:
                for item in made:
                    item.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
                statuses = [flood(item, chunk, times=80) for item in made]
            assert set(statuses) <= {413, 0}
            assert 413 in statuses
    watch.check("bodies of 5 MB without length")


def flood(connection: socket.socket, piece: bytes, *, times: int) -> int:
    """Send until it is refused, and return the answer's status; 0 if the reset overtook it."""
    try:
        for _ in range(times):
            connection.sendall(piece)
            time.sleep(0.0005)
    except OSError:
        pass
    try:
        return read_answer(connection).status
    except OSError:
        return 0


def test_10000_connections_left_open(bridge: BridgeProcess) -> None:
    """BRIDGE_MAX_CONNECTIONS of them stay; the newcomer always gets in, also an honest one."""
    with watched(bridge, "left_open") as watch, connections(bridge, 10_000):
        time.sleep(3)
        assert open_connections(bridge) <= 1000
    assert re.search(r'reason="crowded"} [1-9]', bridge.metrics())
    watch.check("10,000 connections left open")


def test_nothing_is_left_behind(bridge: BridgeProcess) -> None:
    """After everything: no connection counted, no trouble of its own, and the next webhook is taken."""
    wait_for(lambda: open_connections(bridge) <= 2, seconds=15, what="all connections gone")
    assert "Traceback" not in bridge.log
    assert bridge.send(body(event="evt_after_everything")).status_code == 202
