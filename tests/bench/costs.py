"""What a refusal costs beside an acceptance, and what the process holds idle, after a burst and with slow strangers."""

import asyncio
import socket
import time
from contextlib import ExitStack

from tests.bench import acks, machine, servers
from tests.bench.acks import MOST_A_SECOND, WARM_UP_SECONDS, pinned
from tests.bench.load import PATH, Requests, send, send_all
from tests.support.service import BridgeProcess, wait_for

_IDLE_SECONDS = 10.0
_SLOW = 500
_HEAD = f"POST {PATH} HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\n".encode()
_SLOW_HEAD = _HEAD + b"X-Slow: a"
_SLOW_BODY = _HEAD + b"Content-Length: 100000\r\n\r\n" + b"x" * 1000
# 401 for every one, instead of 429 once an address has earned 300 a minute.
_ANOTHER_SECRET = "whsec_of_somebody_else_000000000"
_UNLIMITED = "    limits: {deliveries_per_minute: 0, refusals_per_minute: 0}"


def measure(*, rounds: int, seconds: int, burst: int) -> list[str]:
    """Run everything and return the section of the report."""
    servers.FOLDER.mkdir(parents=True, exist_ok=True)
    return [
        "## What a refusal costs",
        "",
        f"Microseconds of processor time an answer, {rounds} rounds of {seconds} s each way on one core. Refused: the "
        "same webhooks signed with another secret; 401 with `refusals_per_minute: 0`, or the 429 that follows after "
        "300 a minute by default.",
        "",
        *_refusals(rounds, seconds),
        "",
        "## Memory",
        "",
        *_memory(burst),
    ]


def _refusals(rounds: int, seconds: int) -> list[str]:
    costs: dict[str, list[float]] = {"accepted": [], "401": [], "429": []}
    with (
        acks.made_requests(seconds * MOST_A_SECOND) as right,
        acks.made_requests(seconds * MOST_A_SECOND, secret=_ANOTHER_SECRET) as wrong,
    ):
        for _ in range(rounds):
            costs["accepted"].append(_cost(right, seconds))
            costs["401"].append(_cost(wrong, seconds, source=_UNLIMITED, is_refused=True))
            costs["429"].append(_cost(wrong, seconds, is_refused=True))
    lines = ["| answer | microseconds | of an acceptance |", "|---|---|---|"]
    for name, values in costs.items():
        ratios = [value / base for value, base in zip(values, costs["accepted"], strict=True)]
        lines.append(f"| {name} | {machine.spread(values, 0)} | {machine.spread(ratios)} |")
    return lines


def _cost(requests: tuple[Requests, Requests], seconds: int, *, source: str = "", is_refused: bool = False) -> float:
    """Return the microseconds of processor time of one answer; the first requests of the pair warm it up."""
    pinning = pinned()
    with servers.bridge(mapping=servers.MATCHES, source=source) as bridge:
        pid = bridge.process.pid
        machine.pin(pid, pinning.server)
        send(requests[0], port=bridge.port, seconds=WARM_UP_SECONDS, cores=pinning.generator, is_refused=is_refused)
        used = machine.cpu_seconds(pid)
        load = send(requests[1], port=bridge.port, seconds=seconds, cores=pinning.generator, is_refused=is_refused)
        return (machine.cpu_seconds(pid) - used) / load.answers * 1e6


def _memory(burst: int) -> list[str]:
    with servers.bridge(mapping=servers.MATCHES) as bridge:
        bridge.stop()  # the byte code is there now, as in an installation
        bridge.start()
        time.sleep(_IDLE_SECONDS)
        idle = _resident(bridge)
        rows = [("idle, the Airflow client imported", idle, 0.0)]
        path = servers.FOLDER / "requests.burst"
        peak = asyncio.run(_burst(bridge, Requests(path, amount=burst)))
        path.unlink()
        wait_for(lambda: _routed(bridge) == burst, seconds=300, what="every webhook routed")
        rows.append((f"largest during a burst of {burst:,} webhooks, until all were routed", peak, peak - idle))
        after = _resident(bridge)
        rows.append((f"{_IDLE_SECONDS:.0f} s after it", after, after - idle))
        for name, begun in (("heads", _SLOW_HEAD), ("bodies", _SLOW_BODY)):
            before = _resident(bridge)
            with_them = _held(bridge, begun)
            rows.append((f"with {_SLOW} slow {name}", with_them, with_them - before))
    lines = ["| when | RSS MB | more MB |", "|---|---|---|"]
    return lines + [f"| {name} | {rss:.0f} | {more:+.1f} |" for name, rss, more in rows]


async def _burst(bridge: BridgeProcess, requests: Requests) -> float:
    """Send every request once; returns the largest RSS meanwhile in MB."""
    peak = 0.0
    sending = asyncio.ensure_future(send_all(requests, port=bridge.port))
    while not sending.done():
        peak = max(peak, _resident(bridge))
        await asyncio.sleep(0.02)
    await sending
    return peak


def _held(bridge: BridgeProcess, begun: bytes) -> float:
    """Open slow connections, and return the largest RSS within three seconds in MB."""
    with ExitStack() as stack:
        for _ in range(_SLOW):
            stack.enter_context(socket.create_connection(("127.0.0.1", bridge.port), timeout=10)).sendall(begun)
        return max(_resident_after(bridge, 0.1) for _ in range(30))


def _resident_after(bridge: BridgeProcess, seconds: float) -> float:
    time.sleep(seconds)
    return _resident(bridge)


def _resident(bridge: BridgeProcess) -> float:
    return machine.memory_mb(bridge.process.pid)[0]


def _routed(bridge: BridgeProcess) -> int:
    return servers.ask(bridge, None, "SELECT count(*) FROM deliveries WHERE state = 'routed'")
