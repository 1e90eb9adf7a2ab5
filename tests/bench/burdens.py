"""What somebody else's load costs: a list of large bodies, a Planasonix API that hangs, a stranger's junk. SQLite.

Each beside the same bridge without it: memory, processor time, or how long an honest 202 takes.
"""

import base64
import http.client
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bridge.edges.inbox import prepare
from bridge.edges.inbox.engine.ids import first_id
from tests.bench import machine, servers
from tests.support.jobs_api import JobsApi
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.store import Store

_LARGE_BYTES, _LISTED = 1_000_000, 300
_FILL = """\
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
INSERT INTO deliveries (id, dedup_key, source, state, received_at, due_at, key_id, headers, body)
SELECT ?2 + i, randomblob(16), 'planasonix', 'received', ?3, ?3, 'current', '{}',
CAST('{"id": "evt_' || i || '", "type": "job.succeeded", "job_id": "job_' || i || '"}' AS BLOB) FROM n WHERE i <= ?1"""
_KEYS, _STRANGERS = 5, 4
_CALM = 0.1  # of a core: less than a start takes, and a backlog that is planned again and again (0.79)
_SIGNATURES = " ".join("v1a," + base64.b64encode(bytes([number]) * 64).decode() for number in range(_KEYS))


def measure(*, waiting: int, seconds: float) -> list[str]:
    """Bring each burden, and return the section of the report."""
    lists, idle, junk = _lists(), _hanging(waiting, seconds), _strangers(seconds)
    return [
        "## What others' load costs",
        "",
        "| burden | without | with |",
        "|---|---|---|",
        f"| `GET deliveries?limit={_LISTED}`, bodies of {_LARGE_BYTES / 1e6:.0f} MB: RSS, MB"
        f" | {lists[0]:.0f} | {lists[1]:.0f} |",
        f"| an API that hangs while {waiting:,} deliveries want it: share of a core | {idle[0]:.3f} | {idle[1]:.3f} |",
        f"| {_STRANGERS} strangers' bodies of 1 MiB, one after the other, at a source with {_KEYS} public keys:"
        f" an honest 202, p50 ms | {junk[0]:.1f} | {junk[1]:.1f} |",
    ]


def _lists() -> tuple[float, float]:
    with servers.bridge(mapping=servers.MATCHES_NOTHING) as bridge:
        for number in range(_LISTED):
            payload = body(event=f"evt_{number}", filler="x" * (_LARGE_BYTES - 500))
            assert bridge.send(payload).status_code == 202
        before, _ = machine.memory_mb(bridge.process.pid)
        for _ in range(5):
            assert len(bridge.api("deliveries", limit=_LISTED)["deliveries"]) == _LISTED
        after, _ = machine.memory_mb(bridge.process.pid)
    return before, after


def _hanging(waiting: int, seconds: float) -> tuple[float, float]:
    with JobsApi() as api:
        source = f"    api: {{url: {api.url}, key: {{env: API_KEY}}, timeout_seconds: 30}}"
        shares = []
        for amount in (0, waiting):
            api.gate.clear()
            with _filled(source, amount) as bridge:
                _settle(bridge, amount)
                shares.append(machine.cpu_share(bridge.process.pid, seconds))
                api.gate.set()
    return shares[0], shares[1]


@contextmanager
def _filled(source: str, amount: int) -> Iterator[BridgeProcess]:
    folder = Path(tempfile.mkdtemp(prefix="burdens-", dir=servers.FOLDER))
    url = f"sqlite:///{folder / 'bridge.db'}"
    prepare(url)
    now = int(time.time() * 1e6)
    store = Store(folder / "bridge.db")
    store.rows(_FILL, amount, first_id(now), now)
    store.close()
    settings = {"API_KEY": "psk_0123456789abcdef"}
    bridge = BridgeProcess(
        folder, airflow_url="http://127.0.0.1:9", mapping=servers.MATCHES, source=source, settings=settings
    )
    try:
        bridge.start()
        yield bridge
    finally:
        bridge.close()
        shutil.rmtree(folder, ignore_errors=True)


def _settle(bridge: BridgeProcess, amount: int) -> None:
    """Wait until each was planned once: it is queued for the API, or is being asked for."""
    queued = "SELECT COUNT(*) FROM deliveries WHERE reason = 'lookup_queued'"
    wait_for(lambda: servers.ask(bridge, None, queued) >= amount - 100, seconds=300, what="every plan")
    wait_for(lambda: machine.cpu_share(bridge.process.pid, 1.0) < _CALM, seconds=60, what="a bridge that has started")


def _strangers(seconds: float) -> tuple[float, float]:
    keys = "".join(f"\n        - {{id: k{number}, env: KEY_{number}}}" for number in range(_KEYS))
    source = f"  partner:\n    signature:\n      preset: standard-webhooks\n      public_keys:{keys}"
    settings = {f"KEY_{number}": _public_key() for number in range(_KEYS)}
    with servers.bridge(mapping=servers.MATCHES_NOTHING, source=source, settings=settings) as bridge:
        alone = _p50_ms(bridge, seconds)
        command = [sys.executable, "-m", "tests.bench.burdens", str(bridge.port)]
        strangers = [subprocess.Popen(command) for _ in range(_STRANGERS)]
        try:
            beside = _p50_ms(bridge, seconds)
            assert all(each.poll() is None for each in strangers)
        finally:
            for each in strangers:
                each.kill()
                each.wait()
    return alone, beside


def _public_key() -> str:
    return "whpk_" + base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()


def _post_junk(port: int) -> None:
    """Post until somebody ends this process."""
    connection, junk = http.client.HTTPConnection("127.0.0.1", port, timeout=60), os.urandom(1 << 20)
    while True:
        headers = {
            "webhook-id": secrets.token_hex(8),
            "webhook-timestamp": str(int(time.time())),
            "webhook-signature": _SIGNATURES,
            "Content-Type": "application/json",
        }
        connection.request("POST", "/hooks/partner", junk, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status in (401, 429), answer.status


def _p50_ms(bridge: BridgeProcess, seconds: float) -> float:
    times, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.perf_counter()
        assert bridge.send(body(event=f"evt_{secrets.token_hex(8)}")).status_code == 202
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3


if __name__ == "__main__":
    _post_junk(int(sys.argv[1]))
