"""Pauses in the store: what is held for them keeps its place, and goes on in the order in which it came."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, browsing, claiming, deliveries, pauses, pausing, triggers
from bridge.edges.inbox.deliveries import Postponed
from bridge.edges.inbox.engine.ids import number
from bridge.edges.inbox.triggers import NEVER
from bridge.words.model import TriggerState
from bridge.words.pauses import Pause, PauseKind
from bridge.words.reasons import Reason
from tests.support.store import LATER, NOW, Store, add, claim, stored

HOUR = timedelta(hours=1)
ROUTE = Pause(PauseKind.ROUTE, "orders", "cli:anna", NOW, None, "a move")
PLACE = ("default", "orders")


def put(inbox: Inbox, pause: Pause = ROUTE) -> Pause:
    """Store a pause."""
    return inbox.write(pausing.put, pause)


def some(inbox: Inbox, count: int, **more: str) -> list[str]:
    """Return triggers, each a second younger than the one before."""
    return [
        add(inbox, stored(inbox, f"evt_{n}_{more}"), now=NOW + n * LATER, dag_run_id=f"r{n}{more}", **more)
        for n in range(count)
    ]


def found(inbox: Inbox, id_: str) -> tuple[TriggerState, Reason | None]:
    """Return state and reason of a trigger."""
    item = inbox.read(triggers.get, id_)
    assert item is not None
    return item.state, item.reason


def aside(inbox: Inbox, *ids: str) -> None:
    """Put deliveries aside as routing does."""
    later = [Postponed(id_, NEVER, Reason.PAUSED_BY_PERSON, None, is_lookup=False) for id_ in ids]
    inbox.write(deliveries.postpone, later)


def test_a_pause_is_stored_and_audited(inbox: Inbox, open_inbox: Callable[..., Inbox], store: Store) -> None:
    """Another process reads it as it was asked for."""
    put(inbox)
    assert open_inbox().read(pauses.read).all == (ROUTE,)
    assert store.rows("SELECT actor, action, subject, reason FROM audit") == [
        ("cli:anna", "paused", "route orders", "a move")
    ]


def test_what_is_paused_again_is_prolonged(inbox: Inbox, store: Store) -> None:
    """It stays paused since when it was; who and why are the newest; both are in the audit log."""
    put(inbox)
    later = Pause(PauseKind.ROUTE, "orders", "api", NOW + HOUR, NOW + 2 * HOUR, None)
    assert put(inbox, later) == Pause(PauseKind.ROUTE, "orders", "api", NOW, NOW + 2 * HOUR, None)
    assert store.one("SELECT COUNT(*) FROM audit") == 2


@pytest.mark.parametrize("lasting", [HOUR, None])
def test_the_same_pause_sent_again_changes_nothing(inbox: Inbox, store: Store, lasting: timedelta | None) -> None:
    """Within a minute, by the same caller: whoever got no answer may ask again, and is told of the first."""

    def asked(at: datetime) -> Pause:
        return Pause(PauseKind.ROUTE, "orders", "api", at, None if lasting is None else at + lasting, "a move")

    first = put(inbox, asked(NOW))
    assert put(inbox, asked(NOW + timedelta(seconds=50))) == first
    assert store.one("SELECT COUNT(*) FROM audit") == 1
    later = asked(NOW + timedelta(seconds=61))
    assert put(inbox, later).ends_at == later.ends_at
    assert store.one("SELECT COUNT(*) FROM audit") == 2


@pytest.mark.parametrize("other", [{"actor": "cli:anna"}, {"reason": None}, {"ends_at": NOW + HOUR}, {"ends_at": None}])
def test_another_pause_of_the_same_prolongs_it_at_once(inbox: Inbox, store: Store, other: dict[str, Any]) -> None:
    """Another person, reason or length; also if it would end when the first one does."""
    put(inbox, Pause(PauseKind.ROUTE, "orders", "api", NOW, NOW + HOUR, "a move"))
    at = NOW + timedelta(seconds=10)
    second = replace(Pause(PauseKind.ROUTE, "orders", "api", at, at + HOUR, "a move"), **other)
    assert put(inbox, second) == replace(second, paused_at=NOW)
    assert store.one("SELECT COUNT(*) FROM audit") == 2


@pytest.mark.parametrize("other", [(PauseKind.ROUTE, "returns"), (PauseKind.SOURCE, "orders")])
def test_a_pause_of_something_else_in_between_does_not_matter(
    inbox: Inbox, store: Store, other: tuple[PauseKind, str]
) -> None:
    """Its line is newer, and says nothing of when this one was asked for."""

    def asked(kind: PauseKind, name: str, seconds: int) -> Pause:
        at = NOW + timedelta(seconds=seconds)
        return Pause(kind, name, "api", at, at + HOUR, "a move")

    first = put(inbox, asked(PauseKind.ROUTE, "orders", 0))
    put(inbox, asked(*other, 10))
    assert put(inbox, asked(PauseKind.ROUTE, "orders", 20)) == first
    assert store.one("SELECT COUNT(*) FROM audit") == 2


def test_a_pause_that_was_resumed_is_no_pause_sent_again(inbox: Inbox) -> None:
    """Whoever pauses once more within the minute has it paused."""
    put(inbox)
    assert inbox.write(pausing.remove, PauseKind.ROUTE, "orders", actor="cli:anna", reason=None, now=NOW)
    again = replace(ROUTE, paused_at=NOW + timedelta(seconds=10))
    assert put(inbox, again) == again


def test_a_pause_after_one_that_is_over_begins_anew(inbox: Inbox) -> None:
    """Also if nobody has noticed the end of the first one yet."""
    put(inbox, Pause(PauseKind.ROUTE, "orders", "api", NOW, NOW + HOUR))
    again = Pause(PauseKind.ROUTE, "orders", "api", NOW + 2 * HOUR)
    assert put(inbox, again) == again


def test_a_pause_is_ended_once_and_audited(inbox: Inbox, store: Store) -> None:
    """Of two who resume, the second is told that there is nothing."""
    put(inbox)
    ended = [
        inbox.write(pausing.remove, PauseKind.ROUTE, "orders", actor="api", reason="done", now=NOW) for _ in range(2)
    ]
    assert ended == [True, False]
    assert inbox.read(pauses.read).all == ()
    assert store.rows("SELECT actor, reason FROM audit WHERE action = 'resumed'") == [("api", "done")]


def test_one_whose_time_is_up_is_ended_once_unless_it_was_prolonged(inbox: Inbox, store: Store) -> None:
    """Two replicas notice it; or somebody has prolonged it since it was read."""
    first = put(inbox, Pause(PauseKind.ROUTE, "orders", "api", NOW, NOW + HOUR))
    put(inbox, Pause(PauseKind.ROUTE, "orders", "api", NOW, NOW + 3 * HOUR))
    assert not inbox.write(pausing.end, first, now=NOW + 2 * HOUR)
    assert [inbox.write(pausing.end, first, now=NOW + 3 * HOUR) for _ in range(2)] == [True, False]
    assert store.rows("SELECT actor, reason FROM audit WHERE action = 'resumed'") == [("bridge", "its time was up")]


def test_what_is_held_says_who_paused_it(inbox: Inbox) -> None:
    """In a list and alone; when the pause is over, it says that it goes on."""
    put(inbox)
    (id_,) = some(inbox, 1)
    assert inbox.read(pauses.pending_places, airflows=["default", "other"], routes=["orders", "x"]) == [PLACE]
    assert inbox.write(pauses.hold_route, PLACE, limit=10) == 1
    assert inbox.read(pauses.pending_places, airflows=["default"], routes=["orders"]) == []
    item = inbox.read(triggers.get, id_)
    (listed,) = inbox.read(browsing.triggers, wanted=browsing.Filter(state="held"), limit=10)
    said = "route orders is paused by cli:anna since 2030-01-01T12:00:00Z until somebody resumes it: a move"
    assert item is not None
    assert (item.state, item.reason, item.detail, listed.detail) == ("held", Reason.PAUSED_BY_PERSON, said, said)
    inbox.write(pausing.remove, PauseKind.ROUTE, "orders", actor="api", reason=None, now=NOW)
    item = inbox.read(triggers.get, id_)
    assert item is not None
    assert item.detail == "the pause has ended; it goes on in a moment"


def test_holding_moves_a_slice_of_one_place(inbox: Inbox) -> None:
    """Other routes, and what is held or under way, stay as they are."""
    mine, other = some(inbox, 5), some(inbox, 1, route="customers")
    (begun,) = claim(inbox, limit=1)
    assert [inbox.write(pauses.hold_route, PLACE, limit=3) for _ in range(3)] == [3, 1, 0]
    assert found(inbox, begun.trigger.id)[0] is TriggerState.FIRING
    assert {found(inbox, id_)[0] for id_ in set(mine) - {begun.trigger.id}} == {TriggerState.HELD}
    assert found(inbox, other[0]) == (TriggerState.PENDING, None)


def test_what_is_held_is_not_claimed_and_keeps_its_place(inbox: Inbox) -> None:
    """A paused route is passed over as a full one is; afterwards the oldest goes first, at its first attempt."""
    mine, other = some(inbox, 3), some(inbox, 1, route="customers")
    inbox.write(pauses.hold_route, PLACE, limit=10)
    now = NOW + HOUR
    assert [item.trigger.id for item in claim(inbox, now=now, full=["orders"])] == other
    assert inbox.read(pauses.held) == ([PLACE], [])
    assert [inbox.write(pauses.let_go, PLACE, limit=2) for _ in range(3)] == [2, 1, 0]
    assert inbox.read(pauses.held) == ([], [])
    assert {found(inbox, id_) for id_ in mine} == {(TriggerState.PENDING, None)}
    claimed = claim(inbox, now=now)
    assert [item.trigger.id for item in claimed] == mine
    assert {item.trigger.attempts for item in claimed} == {1}


def test_letting_go_takes_nothing_from_a_call_under_way(inbox: Inbox) -> None:
    """What was claimed before it was let go on is fired once, and only loses the word."""
    (id_,) = some(inbox, 1)
    inbox.write(pauses.hold_route, PLACE, limit=10)
    (claimed,) = claim(inbox)
    assert inbox.write(pauses.let_go, PLACE, limit=10) == 1
    assert found(inbox, id_) == (TriggerState.FIRING, None)
    assert claim(inbox) == []
    inbox.write(triggers.give_back, [claimed])
    assert found(inbox, id_)[0] is TriggerState.PENDING


@pytest.mark.parametrize("kind", [PauseKind.ROUTE, PauseKind.AIRFLOW])
def test_what_waited_for_another_cause_that_has_passed_gets_the_word(inbox: Inbox, kind: PauseKind) -> None:
    """What is not due yet still waits for its own cause."""
    mine = some(inbox, 2)
    inbox.write(claiming.hold, airflow="default", reason=Reason.AIRFLOW_DOWN, limit=10)
    route = "orders" if kind is PauseKind.ROUTE else None
    where: dict[str, Any] = {"kind": kind, "airflow": "default", "route": route, "now": NOW, "limit": 10}
    rows, end = inbox.read(pauses.held_else, **where)
    assert end is None
    assert inbox.write(pauses.hold_rows, rows) == 1
    assert [found(inbox, id_)[1] for id_ in mine] == [Reason.PAUSED_BY_PERSON, Reason.AIRFLOW_DOWN]
    assert inbox.read(pauses.held_else, **where) == ([], None)
    (claimed,) = claim(inbox)
    assert inbox.write(pauses.hold_rows, rows) == 0  # it is being fired by now
    assert claimed.trigger.id == mine[0]


@pytest.mark.parametrize("kind", [PauseKind.ROUTE, PauseKind.AIRFLOW])
@pytest.mark.parametrize("is_one_instant", [False, True])
def test_what_is_held_is_looked_through_once(inbox: Inbox, store: Store, kind: PauseKind, is_one_instant: bool) -> None:
    """A stretch at a time, each behind the one before, though what has the word by then still stands there."""
    mine = [number(id_, "trg") for id_ in some(inbox, 7)]
    inbox.write(claiming.hold, airflow="default", reason=Reason.AIRFLOW_DOWN, limit=10)
    if is_one_instant:
        store.rows("UPDATE triggers SET due_at = 5")
    route = "orders" if kind is PauseKind.ROUTE else None
    where: dict[str, Any] = {"kind": kind, "airflow": "default", "route": route, "now": NEVER, "limit": 3}
    seen: list[int] = []
    after: pauses.Row | None = pauses.START
    while after is not None:
        rows, after = inbox.read(pauses.held_else, **where, after=after)
        assert inbox.write(pauses.hold_rows, rows) == len(rows)
        seen += rows
    assert seen == mine


def test_what_a_source_has_sent_is_released_oldest_first(inbox: Inbox) -> None:
    """Slice by slice; another source's stays aside, and says who paused it."""
    put(inbox, Pause(PauseKind.SOURCE, "other", "api", NOW))
    mine = [stored(inbox, f"evt_{n}") for n in range(3)]
    other = stored(inbox, "evt_other", source="other")
    aside(inbox, *mine[::-1], other)
    assert inbox.read(deliveries.due, now=NEVER - HOUR, limit=10) == []
    assert inbox.read(pauses.held) == ([], ["other", "planasonix"])
    assert inbox.write(pauses.release, "planasonix", limit=2) == 2
    assert [item.id for item in inbox.read(deliveries.due, now=NEVER - HOUR, limit=10)] == mine[:2]
    assert [inbox.write(pauses.release, "planasonix", limit=2) for _ in range(2)] == [1, 0]
    assert [item.id for item in inbox.read(deliveries.due, now=NEVER - HOUR, limit=10)] == mine
    (listed,) = inbox.read(browsing.deliveries, wanted=browsing.Filter(source="other"), limit=10)
    alone = inbox.read(deliveries.get, other)
    assert alone is not None
    assert (
        listed.detail
        == alone.detail
        == ("source other is paused by api since 2030-01-01T12:00:00Z until somebody resumes it")
    )


