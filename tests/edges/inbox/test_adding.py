"""A trigger that is made anew, or fired once more, is as somebody asks for it now; nothing of before remains."""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, deliveries, replays, triggers
from bridge.edges.inbox.deliveries import Routing, settle_routing
from bridge.edges.inbox.engine.ids import first_id
from bridge.edges.inbox.rows import microseconds
from bridge.rules.sealing import Ring
from bridge.words.holds import IfPaused
from bridge.words.model import DeliveryState, Limits, Trigger, TriggerState
from bridge.words.reasons import Reason
from tests.support.store import LATER, NOW, Store, add, new_trigger, stored

HOUR = timedelta(hours=1)
ASKED_AT = NOW + HOUR
# What has ended, after a long hold and several calls, with whatever may be stored of that.
_ENDED = (
    "UPDATE triggers SET state = ?, reason = ?, detail = 'before', attempts = 3, awaits = 'there', hold_step = 2,"
    " hold_step_at = 5, settled_at = 7, due_at = 9"
)
_USUAL: dict[str, Any] = {"dag_run_id": "first", "series": b"a", "note": "old", "if_paused": IfPaused.HOLD}


def _ended(
    inbox: Inbox, store: Store, state: str = "failed", reason: str | None = "expired", *, more: str = "", **fields: Any
) -> tuple[str, str]:
    delivery_id = stored(inbox)
    id_ = add(inbox, delivery_id, **_USUAL | fields)
    store.rows(_ENDED + more, state, reason)
    return delivery_id, id_


def _again(inbox: Inbox, delivery_id: str, *, now: datetime = ASKED_AT, **fields: Any) -> int:
    """Route a delivery once more; returns how many triggers are new or made anew."""
    inbox.write(deliveries.reopen, delivery_id, now=now)
    new = new_trigger(inbox, delivery_id, **_USUAL | fields)
    routing = Routing(delivery_id, DeliveryState.ROUTED, None, None, None, [new])
    return len(inbox.write(settle_routing, [routing], now=now)[delivery_id].triggers)


def _trigger(inbox: Inbox, id_: str) -> Trigger:
    found = inbox.read(triggers.get, id_)
    assert found is not None
    return found


def _columns(store: Store, *names: str) -> dict[str, Any]:
    (row,) = store.rows(f"SELECT {', '.join(names)} FROM triggers")  # noqa: S608
    return dict(zip(names, row, strict=True))


def test_a_trigger_that_is_made_anew_is_as_its_route_says_now(inbox: Inbox, store: Store) -> None:
    """Its call and its limits; nothing of its end, of its hold or of what it has used remains."""
    delivery_id, id_ = _ended(inbox, store, limits=Limits(60, 9, 9, None, 10, 10), late_at=NOW + 10 * LATER)
    limits = Limits(90.5, 4, 2, None, 7200.0, 30.0)
    fields = {"conf": {"a": 1}, "note": "new", "if_paused": IfPaused.FAIL, "follow": False, "series": b"b"}
    assert _again(inbox, delivery_id, dag_run_id="second", limits=limits, late_at=NOW + 2 * HOUR, **fields) == 1
    found = _trigger(inbox, id_)
    call = found.call
    assert (call.dag_run_id, call.conf, call.note, call.limits) == ("second", {"a": 1}, "new", limits)
    assert (call.if_paused, call.follow, call.series) == (IfPaused.FAIL, False, b"b")
    assert (found.state, found.reason, found.detail, found.attempts) == (TriggerState.PENDING, None, None, 0)
    assert (found.created_at, found.age_from, found.due_at) == (NOW, ASKED_AT, ASKED_AT)
    assert (found.settled_at, found.late_at, found.doubted_at) == (None, NOW + 2 * HOUR, None)
    held = {"awaits": None, "hold_step": 0, "hold_step_at": None, "series_at": first_id(microseconds(ASKED_AT))}
    assert _columns(store, *held) == held


@pytest.mark.parametrize("how", ["fails", "is held", "waits for a person"])
def test_a_trigger_that_is_made_anew_may_end_at_once(inbox: Inbox, store: Store, how: str) -> None:
    """Its templates fail now, a ceiling holds it, or it is a circle."""
    delivery_id, id_ = _ended(inbox, store)
    fields, settled_at, due_at = {
        "fails": ({"state": TriggerState.FAILED, "reason": Reason.TEMPLATE, "detail": "x"}, ASKED_AT, ASKED_AT),
        "is held": (
            {"state": TriggerState.HELD, "reason": Reason.HOURLY_CEILING, "due_at": NOW + 2 * HOUR},
            None,
            NOW + 2 * HOUR,
        ),
        "waits for a person": ({"state": TriggerState.HELD, "reason": Reason.LOOP_GUARD}, None, triggers.NEVER),
    }[how]
    assert _again(inbox, delivery_id, **fields) == 1
    found = _trigger(inbox, id_)
    assert (found.state, found.reason, found.detail) == (fields["state"], fields["reason"], fields.get("detail"))
    assert (found.settled_at, found.due_at) == (settled_at, due_at)


