"""How fast waiting triggers become DAG runs once Airflow is back, against a bare load generator on the same Airflow.

Both rates come from the stamps that Airflow puts on the runs (`queued_at`), first to last. The generator does nothing
but POST over connections that stay open, at the concurrency that gave it most in a short trial.
"""

import http.client
import itertools
import json
import secrets
import threading
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlsplit

from tests.bench import machine, servers
from tests.support.airflow_server import AirflowServer
from tests.support.service import BridgeProcess, body, wait_for

_PIPELINE = "pl_01hqxyz"
_DAG = "refresh_sales_marts"
_CONCURRENCIES = (1, 2, 4, 8, 16)
_NOBODY = "http://127.0.0.1:9"


def measure(*, waiting: int, pairs: int, trial: int) -> list[str]:
    """Find the generator's best concurrency with `trial` runs each, then let both drain in turns."""
    airflow = AirflowServer()
    try:
        trials = {at_once: _bare(airflow, trial, at_once) for at_once in _CONCURRENCIES}
        best = max(trials, key=lambda at_once: trials[at_once])
        rates = []
        for number in range(pairs):
            turns = {"bare": lambda: _bare(airflow, waiting, best), "bridge": lambda: by_bridge(airflow, waiting, best)}
            names = list(turns) if number % 2 == 0 else list(reversed(turns))
            rates.append({name: turns[name]() for name in names})
            print(f"  bare {rates[-1]['bare']:.1f}/s, bridge {rates[-1]['bridge']:.1f}/s", flush=True)
    finally:
        airflow.close()
    tried = ", ".join(f"{at_once}: {rate:.0f}/s" for at_once, rate in trials.items())
    return [
        f"## Draining {waiting:,} waiting triggers",
        "",
        "A real Airflow on PostgreSQL (api-server only, one worker), empty at each turn. Generator and bridge with "
        f"{best} calls at once, the generator's best of {tried}; the bridge with `rate: 1000`, since its default of "
        "10 a second is there to protect an Airflow.",
        "",
        "| pair | generator/s | bridge/s | ratio |",
        "|---|---|---|---|",
        *(
            f"| {number} | {item['bare']:.1f} | {item['bridge']:.1f} | {item['bridge'] / item['bare']:.2f} |"
            for number, item in enumerate(rates, 1)
        ),
        "",
        f"- the bridge: {machine.spread([item['bridge'] / item['bare'] for item in rates])} of the generator",
    ]


def _bare(airflow: AirflowServer, amount: int, at_once: int) -> float:
    """Return the runs a second that so many connections make."""
    airflow.reset()
    address, token = urlsplit(airflow.url), airflow.token()
    numbers: Iterator[int] = iter(range(amount))
    lock = threading.Lock()

    def post() -> None:
        connection = http.client.HTTPConnection(str(address.hostname), address.port or 80, timeout=60)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        for _ in iter(lambda: _next(numbers, lock), None):
            payload = {"dag_run_id": f"bare_{secrets.token_hex(8)}", "logical_date": None, "conf": {"rows": 44802}}
            connection.request("POST", f"/api/v2/dags/{_DAG}/dagRuns", json.dumps(payload), headers)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 200, text
        connection.close()

    threads = [threading.Thread(target=post) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _rate(airflow, amount)


def _next(numbers: Iterator[int], lock: threading.Lock) -> int | None:
    with lock:
        return next(numbers, None)


def by_bridge(airflow: AirflowServer, amount: int, at_once: int, *, more: str = "") -> float:
    """Take webhooks in while nobody answers for Airflow, then start again with the real one; returns runs a second."""
    airflow.reset()
    more = f"    concurrency: {at_once}\n    rate: 1000{more}"
    with servers.bridge(mapping=servers.MATCHES, airflow_url=_NOBODY, more=more) as bridge:
        _send(bridge, amount)
        wait_for(lambda: _triggers(bridge) == amount, seconds=120, what="every webhook routed")
        bridge.stop()
        config = bridge.folder / "bridge.yaml"
        config.write_text(config.read_text().replace(_NOBODY, airflow.url))
        bridge.start()
        wait_for(lambda: _triggers(bridge, "fired") == amount, seconds=600, what="every trigger fired")
    return _rate(airflow, amount)


def _send(bridge: BridgeProcess, amount: int) -> None:
    for number in range(amount):
        answer = bridge.send(body(event=f"evt_{secrets.token_hex(6)}_{number}", pipeline=_PIPELINE))
        assert answer.status_code == 202, answer.text


def _triggers(bridge: BridgeProcess, state: str = "%") -> int:
    return servers.ask(bridge, None, f"SELECT count(*) FROM triggers WHERE state LIKE '{state}'")  # noqa: S608


def _rate(airflow: AirflowServer, amount: int) -> float:
    stamps = sorted(datetime.fromisoformat(run["queued_at"]) for run in airflow.runs(_DAG))
    assert len(stamps) == amount, f"{len(stamps)} runs for {amount}"
    gaps = [(late - early).total_seconds() for early, late in itertools.pairwise(stamps)]
    return (amount - 1) / sum(gaps)
