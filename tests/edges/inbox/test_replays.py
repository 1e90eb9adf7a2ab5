"""Replay: the same call under the same DAG run id, a new run, or the way through the mapping once more."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from bridge.edges.inbox import Inbox, deliveries, holds, replays, triggers
from bridge.edges.inbox.adding import NewTrigger
from bridge.edges.inbox.deliveries import Routing, settle_routing
from bridge.edges.inbox.engine.ids import number
from bridge.edges.inbox.replays import Cancelled, Replayed
from bridge.words.errors import NotThere
from bridge.words.model import Delivery, DeliveryState, Trigger, TriggerState
from bridge.words.reasons import Reason
from tests.support.store import (
    LATER,
    NOW,
    ON_POSTGRESQL,
    Store,
    add,
    attempt,
    claim,
    new_trigger,
    settlement,
    stored,
    whole,
)


def replay(inbox: Inbox, id_: str, *, run_again: bool = False) -> Replayed:
    """Replay as the command line does."""
    new_id = inbox.new_trigger_id() if run_again else None
    return inbox.write(replays.replay, id_, actor="test", reason="why", new_id=new_id, now=NOW + LATER)


def cancel(inbox: Inbox, id_: str) -> Cancelled:
    """Cancel as the command line does."""
    return inbox.write(replays.cancel, id_, actor="test", reason="why", now=NOW)


def trigger(inbox: Inbox, trigger_id: str) -> Trigger:
    """Return a trigger as it stands."""
    found = inbox.read(triggers.get, trigger_id)
    assert found is not None
    return found


def delivery(inbox: Inbox, delivery_id: str) -> Delivery:
    """Return a delivery as it stands."""
    found = inbox.read(deliveries.get, delivery_id)
    assert found is not None
    return found


def ended(inbox: Inbox, trigger_id: str, state: TriggerState, reason: Reason | None = None) -> str:
    """Let a trigger end like this."""
    (claimed,) = claim(inbox)
    assert claimed.trigger.id == trigger_id
    inbox.write(triggers.settle, claimed, settlement(state, reason=reason), attempt())
    return trigger_id


def route(inbox: Inbox, delivery_id: str, **more: object) -> int:
    """Send a delivery that was reopened through routing; returns how many triggers are new or made anew."""
    new = new_trigger(inbox, delivery_id, **more)
    routing = Routing(delivery_id, DeliveryState.ROUTED, None, None, None, [new])
    return len(inbox.write(settle_routing, [routing], now=NOW + LATER)[delivery_id].triggers)


def test_a_run_is_asked_for_by_its_webhook_and_then_by_whoever_replays(inbox: Inbox) -> None:
    """How long a DAG run took counts from the receipt, not from routing; a replay days later counts from itself."""
    earliest = datetime.now(UTC) - timedelta(milliseconds=1)  # an id knows no microseconds
    delivery_id = stored(inbox)
    latest = datetime.now(UTC)
    id_ = ended(inbox, add(inbox, delivery_id), TriggerState.FAILED, Reason.EXPIRED)
    assert earliest <= triggers.asked_at(trigger(inbox, id_)) <= latest
    replay(inbox, id_)
    assert triggers.asked_at(trigger(inbox, id_)) == trigger(inbox, id_).age_from > trigger(inbox, id_).created_at


def test_a_failed_trigger_is_fired_again_under_its_run_id(inbox: Inbox) -> None:
    """Attempts and age start anew, so that an expired one is not expired at once; the DAG run id stays."""
    id_ = ended(inbox, add(inbox, stored(inbox)), TriggerState.FAILED, Reason.EXPIRED)
    before = trigger(inbox, id_)
    assert replay(inbox, id_) is Replayed.QUEUED
    found = trigger(inbox, id_)
    assert (found.state, found.reason, found.attempts) == (TriggerState.PENDING, None, 0)
    assert (found.age_from, found.due_at, found.settled_at) == (NOW + LATER, NOW + LATER, None)
    assert (found.call.dag_run_id, found.created_at) == (before.call.dag_run_id, before.created_at)


def test_what_is_being_fired_is_left_alone(inbox: Inbox) -> None:
    """A replay takes nobody's lease away."""
    id_ = add(inbox, stored(inbox))
    (claimed,) = claim(inbox)
    assert replay(inbox, id_) is Replayed.BUSY
    assert inbox.write(triggers.settle, claimed, settlement(), attempt())


