"""An hour without Airflow, 20 webhooks a second: how the backlog drains when it is back. SQLite and PostgreSQL.

Airflow is the loopback stand-in at a fixed pace, since a real one would take half an hour: each answer takes 40 ms, and
16 calls run at once. A bare generator on the same stand-in says what that pace is worth. While it drains, a webhook
arrives ten times a second.
"""

import asyncio
import http.client
import json
import secrets
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from deploy.demo.processes import free_port
from tests.bench import machine, servers
from tests.bench.load import Requests, send_all
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import TOKEN, Standin

_AT_ONCE = 16
_ANSWER_SECONDS = 0.04
_DAG = "refresh_sales_marts"
_EVERY_SECONDS = 0.1
_TRIAL = 1_000


def measure(*, waiting: int) -> list[str]:
    """Fill and drain both stores, and return the section of the report."""
    servers.FOLDER.mkdir(parents=True, exist_ok=True)
    with _airflow(free_port()) as airflow:
        pace = _bare(airflow)
    lines = [
        f"## A backlog of {waiting:,} webhooks",
        "",
        f"The stand-in for Airflow answers after {_ANSWER_SECONDS * 1000:.0f} ms, {_AT_ONCE} calls at once; a bare "
        f"generator makes {pace:.0f} runs a second there.",
        "",
        "| | SQLite | PostgreSQL |",
        "|---|---|---|",
    ]
    columns = [_drain(waiting, pace, None)]
    with servers.postgres() as server:
        columns.append(_drain(waiting, pace, server.create_database("backlog")))
    return lines + [f"| {name} | {columns[0][name]} | {columns[1][name]} |" for name in columns[0]]


@contextmanager
def _airflow(port: int) -> Iterator[Standin]:
    airflow = Standin(port)
    airflow.dags[_DAG] = {"is_paused": False}

    def answer_slowly(_: dict[str, Any]) -> None:
        time.sleep(_ANSWER_SECONDS)

    airflow.before = answer_slowly
    with airflow:
        yield airflow


def _bare(airflow: Standin) -> float:
    """Return the runs a second that connections which do nothing else make."""
    numbers = iter(range(_TRIAL))
    lock = threading.Lock()
    port = int(airflow.url.rpartition(":")[2])

    def post() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while True:
            with lock:
                if next(numbers, None) is None:
                    break
            payload = json.dumps({"dag_run_id": f"bare_{secrets.token_hex(8)}", "logical_date": None, "conf": {}})
            headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
            connection.request("POST", f"/api/v2/dags/{_DAG}/dagRuns", payload, headers)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, text
        connection.close()

    began = time.monotonic()
    threads = [threading.Thread(target=post) for _ in range(_AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _TRIAL / (time.monotonic() - began)


def _drain(waiting: int, pace: float, store: str | None) -> dict[str, str]:
    """Let so many wait, bring Airflow back, and return what was seen."""
    port = free_port()
    more = f"    concurrency: {_AT_ONCE}\n    rate: 1000"
    url = f"http://127.0.0.1:{port}"
    with servers.bridge(mapping=servers.MATCHES, airflow_url=url, store=store, more=more) as bridge:
        pid, seen = bridge.process.pid, {}
        path = servers.FOLDER / "requests.backlog"
        requests, began = Requests(path, amount=waiting), time.monotonic()
        asyncio.run(send_all(requests, port=bridge.port))
        path.unlink()
        seen["taken in at"] = f"{waiting / (time.monotonic() - began):,.0f}/s"
        wait_for(
            lambda: _count(bridge, store, "deliveries", "routed") == waiting, seconds=600, what="every webhook routed"
        )
        seen["RSS with all of them waiting"] = f"{machine.memory_mb(pid)[0]:.0f} MB"
        with ExitStack() as stack:
            airflow = stack.enter_context(_airflow(port))
            back_at = time.monotonic()
            late = stack.enter_context(_meanwhile(bridge))
            wait_for(lambda: airflow.posts() > 0, seconds=120, what="the first call")
            first_at = time.monotonic()
            wait_for(lambda: len(airflow.runs(_DAG)) >= waiting, seconds=3600, what="as many runs as waited")
            seconds = time.monotonic() - first_at
            seen["from Airflow's return to the first call"] = f"{first_at - back_at:.1f} s"
            seen["drained at"] = f"{waiting / seconds:.0f}/s, {waiting / seconds / pace:.2f} of the generator"
            seen["RSS after it"] = f"{machine.memory_mb(pid)[0]:.0f} MB"
            seen |= late()
            total = waiting + int(seen.pop("_sent"))
            wait_for(
                lambda: _count(bridge, store, "triggers", "fired") == total, seconds=120, what="every trigger fired"
            )
            seen |= _judge(airflow, total, waiting)
    return seen


@contextmanager
def _meanwhile(bridge: BridgeProcess) -> Iterator[Callable[[], dict[str, str]]]:
    """Send a webhook ten times a second; yields what stops that and returns how long they took."""
    times: list[float] = []
    is_over = threading.Event()

    def send() -> None:
        while not is_over.wait(_EVERY_SECONDS):
            began = time.perf_counter()
            answer = bridge.send(body(event=f"evt_late_{secrets.token_hex(6)}", pipeline="pl_01hqxyz"))
            times.append(time.perf_counter() - began)
            assert answer.status_code == 202, answer.text

    thread = threading.Thread(target=send)
    thread.start()

    def stop() -> dict[str, str]:
        is_over.set()
        thread.join()
        p99 = machine.percentile(times, 99) * 1e3
        told = f"p50 {statistics.median(times) * 1e3:.0f} ms, p99 {p99:.0f} ms ({len(times)} webhooks)"
        return {"202 meanwhile": told, "_sent": str(len(times))}

    try:
        yield stop
    finally:
        is_over.set()
        thread.join()


def _judge(airflow: Standin, total: int, waiting: int) -> dict[str, str]:
    """Compare the runs with what was sent: how many, how often asked for, in which order."""
    order = [run["conf"]["planasonix"]["delivery_id"] for run in airflow.runs(_DAG)]
    assert len(order) == len(set(order)) == total, (len(order), len(set(order)), total)
    right = {delivery_id: place for place, delivery_id in enumerate(sorted(order))}
    moved = [abs(place - right[delivery_id]) for place, delivery_id in enumerate(order)][:waiting]
    return {
        "missing, doubled": "0, 0",
        "calls for each run": f"{airflow.posts() / total:.3f}",
        "places from the oldest-first order": f"p99 {machine.percentile(moved, 99):.0f}, largest {max(moved)}",
    }


def _count(bridge: BridgeProcess, store: str | None, table: str, state: str) -> int:
    return servers.ask(bridge, store, f"SELECT count(*) FROM {table} WHERE state = '{state}'")  # noqa: S608
