"""What the store says of a webhook or a trigger is what was put into it, also what another release has written."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, deliveries, rows, triggers
from bridge.edges.inbox.deliveries import Routing, settle_routing
from bridge.edges.inbox.engine.ids import number
from bridge.words.holds import DEFAULT_HOLD_SECONDS, IfPaused
from bridge.words.model import Delivery, DeliveryState, Limits, Spent, Trigger
from bridge.words.reasons import Reason
from bridge.words.runs import Run, RunState
from tests.support.store import NOW, Store, add, stored


def _trigger(inbox: Inbox, id_: str) -> Trigger:
    found = inbox.read(triggers.get, id_)
    assert found is not None
    return found


def _delivery(inbox: Inbox, id_: str) -> Delivery:
    found = inbox.read(deliveries.get, id_)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("instant", "stored_as"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(2026, 8, 1, 12, 0, 0, 123_457, tzinfo=UTC), 1_785_585_600_123_457),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), -1),
    ],
)
def test_an_instant_is_stored_as_unix_microseconds(instant: datetime, stored_as: int) -> None:
    """Exactly, whatever release wrote it."""
    assert rows.microseconds(instant) == stored_as
    assert rows.instant(stored_as) == instant
    assert rows.instant_or_none(stored_as) == instant
    assert rows.instant_or_none(None) is None


@pytest.mark.parametrize(
    ("word", "state"),
    [(None, RunState.QUEUED), ("success", RunState.SUCCESS), ("skipped_by_a_newer_release", RunState.UNKNOWN)],
)
def test_a_run_state_that_nobody_knows_is_unknown(word: str | None, state: RunState) -> None:
    """A newer release may have written it; nothing yet is `queued`."""
    assert rows.run_state(word) is state


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"follow": False, "if_paused": IfPaused.HOLD, "series": b"\x00series", "note": "by hand"},
        {"follow": True, "if_paused": IfPaused.FAIL, "dag_run_id": ""},
        {"limits": Limits(60.0, 3, 2, None, 90.0, 5.0), "reason": Reason.THROTTLED, "detail": "later"},
    ],
)
def test_a_trigger_is_read_as_it_was_made(inbox: Inbox, more: dict[str, Any]) -> None:
    """Its call with all that is sent, its limits, and what it waits for."""
    id_ = add(inbox, stored(inbox), **more)
    found = _trigger(inbox, id_)
    call = {name: getattr(found.call, name) for name in ("follow", "if_paused", "series", "note", "limits")}
    usual = {"follow": True, "if_paused": IfPaused.TRIGGER, "series": None, "note": None, "limits": Limits()}
    assert call == usual | {name: value for name, value in more.items() if name in usual}
    assert found.call.dag_run_id == more.get("dag_run_id", f"run-of-{found.delivery_id}")
    assert (found.reason, found.detail) == (more.get("reason"), more.get("detail"))
    assert (found.created_at, found.age_from, found.due_at) == (NOW, NOW, NOW)
    assert (found.settled_at, found.late_at, found.doubted_at, found.locked) == (None, None, None, None)
    assert (found.spent, found.run, found.is_hold_over) == (Spent(), None, False)


def test_what_the_release_before_left_out_is_as_by_default(inbox: Inbox, store: Store) -> None:
    """It leaves the run to Airflow's own queue, and a hold takes as long as any."""
    id_ = add(inbox, stored(inbox), if_paused=IfPaused.HOLD, limits=Limits(hold_seconds=5))
    store.rows("UPDATE triggers SET if_paused = NULL, hold_seconds = NULL")
    call = _trigger(inbox, id_).call
    assert (call.if_paused, call.limits.hold_seconds) == (IfPaused.TRIGGER, DEFAULT_HOLD_SECONDS)


@pytest.mark.parametrize(("step", "is_over"), [(0, False), (1, False), (2, True)])
def test_a_hold_is_over_after_its_last_step(inbox: Inbox, store: Store, step: int, is_over: bool) -> None:
    """The first is a warning; stores have these numbers."""
    id_ = add(inbox, stored(inbox))
    store.rows("UPDATE triggers SET hold_step = ?", step)
    assert _trigger(inbox, id_).is_hold_over is is_over


@pytest.mark.parametrize(
    ("state", "run_state", "run"),
    [
        ("fired", "running", Run(RunState.RUNNING, NOW, None)),
        ("fired", None, None),
        ("pending", "running", None),
        ("pending", None, None),
    ],
)
def test_a_trigger_has_the_run_that_is_followed(
    inbox: Inbox, store: Store, state: str, run_state: str | None, run: Run | None
) -> None:
    """Only once it is fired, and only if somebody looks at it: one that is fired again has its old one no longer."""
    id_ = add(inbox, stored(inbox))
    moment = rows.microseconds(NOW)
    store.rows("UPDATE triggers SET state = ?, run_state = ?, run_started_at = ?", state, run_state, moment)
    assert _trigger(inbox, id_).run == run


def test_what_was_used_of_the_limits_counts_until_somebody_asks_anew(inbox: Inbox, store: Store) -> None:
    """In any release: whoever asks only sets a later `age_from`."""
    id_ = add(inbox, stored(inbox))
    spent = Spent(2.5, {Reason.THROTTLED: 3})
    store.rows("UPDATE triggers SET spent = ?", rows.spent_text(spent, NOW))
    assert _trigger(inbox, id_).spent == spent
    store.rows("UPDATE triggers SET age_from = age_from + 1")
    assert _trigger(inbox, id_).spent == Spent()


def test_a_hold_begins_with_short_waits_again(inbox: Inbox) -> None:
    """What was counted for the DAG is 0 from then on and stays as a cause; other causes are as they were."""
    used = rows.spent_text(Spent(2.5, {Reason.THROTTLED: 3, Reason.DAG_PAUSED: 7}), NOW)
    freed = rows.spent_when_freed(used)
    assert freed is not None
    assert json.loads(freed) == json.loads(used) | {"causes": {"throttled": 3, "dag_paused": 0}}
    assert rows.spent_when_freed(None) is None


def test_a_delivery_is_read_as_it_was_decided(inbox: Inbox, store: Store) -> None:
    """When it was signed, what the Planasonix API told, and the trigger of which the run led to it."""
    first = stored(inbox, "evt_1")
    trigger_id = add(inbox, first)
    second = stored(inbox, "evt_2")
    routing = Routing(second, DeliveryState.UNROUTED, Reason.NO_ROUTE, "none", {"job": 1}, [], caused_by=trigger_id)
    inbox.write(settle_routing, [routing], now=NOW)
    signed_at = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    store.rows("UPDATE deliveries SET signed_at = NULL WHERE id = ?", number(first, "dlv"))
    found = [_delivery(inbox, id_) for id_ in (first, second)]
    assert [(item.signed_at, item.lookup, item.caused_by) for item in found] == [
        (None, None, None),
        (signed_at, {"job": 1}, trigger_id),
    ]
    assert [(item.reason, item.detail) for item in found] == [(None, None), (Reason.NO_ROUTE, "none")]
    assert all(abs(item.received_at - datetime.now(UTC)) < timedelta(hours=1) for item in found)


def test_a_time_is_a_stretch_of_ids() -> None:
    """From the first that an instant can have; one that is not said begins before every id, or ends behind it."""
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    assert rows.first_since(moment) == rows.first_from(moment) == 315_619_200_000 << 22
    assert rows.first_since(None) == 0
    assert rows.first_from(None) == (1 << 63) - 1