def test_a_pause_of_a_kind_that_a_newer_release_knows_is_left_alone(inbox: Inbox, store: Store) -> None:
    """A rolling upgrade."""
    put(inbox)
    store.rows("INSERT INTO pauses (kind, name, actor, paused_at) VALUES ('dag', 'x', 'api', 0)")
    assert inbox.read(pauses.read).all == (ROUTE,)


def test_pauses_are_read_since_when_they_are(inbox: Inbox) -> None:
    """The oldest first; those of one moment by kind and name. Each ends alone."""
    later = replace(ROUTE, name="a", paused_at=NOW + HOUR, ends_at=NOW + 2 * HOUR)
    same = [replace(ROUTE, ends_at=NOW + HOUR), replace(ROUTE, name="returns", ends_at=NOW + HOUR)]
    source = replace(ROUTE, kind=PauseKind.SOURCE, name="a")
    for pause in (later, source, *same[::-1]):
        put(inbox, pause)
    assert inbox.read(pauses.read).all == (*same, source, later)
    assert inbox.write(pausing.end, same[0], now=NOW + 2 * HOUR)
    assert inbox.read(pauses.read).all == (same[1], source, later)
    assert inbox.write(pausing.remove, PauseKind.ROUTE, "a", actor="api", reason=None, now=NOW)
    assert inbox.read(pauses.read).all == (same[1], source)


