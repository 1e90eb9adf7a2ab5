"""A value that must not be kept is searched for in everything that a real bridge writes or answers."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.rules.sealing import write_key
from tests.support import forkserver
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin

CANARY = "canary-7f3a"
MAPPING = """\
routes:
  - pipeline: pl_8f2a9c1d4e
    dag: load_orders
    conf: {email: "{{ event.parameters.email }}", all: "{{ event.data }}"}
    note: "{{ event.parameters.email }}"
  - name: breaks
    pipeline: pl_8f2a9c1d4e
    dag: load_orders
    conf: {number: "{{ event.parameters.email | int }}", missing: "{{ event.parameters.none }}"}
"""


@pytest.fixture
def standin() -> Iterator[Standin]:
    """A stand-in for Airflow, listening."""
    with Standin() as standin:
        yield standin


def make(folder: Path, standin: Standin, *, redact: str = "", **settings: str) -> BridgeProcess:
    """Configure a bridge, with redaction or settings of its own."""
    bridge = BridgeProcess(
        folder, airflow_url=standin.url, mapping=MAPPING, password="bridge-password", settings=settings
    )
    file = folder / "bridge.yaml"
    file.write_text(
        file.read_text().replace("airflow:\n", f"    redact: {redact}\nairflow:\n") if redact else file.read_text()
    )
    return bridge


def holding(folder: Path) -> list[str]:
    """Return the store's files that hold the canary."""
    return sorted(file.name for file in folder.glob("bridge.db*") if CANARY.encode() in file.read_bytes())


def answers(bridge: BridgeProcess) -> str:
    """Return everything that the admin listener tells."""
    told: list[Any] = [bridge.metrics(), bridge.api("status")]
    for kind in ("deliveries", "triggers"):
        told += [bridge.api(f"{kind}/{item['id']}") for item in bridge.api(kind)[kind]]
    return json.dumps(told)


def wait_until_settled(bridge: BridgeProcess, amount: int) -> None:
    """Wait until so many triggers have ended."""
    wait_for(
        lambda: sum(item["state"] in ("fired", "failed") for item in bridge.triggers()) == amount,
        seconds=30,
        what=lambda: f"{amount} triggers that ended; there is {bridge.triggers()}",
    )


def test_a_redacted_value_is_nowhere(tmp_path: Path, standin: Standin) -> None:
    """Not in the store's files, the log, the metrics, the API, nor in what Airflow is sent."""
    bridge = make(tmp_path, standin, redact="[/data/parameters/email]")
    try:
        bridge.start()
        assert bridge.send(body(event="evt_1", email=CANARY)).status_code == 202
        assert bridge.send(b'{"id": "evt_2", "data": {"parameters": {"email": "canary-7f3a"').status_code == 202
        wait_until_settled(bridge, 2)
        (run,) = standin.runs()
        assert run["conf"]["email"] == run["note"] == "[redacted]"
        assert run["conf"]["planasonix"]["parameters"] == {"email": "[redacted]"}
        for told in (json.dumps(run), answers(bridge), bridge.log):
            assert CANARY not in told
        assert holding(tmp_path) == []
        bridge.stop()
        assert holding(tmp_path) == []
    finally:
        bridge.close()


def test_an_encrypted_value_is_in_no_file(tmp_path: Path, standin: Standin) -> None:
    """Switched on over a store that has it in plain: the service rewrites it, and goes on firing with it."""
    bridge = make(tmp_path, standin)
    try:
        bridge.start()
        assert bridge.send(body(event="evt_1", email=CANARY)).status_code == 202
        wait_until_settled(bridge, 2)
        assert holding(tmp_path) != []
        bridge.stop()
        bridge.set_variable("BRIDGE_ENCRYPTION_KEYS", write_key("first", os.urandom(32)))
        bridge.start()
        wait_for(lambda: bool(bridge.api("status")["encryption"]["is_done"]), seconds=30, what="all rewritten")
        assert holding(tmp_path) == []
        assert bridge.send(body(event="evt_2", email=CANARY)).status_code == 202
        assert bridge.send(body(event="evt_1", email=CANARY)).status_code == 200
        wait_until_settled(bridge, 4)
        assert [run["conf"]["email"] for run in standin.runs()] == [CANARY, CANARY]
        assert CANARY in answers(bridge)
        assert CANARY not in bridge.log
        assert holding(tmp_path) == []
    finally:
        bridge.close()


def test_an_erased_value_is_in_no_file(tmp_path: Path, standin: Standin) -> None:
    """While the bridge serves the store, by the API and by the command line beside it; a copy starts nothing."""
    bridge = make(tmp_path, standin)
    try:
        bridge.start()
        for event in ("evt_1", "evt_2", "evt_3"):
            assert bridge.send(body(event=event, email=CANARY if event != "evt_3" else "kept")).status_code == 202
        wait_until_settled(bridge, 6)
        assert holding(tmp_path) != []
        order = {"source": "planasonix", "event_id": "evt_1", "reason": "ticket 4711"}
        assert bridge.api("erase", post=order | {"dry_run": True})["triggers"] == 2
        assert bridge.api("erase", post=order)["is_clean"]
        words = ["erase", "evt_2", "--source", "planasonix", "--reason", "ticket 4711", "--yes"]
        done = forkserver.run(*words, env=bridge.environment)
        assert (done.returncode, CANARY in done.stdout + done.stderr) == (0, False)
        assert holding(tmp_path) == []
        assert CANARY not in answers(bridge)
        assert CANARY not in bridge.log
        assert bridge.send(body(event="evt_1", email=CANARY)).status_code == 200
        assert len(standin.runs()) == 3
        with bridge.database() as connection:
            audited = connection.execute(
                "SELECT actor, action, reason FROM audit WHERE action = 'erased' ORDER BY id"
            ).fetchall()
        connection.close()
        assert [(action, reason) for _, action, reason in audited] == [("erased", "ticket 4711")] * 2
        assert audited[0][0] == "token:admin"
    finally:
        bridge.close()