@pytest.mark.parametrize(
    ("late_at", "seconds", "late_anew"),
    [
        (None, None, None),
        (ASKED_AT + LATER, 60.0, ASKED_AT + LATER),
        (ASKED_AT, 60.0, ASKED_AT + timedelta(minutes=1)),
        (NOW, 60.0, ASKED_AT + timedelta(minutes=1)),
        (NOW, None, NOW),
    ],
)
def test_a_deadline_that_has_passed_counts_from_when_somebody_asks(
    inbox: Inbox, store: Store, late_at: datetime | None, seconds: float | None, late_anew: datetime | None
) -> None:
    """One that is to come stays where it is."""
    delivery_id, id_ = _ended(inbox, store)
    assert _trigger(inbox, id_).late_at is None
    assert _again(inbox, delivery_id, late_at=late_at, limits=Limits(deadline_seconds=seconds)) == 1
    assert _trigger(inbox, id_).late_at == late_anew


def test_the_name_of_a_run_that_may_be_there_stays_in_doubt_since_then(inbox: Inbox, store: Store) -> None:
    """And keeps its name, whatever the route calls it now."""
    delivery_id, id_ = _ended(inbox, store, more=", doubted_at = 3")
    assert _again(inbox, delivery_id, dag_run_id="second") == 1
    assert _trigger(inbox, id_).call.dag_run_id == "first"
    assert _columns(store, "doubted_at") == {"doubted_at": 3}


def test_what_is_made_anew_is_sealed_with_the_key_of_now(open_inbox: Callable[..., Inbox], store: Store) -> None:
    """So that a key that is used no more can be told."""
    keys = {"old": bytes(range(32)), "new": bytes(range(32, 64))}
    inbox = open_inbox(ring=Ring({"old": keys["old"]}, os.urandom))
    delivery_id, id_ = _ended(inbox, store)
    inbox.close()
    inbox = open_inbox(ring=Ring({"new": keys["new"], "old": keys["old"]}, os.urandom))
    assert _again(inbox, delivery_id, conf={"a": 1}) == 1
    assert _columns(store, "sealed_with") == {"sealed_with": "new"}
    assert _trigger(inbox, id_).call.conf == {"a": 1}


@pytest.mark.parametrize(
    ("state", "reason", "is_anew"),
    [
        ("failed", "expired", True),
        ("cancelled", "duplicate_run", True),
        ("cancelled", "by_operator", False),
        ("fired", None, False),
        ("held", "throttled", False),
        ("pending", None, False),
    ],
)
def test_only_what_owns_no_run_is_made_anew(
    inbox: Inbox, store: Store, state: str, reason: str | None, is_anew: bool
) -> None:
    """What waits, was fired, or was cancelled by a person stays as it is."""
    delivery_id, id_ = _ended(inbox, store, state, reason)
    before = _trigger(inbox, id_)
    assert _again(inbox, delivery_id, note="new") == is_anew
    assert (_trigger(inbox, id_) == before) is not is_anew


# --- fired once more ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "doubted_at", "now_doubted"),
    [("fired", None, 7), ("fired", 3, 7), ("failed", None, None), ("failed", 3, 3), ("cancelled", None, None)],
)
def test_a_trigger_that_is_fired_again_waits_as_if_it_were_new(
    inbox: Inbox, store: Store, state: str, doubted_at: int | None, now_doubted: int | None
) -> None:
    """Under its own name, and due at once; what was fired may have its run since then."""
    _, id_ = _ended(inbox, store, state, limits=Limits(deadline_seconds=60.0), late_at=NOW)
    store.rows("UPDATE triggers SET doubted_at = ?", doubted_at)
    outcome = inbox.write(replays.replay, id_, actor="a", reason=None, new_id=None, now=ASKED_AT)
    assert outcome is replays.Replayed.QUEUED
    now = microseconds(ASKED_AT)
    fresh = {"state": "pending", "reason": None, "detail": None, "attempts": 0, "due_at": now, "age_from": now}
    fresh |= {"settled_at": None, "awaits": None, "hold_step": 0, "hold_step_at": None, "series": None}
    fresh |= {"late_at": now + 60_000_000, "doubted_at": now_doubted, "dag_run_id": "first"}
    assert _columns(store, *fresh) == fresh