def test_the_last_line_tells_when_a_pause_was_asked_for(inbox: Inbox, store: Store) -> None:
    """Who has prolonged it since sends that again, and not the first."""

    def asked(seconds: int, lasting: timedelta) -> Pause:
        at = NOW + timedelta(seconds=seconds)
        return Pause(PauseKind.ROUTE, "orders", "api", at, at + lasting, "a move")

    put(inbox, asked(0, HOUR))
    prolonged = put(inbox, asked(10, 2 * HOUR))
    assert put(inbox, asked(20, 2 * HOUR)) == prolonged
    assert store.one("SELECT COUNT(*) FROM audit") == 2
    assert put(inbox, asked(30, HOUR)).ends_at == NOW + timedelta(seconds=30) + HOUR


def test_the_first_that_is_due_is_held_and_let_go_first(inbox: Inbox, store: Store) -> None:
    """Whichever came first; what it waited for before is not said any more."""
    mine = some(inbox, 3)
    rows = [number(id_, "trg") for id_ in mine]
    for row, due_at in zip(rows, (3, 2, 1), strict=True):
        store.rows("UPDATE triggers SET due_at = ?, detail = 'why' WHERE id = ?", due_at, row)
    assert inbox.write(pauses.hold_route, PLACE, limit=1) == 1
    assert [found(inbox, id_)[0] for id_ in mine] == ["pending", "pending", "held"]
    assert inbox.write(pauses.hold_route, PLACE, limit=9) == 2
    assert store.rows("SELECT DISTINCT detail FROM triggers") == [(None,)]
    store.rows("UPDATE triggers SET detail = 'why'")
    assert inbox.write(pauses.let_go, PLACE, limit=1) == 1
    assert [found(inbox, id_)[0] for id_ in mine] == ["held", "held", "pending"]
    assert store.one("SELECT detail FROM triggers WHERE state = 'pending'") is None


