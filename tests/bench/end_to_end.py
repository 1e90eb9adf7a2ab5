"""From a webhook sent to its DAG run in Airflow, against a direct POST to the same Airflow.

Both ways begin with the wall clock of this machine just before the request leaves, and end with `queued_at`, which
Airflow stamps on the run when it makes it, by the same clock: no polling and no answer's way back is measured. They
go in turn, at a gentle and uneven rate, so that neither meets the other nor a timer of the bridge in step.
"""

import random
import secrets
import time
from dataclasses import dataclass, field
from datetime import datetime

from tests.bench import machine, servers
from tests.support.airflow_server import AirflowServer
from tests.support.service import BridgeProcess, body, wait_for

_PIPELINE = "pl_01hqxyz"
_DAG = "refresh_sales_marts"
_WARM_UP = 10
_START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Ways:
    """Milliseconds of each sample; `inside` is the bridge's own part of `bridged`, from its store."""

    direct: list[float] = field(default_factory=list)
    bridged: list[float] = field(default_factory=list)
    inside: list[float] = field(default_factory=list)


def measure(*, pairs: int, per_second: float) -> list[str]:
    """Start an Airflow and a bridge, send, and return the section of the report."""
    airflow = AirflowServer()
    try:
        with servers.bridge(mapping=servers.MATCHES, airflow_url=airflow.url) as bridge:
            ways = _sample(airflow, bridge, pairs, per_second)
    finally:
        airflow.close()
    return _section(ways, per_second)


def _sample(airflow: AirflowServer, bridge: BridgeProcess, pairs: int, per_second: float) -> Ways:
    """Send in turn; the first of each way open connections, sign in and import, and do not count."""
    direct: dict[str, float] = {}
    bridged: dict[str, float] = {}
    for number in range(_WARM_UP + pairs):
        is_counted = number >= _WARM_UP
        run_id = f"direct_{secrets.token_hex(6)}"
        began = time.time()
        airflow.trigger(_DAG, run_id, {"rows": 44802})
        if is_counted:
            direct[run_id] = began
        _pause(per_second)
        payload = body(event=f"evt_{secrets.token_hex(6)}", pipeline=_PIPELINE)
        began = time.time()
        delivery_id = bridge.send(payload).json()["delivery_id"]
        if is_counted:
            bridged[delivery_id] = began
        _pause(per_second)
    wait_for(lambda: _fired(bridge) >= _WARM_UP + pairs, seconds=_START_SECONDS, what="every trigger fired")
    return _read(airflow, bridge, direct, bridged)


def _pause(per_second: float) -> None:
    """Wait half of a period, give or take a half of that: two requests make one pair."""
    time.sleep(random.uniform(0.25, 0.75) / per_second)


def _fired(bridge: BridgeProcess) -> int:
    with bridge.database() as store:
        (amount,) = store.execute("SELECT count(*) FROM triggers WHERE state = 'fired'").fetchone()
    return int(amount)


def _read(airflow: AirflowServer, bridge: BridgeProcess, direct: dict[str, float], bridged: dict[str, float]) -> Ways:
    """Take the end of each from Airflow; every webhook must have made exactly one run."""
    ways = Ways()
    made: dict[str, float] = {}
    for run in airflow.runs(_DAG):
        queued_at = datetime.fromisoformat(run["queued_at"]).timestamp()
        if run["dag_run_id"] in direct:
            ways.direct.append((queued_at - direct[run["dag_run_id"]]) * 1e3)
        delivery_id = (run["conf"].get("planasonix") or {}).get("delivery_id")
        if delivery_id in bridged:
            made[delivery_id] = (queued_at - bridged[delivery_id]) * 1e3
    assert made.keys() == bridged.keys(), f"{len(bridged)} webhooks, {len(made)} with a run"
    assert len(ways.direct) == len(direct)
    ways.bridged.extend(made.values())
    ways.inside.extend(inside(bridge)[_WARM_UP:])
    return ways


def inside(bridge: BridgeProcess) -> list[float]:
    """Return, oldest first, the milliseconds from a delivery's receipt to the beginning of its call."""
    query = (
        "SELECT (a.started_at - d.received_at) / 1e3 FROM deliveries d JOIN triggers t ON t.delivery_id = d.id"
        " JOIN attempts a ON a.trigger_id = t.id WHERE a.number = 1 ORDER BY d.id"
    )
    with bridge.database() as store:
        return [row[0] for row in store.execute(query)]


def _section(ways: Ways, per_second: float) -> list[str]:
    rows = [("direct POST", ways.direct), ("through the bridge", ways.bridged)]
    lines = [
        "## Webhook sent to DAG run created",
        "",
        f"A real Airflow on PostgreSQL (api-server only, one worker), {len(ways.bridged)} pairs at {per_second:g} "
        "pairs a second, in turn. From the request's leaving to the run's `queued_at`.",
        "",
        "| way | p50 ms | p99 ms | worst ms |",
        "|---|---|---|---|",
    ]
    for name, values in rows:
        lines.append(f"| {name} | {' | '.join(f'{value:.1f}' for value in _cuts(values))} |")
    difference = [b - d for b, d in zip(_cuts(ways.bridged), _cuts(ways.direct), strict=True)]
    lines.append(f"| difference | {' | '.join(f'{value:+.1f}' for value in difference)} |")
    inside = _cuts(ways.inside)
    lines += [
        "",
        f"Inside the bridge, from the receipt to the beginning of the call: p50 {inside[0]:.1f} ms, "
        f"p99 {inside[1]:.1f} ms.",
    ]
    return lines


def _cuts(values: list[float]) -> list[float]:
    return [machine.percentile(values, percent) for percent in (50, 99, 100)]
