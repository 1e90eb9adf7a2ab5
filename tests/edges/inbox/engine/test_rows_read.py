"""No statement in the writer reads more rows than it changes, however much waits.

Whoever reads what waits while holding the writer lets every webhook wait for it. So each of them is run beside little
and beside much that waits, and what the database itself counts (SQLite: steps of its machine, PostgreSQL: rows read)
must be the same. What has to look further does so on a reading connection, in bounded pieces; those are here too.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, text

from bridge.edges.inbox import (
    Inbox,
    answers,
    chains,
    claiming,
    completions,
    dags,
    deadlines,
    deliveries,
    erasing,
    grouping,
    holds,
    moving,
    orders,
    pauses,
    prepare,
    triggers,
    turns,
    unmapped,
    waits,
)
from bridge.edges.inbox.engine.ids import delivery_text, first_id, order_text, trigger_text
from bridge.edges.inbox.filtering import Filter
from bridge.edges.inbox.pruning import old, prune
from bridge.edges.inbox.rows import microseconds
from bridge.rules.completion import Completion, Kind
from bridge.rules.hops import Cause
from bridge.words.dags import DagState, KnownDag
from bridge.words.errors import InboxUnavailable
from bridge.words.holds import Awaits
from bridge.words.orders import Action
from bridge.words.pauses import PauseKind
from bridge.words.reasons import Reason
from tests.support.store import Store, add, empty_store, stored

_LITTLE, _MUCH = 300, 6_000
_ROUTES = 20
_NOW = datetime.now(UTC)
_PAST, _OLD = microseconds(_NOW - timedelta(hours=1)), _NOW - timedelta(days=40)
_STEPS = 10  # of SQLite's machine, that count as one
_PAGE = 50

_CLAIM: dict[str, Any] = {"airflow": "default", "now": _NOW, "until": _NOW, "token": "t", "limit": 4}
_HOLD: dict[str, Any] = {"airflow": "default", "reason": Reason.AIRFLOW_DOWN, "limit": _ROUTES}
_PULL_IN: dict[str, Any] = {"now": _NOW, "slack": timedelta(0), "found": {300.0: [[1], [2]]}}
_FIRST, _SECOND = (delivery_text(first_id(microseconds(_OLD)) + n) for n in (1, 2))
_QUEUED = first_id(microseconds(_OLD + timedelta(days=1)))
_CAUSE = Cause((trigger_text(7),), "d", "no such run")
_PAUSED = first_id(microseconds(_OLD + timedelta(days=2)))
_LATER = deliveries.Postponed(_FIRST, _NOW, Reason.LOOKUP_FAILED, "slow", is_lookup=True)
WRITTEN: dict[str, Callable[[Connection], Any]] = {
    "hold": lambda c: claiming.hold(c, **_HOLD),
    "hold of an Airflow that is gone": lambda c: claiming.hold(c, **_HOLD | {"airflow": "gone"}),
    "claim": lambda c: claiming.claim(c, **_CLAIM, routes=None),
    "claim beside a full route": lambda c: claiming.claim(c, **_CLAIM, routes=["orders", "route_1"]),
    "take over": lambda c: triggers.take_over(c, now=_NOW),
    "take over everything": triggers.take_over_all,
    "take over look-ups": lambda c: deliveries.take_over_lookups(c, [_QUEUED + n for n in range(1, _PAGE)]),
    "move up": lambda c: _moved(c, "trigger", by=timedelta(minutes=1)),
    "move up a queue": lambda c: _moved(c, "queue", by=timedelta(hours=1)),
    "pull in": lambda c: moving.pull_in(c, **_PULL_IN),
    "pull in looks": lambda c: moving.pull_in_looks(c, now=_NOW, slack=timedelta(0)),
    "end leases": lambda c: moving.end_leases(c, now=_NOW, latest=_NOW),
    "prune": lambda c: prune(c, [first_id(microseconds(_OLD)) + n for n in range(1, _PAGE)]),
    "postpone": lambda c: deliveries.postpone(c, [_LATER]),
    "draw": lambda c: deliveries.draw(c, [_QUEUED + n for n in range(1, 17)], until=_NOW),
    "renew": lambda c: deliveries.renew(c, [_FIRST, _SECOND], until=_NOW),
    "reopen": lambda c: deliveries.reopen(c, _FIRST, now=_NOW),
    "hold a paused route": lambda c: pauses.hold_route(c, ("default", "full"), limit=_PAGE),
    "hold what is held": lambda c: pauses.hold_rows(c, [_PAUSED * 2 + n for n in range(1, _PAGE)]),
    "let go": lambda c: pauses.let_go(c, ("default", "paused"), limit=_PAGE),
    "make due what was put back": lambda c: turns.make_due(c, _HELD, now=_NOW, within=timedelta(minutes=59)),
    "give up what is too late": lambda c: deadlines.give_up(c, now=_NOW, limit=_PAGE),
    "release": lambda c: pauses.release(c, "paused", limit=_PAGE),
}
_ROW = first_id(microseconds(_OLD))
_LATER_ROW = first_id(microseconds(_OLD + timedelta(days=3)))
_SOON = microseconds(_NOW + timedelta(minutes=2))


def _moved(connection: Connection, kind: str, *, by: timedelta) -> None:
    """Move a page of what waits behind a ceiling."""
    rows = [((_LATER_ROW + n) * 2, _SOON + n) for n in range(1, _PAGE)]
    assert moving.move_up(connection, moving.Slice(kind, rows), by=by) == len(rows)


_JOB = Completion("s", Kind.JOB, "job_1", "succeeded", "pl_1")
_RUN = Completion("s", Kind.RUN, "42", "succeeded", "pl_2")  # of the second of many pipelines
_HELD = [trigger_text((_ROW + n) * 2 + 1) for n in range(1, orders.SLICE + 1)]
_ITEMS = [delivery_text(_ROW + n) for n in range(1, orders.SLICE)] + _HELD[-1:]
_ORDER = order_text(first_id(microseconds(_NOW)) + 1)


def _of_a_completion(connection: Connection, completion: Completion = _JOB) -> None:
    """Store and judge one more delivery of a completion, as routing does."""
    known = completions.tell(connection, {_SECOND: completion})
    completions.same_event(connection, known, _ROW + 2)
    completions.keep(connection, known, _ROW + 2)
    waits.tell_also(connection, _ROW + 2, ["run_1"])


def _erase(connection: Connection) -> None:
    """Erase an event while no key is folded: on SQLite its key has no index then."""
    if connection.dialect.name == "sqlite":
        connection.execute(text("UPDATE folded SET upto = 0"))
    event: dict[str, Any] = {"source": "s", "event_id": _FIRST, "rows": [_ROW + 1], "is_cancelling": True}
    erasing.erase(connection, **event, actor="test", reason="asked to", now=_NOW)


def _order(action: Action, ids: Sequence[str], then: Callable[[Connection], Any]) -> Callable[[Connection], Any]:
    """Return what places an order and then does something with it."""

    def place(connection: Connection) -> None:
        orders.place(connection, orders.NewOrder(action, "test", "asked", None, "key"), id_=_ORDER, ids=ids, now=_NOW)
        then(connection)

    return place


def _slice(connection: Connection) -> None:
    numbers = itertools.count(first_id(microseconds(_NOW)))
    done = orders.work(connection, _ORDER, new_trigger_id=lambda: trigger_text(next(numbers)), now=_NOW)
    assert done is not None
    assert "failed" not in done.outcomes


WRITTEN |= {
    "erase": _erase,
    "tell a completion": _of_a_completion,
    "tell a completion of a numbered run": lambda c: _of_a_completion(c, _RUN),
    "hold a completion": lambda c: completions.hold(c, _ROW + 1),
    "hold a completion of a numbered run": lambda c: completions.hold(c, _QUEUED + 1),
    "replay": _order(Action.REPLAY, _ITEMS, _slice),
    "run again": _order(Action.RUN_AGAIN, _HELD, _slice),
    "cancel": _order(Action.CANCEL, _HELD, _slice),
    "place an order once more": _order(Action.CANCEL, _HELD, _order(Action.CANCEL, _HELD, lambda _: None)),
    "stop an order": _order(
        Action.CANCEL, _HELD, lambda c: orders.stop(c, _ORDER, actor="test", reason=None, now=_NOW)
    ),
    "forget orders": lambda c: orders.prune(c, [_QUEUED + n for n in range(1, _PAGE)]),
}
_HELD_FOR_A_DAG = [trigger_text((_PAUSED + n) * 2 + 1) for n in range(1, _PAGE + 1)]
_HELD_ROWS = [holds.HeldRow(id_, "away", _NOW) for id_ in _HELD_FOR_A_DAG]
_DUE = [holds.Change(row, _NOW) for row in _HELD_ROWS]
_BEHIND = [holds.Change(row._replace(newer=holds.Newer(_HELD_FOR_A_DAG[-1], is_fired=False))) for row in _HELD_ROWS]
_STEPPED = [holds.StepRow(id_, "away", 1.0, Reason.DAG_PAUSED, is_doubted=False) for id_ in _HELD_FOR_A_DAG]
_DAG: dict[str, Any] = {"airflow": "default", "dag_id": "d"}
WRITTEN |= {
    "free a page": lambda c: holds.free(c, _DUE, **_DAG, after=0, upto=None, now=_NOW),
    "put behind a newer one": lambda c: holds.change(c, _BEHIND, now=_NOW),
    "warn of a hold": lambda c: holds.warn(c, [(row, 1.0) for row in _STEPPED]),
    "end holds": lambda c: holds.end(c, _STEPPED, now=_NOW),
    "hold what is held for a DAG": lambda c: pauses.hold_rows(c, [(_PAUSED + n) * 2 + 1 for n in range(1, _PAGE)]),
}
_ELSE: dict[str, Any] = {"airflow": "default", "now": _NOW, "limit": _PAGE}
READ: dict[str, Callable[[Connection], Any]] = {
    "what is held at a paused route": lambda c: pauses.held_else(c, **_ELSE, kind=PauseKind.ROUTE, route="down"),
    "what has the word already": lambda c: pauses.held_else(c, **_ELSE, kind=PauseKind.ROUTE, route="paused"),
    "what is held at a paused Airflow": lambda c: pauses.held_else(c, **_ELSE, kind=PauseKind.AIRFLOW, route=None),
    "what is held at a paused Airflow, in the middle": lambda c: pauses.held_else(
        c, **_ELSE, kind=PauseKind.AIRFLOW, route=None, after=(_PAST + 200, 0)
    ),
    "DAGs that something is held for": lambda c: holds.named(c, airflow="default"),
    "a page of what is held": lambda c: holds.page(c, **_DAG, awaits=[Awaits.UNPAUSED], after=0, limit=_PAGE),
    "a page of what is held, in the middle": lambda c: holds.page(
        c, **_DAG, awaits=[Awaits.THERE, Awaits.UNPAUSED], after=(_PAUSED + _PAGE) * 2, limit=_PAGE
    ),
    "what is set free and not fired": lambda c: holds.still_due(c, _HELD_FOR_A_DAG, now=_NOW),
    "holds that are not over": lambda c: holds.steps(c, **_DAG, clock=1.0, step=0, limit=_PAGE),
    "holds that are over": lambda c: holds.steps(c, **_DAG, clock=1e12, step=0, limit=_PAGE),
    "ready routes": lambda c: claiming.ready_routes(c, airflow="default", now=_NOW, full=["full"], limit=4),
    "what was put back for a DAG": lambda c: turns.put_back(
        c, airflow="default", dag_id="d", route="down", after=_OLD, until=_NOW, limit=_PAGE
    ),
    "Airflows with something pending": claiming.airflows_with_pending,
    "queues that begin late": lambda c: moving.late_queues(c, latest=_NOW - timedelta(hours=1)),
    "what is due far ahead": lambda c: moving.far_ahead(c, now=_NOW, slack=timedelta(0)),
    "old deliveries": lambda c: old(c, before=_NOW - timedelta(days=30), after=0, limit=_PAGE),
    "what was answered for a job": lambda c: answers.answers(c, source="s", names=["job_1"], since=_NOW),
    "queued for a look-up": lambda c: deliveries.queued(c, source="s", limit=16),
    "queued for a look-up of another source": lambda c: deliveries.queued(c, source="planasonix", limit=16),
    "what led to an event": lambda c: chains.trace(c, _CAUSE, airflows=["default"]),
    "what led to a delivery": lambda c: chains.behind(c, _FIRST),
    "due": lambda c: deliveries.due(c, now=_NOW, limit=_PAGE),
    "what waits for a mapping": lambda c: unmapped.waiting(c, limit=_PAGE),
    "causes": lambda c: grouping.causes(c, wanted=Filter(), limit=_PAGE),
    "causes of a DAG that is not there": lambda c: grouping.causes(c, wanted=Filter(dag_id="typo"), limit=_PAGE),
    "the next order": orders.next_order,
    "newest orders": lambda c: orders.newest(c, limit=_PAGE),
    "whether an order's items are there": lambda c: orders.missing(c, [*_ITEMS, *_HELD]),
    "what is too late": lambda c: deadlines.is_any_late(c, now=_NOW),
    "what is paused": pauses.read,
    "what a pause holds": pauses.held,
    "what waits for what is paused": lambda c: pauses.pending_places(c, airflows=["default"], routes=["full", "x"]),
}
_COMPLETION = (
    "INSERT INTO completions (delivery_id, source, kind, about_id, status, pipeline_id, nth)"
    " SELECT {id}, 's', 'job', 'job_' || CAST(n AS TEXT), 'succeeded', 'pl_1', 0 FROM {series}"
)
_NUMBERED = (
    "INSERT INTO completions (delivery_id, source, kind, about_id, status, pipeline_id, nth)"
    " SELECT {id}, 's', 'run', '42', 'succeeded', 'pl_' || CAST(n AS TEXT), n - 1 FROM {series}"
)
_STORED_ORDER = (
    "INSERT INTO orders (id, asked, action, actor, state, total, done, placed_at)"
    " SELECT {id}, {body}, 'cancel', 'test', {state}, 100, 0, 0 FROM {series}"
)
_STORED_PART = "INSERT INTO order_parts (order_id, position, ids) SELECT {id}, 0, 'trg_1' FROM {series}"
_DELIVERY = (
    "INSERT INTO deliveries (id, dedup_key, source, state, reason, received_at, due_at, key_id, headers, body)"
    " SELECT {id}, {key}, {source}, 'received', {reason}, 0, {due}, 'k', '{{}}', {body} FROM {series}"
)
_TRIGGER = (
    "INSERT INTO triggers (id, delivery_id, route, airflow, dag_id, dag_run_id, conf, max_age_seconds, state,"
    " reason, created_at, due_at, age_from) SELECT {id} * 2 + {odd}, {id}, {route}, 'default', 'd', CAST({id} AS TEXT)"
    " || {route}, '{{}}', 1, {state}, {reason}, 0, {past}, 0 FROM {series}"
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def little_and_much(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Inbox]]:
    """Two stores, filled once: little waits in one, and much in the other. Whatever a test does there is undone."""
    folder, opened = tmp_path_factory.mktemp("rows"), []
    for name, amount in (("little", _LITTLE), ("much", _MUCH)):
        if request.param == "sqlite":
            url = f"sqlite:///{empty_store(folder / name)}"
        else:
            url = request.getfixturevalue("postgres_server").create_database(f"rows_{name}")
            prepare(url)
        opened.append(Inbox(url))
        furnish(opened[-1])
        store = Store(url)
        fill(store, amount)
        store.close()
    yield opened
    for inbox in opened:
        inbox.close()


def furnish(inbox: Inbox) -> None:
    """Store some routes with something pending, and something for an Airflow that is gone."""
    for number in range(_ROUTES):
        add(inbox, stored(inbox, f"evt_{number}"), route=f"route_{number}", now=_NOW)
    add(inbox, stored(inbox, "evt_orders"), now=_NOW)
    add(inbox, stored(inbox, "evt_gone"), airflow="gone", now=_NOW)
    inbox.write(dags.store, [(KnownDag("default", "d", DagState.OK, _NOW, _NOW, freed=0), None)])


def fill(store: Store, amount: int) -> None:
    """Let so many old deliveries wait for routing, with as many triggers held and as many pending in a full route.

    As many wait for their turn to be looked up, as many completions are known, as many pipelines have a run of one
    number, and as many orders wait and have ended.
    As many wait for the pause of a source, and as many triggers for that of a route, for their DAG, and for their
    place behind a ceiling.
    """
    numbers = f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {amount}) SELECT n FROM c"  # noqa: S608
    words: dict[str, Any] = {
        "id": f"({first_id(microseconds(_OLD))} + n)",
        "key": "sha256(n::text::bytea)" if store.is_postgresql else "randomblob(16)",
        "body": "'x'::bytea" if store.is_postgresql else "x'78'",
        "series": f"({numbers}) AS many",
        "past": f"{_PAST} + n",
        "source": "'s'",
    }
    store.rows(_DELIVERY.format(**words, reason="NULL", due=_PAST))
    other = {"id": f"({_QUEUED} + n)", "key": words["key"].replace("(n:", "((-n):")}
    store.rows(_DELIVERY.format(**words | other, reason="'lookup_queued'", due=f"{_PAST} + n"))
    paused = words | {"id": f"({_PAUSED} + n)", "source": "'paused'"}
    paused["key"] = words["key"].replace("(n:", "((-1000000 - n):")
    store.rows(_DELIVERY.format(**paused, reason="'paused_by_person'", due=microseconds(triggers.NEVER)))
    down = "'airflow_down'"
    store.rows(_TRIGGER.format(**words, odd=0, route="'full'", state="'pending'", reason=down))
    store.rows(_TRIGGER.format(**words, odd=1, route="'down'", state="'held'", reason=down))
    store.rows(_TRIGGER.format(**paused, odd=0, route="'paused'", state="'held'", reason="'paused_by_person'"))
    store.rows(_TRIGGER.format(**paused, odd=1, route="'away'", state="'held'", reason="'dag_paused'"))
    later = words | {"id": f"({_LATER_ROW} + n)", "past": f"{_SOON} + n"}
    later["key"] = words["key"].replace("(n:", "((-2000000 - n):")
    store.rows(_DELIVERY.format(**later, reason="NULL", due=_PAST))
    store.rows(_TRIGGER.format(**later, odd=0, route="'ceiling'", state="'held'", reason="'hourly_ceiling'"))
    series = "'s'::bytea" if store.is_postgresql else "x'73'"
    store.rows(
        f"UPDATE triggers SET awaits = 'unpaused', series = {series}, series_at = id, hold_step_at = 1000000"  # noqa: S608
        " WHERE route = 'away'"
    )
    store.rows(_COMPLETION.format(**words))
    store.rows(_NUMBERED.format(**words | other))
    store.rows(_STORED_ORDER.format(**words, state="'running'"))
    store.rows(_STORED_ORDER.format(**words | {"id": other["id"]}, state="'stopped'"))
    store.rows(_STORED_PART.format(**words))
    store.rows(f"UPDATE triggers SET late_at = {_PAST}, doubted_at = {_PAST} WHERE route = 'down'")  # noqa: S608
    store.rows("UPDATE triggers SET late_at = 4102444800000000 WHERE route = 'full'")  # in the year 2100
    if store.is_postgresql:
        # As autovacuum does, and then no more: on a slow machine it would come amid what other tests undo.
        store.rows("VACUUM ANALYZE")
        for table in ("deliveries", "triggers", "completions", "orders", "order_parts"):
            store.rows(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    else:
        store.rows("UPDATE folded SET upto = ?", first_id(microseconds(_NOW)))


def reads(work: Callable[[Connection], Any]) -> Callable[[Connection], int]:
    """Return a function that does the work, counts what it reads, and undoes it."""

    def on_sqlite(connection: Connection) -> int:
        driver: Any = connection.connection.driver_connection
        steps = 0

        def step() -> int:
            nonlocal steps
            steps += 1
            return 0

        driver.set_progress_handler(step, _STEPS)
        try:
            work(connection)
        finally:
            driver.set_progress_handler(None, _STEPS)
        return steps

    def on_postgresql(connection: Connection) -> int:
        before = _rows_read(connection)
        work(connection)
        return _rows_read(connection) - before

    return lambda connection: (on_postgresql if connection.dialect.name == "postgresql" else on_sqlite)(connection)


def _rows_read(connection: Connection) -> int:
    counted = "SELECT COALESCE(SUM(seq_tup_read + COALESCE(idx_tup_fetch, 0)), 0) FROM pg_stat_xact_user_tables"
    return int(connection.execute(text(counted)).scalar_one())


def in_the_writer(inbox: Inbox, work: Callable[[Connection], Any]) -> int:
    """Count in a transaction that is undone, so that it can be done twice."""
    seen: list[int] = []

    def counted(connection: Connection) -> None:
        seen.append(reads(work)(connection))
        raise InboxUnavailable("undone")

    with pytest.raises(InboxUnavailable, match="undone"):
        inbox.write(counted)
    return seen[0]


@pytest.mark.parametrize("name", WRITTEN)
def test_the_writer_reads_no_more_the_more_waits(name: str, little_and_much: list[Inbox]) -> None:
    """Twenty times as much that is held, full, or old and waiting costs no further row."""
    few, many = (in_the_writer(inbox, WRITTEN[name]) for inbox in little_and_much)
    assert many <= few * 1.3 + 10 + orders.SLICE  # ids that it is given may be read, or not


@pytest.mark.parametrize("name", READ)
def test_what_is_looked_for_beside_it_is_looked_for_in_small_pieces(name: str, little_and_much: list[Inbox]) -> None:
    """A look of the background costs as much beside a backlog as without one."""
    few, many = (inbox.read(reads(READ[name])) for inbox in little_and_much)
    assert many <= few * 1.3 + 10 + orders.SLICE  # as above
