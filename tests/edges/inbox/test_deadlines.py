"""Triggers with a deadline in the store: given up wherever they wait, unless a call may have started them."""

from datetime import timedelta

from bridge.edges.inbox import Inbox, claiming, deadlines, pauses, replays, triggers
from bridge.edges.inbox.deliveries import Routing, settle_routing
from bridge.words.model import DeliveryState, Limits, Trigger, TriggerState
from bridge.words.reasons import Reason
from tests.support.store import LATER, NOW, add, attempt, claim, new_trigger, settlement, stored

HOUR = timedelta(hours=1)
LIMITS = Limits(deadline_seconds=3600.0)


def due(inbox: Inbox, event: str = "evt_1", *, late_at: timedelta = HOUR, **more: object) -> str:
    """Store a trigger that is too late from a time after NOW on."""
    options = {"late_at": NOW + late_at, "limits": LIMITS} | more
    return add(inbox, stored(inbox, event), **options)


def found(inbox: Inbox, id_: str) -> Trigger:
    """Return a trigger."""
    item = inbox.read(triggers.get, id_)
    assert item is not None
    return item


def test_what_is_too_late_is_given_up_wherever_it_waits(inbox: Inbox) -> None:
    """Pending, held for a cause, paused, or held for a person; from the moment on and not before."""
    paused = due(inbox, "evt_1", route="paused")
    inbox.write(pauses.hold_route, ("default", "paused"), limit=9)
    down = due(inbox, "evt_2", airflow="down")
    inbox.write(claiming.hold, airflow="down", reason=Reason.AIRFLOW_DOWN, limit=9)
    circle = due(inbox, "evt_3", state=TriggerState.HELD, reason=Reason.LOOP_GUARD)
    pending = due(inbox, "evt_4")
    without = add(inbox, stored(inbox, "evt_5"))
    before, then = NOW + HOUR - LATER, NOW + HOUR
    assert not inbox.read(deadlines.is_any_late, now=before)
    assert inbox.write(deadlines.give_up, now=before, limit=9) == []
    assert inbox.read(deadlines.is_any_late, now=then)
    assert sorted(inbox.write(deadlines.give_up, now=then, limit=9)) == ["orders", "orders", "orders", "paused"]
    for id_ in (paused, down, circle, pending):
        item = found(inbox, id_)
        assert (item.state, item.reason, item.settled_at) == (TriggerState.CANCELLED, Reason.TOO_LATE, then)
    assert found(inbox, without).state is TriggerState.PENDING
    assert not inbox.read(deadlines.is_any_late, now=then)


def test_the_longest_late_goes_first_and_slice_by_slice(inbox: Inbox) -> None:
    """Two replicas share them."""
    mine = [due(inbox, f"evt_{n}", late_at=HOUR - n * LATER) for n in range(3)]
    assert [len(inbox.write(deadlines.give_up, now=NOW + HOUR, limit=2)) for _ in range(3)] == [2, 1, 0]
    assert {found(inbox, id_).reason for id_ in mine} == {Reason.TOO_LATE}


def test_what_is_being_fired_is_not_touched(inbox: Inbox) -> None:
    """And when its process dies, nobody knows how the call ended: it is firing's to find out."""
    id_ = due(inbox)
    claim(inbox)
    assert inbox.write(deadlines.give_up, now=NOW + HOUR, limit=9) == []
    assert inbox.write(triggers.take_over, now=NOW + HOUR) == 1
    assert inbox.write(deadlines.give_up, now=NOW + HOUR, limit=9) == []
    item = found(inbox, id_)
    assert item.doubted_at is not None
    assert (item.state, NOW <= item.doubted_at <= NOW + HOUR) == (TriggerState.PENDING, True)


def test_what_a_bridge_called_that_died_alone_is_in_doubt(inbox: Inbox) -> None:
    """At its next start nobody waits for a lease, and nobody knows how the call ended either."""
    id_ = due(inbox)
    claim(inbox)
    assert inbox.write(triggers.take_over_all) == 1
    assert found(inbox, id_).doubted_at is not None
    assert inbox.write(deadlines.give_up, now=NOW + HOUR, limit=9) == []


