"""What is held for a DAG: found page by page, and changed only as long as it is held."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, holds, triggers
from bridge.edges.inbox.engine.ids import number
from bridge.edges.inbox.holds import Change, HeldRow, Newer, StepRow
from bridge.edges.inbox.rows import microseconds, spent_text
from bridge.words.holds import Awaits
from bridge.words.model import Limits, Spent, Trigger, TriggerState
from bridge.words.reasons import Reason
from tests.support.store import LATER, NOW, Store, add, stored

DAG = {"airflow": "default", "dag_id": "load_orders"}
_COLUMNS = "state, reason, due_at, awaits, hold_step, hold_step_at, settled_at"


def _held(
    inbox: Inbox, store: Store, event: str, *, awaits: str | None = "unpaused", more: str = "", **fields: Any
) -> str:
    """Store a trigger that waits for its DAG; `more`: what else is stored of it."""
    usual = {"state": TriggerState.HELD, "reason": Reason.DAG_PAUSED, "due_at": NOW + LATER}
    id_ = add(inbox, stored(inbox, event), **usual | fields)
    store.rows(f"UPDATE triggers SET awaits = ?{more} WHERE id = ?", awaits, number(id_, "trg"))  # noqa: S608
    return id_


def _trigger(inbox: Inbox, id_: str) -> Trigger:
    found = inbox.read(triggers.get, id_)
    assert found is not None
    return found


def _row(store: Store, id_: str) -> tuple[Any, ...]:
    (row,) = store.rows(f"SELECT {_COLUMNS} FROM triggers WHERE id = ?", number(id_, "trg"))  # noqa: S608
    return row


# --- finding ---------------------------------------------------------------------------------------


def test_the_dags_that_something_waits_for_are_named(inbox: Inbox, store: Store) -> None:
    """Of that Airflow, each once, with whether something waits for a newer one there."""
    for place, (dag_id, awaits, more) in enumerate(
        (
            ("a", "unpaused", {}),
            ("a", "newer", {"airflow": "other"}),
            ("b", "there", {}),
            ("b", "newer", {}),
            ("c", "unpaused", {"airflow": "other"}),
            ("d", None, {"reason": Reason.THROTTLED}),
            ("e", "unpaused", {}),
        )
    ):
        _held(inbox, store, f"evt_{place}", awaits=awaits, dag_id=dag_id, **more)
    assert inbox.read(holds.named, airflow="default") == {"a": False, "b": True, "e": False}


def test_a_page_is_what_is_held_for_one_dag_the_oldest_first(inbox: Inbox, store: Store) -> None:
    """Of what waits for these changes, after a number, as many as are asked for."""
    held = [_held(inbox, store, f"evt_{place}", awaits=None) for place in range(4)]
    _held(inbox, store, "evt_newer", awaits="newer")
    _held(inbox, store, "evt_dag", dag_id="another")
    _held(inbox, store, "evt_airflow", airflow="another")
    _held(inbox, store, "evt_fired", state=TriggerState.FIRED, reason=None)
    for place in (3, 1, 2, 0):
        awaits = "there" if place == 2 else "unpaused"
        store.rows("UPDATE triggers SET awaits = ? WHERE id = ?", awaits, number(held[place], "trg"))

    def page(after: int, limit: int, *awaits: Awaits) -> list[str]:
        return [row.id for row in inbox.read(holds.page, **DAG, awaits=awaits, after=after, limit=limit)]

    both = (Awaits.UNPAUSED, Awaits.THERE)
    assert page(0, 9, *both) == held
    assert page(0, 3, *both) == held[:3]
    assert page(number(held[0], "trg"), 1, *both) == held[1:2]
    assert page(0, 9, Awaits.UNPAUSED) == [held[0], held[1], held[3]]
    assert page(0, 2, Awaits.UNPAUSED) == held[:2]


def test_a_page_says_what_setting_free_goes_by(inbox: Inbox, store: Store) -> None:
    """The route, when it was asked for, which one is wanted instead, and whether its run may be there."""
    asked_at = NOW - timedelta(hours=1)
    doubted = _held(inbox, store, "evt_1", more=", doubted_at = 1", route="other", now=asked_at)
    older, newer = (_held(inbox, store, f"evt_{place}", series=b"s") for place in (2, 3))
    assert inbox.read(holds.page, **DAG, awaits=[Awaits.UNPAUSED], after=0, limit=9) == [
        HeldRow(doubted, "other", asked_at, None, is_doubted=True),
        HeldRow(older, "orders", NOW, Newer(newer, is_fired=False)),
        HeldRow(newer, "orders", NOW),
    ]


@pytest.mark.parametrize(
    ("others", "found"),
    [
        ([], None),
        ([{}], (0, False)),
        ([{"state": TriggerState.FIRED, "reason": None}], (0, True)),
        ([{"state": TriggerState.FIRED, "reason": None}, {}], (1, False)),
        ([{"state": TriggerState.FAILED}], None),
        ([{"state": TriggerState.CANCELLED}], None),
        ([{}, {"state": TriggerState.FAILED}, {"state": TriggerState.CANCELLED}], (0, False)),
        ([{"reason": Reason.LOOP_GUARD}], None),
        ([{"series": b"another"}], None),
        ([{"series": None}], None),
    ],
)
def test_the_newest_of_a_series_that_stands_is_wanted(
    inbox: Inbox, store: Store, others: list[dict[str, Any]], found: tuple[int, bool] | None
) -> None:
    """Not what failed, was cancelled or waits for a person; the older one is no newer one of it."""
    older = _held(inbox, store, "evt_older", series=b"s")
    mine = _held(inbox, store, "evt_mine", series=b"s")
    ids = [
        _held(inbox, store, f"evt_{place}", **{"series": b"s", "dag_run_id": f"run_{place}"} | each)
        for place, each in enumerate(others)
    ]
    assert inbox.read(holds.newer, mine) == (None if found is None else Newer(ids[found[0]], is_fired=found[1]))
    assert inbox.read(holds.newer, older) is not None


def test_what_is_in_no_series_has_no_newer_one(inbox: Inbox, store: Store) -> None:
    """However much comes after it."""
    ids = [_held(inbox, store, f"evt_{place}") for place in range(2)]
    assert inbox.read(holds.newer, ids[0]) is None


@pytest.mark.parametrize(
    ("more", "is_due"),
    [
        ({"due_at": NOW}, True),
        ({"due_at": NOW, "state": TriggerState.PENDING, "reason": None}, True),
        ({"due_at": NOW + timedelta(microseconds=1)}, False),
        ({"due_at": NOW, "state": TriggerState.FIRED}, False),
        ({"due_at": NOW, "reason": Reason.PAUSED_BY_PERSON}, False),
    ],
)
def test_what_is_set_free_waits_for_its_turn_until_it_is_fired(
    inbox: Inbox, store: Store, more: dict[str, Any], is_due: bool
) -> None:
    """From its instant on, unless a person has paused it."""
    ids = [_held(inbox, store, "evt_1", **more), _held(inbox, store, "evt_2", due_at=NOW)]
    assert inbox.read(holds.still_due, ids[:1], now=NOW) == set(ids[:1] if is_due else [])


# --- changing --------------------------------------------------------------------------------------


def _change(id_: str, *, newer: Newer | None = None, due_at: datetime | None = None, **more: Any) -> Change:
    return Change(HeldRow(id_, "orders", NOW, newer), due_at, **more)


_NEWER_ID = "trg_00000000000000ff"
_CHANGES: dict[str, tuple[dict[str, Any], tuple[Any, ...], str | None]] = {
    "set free": (
        {"due_at": NOW + 2 * LATER},
        ("pending", None, microseconds(NOW + 2 * LATER), None, 0, None, None),
        None,
    ),
    "set free, behind a ceiling": (
        {"due_at": NOW + 2 * LATER, "is_behind_ceiling": True},
        ("held", "hourly_ceiling", microseconds(NOW + 2 * LATER), None, 0, None, None),
        None,
    ),
    "a newer one was fired": (
        {"newer": Newer(_NEWER_ID, is_fired=True)},
        ("cancelled", "superseded", microseconds(NOW + LATER), None, 1, 5.0, microseconds(NOW)),
        f"{_NEWER_ID} is newer",
    ),
    "a newer one may be": (
        {"newer": Newer(_NEWER_ID, is_fired=False)},
        ("held", "dag_paused", microseconds(NOW + LATER), "newer", 0, None, None),
        f"the DAG is back; {_NEWER_ID} is newer and goes first",
    ),
}


@pytest.mark.parametrize("case", _CHANGES)
@pytest.mark.parametrize("reason", [Reason.DAG_PAUSED, Reason.DAG_NOT_FOUND, Reason.DAG_REFUSES_RUNS])
def test_what_is_held_for_its_dag_is_changed(inbox: Inbox, store: Store, case: str, reason: Reason) -> None:
    """And nothing remains of the hold; each once."""
    fields, row, detail = _CHANGES[case]
    id_ = _held(inbox, store, "evt_1", more=", hold_step = 1, hold_step_at = 5", reason=reason, detail="before")
    change = _change(id_, **fields)
    assert inbox.write(holds.change, [change], now=NOW) == [change]
    assert _row(store, id_) == row
    assert _trigger(inbox, id_).detail == detail


@pytest.mark.parametrize("case", _CHANGES)
@pytest.mark.parametrize(
    "other",
    [
        {"state": TriggerState.PENDING},
        {"state": TriggerState.CANCELLED},
        {"reason": Reason.THROTTLED},
        {"awaits": None},
    ],
)
def test_what_is_held_for_its_dag_no_longer_is_not_changed(
    inbox: Inbox, store: Store, case: str, other: dict[str, Any]
) -> None:
    """Another replica, or a person, was quicker."""
    id_ = _held(inbox, store, "evt_1", more=", hold_step = 1, hold_step_at = 5", detail="before", **other)
    before = _row(store, id_)
    assert inbox.write(holds.change, [_change(id_, **_CHANGES[case][0])], now=NOW) == []
    assert (_row(store, id_), _trigger(inbox, id_).detail) == (before, "before")


def test_what_nothing_is_wanted_of_stays(inbox: Inbox, store: Store) -> None:
    """It goes on waiting."""
    id_ = _held(inbox, store, "evt_1")
    before = _row(store, id_)
    assert inbox.write(holds.change, [_change(id_)], now=NOW) == []
    assert _row(store, id_) == before


@pytest.mark.parametrize(
    ("newer", "due_at", "is_superseded"),
    [
        (None, None, False),
        (Newer(_NEWER_ID, is_fired=True), None, True),
        (Newer(_NEWER_ID, is_fired=False), None, False),
        (Newer(_NEWER_ID, is_fired=True), NOW, False),
        (None, NOW, False),
    ],
)
def test_only_a_newer_one_that_was_fired_takes_the_place(
    newer: Newer | None, due_at: datetime | None, is_superseded: bool
) -> None:
    """Not one that may be, nor where it is due itself."""
    assert _change(_NEWER_ID, newer=newer, due_at=due_at).is_superseded is is_superseded


def test_what_is_set_free_keeps_what_it_has_used(inbox: Inbox, store: Store) -> None:
    """But another hold begins with short waits."""
    id_ = _held(inbox, store, "evt_1")
    spent = Spent(2.5, {Reason.THROTTLED: 3, Reason.DAG_PAUSED: 7})
    store.rows("UPDATE triggers SET spent = ?", spent_text(spent, NOW))
    inbox.write(holds.change, [_change(id_, due_at=NOW)], now=NOW)
    assert _trigger(inbox, id_).spent == Spent(2.5, {"throttled": 3, "dag_paused": 0})


def test_a_page_is_set_free_by_whoever_is_first(inbox: Inbox, store: Store) -> None:
    """How far that is is noted for this DAG alone, and until nothing is after it."""
    columns = "airflow, dag_id, state, since, read_at, away_seconds, freed"
    for airflow, dag_id in (("default", "load_orders"), ("default", "another"), ("another", "load_orders")):
        store.rows(f"INSERT INTO dags ({columns}) VALUES (?, ?, 'ok', 0, 0, 0, 0)", airflow, dag_id)  # noqa: S608
    ids = [_held(inbox, store, f"evt_{place}") for place in range(2)]
    changes = [_change(id_, due_at=NOW) for id_ in ids]
    free = {**DAG, "now": NOW}
    assert inbox.write(holds.free, changes[:1], after=0, upto=7, **free) == changes[:1]
    assert inbox.write(holds.free, changes[1:], after=0, upto=9, **free) is None
    assert _trigger(inbox, ids[1]).state is TriggerState.HELD
    freed = "SELECT freed FROM dags ORDER BY airflow, dag_id"
    assert store.rows(freed) == [(0,), (0,), (7,)]
    assert inbox.write(holds.free, changes[1:], after=7, upto=None, **free) == changes[1:]
    assert store.rows(freed) == [(0,), (0,), (None,)]


# --- steps -----------------------------------------------------------------------------------------


def test_a_step_is_due_by_the_clock_of_the_dag(inbox: Inbox, store: Store) -> None:
    """At its instant, and of those that are at this step; as many as are asked for."""
    limits = Limits(hold_seconds=60.0)
    due = _held(inbox, store, "evt_1", more=", hold_step_at = 5", limits=limits, route="other")
    doubted = _held(inbox, store, "evt_2", more=", hold_step_at = 5, doubted_at = 1, hold_seconds = NULL")
    _held(inbox, store, "evt_3", more=", hold_step_at = 5.001")
    _held(inbox, store, "evt_4", more=", hold_step_at = 5, hold_step = 1")
    _held(inbox, store, "evt_5")
    _held(inbox, store, "evt_6", more=", hold_step_at = 5", dag_id="another")
    _held(inbox, store, "evt_7", more=", hold_step_at = 5", airflow="another")
    rows = [
        StepRow(due, "other", 60.0, Reason.DAG_PAUSED, is_doubted=False),
        StepRow(doubted, "orders", 0.0, Reason.DAG_PAUSED, is_doubted=True),
    ]
    assert sorted(inbox.read(holds.steps, **DAG, clock=5.0, step=0, limit=9)) == rows
    assert len(inbox.read(holds.steps, **DAG, clock=5.0, step=0, limit=1)) == 1


def _step(id_: str, *, is_doubted: bool = False) -> StepRow:
    return StepRow(id_, "orders", 60.0, Reason.DAG_NOT_FOUND, is_doubted)


@pytest.mark.parametrize(
    ("more", "fields", "is_warned"),
    [
        ("", {}, True),
        (", hold_step = 1", {}, False),
        ("", {"awaits": None}, False),
        ("", {"state": TriggerState.PENDING}, False),
    ],
)
def test_a_hold_is_warned_of_once(
    inbox: Inbox, store: Store, more: str, fields: dict[str, Any], is_warned: bool
) -> None:
    """With when it is over; not what is held no longer."""
    id_ = _held(inbox, store, "evt_1", more=more, **fields)
    before = _row(store, id_)
    assert inbox.write(holds.warn, [(_step(id_), 9.5)]) == is_warned
    after = _row(store, id_)
    assert after == ((*before[:4], 1, 9.5, None) if is_warned else before)


@pytest.mark.parametrize("is_doubted", [False, True])
@pytest.mark.parametrize(("other", "is_ended"), [({}, True), ({"awaits": None}, False)])
def test_a_hold_that_is_over_fails_unless_its_run_may_be_there(
    inbox: Inbox, store: Store, is_doubted: bool, other: dict[str, Any], is_ended: bool
) -> None:
    """Then it is due at once for firing, which asks Airflow first; what is held no longer stays."""
    id_ = _held(inbox, store, "evt_1", more=", hold_step = 1, hold_step_at = 5", **other)
    before, row = _row(store, id_), _step(id_, is_doubted=is_doubted)
    failed, given_over = inbox.write(holds.end, [row], now=NOW)
    assert (failed, given_over) == ([row] * (is_ended and not is_doubted), int(is_ended and is_doubted))
    now = microseconds(NOW)
    if not is_ended:
        assert _row(store, id_) == before
    elif is_doubted:
        assert _row(store, id_) == ("held", "dag_paused", now, "unpaused", 2, 5.0, None)
    else:
        assert _row(store, id_) == ("failed", "held_too_long", microseconds(NOW + LATER), None, 1, 5.0, now)
        assert _trigger(inbox, id_).detail == "last: dag_not_found"


def test_what_was_not_warned_of_is_not_given_over(inbox: Inbox, store: Store) -> None:
    """A replay has begun its hold anew meanwhile."""
    id_ = _held(inbox, store, "evt_1")
    assert inbox.write(holds.end, [_step(id_, is_doubted=True)], now=NOW) == ([], 0)
    assert _row(store, id_)[4] == 0


def test_what_will_fail_within_a_day_is_counted_by_airflow(inbox: Inbox, store: Store) -> None:
    """What was warned of, and has not ended."""
    for place, (airflow, step, awaits) in enumerate(
        (
            ("a", 1, "there"),
            ("a", 1, "unpaused"),
            ("b", 1, "unpaused"),
            ("c", 0, "there"),
            ("a", 2, "there"),
            ("b", 1, None),
        )
    ):
        _held(inbox, store, f"evt_{place}", awaits=awaits, more=f", hold_step = {step}", airflow=airflow)
    assert inbox.read(holds.ending) == {"a": 2, "b": 1}
