"""One bridge with something in every state, and one browser, for every test here: all of them run on one worker."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from bridge.rules.signature import PRESETS, Key, sign
from tests.support.chromium import Chromium, Reader
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin
from tests.web.conftest import TOKENS

MAPPING = """\
routes:
  - {name: orders, pipeline: pl_8f2a9c1d4e, on: succeeded, dag: load_orders, conf: {rows: "{{ event.rows_loaded }}"}}
  - {name: returns, pipeline: pl_returns, on: succeeded, dag: load_returns, owner: returns-team@example.com}
  - {name: by_day, pipeline: pl_by_day, dag: load_orders, conf: {day: "{{ event.parameters.business_date }}"}}
  - {name: parked, pipeline: pl_parked, on: succeeded, dag: load_parked, if_paused: hold}
  - {name: queued, pipeline: pl_queued, on: succeeded, dag: load_queued}
  - {name: nightly, pipeline: pl_nightly, on: succeeded, dag: load_nightly}
  - {name: never, pipeline: pl_never, on: failed, dag: alert}
"""
COUNTS = {"load_orders": 6, "load_nightly": 1, "load_queued": 1}  # DAG runs that are started

# What stands where in the end: deliveries, refusals, triggers, DAG runs.
_STANDS = {"routed": 13, "unrouted": 1, "stale": 1, "ignored": 2, "invalid": 1, "refused": 1, "copy": 1}
_STANDS |= {"fired": 8, "failed": 3, "held": 2, "run success": 2, "run failed": 1, "run running": 1, "run queued": 4}


@pytest.fixture(scope="package")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeProcess]:
    """A bridge whose webhooks, triggers and DAG runs have ended in every way that there is."""
    with Standin() as airflow:
        airflow.dags |= {"load_parked": {"is_paused": True}, "load_queued": {"is_paused": True}, "load_nightly": {}}
        bridge = BridgeProcess(
            tmp_path_factory.mktemp("bridge"),
            airflow_url=airflow.url,
            mapping=MAPPING,
            settings={f"BRIDGE_{role.upper()}_TOKEN": token for role, token in TOKENS.items()},
        )
        bridge.start()
        try:
            _plant(bridge, airflow)
            yield bridge
        finally:
            bridge.close()


def _plant(bridge: BridgeProcess, airflow: Standin) -> None:
    """Send webhooks of every kind, and wait until each stands where it belongs."""
    for number in range(6):
        bridge.send(body(event=f"evt_{number}"))
    for number in range(3):
        bridge.send(body(event=f"evt_day_{number}", pipeline="pl_by_day"))
    for word in ("returns", "parked", "queued", "nightly", "unknown"):
        bridge.send(body(event=f"evt_{word}", pipeline=f"pl_{word}"))
    bridge.send(body(event="evt_1"))  # a copy
    bridge.send(body(event="evt_2", run="another"))  # the same id, another body
    bridge.send(body(event="evt_old"), at=1_700_000_000)  # stale
    bridge.send(b'{"id": "evt_test", "type": "webhook.test", "data": {}}')  # ignored
    bridge.send(body(event="evt_odd"), path="/hooks/planasonix/pl_other")  # invalid: two pipelines
    _send_signed_with_another_secret(bridge)
    wait_for(lambda: {dag: len(airflow.runs(dag)) for dag in COUNTS} == COUNTS, seconds=20, what="DAG runs")
    for number, state in enumerate(("success", "success", "failed", "running")):
        airflow.move_run(state, airflow.runs()[number]["dag_run_id"])
    wait_for(lambda: _stands(bridge) == _STANDS, seconds=30, what=lambda: f"{_STANDS}; there is {_stands(bridge)}")
    # An order that leaves all as it is: what failed for its template fails again.
    bridge.api("replay", post={"filter": {"state": "failed", "route": "by_day"}, "reason": "the day is there now"})
    wait_for(lambda: bridge.api("orders")["orders"][0]["state"] == "done", seconds=30, what="the order's end")
    wait_for(lambda: _stands(bridge) == _STANDS, seconds=30, what=lambda: f"{_STANDS}; there is {_stands(bridge)}")


def _stands(bridge: BridgeProcess) -> dict[str, int]:
    """Return how many stand where."""
    states = (each["state"] for each in bridge.api("deliveries", limit=100)["deliveries"])
    kinds = (each["kind"] for each in bridge.api("refusals")["refusals"])
    triggers = bridge.triggers()
    return dict(
        Counter(
            [
                *states,
                *kinds,
                *(each["state"] for each in triggers),
                *(f"run {each['run_state']}" for each in triggers if each["run_state"]),
            ]
        )
    )


def _send_signed_with_another_secret(bridge: BridgeProcess) -> None:
    payload = body(event="evt_forged")
    headers = sign(PRESETS["planasonix"], Key("current", b"whsec_of_somebody_else_0000000"), payload, int(time.time()))
    url = f"http://127.0.0.1:{bridge.port}/hooks/planasonix"
    headers |= {"Content-Type": "application/json"}
    assert httpx.post(url, content=payload, headers=headers, trust_env=False, timeout=60).status_code == 401


@pytest.fixture(scope="package")
def chromium(planted: BridgeProcess) -> Iterator[Chromium]:
    """The browser."""
    with Chromium(planted.admin_port) as browser:
        yield browser


@pytest.fixture(scope="package")
def signed_in(chromium: Chromium) -> Any:
    """The cookie of an admin, so that not every test signs in."""
    item = chromium.reader()
    item.sign_in()
    kept = item.kept()
    item.close()
    return kept


@pytest.fixture
def reader(chromium: Chromium, signed_in: Any) -> Iterator[Reader]:
    """An admin who has signed in, and who found no fault at the end."""
    item = chromium.reader(storage_state=signed_in)
    yield item
    item.close()
    assert item.faults == []


@pytest.fixture
def plain_reader(chromium: Chromium) -> Iterator[Reader]:
    """A window that runs no scripts, whose reader has not signed in."""
    item = chromium.reader(scripts=False)
    yield item
    item.close()
    assert item.faults == []