def test_a_duplicate_of_a_live_run_stays_cancelled(inbox: Inbox) -> None:
    """Two triggers never stand for one DAG run; the answer says why nothing happened."""
    add(inbox, stored(inbox, "evt_1"), dag_run_id="same")
    second = add(inbox, stored(inbox, "evt_2"), dag_run_id="same")
    assert replay(inbox, second) is Replayed.DUPLICATE
    assert trigger(inbox, second).state is TriggerState.CANCELLED


@pytest.mark.parametrize(
    ("reason", "expected"),
    [(Reason.DAG_NOT_FOUND, Replayed.ROUTED_AGAIN), (Reason.DAG_REFUSES_RUNS, Replayed.QUEUED)],
)
def test_what_is_held_for_a_dag_that_is_not_there_is_routed_again(
    inbox: Inbox, reason: Reason, expected: Replayed
) -> None:
    """The mapping may name another DAG by now. A DAG that is broken is still the one that is meant."""
    id_ = add(inbox, stored(inbox), state=TriggerState.HELD, reason=reason)
    assert replay(inbox, id_) is expected
    is_taken_back = expected is Replayed.ROUTED_AGAIN
    assert trigger(inbox, id_).state is (TriggerState.CANCELLED if is_taken_back else TriggerState.PENDING)


def test_the_loop_guard_lets_pass_what_a_person_replays(inbox: Inbox) -> None:
    """A held circle becomes due at once."""
    id_ = add(inbox, stored(inbox), state=TriggerState.HELD, reason=Reason.LOOP_GUARD)
    assert replay(inbox, id_) is Replayed.QUEUED
    assert [item.trigger.id for item in claim(inbox, now=NOW + LATER)] == [id_]


def test_run_again_makes_a_new_trigger_under_the_next_run_id(inbox: Inbox, store: Store) -> None:
    """`__r1`, `__r2`, whichever of the runs is asked to run again; the conf says whose it is."""
    id_ = ended(inbox, add(inbox, stored(inbox), dag_run_id="run", conf=_conf()), TriggerState.FIRED)
    assert replay(inbox, id_, run_again=True) is Replayed.NEW_RUN
    (second,) = claim(inbox, now=NOW + LATER)
    assert second.trigger.call.dag_run_id == "run__r1"
    assert second.trigger.call.conf == {"size": 1, "planasonix": {"route": "orders", "trigger_id": second.trigger.id}}
    assert replay(inbox, second.trigger.id, run_again=True) is Replayed.NEW_RUN
    (third,) = claim(inbox, now=NOW + LATER)
    assert third.trigger.call.dag_run_id == "run__r2"
    assert trigger(inbox, id_).call.conf == _conf()


def _conf() -> dict[str, object]:
    return {"size": 1, "planasonix": {"route": "orders", "trigger_id": "mine"}}


def test_the_reruns_of_two_places_of_a_route_are_counted_apart(inbox: Inbox) -> None:
    """Each DAG, and each Airflow, has run ids of its own."""
    delivery_id, places = stored(inbox), [("default", "stock"), ("default", "shelves"), ("other", "stock")]
    more = [{"airflow": airflow, "dag_id": dag, "dag_run_id": "run"} for airflow, dag in places]
    new = [new_trigger(inbox, delivery_id, **each) for each in more]
    inbox.write(settle_routing, [Routing(delivery_id, DeliveryState.ROUTED, None, None, None, new)], now=NOW)
    for item in new:
        assert replay(inbox, item.id, run_again=True) is Replayed.NEW_RUN
    found = {((each.call.airflow, each.call.dag_id), each.call.dag_run_id) for each in whole(inbox, delivery_id)}
    assert found == {(place, run_id) for place in places for run_id in ("run", "run__r1")}


