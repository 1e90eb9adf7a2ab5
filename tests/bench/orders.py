"""What a bulk replay costs webhooks: how long a 202 takes beside one, by the command and by the API. SQLite."""

import secrets
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bridge.edges.inbox import Inbox, prepare
from tests.bench import machine, servers
from tests.support.forkserver import COMMAND
from tests.support.service import BridgeProcess, body
from tests.support.store import Store, accept

_EVERY_SECONDS = 0.02
_AT_ONCE = 500


def measure(*, items: int, idle_seconds: float) -> list[str]:
    """Replay so many deliveries beside webhooks, and return the section of the report."""
    lines = [
        f"## A bulk replay of {items:,} beside webhooks",
        "",
        f"{1 / _EVERY_SECONDS:.0f} webhooks a second on SQLite, milliseconds until 202.",
        "",
        "| beside | seconds | p50 | p95 | p99 |",
        "|---|---|---|---|---|",
    ]
    servers.FOLDER.mkdir(parents=True, exist_ok=True)
    works: dict[str, Callable[[BridgeProcess], None]] = {
        "nothing": lambda _: time.sleep(idle_seconds),
        "`planasonix-bridge replay`": _by_command,
        "`POST /api/v1/replay`": _by_api,
    }
    for name, work in works.items():
        seconds, times = _beside(work, items)
        p50, p95, p99 = (machine.percentile(times, percent) * 1e3 for percent in (50, 95, 99))
        lines.append(f"| {name} | {seconds:.0f} | {p50:.0f} | {p95:.0f} | {p99:.0f} |")
    return lines


def _beside(work: Callable[[BridgeProcess], None], items: int) -> tuple[float, list[float]]:
    folder = Path(tempfile.mkdtemp(prefix="orders-", dir=servers.FOLDER))
    _fill(folder / "bridge.db", items)
    bridge = BridgeProcess(folder, airflow_url="http://127.0.0.1:9", mapping=servers.MATCHES_NOTHING)
    times: list[float] = []
    is_over = threading.Event()

    def send() -> None:
        while not is_over.wait(_EVERY_SECONDS):
            began = time.perf_counter()
            answer = bridge.send(body(event=f"evt_{secrets.token_hex(8)}"))
            times.append(time.perf_counter() - began)
            assert answer.status_code == 202, answer.text

    try:
        bridge.start()
        thread = threading.Thread(target=send)
        thread.start()
        began = time.monotonic()
        work(bridge)
        seconds = time.monotonic() - began
        is_over.set()
        thread.join()
    finally:
        bridge.close()
        shutil.rmtree(folder, ignore_errors=True)
    return seconds, times


def _fill(path: Path, items: int) -> None:
    """Make a store of deliveries that ended as `stale`, which nothing but a replay touches."""
    prepare(f"sqlite:///{path}")
    inbox = Inbox(f"sqlite:///{path}")
    for at in range(0, items, _AT_ONCE):
        accept(inbox, *[f"evt_{number}" for number in range(at, min(items, at + _AT_ONCE))])
    inbox.close()
    store = Store(path)
    store.rows("UPDATE deliveries SET state = 'stale'")
    store.close()


def _by_command(bridge: BridgeProcess) -> None:
    words = [str(COMMAND), "replay", "--state", "stale", "--yes"]
    subprocess.run(words, env=bridge.environment, check=True, capture_output=True)


def _by_api(bridge: BridgeProcess) -> None:
    answer: dict[str, Any] = bridge.api("replay", post={"filter": {"state": "stale"}})
    while answer.get("order", answer).get("state", "done") == "running":
        time.sleep(0.2)
        answer = bridge.api(f"orders/{answer.get('order', answer)['id']}")