def test_the_first_that_came_of_a_source_is_released_first(inbox: Inbox, store: Store) -> None:
    """Whatever its id; what it waited for before is not said any more."""
    mine = [stored(inbox, f"evt_{n}") for n in range(3)]
    aside(inbox, *mine)
    for id_, received_at in zip(mine, (3, 2, 1), strict=True):
        row = number(id_, "dlv")
        store.rows("UPDATE deliveries SET received_at = ?, detail = 'why' WHERE id = ?", received_at, row)
    assert inbox.write(pauses.release, "planasonix", limit=1) == 1
    assert store.rows("SELECT id, due_at, detail FROM deliveries WHERE reason IS NULL") == [
        (number(mine[2], "dlv"), 1, None)
    ]


def test_places_and_sources_of_which_something_is_held_are_found(inbox: Inbox, store: Store) -> None:
    """Each once, in order; and each is let go alone."""
    places = [("a", "r2"), ("a", "r1"), ("b", "r1"), ("b", "r3"), ("a", "r2")]
    for n, (airflow, route) in enumerate(places):
        add(inbox, stored(inbox, f"evt_{n}"), airflow=airflow, route=route, dag_run_id=f"r{n}")
    add(inbox, stored(inbox, "evt_other"), airflow="a", route="r9")
    for place in set(places):
        assert inbox.write(pauses.hold_route, place, limit=9) == places.count(place)
    aside(inbox, *[stored(inbox, f"evt_{name}", source=name) for name in ("z", "x", "y", "x1")])
    all_places = sorted(set(places))
    assert inbox.read(pauses.held) == (all_places, ["x", "x1", "y", "z"])
    assert inbox.write(pauses.let_go, ("a", "r1"), limit=9) == 1
    assert inbox.write(pauses.release, "x", limit=9) == 1
    assert inbox.read(pauses.held) == (all_places[1:], ["x1", "y", "z"])