def test_run_again_of_a_cancelled_copy_makes_a_run_too(inbox: Inbox) -> None:
    """When the copy's sibling was run again before, the copy takes the next number instead of none at all."""
    first = add(inbox, stored(inbox, "evt_1"), dag_run_id="same")
    second = add(inbox, stored(inbox, "evt_2"), dag_run_id="same")
    replay(inbox, first, run_again=True)
    assert replay(inbox, second, run_again=True) is Replayed.NEW_RUN
    assert sorted(item.trigger.call.dag_run_id for item in claim(inbox, now=NOW + LATER)) == [
        "same",
        "same__r1",
        "same__r2",
    ]


@ON_POSTGRESQL
def test_two_copies_that_are_run_again_at_once_make_one_run(inbox: Inbox) -> None:
    """The second one waits for the first one's transaction, and is told that the DAG run id is taken."""
    id_ = add(inbox, stored(inbox, "evt_1"), dag_run_id="run")
    copy = add(inbox, stored(inbox, "evt_2"), dag_run_id="run")
    written, ends = threading.Event(), threading.Event()

    def slowly(connection: Connection) -> Replayed:
        new_id = inbox.new_trigger_id()
        told = replays.replay(connection, id_, actor="first", reason=None, new_id=new_id, now=NOW + LATER)
        written.set()
        ends.wait(10)
        return told

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(inbox.write, slowly)
        assert written.wait(10)
        second = pool.submit(replay, inbox, copy, run_again=True)
        with pytest.raises(TimeoutError):
            second.result(0.5)
        ends.set()
        assert (first.result(10), second.result(10)) == (Replayed.NEW_RUN, Replayed.DUPLICATE)
    assert sorted(item.trigger.call.dag_run_id for item in claim(inbox, now=NOW + LATER)) == ["run", "run__r1"]


def test_a_run_id_of_the_mapping_that_looks_like_a_rerun_is_kept(inbox: Inbox) -> None:
    """Only the suffix that the bridge itself added is replaced."""
    id_ = add(inbox, stored(inbox), dag_run_id="region__r5")
    replay(inbox, id_, run_again=True)
    assert sorted(item.trigger.call.dag_run_id for item in claim(inbox, now=NOW + LATER)) == [
        "region__r5",
        "region__r5__r1",
    ]


@pytest.mark.parametrize("reason", [Reason.TEMPLATE, Reason.CONDITION])
@pytest.mark.parametrize("run_again", [False, True])
def test_what_failed_in_the_mapping_goes_through_it_again(inbox: Inbox, reason: Reason, run_again: bool) -> None:
    """There is no call to repeat, so the delivery is routed again, and a mended mapping makes the trigger."""
    delivery_id = stored(inbox)
    id_ = add(inbox, delivery_id, dag_run_id="", conf={}, state=TriggerState.FAILED, reason=reason)
    assert replay(inbox, id_, run_again=run_again) is Replayed.ROUTED_AGAIN
    assert delivery(inbox, delivery_id).state is DeliveryState.RECEIVED
    assert inbox.read(triggers.get, id_) is None
    assert route(inbox, delivery_id) == 1
    assert len(claim(inbox, now=NOW + LATER)) == 1


def test_a_cancelled_trigger_without_a_call_is_never_fired(inbox: Inbox) -> None:
    """Airflow would make a run of its own naming for an empty run id: its delivery is routed again instead."""
    delivery_id = stored(inbox)
    id_ = add(inbox, delivery_id, dag_run_id="", conf={}, state=TriggerState.FAILED, reason=Reason.TEMPLATE)
    assert cancel(inbox, id_) is Cancelled.CANCELLED
    assert replay(inbox, id_) is Replayed.ROUTED_AGAIN
    assert claim(inbox, now=NOW + LATER) == []


