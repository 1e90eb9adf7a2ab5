"""What runs all the time, and what a person asks for, never reads all of history: the plans say so."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from bridge.edges.inbox import (
    Inbox,
    answers,
    asked,
    browsing,
    claiming,
    completions,
    deadlines,
    deliveries,
    erasing,
    finding,
    grouping,
    holds,
    moving,
    orders,
    pauses,
    run_ids,
    runs,
    silences,
    starts,
    triggers,
    turns,
    unsettled,
    walking,
)
from bridge.edges.inbox.adding import NewTrigger
from bridge.edges.inbox.browsing import Filter
from bridge.edges.inbox.deliveries import Routing
from bridge.edges.inbox.engine.ids import delivery_text, first_id
from bridge.edges.inbox.pruning import old, prune
from bridge.edges.inbox.rows import microseconds
from bridge.rules.completion import Completion, Kind
from bridge.words.holds import Awaits
from bridge.words.model import Call, DeliveryState, Limits, TriggerState
from bridge.words.pauses import PauseKind
from bridge.words.reasons import Reason
from bridge.words.runs import OpenRun, Progress, RunState
from tests.support.airflow_server import PostgresServer
from tests.support.store import Store, add, empty_store, stored

_HISTORY = 5_000
_RECENT = 100  # of them, half an hour old
_NOW = datetime.now(UTC)
_ODD_DELIVERIES = (DeliveryState.RECEIVED, *(s for s in DeliveryState if s not in ("routed", "received")))
_ODD_TRIGGERS = [state for state in TriggerState if state is not TriggerState.FIRED]
_RUN = OpenRun("trg_0000000000000001", "dlv_0000000000000001", "r", "d", "r", RunState.QUEUED, *[_NOW] * 4)
_LOOK = Progress(_RUN, RunState.SUCCESS, _NOW, _NOW, _NOW, None)

_CLAIM: dict[str, Any] = {"airflow": "default", "now": _NOW, "until": _NOW, "token": "t", "limit": 10}
_DAG: dict[str, Any] = {"airflow": "default", "dag_id": "d"}
_AWAY = holds.HeldRow("trg_0000000000000001", "orders", _NOW)
_NEWER = (None, holds.Newer("trg_0000000000000002", is_fired=True), holds.Newer("trg_0000000000000002", is_fired=False))
_CHANGES = [holds.Change(_AWAY._replace(newer=item), None if item else _NOW) for item in _NEWER]
_STEPS = [holds.StepRow(_AWAY.id, "orders", 1.0, Reason.DAG_PAUSED, is_doubted=doubt) for doubt in (True, False)]
_EDGE = delivery_text(first_id(microseconds(_NOW)))
_FAILED = ("status", "failed")
_JOB = Completion("s", Kind.JOB, "job_1", "succeeded")


def _hold(connection: Connection) -> None:
    completions.tell(connection, {"dlv_0000000000000001": _JOB})
    completions.hold(connection, 1)


def _route(connection: Connection) -> None:
    """Route the one that waits, under a DAG run id that another completion has and one that was another before."""
    waiting = connection.execute(text("SELECT MAX(id) FROM deliveries")).scalar_one()
    connection.execute(text("UPDATE deliveries SET state = 'received' WHERE id = :id"), {"id": waiting})
    taken = connection.execute(
        text("SELECT dag_run_id FROM triggers WHERE id = (SELECT MIN(id) FROM triggers)")
    ).scalar()
    call = Call("orders", "default", "d", str(taken), {}, None, Limits())
    new = NewTrigger("trg_0000000000000001", delivery_text(waiting), call, spare_run_id="spare", former_run_id="former")
    plan = Routing(new.delivery_id, DeliveryState.ROUTED, None, None, None, [new], _JOB)
    deliveries.settle_routing(connection, [plan], now=_NOW)


# By name: what is asked of the store. `True`: in a transaction that writes.
WORK: dict[str, tuple[bool, Callable[..., Any], dict[str, Any]]] = {
    "due": (False, deliveries.due, {"now": _NOW, "limit": 100}),
    "claim": (True, claiming.claim, _CLAIM | {"routes": None}),
    "claim of routes": (True, claiming.claim, _CLAIM | {"routes": ["orders"]}),
    "ready_routes": (
        False,
        claiming.ready_routes,
        {"airflow": "default", "now": _NOW, "full": ["busy"], "limit": 10},
    ),
    "put back for a DAG": (
        False,
        turns.put_back,
        {"airflow": "default", "dag_id": "d", "route": "orders", "after": _NOW, "until": _NOW, "limit": 200},
    ),
    "make due": (True, turns.make_due, {"ids": ["trg_0000000000000001"], "now": _NOW, "within": timedelta(minutes=59)}),
    "take_over": (True, triggers.take_over, {"now": _NOW}),
    "take_over_all": (True, triggers.take_over_all, {}),
    "renew": (True, deliveries.renew, {"delivery_ids": ["dlv_0000000000000001"], "until": _NOW}),
    "queued for a look-up": (False, deliveries.queued, {"source": "planasonix", "limit": 16}),
    "queued elsewhere": (False, deliveries.queued_elsewhere, {"sources": ["planasonix"], "limit": 16}),
    "what was answered for a job": (
        False,
        answers.answers,
        {"source": "planasonix", "names": ["job_1", "run_1"], "since": _NOW},
    ),
    "draw": (True, deliveries.draw, {"rows": [1], "until": _NOW}),
    "looked up": (False, deliveries.looked_up, {"now": _NOW}),
    "take_over_lookups": (True, deliveries.take_over_lookups, {"rows": [1, 2]}),
    "is any late": (False, deadlines.is_any_late, {"now": _NOW}),
    "give up": (True, deadlines.give_up, {"now": _NOW, "limit": 100}),
    "held by a pause": (False, pauses.held, {}),
    "pending places": (False, pauses.pending_places, {"airflows": ["default"], "routes": ["orders"]}),
    "held else": (
        False,
        pauses.held_else,
        {"kind": PauseKind.ROUTE, "airflow": "default", "route": "orders", "now": _NOW, "limit": 100},
    ),
    "held for DAGs": (False, holds.named, {"airflow": "default"}),
    "held for a DAG": (False, holds.page, _DAG | {"awaits": tuple(Awaits), "after": 0, "limit": 50}),
    "a newer one": (False, holds.newer, {"trigger_id": "trg_0000000000000001"}),
    "still due": (False, holds.still_due, {"ids": ["trg_0000000000000001"], "now": _NOW}),
    "steps of holds": (False, holds.steps, _DAG | {"clock": 1.0, "step": 0, "limit": 50}),
    "ending holds": (False, holds.ending, {}),
    "change": (True, holds.change, {"changes": _CHANGES, "now": _NOW}),
    "warn": (True, holds.warn, {"rows": [(step, 1.0) for step in _STEPS]}),
    "end holds": (True, holds.end, {"rows": _STEPS, "now": _NOW}),
    "hold a route": (True, pauses.hold_route, {"place": ("default", "orders"), "limit": 100}),
    "let go": (True, pauses.let_go, {"place": ("default", "orders"), "limit": 100}),
    "release": (True, pauses.release, {"source": "planasonix", "limit": 100}),
    "hold": (True, claiming.hold, {"airflow": "default", "reason": Reason.AIRFLOW_DOWN, "limit": 100}),
    "airflows_with_pending": (False, claiming.airflows_with_pending, {}),
    "recent_starts": (
        False,
        starts.recent_starts,
        {"routes": ["orders", "x"], "since": _NOW, "oldest": _NOW - timedelta(hours=1), "limit": 10},
    ),
    "due runs": (False, runs.due, {"airflow": "default", "now": _NOW, "limit": 100}),
    "named run": (False, runs.named, {"airflow": "default", "dag_id": "d", "dag_run_id": "r"}),
    "standing for a run": (False, runs.standing, {"airflow": "default", "dag_id": "d", "dag_run_id": "r"}),
    "looked at run": (True, runs.store, {"looks": [_LOOK]}),
    "open runs": (False, runs.count, {}),
    "ahead": (False, moving.ahead, {"now": _NOW}),
    **{
        f"move_up {kind}": (True, moving.move_up, {"part": moving.Slice(kind, [(1, 1)]), "by": timedelta(hours=1)})
        for kind in ("delivery", "trigger", "lease", "look", "queue")
    },
    "pull_in": (True, moving.pull_in, {"now": _NOW, "slack": timedelta(0), "found": {300.0: [[1], [2]]}}),
    "end_leases": (True, moving.end_leases, {"now": _NOW, "latest": _NOW}),
    "pull_in_looks": (True, moving.pull_in_looks, {"now": _NOW, "slack": timedelta(0)}),
    "far_ahead": (False, moving.far_ahead, {"now": _NOW, "slack": timedelta(0)}),
    "late_queues": (False, moving.late_queues, {"latest": _NOW}),
    "the first place of a queue": (False, moving._first_place, {"route": "orders", "firsts": {"default": 0}}),
    "queue": (False, moving.queue, {"route": "orders", "latest": _NOW}),
    "a source's newest webhook": (
        False,
        silences.newest,
        {"source": "planasonix", "since": _NOW - timedelta(minutes=6), "limit": 200_000},
    ),
    "old": (False, old, {"before": _NOW - timedelta(days=30), "after": 0, "limit": 200}),
    "prune": (True, prune, {"ids": [1, 2]}),
    "waiting": (False, browsing.waiting, {}),
    "backlog": (False, browsing.backlog, {}),
    "odd": (False, browsing.odd, {"limit": 100_001}),
    "tell": (True, completions.tell, {"telling": {"dlv_0000000000000001": _JOB, "dlv_0000000000000002": None}}),
    "hold a completion": (True, _hold, {}),
    "routing": (True, _route, {}),
    **{
        f"deliveries {state}": (False, browsing.deliveries, {"wanted": Filter(state=state), "limit": 20})
        for state in _ODD_DELIVERIES
    },
    **{
        f"triggers {state}": (False, browsing.triggers, {"wanted": Filter(state=state), "limit": 20})
        for state in _ODD_TRIGGERS
    },
    **{
        f"triggers {state} after": (False, browsing.triggers, {"wanted": Filter(state=state, until=_NOW), "limit": 20})
        for state in _ODD_TRIGGERS
    },
    **{
        f"triggers with run {state}": (False, browsing.triggers, {"wanted": Filter(run_state=state), "limit": 20})
        for state in ("queued", "failed", "deleted", "unknown")
    },
    **{
        f"ids {state}": (False, browsing.ids, {"table": "triggers", "wanted": Filter(state=state), "limit": 500})
        for state in _ODD_TRIGGERS
    },
    "an event": (
        False,
        browsing.deliveries,
        {"wanted": Filter(event_id="evt_waits", among=("planasonix", "other")), "limit": 20},
    ),
    "an event to erase": (False, erasing.find, {"source": "planasonix", "event_id": "evt_waits"}),
    "what an id means": (False, finding.find, {"id_": "x", "sources": ["planasonix"]}),
    "what may name an id": (False, unsettled.may_name, {"id_": "x", "since": None, "until": None}),
    "odd deliveries": (False, grouping.odd, {"since": _NOW - timedelta(days=1)}),
    "causes": (False, grouping.causes, {"wanted": Filter()}),
    "too late": (False, grouping.too_late, {"since": _NOW - timedelta(days=1)}),
    "taken for another completion's": (False, grouping.repeated, {"since": _NOW - timedelta(days=1)}),
    "stopped under a DAG run id": (
        False,
        run_ids.stopped_under,
        {"call": Call("orders", "default", "d", "run", {}, None, Limits()), "beside": "trg_0000000000000001"},
    ),
    **{
        f"deliveries by {name}": (False, browsing.deliveries, {"wanted": Filter(**{name: "x"}), "limit": 20})
        for name in ("pipeline_id", "job_id", "run_id")
    },
    **{
        f"triggers by {name}": (False, browsing.triggers, {"wanted": Filter(**{name: "x"}), "limit": 20})
        for name in ("pipeline_id", "job_id", "run_id")
    },
    **{
        f"deliveries by {name}": (
            False,
            browsing.deliveries,
            {"wanted": Filter(edge=_EDGE, **{name: value}), "limit": 20},
        )
        for name, value in (("source", "x"), ("reason", "x"), ("status", "failed"))
    },
    "deliveries unrouted by status": (
        False,
        browsing.deliveries,
        {"wanted": Filter(state="unrouted", status="failed"), "limit": 20},
    ),
    **{
        f"triggers by {name}": (
            False,
            browsing.triggers,
            {"wanted": Filter(edge=_EDGE.replace("dlv", "trg"), **{name: value}), "limit": 20},
        )
        for name, value in (*((name, "x") for name in ("reason", "route", "dag_id", "airflow", "source")), _FAILED)
    },
    "edge of what is unrouted": (
        False,
        walking.part,
        {"table": "deliveries", "wanted": Filter(state="unrouted", source="x")},
    ),
    "unrouted by source": (
        False,
        browsing.deliveries,
        {"wanted": Filter(state="unrouted", source="x", edge=_EDGE), "limit": 20},
    ),
    "deliveries of a busy pipeline": (
        False,
        browsing.deliveries,
        {"wanted": Filter(pipeline_id="x", edge=_EDGE), "limit": 20},
    ),
    "ids of a busy pipeline": (
        False,
        browsing.ids,
        {"table": "triggers", "wanted": Filter(state="failed", pipeline_id="x", is_busy=True), "limit": 500},
    ),
    "triggers of a busy pipeline": (
        False,
        browsing.triggers,
        {"wanted": Filter(pipeline_id="x", edge=_EDGE.replace("dlv", "trg"), is_busy=True), "limit": 20},
    ),
    **{
        f"triggers {wanted} of a source and a status": (
            False,
            browsing.triggers,
            {"wanted": Filter(source="x", status="failed", **wanted), "limit": 20},
        )
        for wanted in ({"state": "failed"}, {"state": "pending"}, {"run_state": "failed"})
    },
    "causes of a source and a status": (False, grouping.causes, {"wanted": Filter(source="x", status="failed")}),
    "what was asked for": (False, asked.page, {"since": _NOW, "after": None, "limit": 100}),
    "a delivery": (False, asked.is_there, {"delivery_id": "dlv_0000000000000001"}),
    "ids of an order": (False, orders.missing, {"ids": ["dlv_0000000000000001", "trg_0000000000000001"]}),
    **{
        f"count {state}": (False, browsing.count, {"table": "triggers", "wanted": Filter(state=state)})
        for state in _ODD_TRIGGERS
    },
}
_DELIVERY = (
    "INSERT INTO deliveries (id, dedup_key, source, state, received_at, due_at, key_id, headers, body)"
    " SELECT {id}, {key}, 's', 'routed', 0, 0, 'k', '{{}}', {body} FROM {series}"
)
_TRIGGER = (
    "INSERT INTO triggers (id, delivery_id, route, airflow, dag_id, dag_run_id, conf, max_age_seconds, state,"
    " created_at, due_at, age_from) SELECT {id}, {id}, 'orders', 'default', 'd', CAST({id} AS TEXT), '{{}}', 1,"
    " 'fired', 0, 0, 0 FROM {series}"
)


def _fill(url: str) -> None:
    """Store much that has ended and a little that waits."""
    with closing(Inbox(url)) as inbox:
        add(inbox, stored(inbox, "evt_waits"))
    with closing(Store(url)) as store:
        numbers = (
            f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {_HISTORY}) SELECT n FROM c"  # noqa: S608
        )
        long_ago, recent = (first_id(microseconds(_NOW - ago)) for ago in (timedelta(days=2), timedelta(minutes=30)))
        words = {
            "id": f"(CASE WHEN n > {_HISTORY - _RECENT} THEN {recent} ELSE {long_ago} END + n)",
            "key": "sha256(n::text::bytea)" if store.is_postgresql else "randomblob(32)",
            "body": "'x'::bytea" if store.is_postgresql else "x'78'",
            "series": f"({numbers}) AS many",
        }
        store.rows(_DELIVERY.format(**words))
        store.rows(_TRIGGER.format(**words))
        if store.is_postgresql:
            store.rows("ANALYZE")  # as autovacuum does; on SQLite nobody does


@pytest.fixture(scope="session")
def sqlite_history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a filled store, to copy: filling takes half a second."""
    path = empty_store(tmp_path_factory.mktemp("history") / "bridge.db")
    _fill(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_history(postgres_server: PostgresServer, postgres_template: str) -> str:
    """The name of a filled database to copy; its statistics are copied, too."""
    postgres_server.execute(f"CREATE DATABASE inbox_history TEMPLATE {postgres_template}")
    _fill(postgres_server.url("inbox_history"))
    return "inbox_history"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a filled store of the test's own."""
    if request.param == "sqlite":
        yield f"sqlite:///{shutil.copy(request.getfixturevalue('sqlite_history'), tmp_path)}"
        return
    template = request.getfixturevalue("postgres_history")
    with request.getfixturevalue("postgres_server").copied(template) as copy:
        yield copy


@pytest.fixture
def told(inbox: Inbox) -> Iterator[list[tuple[str, Any]]]:
    """Every statement that is executed, with its values, as its driver gets them."""
    found: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        found.append((statement, parameters))

    engines = (inbox._store.reading, inbox._store.writing)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield found
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


@pytest.mark.parametrize("name", WORK)
def test_no_statement_reads_all_of_history(name: str, inbox: Inbox, store: Store, told: list[tuple[str, Any]]) -> None:
    """Neither database scans a table, nor a whole index that has a row for everything."""
    writes, work, values = WORK[name]
    (inbox.write if writes else inbox.read)(work, **values)
    statements = [
        item for item in told if re.search(r"\b(SELECT|UPDATE|DELETE)\b.*\b(deliveries|triggers)\b", item[0], re.S)
    ]
    assert statements
    for statement, parameters in statements:
        plan = _plan(store, statement, parameters)
        assert not _scans(plan, is_postgresql=store.is_postgresql), (statement, plan)


def _plan(store: Store, statement: str, parameters: Any) -> str:
    explain = "EXPLAIN " if store.is_postgresql else "EXPLAIN QUERY PLAN "
    rows = store._connection.execute(explain + statement, parameters).fetchall()
    return "\n".join(str(row[-1]) for row in rows)


def _scans(plan: str, *, is_postgresql: bool) -> bool:
    if is_postgresql:
        return bool(re.search(r"Seq Scan on (deliveries|triggers)", plan)) or _reads_everything(plan)
    partial = r"USING (COVERING )?INDEX (deliveries|triggers)_(waiting|queued|pending|held|leased|open)"
    scans = re.findall(r"^SCAN (?:deliveries|triggers).*$", plan, re.M)
    by_id = re.search(r"^SEARCH triggers USING INTEGER PRIMARY KEY \(rowid<\?\)", plan, re.M)  # all before a moment
    return by_id is not None or any(not re.search(partial, scan) for scan in scans)


def _reads_everything(plan: str) -> bool:
    """Whether an index over all rows is read without a condition on it."""
    found = re.findall(r"Index (?:Only )?Scan (?:Backward )?using \w+_pkey on \w+ .*\n(.*)", plan)
    return any("Index Cond" not in line for line in found)
