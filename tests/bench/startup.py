"""From exec to the first green /readyz, and what the process holds when nothing happens."""

import re
import subprocess
import sys
import time

import httpx

from deploy.demo.airflow import REPOSITORY
from tests.bench import machine, servers
from tests.support.service import BridgeProcess, body, wait_for

_IDLE_SECONDS = 10.0
_POLL_SECONDS = 0.002
_LONGEST_SECONDS = 120.0
_IMPORT = re.compile(r"^import time:\s+(\d+) \|\s+(\d+) \| ( *)(\S+)$", re.MULTILINE)
_TOP = 25


def measure(*, starts: int) -> list[str]:
    """Start it often, then leave it alone, and return the section of the report."""
    with servers.bridge(mapping=servers.MATCHES) as bridge:  # makes the store, and the byte code if it is missing
        again = []
        for _ in range(starts):
            bridge.stop()
            again.append(_start(bridge))
        memory = _memory(bridge)
    return [
        "## Start and memory",
        "",
        f"- exec to /readyz 200, with byte code and a store that is there: {machine.spread(again)} s, {starts} starts",
        *(f"- {what}: RSS {rss:.0f} MB, PSS {pss:.0f} MB" for what, (rss, pss) in memory.items()),
    ]


def _start(bridge: BridgeProcess) -> float:
    """Start it and return the seconds until it is ready."""
    began = time.perf_counter()
    bridge.process.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{bridge.port}", trust_env=False, timeout=60) as client:
        while not _is_ready(client):
            assert time.perf_counter() - began < _LONGEST_SECONDS, bridge.process.tail()
            time.sleep(_POLL_SECONDS)
        return time.perf_counter() - began


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _memory(bridge: BridgeProcess) -> dict[str, tuple[float, float]]:
    """Return RSS and PSS: idle, and after one webhook went all its way (to an Airflow that refuses)."""
    time.sleep(_IDLE_SECONDS)
    idle = machine.memory_mb(bridge.process.pid)
    bridge.send(body(event="evt_memory", pipeline="pl_01hqxyz"))
    wait_for(lambda: bridge.triggers(state="held") != [], seconds=30, what="the trigger was tried")
    return {
        f"idle, {_IDLE_SECONDS:.0f} s after ready, the Airflow client imported": idle,
        "after one webhook": machine.memory_mb(bridge.process.pid),
    }


def import_times() -> list[str]:
    """Return the modules that cost most to import on the way to ready, and what they bring along."""
    with servers.bridge(mapping=servers.MATCHES) as bridge:
        bridge.stop()
        command = [sys.executable, "-X", "importtime", "-m", "bridge", "serve"]
        child = subprocess.Popen(command, env=bridge.environment, stderr=subprocess.PIPE, cwd=REPOSITORY, text=True)
        try:
            wait_for(bridge.is_ready, seconds=_LONGEST_SECONDS, what="ready")
        finally:
            child.terminate()
        told = child.communicate()[1].partition('"event": "ready"')[0]
        bridge.start()
    found = [(int(own), int(all_), module) for own, all_, _, module in _IMPORT.findall(told)]
    total = sum(own for own, _, _ in found)
    packages: dict[str, int] = {}
    for own, _, module in found:
        package = module.partition(".")[0]
        packages[package] = packages.get(package, 0) + own
    costly = sorted(packages.items(), key=lambda item: -item[1])[:_TOP]
    lines = [
        "## Imports on the way to ready",
        "",
        f"{len(found)} modules, {total / 1e3:.0f} ms (with the clock on)",
        "",
    ]
    return [*lines, "| package | own ms |", "|---|---|", *(f"| {name} | {us / 1e3:.1f} |" for name, us in costly)]