def test_what_gave_way_to_a_newer_one_stays_when_another_trigger_is_replayed(inbox: Inbox, store: Store) -> None:
    """Its delivery is routed again for the other's sake; only who asks for it, or for the delivery, starts it."""
    delivery_id = stored(inbox)

    def triggers_of(**other: object) -> list[NewTrigger]:
        return [
            new_trigger(inbox, delivery_id, series=b"a"),
            new_trigger(inbox, delivery_id, route="other", dag_id="other", **other),
        ]

    def send(new: list[NewTrigger]) -> None:
        inbox.write(settle_routing, [Routing(delivery_id, DeliveryState.ROUTED, None, None, None, new)], now=NOW)

    (old, broken) = triggers_of(dag_run_id="", conf={}, state=TriggerState.FAILED, reason=Reason.TEMPLATE)
    send([old, broken])
    store.rows("UPDATE triggers SET state = 'cancelled', reason = 'superseded' WHERE id = ?", number(old.id, "trg"))
    assert replay(inbox, broken.id) is Replayed.ROUTED_AGAIN
    send(triggers_of())
    states = "SELECT route, state, reason FROM triggers ORDER BY route"
    assert store.rows(states) == [("orders", "cancelled", "superseded"), ("other", "pending", None)]
    assert replay(inbox, delivery_id) is Replayed.ROUTED_AGAIN
    send(triggers_of())
    assert trigger(inbox, old.id).state is TriggerState.PENDING


def test_what_a_person_asks_for_anew_is_the_newest_of_its_series(inbox: Inbox) -> None:
    """Its webhook is older than the other's, and whoever replays it wants it all the same."""
    delivery_id = stored(inbox)
    id_ = ended(inbox, add(inbox, delivery_id, series=b"a"), TriggerState.FAILED, Reason.EXPIRED)
    other = add(inbox, stored(inbox, "evt_2"), series=b"a")
    assert inbox.read(holds.newer, other) is None
    replay(inbox, delivery_id)
    again = Routing(delivery_id, DeliveryState.ROUTED, None, None, None, [new_trigger(inbox, delivery_id, series=b"a")])
    inbox.write(settle_routing, [again], now=datetime.now(UTC) + timedelta(hours=1))
    newer = inbox.read(holds.newer, other)
    assert newer is not None
    assert newer.id == id_


@pytest.mark.parametrize("reason", [Reason.CONF_REFUSED, Reason.CONF_TOO_LARGE])
def test_a_refused_conf_is_made_anew(inbox: Inbox, reason: Reason) -> None:
    """After the mapping was mended the trigger is fired with the new conf, under its own id and with its history."""
    delivery_id = stored(inbox)
    id_ = ended(inbox, add(inbox, delivery_id, dag_run_id="run", conf=_conf()), TriggerState.FAILED, reason)
    assert replay(inbox, id_) is Replayed.ROUTED_AGAIN
    mended = {"size": 2, "planasonix": {"route": "orders", "trigger_id": "another"}}
    assert route(inbox, delivery_id, dag_run_id="run", conf=mended) == 1
    (claimed,) = claim(inbox, now=NOW + LATER)
    assert (claimed.trigger.id, claimed.trigger.attempts) == (id_, 1)
    assert claimed.trigger.call.conf == {"size": 2, "planasonix": {"route": "orders", "trigger_id": id_}}


def test_what_is_made_anew_is_due_at_once(inbox: Inbox) -> None:
    """However late it was due when it ended."""
    delivery_id = stored(inbox)
    id_ = add(inbox, delivery_id)
    (claimed,) = claim(inbox)
    end = settlement(TriggerState.FAILED, reason=Reason.CONF_REFUSED, due_at=NOW + timedelta(days=9))
    inbox.write(triggers.settle, claimed, end, attempt())
    assert replay(inbox, delivery_id) is Replayed.ROUTED_AGAIN
    assert route(inbox, delivery_id) == 1
    assert [each.trigger.id for each in claim(inbox, now=NOW + LATER)] == [id_]


def test_routing_again_leaves_what_fired(inbox: Inbox, store: Store) -> None:
    """A delivery that is replayed starts nothing that it has started before; a new route's trigger is added."""
    delivery_id = stored(inbox)
    id_ = ended(inbox, add(inbox, delivery_id), TriggerState.FIRED)
    assert replay(inbox, delivery_id) is Replayed.ROUTED_AGAIN
    assert route(inbox, delivery_id) == 0
    assert trigger(inbox, id_).state is TriggerState.FIRED
    replay(inbox, delivery_id)
    assert route(inbox, delivery_id, route="new", dag_run_id="new-run") == 1
    assert store.one("SELECT COUNT(*) FROM triggers") == 2