def test_what_is_held_for_its_dag_is_held_by_the_pause_first(inbox: Inbox, store: Store) -> None:
    """Due or not: the time of the pause does not count as held for the DAG. It is due since when it was asked for."""
    (mine, other, again) = some(inbox, 3)
    elsewhere = some(inbox, 1, route="customers")
    store.rows("UPDATE triggers SET state = 'held', reason = 'dag_paused', detail = 'why', due_at = 9000000000000000")
    store.rows("UPDATE triggers SET awaits = 'dag', hold_step = 2, hold_step_at = 5.0")
    store.rows("UPDATE triggers SET awaits = NULL WHERE id = ?", number(other, "trg"))
    where: dict[str, Any] = {"airflow": "default", "now": NOW, "limit": 10}
    rows, _ = inbox.read(pauses.held_else, kind=PauseKind.ROUTE, route="orders", **where)
    assert rows == [number(id_, "trg") for id_ in (mine, again)]
    everywhere, _ = inbox.read(pauses.held_else, kind=PauseKind.AIRFLOW, route=None, **where)
    assert everywhere == [*rows, number(elsewhere[0], "trg")]
    where["airflow"] = "other"
    assert inbox.read(pauses.held_else, kind=PauseKind.AIRFLOW, route=None, **where) == ([], None)
    assert inbox.write(pauses.hold_rows, rows) == 2
    columns = "reason, detail, awaits, hold_step, hold_step_at, due_at = age_from"
    (held,) = set(store.rows(f"SELECT {columns} FROM triggers WHERE reason = 'paused_by_person'"))  # noqa: S608
    assert (*held[:5], bool(held[5])) == ("paused_by_person", None, None, 0, None, True)


@pytest.mark.parametrize("kind", [PauseKind.ROUTE, PauseKind.AIRFLOW])
def test_what_is_held_is_looked_through_as_it_is_due(inbox: Inbox, store: Store, kind: PauseKind) -> None:
    """Whatever the order of its ids: nothing is passed over, and nothing is looked at twice."""
    mine = [number(id_, "trg") for id_ in some(inbox, 5)]
    store.rows("UPDATE triggers SET state = 'held', reason = 'airflow_down'")
    for row, due_at in zip(mine, (4, 5, 2, 3, 1), strict=True):
        store.rows("UPDATE triggers SET due_at = ? WHERE id = ?", due_at, row)
    route = "orders" if kind is PauseKind.ROUTE else None
    where: dict[str, Any] = {"kind": kind, "airflow": "default", "route": route, "now": NOW, "limit": 2}
    seen: list[int] = []
    after: pauses.Row | None = pauses.START
    while after is not None:
        rows, after = inbox.read(pauses.held_else, **where, after=after)
        seen += rows
    assert seen == [mine[n] for n in (4, 2, 3, 0, 1)]
