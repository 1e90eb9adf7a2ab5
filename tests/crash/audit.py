"""The three lists: what was answered 2xx, what the store holds, what Airflow was asked for and made.

The store is read beside the bridge, with the databases' own drivers.
"""

import sqlite3
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import psycopg

from tests.crash.system import System
from tests.standin import read_journal

_DELIVERIES = "SELECT id, event_id, state FROM deliveries"
_TRIGGERS = "SELECT id, delivery_id, route, dag_id, dag_run_id, state, reason, detail FROM triggers"
_ENDINGS = "SELECT trigger_id FROM attempts WHERE outcome IN ('started', 'already_there')"
_WAITING = (
    "SELECT (SELECT COUNT(*) FROM deliveries WHERE state = 'received')"
    " + (SELECT COUNT(*) FROM triggers WHERE state IN ('pending', 'held', 'firing'))"
)


def rows(system: System, statement: str) -> list[tuple[Any, ...]]:
    """Ask the store, as it is committed."""
    if system.plan.store == "sqlite":
        path = system.direct_url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
            return connection.execute(statement).fetchall()
    with psycopg.connect(system.direct_url, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def waiting(system: System) -> int:
    """Return how many deliveries and triggers are not at their end."""
    return int(rows(system, _WAITING)[0][0])


@dataclass(slots=True)
class Audit:
    """What the comparison found; `faults` holds one sentence for each."""

    acknowledged: int = 0
    runs: int = 0
    calls: int = 0
    lost: int = 0
    doubled: int = 0
    stuck: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether the round passed."""
        return not self.faults


def compare(
    system: System, acknowledged: Mapping[str, str], *, may_be: Sequence[Collection[str]], must_be: Mapping[str, Any]
) -> Audit:
    """Compare the three lists.

    `may_be`: the sets of routes that a delivery may have triggered; `must_be`: those of single events that are known
    better (sent when the new mapping was surely in use).
    """
    audit = Audit(acknowledged=len(acknowledged))
    deliveries, triggers = rows(system, _DELIVERIES), rows(system, _TRIGGERS)
    journal = read_journal(system.journal)
    made = Counter((run["dag_id"], run["dag_run_id"]) for what, run in journal if what == "made")
    audit.runs, audit.calls = sum(made.values()), sum(what == "asked" for what, _ in journal)
    _compare_deliveries(audit, deliveries, triggers, acknowledged, may_be=may_be, must_be=must_be)
    _compare_triggers(audit, triggers, rows(system, _ENDINGS), made)
    for (dag_id, run_id), times in made.items():
        if times > 1:
            audit.doubled += 1
            audit.faults.append(f"run {run_id} of {dag_id} was made {times} times")
    by_event = Counter((run["conf"]["planasonix"]["event_id"], run["dag_id"]) for w, run in journal if w == "made")
    for (event, dag_id), times in by_event.items():
        if times > 1:
            audit.doubled += 1
            audit.faults.append(f"event {event} has {times} runs of {dag_id}")
    return audit


def _compare_deliveries(
    audit: Audit,
    deliveries: list[tuple[Any, ...]],
    triggers: list[tuple[Any, ...]],
    acknowledged: Mapping[str, str],
    *,
    may_be: Sequence[Collection[str]],
    must_be: Mapping[str, Any],
) -> None:
    stored = {event: number for number, event, _ in deliveries}
    if len(stored) != len(deliveries):
        audit.doubled += len(deliveries) - len(stored)
        audit.faults.append(f"{len(deliveries) - len(stored)} events are stored twice")
    for event, delivery_id in acknowledged.items():
        if stored.get(event) != int(delivery_id.removeprefix("dlv_"), 16):
            audit.lost += 1
            audit.faults.append(f"{event} was acknowledged as {delivery_id}, and the store has {stored.get(event)}")
    routes: dict[int, list[str]] = {}
    for _, delivery, route, *_ in triggers:
        routes.setdefault(delivery, []).append(route)
    for number, event, state in deliveries:
        found = sorted(routes.get(number, []))
        if state == "received":
            audit.stuck += 1
            audit.faults.append(f"delivery of {event} still waits for routing")
        elif state != "routed" or found not in [sorted(one) for one in may_be]:
            audit.lost += 1
            audit.faults.append(f"delivery of {event} is {state} with the routes {found}")
        elif event in must_be and found != sorted(must_be[event]):
            audit.lost += 1
            audit.faults.append(f"{event} came after the new mapping and has the routes {found}")


def _compare_triggers(
    audit: Audit, triggers: list[tuple[Any, ...]], endings: list[tuple[Any, ...]], made: Counter[tuple[str, str]]
) -> None:
    called = {(dag_id, run_id) for _, _, _, dag_id, run_id, *_ in triggers}
    settled = Counter(row[0] for row in endings)
    for number, _, route, dag_id, run_id, state, reason, detail in triggers:
        where = f"trigger {number} of {route} ({run_id}) is {state}, {reason}, {detail}"
        if state in ("pending", "held", "firing"):
            audit.stuck += 1
            audit.faults.append(where)
        elif state != "fired" or not made[dag_id, run_id]:
            audit.lost += 1
            audit.faults.append(f"{where}, runs: {made[dag_id, run_id]}")
        elif settled[number] != 1:
            audit.doubled += 1
            audit.faults.append(f"{where}, and was settled {settled[number]} times")
    for dag_id, run_id in made.keys() - called:
        audit.doubled += 1
        audit.faults.append(f"run {run_id} of {dag_id} belongs to no delivery")