def test_a_remade_trigger_takes_nobodys_run(inbox: Inbox) -> None:
    """If another trigger stands for the new DAG run id, the failed one is a copy of it, and says so."""
    first = stored(inbox, "evt_1")
    id_ = ended(inbox, add(inbox, first, dag_run_id="run"), TriggerState.FAILED, Reason.CONF_REFUSED)
    owner = add(inbox, stored(inbox, "evt_2"), dag_run_id="taken")
    replay(inbox, id_)
    assert route(inbox, first, dag_run_id="taken") == 1
    found = trigger(inbox, id_)
    assert (found.state, found.reason) == (TriggerState.CANCELLED, Reason.DUPLICATE_RUN)
    assert owner in (found.detail or "")


@pytest.mark.parametrize("state", ["stale", "invalid", "unrouted", "ignored"])
def test_a_delivery_set_aside_is_routed_after_all(inbox: Inbox, store: Store, state: str) -> None:
    """Whatever kept it from routing, a person's word opens it again, and its old look-up is forgotten."""
    delivery_id = stored(inbox)
    store.rows("UPDATE deliveries SET state = ?, reason = 'no_route', lookup = '{}', lookups = 7", state)
    assert replay(inbox, delivery_id) is Replayed.ROUTED_AGAIN
    found = delivery(inbox, delivery_id)
    assert (found.state, found.reason, found.lookup, found.lookups) == (DeliveryState.RECEIVED, None, None, 0)


@pytest.mark.parametrize("reason", ["lookup_failed", "key_missing", None])
def test_a_delivery_that_waits_for_its_time_is_routed_now(inbox: Inbox, store: Store, reason: str | None) -> None:
    """Whoever replays it has mended what it waits for; a look-up that is under way is not begun twice."""
    delivery_id = stored(inbox)
    store.rows("UPDATE deliveries SET due_at = 9000000000000000, reason = ?", reason)
    assert replay(inbox, delivery_id) is Replayed.ROUTED_AGAIN
    waiting = inbox.read(deliveries.due, now=NOW + LATER, limit=9)
    assert [item.id for item in waiting] == ([] if reason is None else [delivery_id])


def test_a_replay_costs_no_delivery_its_turn_to_be_looked_up(inbox: Inbox, store: Store) -> None:
    """It waits for a place and not for its due time, so it stays where it stands in the queue."""
    delivery_id = stored(inbox)
    store.rows("UPDATE deliveries SET due_at = 9000000000000000, reason = 'lookup_queued'")
    assert replay(inbox, delivery_id) is Replayed.ROUTED_AGAIN
    assert store.one("SELECT due_at FROM deliveries") == 9000000000000000


@pytest.mark.parametrize("id_", ["dlv_0000000000000001", "trg_0000000000000001", "x", ""])
@pytest.mark.parametrize("run_again", [False, True])
def test_what_is_not_stored_is_not_there(inbox: Inbox, store: Store, id_: str, run_again: bool) -> None:
    """A wrong id changes nothing, and nothing is written to the audit log."""
    with pytest.raises(NotThere):
        replay(inbox, id_, run_again=run_again)
    assert store.one("SELECT COUNT(*) FROM audit") == 0


def test_every_replay_is_on_record(inbox: Inbox, store: Store) -> None:
    """Who, what, which and why stand in the audit log, also when nothing came of it."""
    delivery_id = stored(inbox)
    id_ = add(inbox, delivery_id)
    claim(inbox)
    replay(inbox, id_)
    replay(inbox, delivery_id)
    assert store.rows("SELECT actor, action, subject, reason FROM audit ORDER BY id") == [
        ("test", "busy", id_, "why"),
        ("test", "busy", delivery_id, "why"),
    ]


