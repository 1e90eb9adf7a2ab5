"""Acknowledgements of a SQLite store beside triggers that wait for an Airflow that is down, against an empty store.

The triggers are written by SQL: held, each with its delivery. One webhook after the other is sent on a connection that
stays open; they match a route, so each of them wakes firing, which shows what waits as held. Empty and full take turns.
"""

import sqlite3
import statistics
import time
from pathlib import Path

from bridge.edges.inbox import prepare
from tests.bench import filling, machine, servers
from tests.support.service import BridgeProcess, body

_WARM_UP = 50
_SENT = 300


def measure(*, waiting: int, rounds: int) -> list[str]:
    """Fill a store, take turns, and return the section of the report."""
    servers.FOLDER.mkdir(parents=True, exist_ok=True)
    path = servers.FOLDER / f"waiting-{time.monotonic_ns()}.db"
    empty: list[float] = []
    full: list[float] = []
    try:
        prepare(f"sqlite:///{path}")
        filling.fill(f"sqlite:///{path}", waiting)
        _let_wait(path)
        for _ in range(rounds):
            empty.append(_p50_ms(None))
            full.append(_p50_ms(f"sqlite:///{path}"))
    finally:
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
    ratio = machine.spread([more / less for less, more in zip(empty, full, strict=True)])
    return [
        f"## With {waiting:,} triggers that wait for an Airflow that is down",
        "",
        f"SQLite; {rounds} rounds of {_SENT} webhooks, one after the other; each matches a route.",
        "",
        "| what | empty | full | ratio |",
        "|---|---|---|---|",
        f"| ack p50, ms | {statistics.median(empty):.1f} | {statistics.median(full):.1f} | {ratio} |",
    ]


def _let_wait(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("UPDATE triggers SET state = 'held', reason = 'airflow_down', attempts = 0, settled_at = NULL")
    connection.close()


def _p50_ms(store: str | None) -> float:
    with servers.bridge(mapping=servers.MATCHES, store=store) as bridge:
        times = [_send(bridge) for _ in range(_WARM_UP + _SENT)]
    return statistics.median(times[_WARM_UP:]) * 1e3


def _send(bridge: BridgeProcess) -> float:
    payload = body(event=f"evt_{time.monotonic_ns()}", pipeline="pl_01hqxyz")
    began = time.perf_counter()
    answer = bridge.send(payload)
    seconds = time.perf_counter() - began
    assert answer.status_code == 202, answer.text
    return seconds
