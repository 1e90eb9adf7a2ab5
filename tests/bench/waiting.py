"""Acknowledgements of a store beside triggers that wait for an Airflow that is down, against an empty store.

The triggers are written by SQL: held, each with its delivery. One webhook after the other is sent on a connection that
stays open; they match a route, so each of them wakes firing, which shows what waits as held. Empty and full take turns.
"""

import sqlite3
import statistics
import time
from collections.abc import Callable

import psycopg

from bridge.edges.inbox import prepare
from tests.bench import filling, machine, servers
from tests.support.service import BridgeProcess, body

_WARM_UP = 50
_SENT = 300
_LET_WAIT = "UPDATE triggers SET state = 'held', reason = 'airflow_down', attempts = 0, settled_at = NULL"


def measure(*, waiting: int, rounds: int) -> list[str]:
    """Fill a store of each kind, take turns, and return the section of the report."""
    servers.FOLDER.mkdir(parents=True, exist_ok=True)
    rows = [_row("PostgreSQL", _on_postgresql(waiting, rounds)), _row("SQLite", _on_sqlite(waiting, rounds))]
    return [
        f"## With {waiting:,} triggers that wait for an Airflow that is down",
        "",
        f"{rounds} rounds of {_SENT} webhooks, one after the other; each matches a route.",
        "",
        "| ack p50, ms | empty | full | ratio |",
        "|---|---|---|---|",
        *rows[::-1],
    ]


def _row(name: str, pairs: list[tuple[float, float]]) -> str:
    empty, full = (statistics.median(column) for column in zip(*pairs, strict=True))
    return f"| {name} | {empty:.1f} | {full:.1f} | {machine.spread([more / less for less, more in pairs])} |"


def _on_sqlite(waiting: int, rounds: int) -> list[tuple[float, float]]:
    path = servers.FOLDER / f"waiting-{time.monotonic_ns()}.db"
    try:
        url = f"sqlite:///{path}"
        prepare(url)
        filling.fill(url, waiting)
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute(_LET_WAIT)
        connection.close()
        return _take_turns(rounds, empty=lambda: None, full=url)
    finally:
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()


def _on_postgresql(waiting: int, rounds: int) -> list[tuple[float, float]]:
    with servers.postgres() as server:
        url = server.create_database("waiting")
        prepare(url)
        filling.fill(url, waiting)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(_LET_WAIT)
            connection.execute("VACUUM ANALYZE")  # as autovacuum does in the time in which so many come together
        names = iter(range(rounds))
        return _take_turns(rounds, empty=lambda: server.create_database(f"empty_{next(names)}"), full=url)


def _take_turns(rounds: int, *, empty: Callable[[], str | None], full: str) -> list[tuple[float, float]]:
    return [(_p50_ms(empty()), _p50_ms(full)) for _ in range(rounds)]


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