@pytest.mark.parametrize("state", [TriggerState.PENDING, TriggerState.HELD, TriggerState.FAILED])
def test_a_person_is_told_that_what_is_cancelled_may_have_started(inbox: Inbox, state: TriggerState) -> None:
    """It ends all the same, whatever has become of its Airflow; the detail says where to look."""
    id_ = add(inbox, stored(inbox))
    lost = settlement(state, reason=Reason.AIRFLOW_DOWN, is_doubtful=True)
    inbox.write(triggers.settle, claim(inbox)[0], lost, attempt())
    assert cancel(inbox, id_) is Cancelled.IN_DOUBT
    found = trigger(inbox, id_)
    assert (found.state, found.reason) == (TriggerState.CANCELLED, Reason.BY_OPERATOR)
    assert found.detail == "a call of it may have started its DAG run before: look for that in Airflow"
    assert cancel(inbox, id_) is Cancelled.ENDED


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (TriggerState.PENDING, Cancelled.CANCELLED),
        (TriggerState.HELD, Cancelled.CANCELLED),
        (TriggerState.FAILED, Cancelled.CANCELLED),
        (TriggerState.FIRING, Cancelled.BUSY),
        (TriggerState.FIRED, Cancelled.ENDED),
        (TriggerState.CANCELLED, Cancelled.ENDED),
    ],
)
def test_cancel_ends_what_waits(inbox: Inbox, store: Store, state: TriggerState, outcome: Cancelled) -> None:
    """What waits or failed can be cancelled; what runs or has ended cannot. Either way it is on record."""
    id_ = add(inbox, stored(inbox), detail="before")
    store.rows("UPDATE triggers SET state = ?", state)
    assert cancel(inbox, id_) is outcome
    found = trigger(inbox, id_)
    ended = (TriggerState.CANCELLED, Reason.BY_OPERATOR, None, NOW)
    expected = ended if outcome is Cancelled.CANCELLED else (state, None, "before", None)
    assert (found.state, found.reason, found.detail, found.settled_at) == expected
    assert store.rows("SELECT actor, action, subject, reason FROM audit") == [("test", str(outcome), id_, "why")]


def test_what_was_called_without_a_name_is_in_no_doubt(inbox: Inbox, store: Store) -> None:
    """No DAG run can be looked for where none has an id; nor is it said of what was never called."""
    id_ = add(inbox, stored(inbox, "evt_1"), dag_run_id="", state=TriggerState.FAILED, reason=Reason.TEMPLATE)
    store.rows("UPDATE triggers SET doubted_at = 1")
    other = add(inbox, stored(inbox, "evt_2"), detail="before")
    assert (cancel(inbox, id_), cancel(inbox, other)) == (Cancelled.CANCELLED, Cancelled.CANCELLED)
    assert (trigger(inbox, id_).detail, trigger(inbox, other).detail) == (None, None)


def test_what_is_called_right_now_is_not_said_to_be_in_doubt(inbox: Inbox, store: Store) -> None:
    """It is not cancelled, although a call of it may have started its run before."""
    id_ = add(inbox, stored(inbox))
    store.rows("UPDATE triggers SET doubted_at = 1, state = 'firing', detail = 'before'")
    assert cancel(inbox, id_) is Cancelled.BUSY
    assert trigger(inbox, id_).detail == "before"


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ("state = 'held'", Replayed.ROUTED_AGAIN),
        ("state = 'held', doubted_at = 1", Replayed.QUEUED),
        ("state = 'held', rerun = 1", Replayed.QUEUED),
        ("state = 'pending'", Replayed.QUEUED),
        ("state = 'firing'", Replayed.BUSY),
    ],
)
def test_only_what_is_held_for_a_dag_that_was_never_called_is_taken_back(
    inbox: Inbox, store: Store, change: str, outcome: Replayed
) -> None:
    """Anything else is fired again as it is: its run may be there, or a person asked for just this one."""
    id_ = add(inbox, stored(inbox), state=TriggerState.HELD, reason=Reason.DAG_NOT_FOUND)
    store.rows(f"UPDATE triggers SET {change}")  # noqa: S608
    assert replay(inbox, id_) is outcome
    found = trigger(inbox, id_)
    is_taken_back = outcome is Replayed.ROUTED_AGAIN
    assert (found.reason is Reason.SUPERSEDED, found.settled_at) == (
        is_taken_back,
        NOW + LATER if is_taken_back else None,
    )


