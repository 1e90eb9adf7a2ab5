"""How long `move` takes from SQLite to PostgreSQL, killed twice on its way, with work in flight.

The store holds a history, and webhooks that were acknowledged while their Airflow was slow: some are waiting, some are
being fired when the bridge is killed. `move` is killed when a third of the deliveries is over, and again at half of the
triggers; each time it is run again. Then the new store is held against the old one, table by table, the bridge is
started on it, and every webhook must have started its DAG run once. Each is sent again, and must be a copy.
"""

import os
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.bench import filling, servers
from tests.support.forkserver import CommandProcess
from tests.support.service import BridgeProcess, body, wait_for
from tests.support.standin import Standin

_PATIENCE = 600.0
_PIPELINE = "pl_01hqxyz"  # of what is filled in
_SLOW_SECONDS = 0.5  # of the stand-in: some triggers are being fired whenever the bridge is killed
_TABLES = ("deliveries", "triggers", "attempts", "completions")
_SUMS = (
    *(f"SELECT count(*) FROM {table}" for table in _TABLES),  # noqa: S608
    "SELECT sum(id % 1000003) FROM deliveries",
    "SELECT sum(received_at % 1000003) FROM deliveries",
    "SELECT sum(length(body)) FROM deliveries",
    "SELECT sum(delivery_id % 1000003) FROM triggers",
    "SELECT count(DISTINCT dag_run_id) FROM triggers",
    "SELECT count(*) FROM triggers WHERE state = 'fired'",
    "SELECT sum(trigger_id % 1000003) FROM attempts",
)


def measure(*, stored: int, waiting: int) -> list[str]:
    """Move so many stored deliveries and so many that wait, and return the section of the report."""
    mapping = servers.MATCHES.replace("refresh_sales_marts", "load_orders")
    with servers.postgres() as postgres, Standin() as airflow:
        target = postgres.create_database("moved")
        with servers.bridge(mapping=mapping, airflow_url=airflow.url) as bridge:
            bridge.stop()
            old = f"sqlite:///{bridge.folder / 'bridge.db'}"
            filling.fill(old, stored)
            os.sync()
            bridge.start()
            airflow.before = _slowly
            sent = [f"evt_moved_{number}" for number in range(waiting)]
            for event in sent:
                bridge.send(body(event=event, pipeline=_PIPELINE)).raise_for_status()
            bridge.kill()
            airflow.before = lambda _: None
            fired = len(airflow.runs())
            old_gb = filling.gigabytes(old)
            seconds = _move(bridge, target, stored)
            rows = _compare(bridge, target)
            bridge.set_variable("BRIDGE_DATABASE_URL", target)
            bridge.start()
            _check_runs(bridge, airflow, sent)
        new_gb = filling.gigabytes(target)
    return [
        f"## `move` of {stored:,} deliveries, killed twice",
        "",
        f"{waiting:,} more webhooks were acknowledged; {fired:,} of them had their run when the bridge was killed, the"
        " others got theirs from the new store, each one. All are copies when they are sent again.",
        "",
        "| | |",
        "|---|---|",
        f"| seconds, in three parts | {sum(seconds):.0f} ({', '.join(f'{part:.0f}' for part in seconds)}) |",
        f"| rows, the same on both sides | {rows:,} |",
        f"| rows a second | {rows / sum(seconds):,.0f} |",
        f"| GB in SQLite / in PostgreSQL | {old_gb:.2f} / {new_gb:.2f} |",
    ]


def _slowly(_: dict[str, Any]) -> None:
    time.sleep(_SLOW_SECONDS)


def _move(bridge: BridgeProcess, target: str, stored: int) -> list[float]:
    """Move, killed on the way twice; returns the seconds of each part."""
    return [
        _part(bridge, target, until=lambda: _inserted(target, "deliveries") >= stored // 3),
        _part(bridge, target, until=lambda: _inserted(target, "triggers") >= stored // 2),
        _part(bridge, target),
    ]


def _part(bridge: BridgeProcess, target: str, until: Callable[[], bool] | None = None) -> float:
    """Run the command, to its end or until it is killed."""
    process = CommandProcess("move", ["move", "--to", target], env=bridge.environment, log=bridge.folder / "move.log")
    began = time.monotonic()
    process.start()
    if until is None:
        wait_for(lambda: process.exit_code is not None, seconds=_PATIENCE, what="everything is moved")
        assert process.exit_code == 0, process.tail()
    else:
        wait_for(until, seconds=_PATIENCE, what="the moment to kill it")
        assert process.is_running, process.tail()
        process.kill()
    return time.monotonic() - began


def _inserted(target: str, table: str) -> int:
    """Return about how many rows were put into a table so far, without reading them."""
    statement = f"SELECT coalesce(max(n_tup_ins), 0) FROM pg_stat_user_tables WHERE relname = '{table}'"  # noqa: S608
    return servers.ask(None, target, statement)


def _compare(bridge: BridgeProcess, target: str) -> int:
    """Hold the stores against each other, by counts and by sums that another row would change; returns the rows."""
    for statement in _SUMS:
        old, new = (servers.ask(bridge, store, statement) for store in (None, target))
        assert old == new, f"{statement}: {old}, and {new} there"
    return sum(servers.ask(None, target, f"SELECT count(*) FROM {table}") for table in _TABLES)  # noqa: S608


def _check_runs(bridge: BridgeProcess, airflow: Standin, sent: list[str]) -> None:
    """Wait until each webhook has its run, send each again, and see that nothing more is started."""
    wait_for(lambda: len(airflow.runs()) >= len(sent), seconds=_PATIENCE, what="a run for each webhook")
    again = {bridge.send(body(event=event, pipeline=_PIPELINE)).status_code for event in sent}
    assert again == {200}, again
    wait_for(lambda: not bridge.triggers(state="pending"), seconds=_PATIENCE, what="nothing waits")
    runs = Counter(run["conf"]["planasonix"]["event_id"] for run in airflow.runs())
    assert runs == Counter(sent), runs - Counter(sent)
