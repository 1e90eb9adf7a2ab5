"""Processor time of one thread for one part of the fast path, with nothing else beside it: the least of many turns.

`python -m tests.bench.alone loop|sqlite AMOUNT [TRICK...]`: microseconds a webhook without these tricks (plain.py).
loop: the event loop's work, the store and the socket being stand-ins, AMOUNT webhooks a commit. sqlite: rows of a
batch with their keys, folded, in a store with AMOUNT keys.
"""

import asyncio
import json
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvloop
from uvicorn.server import ServerState

from bridge.edges import inbox
from bridge.edges.inbox.engine import batches, engines, intake
from bridge.edges.inbox.engine.ids import IdMaker
from bridge.edges.metrics import Metrics
from bridge.flows.receiving import Receiving
from bridge.rules.signature import PRESETS, Key, Verifier, sign
from bridge.rules.sources import Source
from bridge.web.hooks import Hooks
from bridge.web.ops import PublicApp, Readiness
from bridge.web.server import Bounds, server
from tests.bench import plain, servers
from tests.bench.load import PATH, TEMPLATE
from tests.support.service import SECRET

_KEY = Key("current", SECRET.encode())
_TURNS, _COMMITS = 100, 20
_ROWS = 2048
_BATCH = 16  # webhooks that share a commit at some thousand a second
FILL = """\
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
INSERT INTO dedup SELECT randomblob(16) AS key, i FROM n ORDER BY key"""


def least(what: str, amount: int, tricks: Sequence[str]) -> float:
    """Return the microseconds a webhook, measured in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.alone", what, str(amount), *tricks]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


class _Waiting:
    """Stands for the inbox: what is accepted waits for a commit that the turn makes."""

    def __init__(self) -> None:
        self.queue: list[Callable[[Any], None]] = []

    def accept(self, *, then: Callable[[Any], None], **_: object) -> None:
        self.queue.append(then)

    def commit(self) -> None:
        queue, self.queue = self.queue, []
        for then in queue:
            then((1, True))


class _Transport(asyncio.Transport):
    """Stands for a socket that takes everything."""

    def write(self, data: Any) -> None:
        """Drop it."""

    def is_closing(self) -> bool:
        return False


def _connections(waiting: Any, amount: int) -> list[Any]:
    """Return connections of the public listener as uvicorn makes them."""
    metrics = Metrics(keys_by_source={"planasonix": ["current"]}, airflows=["default"])
    sources = {"planasonix": Source("planasonix", Verifier(PRESETS["planasonix"], [_KEY]))}
    receiving = Receiving(sources=sources, inbox=waiting, metrics=metrics, on_accepted=lambda: None)
    hooks = Hooks(receiving=receiving, metrics=metrics, max_body_bytes=1_048_576, body_seconds=10)
    app = PublicApp(hooks=hooks, readiness=Readiness(waiting), stalled=list)
    bounds = Bounds(16_384, 64, 10, 60, 100, 2_097_152, 16_777_216)
    config = server(app, name="public", bounds=bounds, metrics=metrics, take=app.take).config
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"Sat, 28 Nov 2026 00:00:00 GMT")]
    made = [config.http_protocol_class(config, server_state=state, app_state={}) for _ in range(amount)]
    for item in made:
        item.connection_made(_Transport())
    return made


def _request() -> bytes:
    body = json.dumps(json.loads(TEMPLATE), separators=(",", ":")).encode()
    signed = sign(PRESETS["planasonix"], _KEY, body, int(time.time()))
    headers = {"Host": "localhost", "Content-Type": "application/json", "Content-Length": str(len(body)), **signed}
    head = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    return f"POST {PATH} HTTP/1.1\r\n{head}\r\n".encode() + body


async def _loop(amount: int) -> float:
    waiting = _Waiting()
    connections, raw, loop = _connections(waiting, amount), _request(), asyncio.get_running_loop()
    turns = []
    for _ in range(_TURNS):
        began = time.thread_time()
        for _ in range(_COMMITS):
            for item in connections:
                item.data_received(raw)
            while len(waiting.queue) < amount:
                await asyncio.sleep(0)
            loop.call_soon_threadsafe(waiting.commit)
            while not all(item.cycle.response_complete for item in connections):
                await asyncio.sleep(0)
        turns.append((time.thread_time() - began) / _COMMITS / amount * 1e6)
    return min(turns)


def _sqlite(keys: int) -> float:
    servers.FOLDER.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=servers.FOLDER))
    url = f"sqlite:///{folder / 'bridge.db'}"
    inbox.prepare(url)
    turns = []
    with engines.open_writer(engines.read_url(url)).connect() as connection:
        made = batches.SqliteBatches(connection, IdMaker(node=1, microseconds=lambda: time.time_ns() // 1000, after=0))
        connection.connection.driver_connection.execute(FILL, (keys,))
        for _ in range(_TURNS // 4):
            rows = [[_row() for _ in range(_BATCH)] for _ in range(_ROWS // _BATCH)]
            began = time.thread_time()
            for batch in rows:
                made.write(batch, [])
            while made.waits():
                made.fold()
            turns.append((time.thread_time() - began) / _ROWS * 1e6)
    shutil.rmtree(folder)
    return min(turns)


def _row() -> Any:
    now = time.time_ns() // 1000
    key, event = secrets.token_bytes(16), f"evt_{secrets.token_hex(10)}"
    return intake.Row(key, "planasonix", event, "received", None, now, now, "current", now, None, "{}", b"x" * 800)


if __name__ == "__main__":
    part, number, *without = sys.argv[1:]
    for trick in without:
        plain.PLAIN[trick]()
    print(uvloop.run(_loop(int(number))) if part == "loop" else _sqlite(int(number)))