@pytest.mark.parametrize("state", TriggerState)
@pytest.mark.parametrize("rerun", [0, 1])
def test_a_replay_of_a_delivery_takes_back_what_it_has_not_started(
    inbox: Inbox, store: Store, state: TriggerState, rerun: int
) -> None:
    """Not a new run that a person asked for; and nothing at all while a call is under way."""
    delivery_id = stored(inbox)
    id_ = add(inbox, delivery_id)
    store.rows("UPDATE triggers SET state = ?, reason = 'expired', rerun = ?, settled_at = 1", state, rerun)
    is_busy = state is TriggerState.FIRING and not rerun
    assert replay(inbox, delivery_id) is (Replayed.BUSY if is_busy else Replayed.ROUTED_AGAIN)
    ends = (TriggerState.PENDING, TriggerState.HELD, TriggerState.FAILED)
    ended = (TriggerState.CANCELLED, Reason.SUPERSEDED) if state in ends and not rerun else (state, Reason.EXPIRED)
    found = trigger(inbox, id_)
    assert (found.state, found.reason) == ended
    assert (found.settled_at == NOW + LATER) is (state in ends and not rerun)


@pytest.mark.parametrize(
    ("state", "reason", "stays"),
    [
        ("cancelled", "superseded", False),
        ("cancelled", "by_operator", True),
        ("cancelled", "duplicate_run", True),
        ("fired", None, True),
    ],
)
def test_only_what_gave_way_leaves_its_series_when_its_delivery_is_replayed(
    inbox: Inbox, store: Store, state: str, reason: str | None, stays: bool
) -> None:
    """It is asked for now. What was fired goes on standing for the newest, and what a person stopped is stopped."""
    delivery_id = stored(inbox)
    id_, other = add(inbox, delivery_id, series=b"a"), add(inbox, stored(inbox, "evt_2"), series=b"a")
    store.rows("UPDATE triggers SET state = ?, reason = ?", state, reason)
    assert replay(inbox, delivery_id) is Replayed.ROUTED_AGAIN
    assert trigger(inbox, id_).call.series == (b"a" if stays else None)
    assert trigger(inbox, other).call.series == b"a"


@pytest.mark.parametrize(
    ("other", "outcome"),
    [
        ({}, Replayed.DUPLICATE),
        ({"state": TriggerState.FIRED}, Replayed.DUPLICATE),
        ({"dag_run_id": "another"}, Replayed.QUEUED),
        ({"dag_id": "another"}, Replayed.QUEUED),
        ({"airflow": "another"}, Replayed.QUEUED),
        ({"state": TriggerState.FAILED}, Replayed.QUEUED),
        ({"state": TriggerState.CANCELLED}, Replayed.QUEUED),
    ],
)
def test_a_trigger_is_fired_again_unless_another_has_its_name(
    inbox: Inbox, other: dict[str, object], outcome: Replayed
) -> None:
    """Of its DAG, and one that may make a run; it is never in its own way."""
    id_ = add(inbox, stored(inbox, "evt_1"), dag_run_id="run", state=TriggerState.FAILED, reason=Reason.EXPIRED)
    add(inbox, stored(inbox, "evt_2"), **{"dag_run_id": "run"} | other)
    assert replay(inbox, id_) is outcome
    if outcome is Replayed.QUEUED:
        assert replay(inbox, id_) is Replayed.QUEUED


def test_the_reruns_of_two_routes_to_one_dag_are_counted_apart(inbox: Inbox) -> None:
    """Each has a DAG run id of its own, to which the number is added."""
    delivery_id = stored(inbox)
    new = [new_trigger(inbox, delivery_id, route=name, dag_run_id=name) for name in ("orders", "audit")]
    inbox.write(settle_routing, [Routing(delivery_id, DeliveryState.ROUTED, None, None, None, new)], now=NOW)
    for item in new:
        assert replay(inbox, item.id, run_again=True) is Replayed.NEW_RUN
    found = {each.call.dag_run_id for each in whole(inbox, delivery_id)}
    assert found == {"orders", "audit", "orders__r1", "audit__r1"}