def test_an_attempt_that_was_answered_leaves_no_doubt(inbox: Inbox) -> None:
    """Airflow said no: what is tried again may be given up at its deadline."""
    id_ = due(inbox)
    refused = settlement(TriggerState.PENDING, reason=Reason.DAG_NOT_FOUND)
    inbox.write(triggers.settle, claim(inbox)[0], refused, attempt())
    assert found(inbox, id_).doubted_at is None


def test_an_attempt_in_doubt_is_remembered_whatever_comes_after_it(inbox: Inbox) -> None:
    """A pause that takes the word, a later refusal, a claim that is given back: the run may be there all the same."""
    id_ = due(inbox)
    lost = settlement(TriggerState.PENDING, reason=Reason.ANSWER_LOST, is_doubtful=True)
    inbox.write(triggers.settle, claim(inbox)[0], lost, attempt())
    refused = settlement(TriggerState.PENDING, reason=Reason.DAG_NOT_FOUND)
    inbox.write(triggers.settle, claim(inbox)[0], refused, attempt(2))
    inbox.write(triggers.give_back, claim(inbox))
    inbox.write(pauses.hold_route, ("default", "orders"), limit=9)
    assert found(inbox, id_).doubted_at == NOW + timedelta(seconds=0.25)
    assert inbox.write(deadlines.give_up, now=NOW + HOUR, limit=9) == []


def test_a_refusal_leaves_no_doubt(inbox: Inbox) -> None:
    """Held for a missing DAG, it is given up."""
    due(inbox)
    refused = settlement(TriggerState.HELD, reason=Reason.DAG_NOT_FOUND)
    inbox.write(triggers.settle, claim(inbox)[0], refused, attempt())
    assert inbox.write(deadlines.give_up, now=NOW + HOUR, limit=9) == ["orders"]


def test_a_replay_of_what_was_too_late_counts_anew(inbox: Inbox) -> None:
    """Whoever replays it wants it all the same; that of any other trigger moves no deadline."""
    late, other = due(inbox, "evt_1"), due(inbox, "evt_2", late_at=3 * HOUR)
    inbox.write(deadlines.give_up, now=NOW + HOUR, limit=9)
    now = NOW + 2 * HOUR
    for id_ in (late, other):
        inbox.write(replays.replay, id_, actor="a", reason=None, new_id=None, now=now)
    assert (found(inbox, late).state, found(inbox, late).late_at) == (TriggerState.PENDING, now + HOUR)
    assert found(inbox, other).late_at == NOW + 3 * HOUR
    new_id = inbox.new_trigger_id()
    inbox.write(replays.replay, late, actor="a", reason=None, new_id=new_id, now=now + HOUR)
    assert found(inbox, new_id).late_at == now + 2 * HOUR
    assert found(inbox, new_id).call.limits == LIMITS


def test_a_replay_of_what_failed_counts_anew_once_its_deadline_has_passed(inbox: Inbox) -> None:
    """It failed in time, and a person replays it later: the trigger alone, or its delivery through routing."""
    failed, again = due(inbox, "evt_1"), due(inbox, "evt_2")
    for claimed in claim(inbox):
        inbox.write(triggers.settle, claimed, settlement(TriggerState.FAILED, reason=Reason.EXPIRED), attempt())
    now = NOW + 2 * HOUR
    inbox.write(replays.replay, failed, actor="a", reason=None, new_id=None, now=now)
    delivery_id = found(inbox, again).delivery_id
    inbox.write(replays.replay, delivery_id, actor="a", reason=None, new_id=None, now=now)
    anew = new_trigger(inbox, delivery_id, late_at=NOW + HOUR, limits=LIMITS)
    routing = Routing(delivery_id, DeliveryState.ROUTED, None, None, None, [anew])
    inbox.write(settle_routing, [routing], now=now)
    for id_ in (failed, again):
        assert (found(inbox, id_).state, found(inbox, id_).late_at) == (TriggerState.PENDING, now + HOUR)
    assert inbox.write(deadlines.give_up, now=now, limit=9) == []
