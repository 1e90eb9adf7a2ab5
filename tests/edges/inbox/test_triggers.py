"""Triggers: made once, claimed by one, settled only by whoever holds the lease."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from bridge.edges.inbox import Inbox, browsing, claiming, replays, runs, starts, triggers
from bridge.edges.inbox.deliveries import (
    Postponed,
    Routing,
    draw,
    due,
    get,
    postpone,
    queued,
    queued_elsewhere,
    renew,
    settle_routing,
)
from bridge.edges.inbox.engine.ids import NODES, made_at, number
from bridge.edges.inbox.rows import instant, microseconds
from bridge.words.errors import InboxUnavailable
from bridge.words.holds import Awaits
from bridge.words.model import Claimed, DeliveryState, Limits, Spent, Trigger, TriggerState
from bridge.words.reasons import Reason
from bridge.words.runs import Progress, Run, RunState
from tests.support.store import (
    LATER,
    NOW,
    ON_POSTGRESQL,
    ON_SQLITE,
    Store,
    add,
    attempt,
    claim,
    new_trigger,
    settlement,
    stored,
)

Open = Callable[..., Inbox]


def trigger(inbox: Inbox, trigger_id: str) -> Trigger:
    """Return a trigger as it stands."""
    found = inbox.read(triggers.get, trigger_id)
    assert found is not None
    return found


# --- routing ---------------------------------------------------------------------------------------


def test_what_waits_for_routing_comes_oldest_first(inbox: Inbox) -> None:
    """Routing takes deliveries in the order in which they came."""
    ids = [stored(inbox, f"evt_{number}") for number in range(5)]
    assert [item.id for item in inbox.read(due, now=NOW, limit=3)] == ids[:3]


def test_a_delivery_is_for_two_seconds_of_the_replica_that_took_it_in(inbox: Inbox, store: Store) -> None:
    """Its id has the mark of that one, of which every bit counts; afterwards it is anybody's."""
    store.rows("UPDATE deliveries SET due_at = ?, id = ?", microseconds(NOW), number(stored(inbox), "dlv") | NODES - 1)
    marks = [NODES - 1, *(NODES - 1 - (1 << bit) for bit in range(10))]

    def found(after: float) -> list[int]:
        now = NOW + timedelta(seconds=after)
        return [len(inbox.read(due, now=now, limit=9, node=mark)) for mark in marks]

    assert found(0.0) == found(1.999) == [1] + [0] * 10
    assert found(2.0) == [1] * 11


@pytest.mark.parametrize(("beyond", "amount"), [(0, 9), (1, 8)])
def test_what_is_routed_at_once_is_bounded_in_bytes(inbox: Inbox, beyond: int, amount: int) -> None:
    """A hundred bodies of the largest size would be a hundred MiB in memory: no other comes once it is above 8 MiB."""
    mib = 1_048_576
    ids = [stored(inbox, f"evt_{n}", body=b"x" * (mib + beyond * (n == 7))) for n in range(10)]
    assert [item.id for item in inbox.read(due, now=NOW, limit=100)] == ids[:amount]


@pytest.mark.parametrize("lookup", [{"pipeline_id": "pl_1"}, {}, None])
def test_what_the_api_said_is_kept_with_the_delivery(inbox: Inbox, lookup: dict[str, str] | None) -> None:
    """So that a replay or `why` shows what routing has seen; nothing where nobody was asked."""
    delivery_id = stored(inbox)
    inbox.write(settle_routing, [Routing(delivery_id, DeliveryState.ROUTED, None, None, lookup, [])], now=NOW)
    found = inbox.read(get, delivery_id)
    assert found is not None
    assert found.lookup == lookup


def test_routing_twice_makes_one_trigger(inbox: Inbox, store: Store) -> None:
    """A delivery that somebody else routed meanwhile is left alone."""
    delivery_id = stored(inbox)
    add(inbox, delivery_id)
    add(inbox, delivery_id, route="another")
    assert store.rows("SELECT route FROM triggers") == [("orders",)]


def test_state_and_triggers_are_stored_together_or_not_at_all(inbox: Inbox) -> None:
    """When a trigger cannot be stored the delivery still waits for routing."""
    first, second = stored(inbox, "evt_1"), stored(inbox, "evt_2")
    taken = add(inbox, first)
    clash = new_trigger(inbox, second, id=taken)
    with pytest.raises(InboxUnavailable, match="taken"):
        inbox.write(settle_routing, [Routing(second, DeliveryState.ROUTED, None, None, None, [clash])], now=NOW)
    assert [item.id for item in inbox.read(due, now=NOW, limit=9)] == [second]


def test_a_postponed_delivery_is_not_due_until_then(inbox: Inbox) -> None:
    """It lets the others pass, keeps its reason for people, and counts how often it was looked up."""
    delivery_id = stored(inbox)
    later = Postponed(delivery_id, NOW + LATER, Reason.LOOKUP_FAILED, "why", is_lookup=True)
    inbox.write(postpone, [later])
    assert inbox.read(due, now=NOW, limit=9) == []
    (delivery,) = inbox.read(due, now=NOW + LATER, limit=9)
    assert (delivery.reason, delivery.detail, delivery.lookups) == (Reason.LOOKUP_FAILED, "why", 1)


def test_one_dag_run_has_one_live_trigger(inbox: Inbox) -> None:
    """The trigger of another copy of the same completion is kept as cancelled, with the reason."""
    first = add(inbox, stored(inbox, "evt_1"), dag_run_id="same")
    second = add(inbox, stored(inbox, "evt_2"), dag_run_id="same")
    assert trigger(inbox, first).state is TriggerState.PENDING
    found = trigger(inbox, second)
    assert (found.state, found.reason) == (TriggerState.CANCELLED, Reason.DUPLICATE_RUN)
    assert [item.trigger.id for item in claim(inbox)] == [first]


def test_the_same_run_id_is_another_run_in_another_dag_or_airflow(inbox: Inbox) -> None:
    """A DAG run id is unique within one DAG of one Airflow only."""
    add(inbox, stored(inbox, "evt_1"), dag_run_id="same")
    add(inbox, stored(inbox, "evt_2"), dag_run_id="same", dag_id="other")
    add(inbox, stored(inbox, "evt_3"), dag_run_id="same", airflow="second")
    assert inbox.read(browsing.count, table="triggers", wanted=browsing.Filter(state="pending")) == 3


def test_what_failed_in_its_templates_has_no_run_to_clash_with(inbox: Inbox) -> None:
    """Triggers without a call may be many."""
    for turn in range(3):
        id_ = add(
            inbox,
            stored(inbox, f"evt_{turn}"),
            dag_run_id="",
            conf={},
            state=TriggerState.FAILED,
            reason=Reason.TEMPLATE,
            detail="conf.x",
        )
        found = trigger(inbox, id_)
        assert (found.state, found.call.dag_run_id, found.settled_at) == (TriggerState.FAILED, "", NOW)
    assert claim(inbox) == []


def test_a_trigger_is_stored_as_it_was_made(inbox: Inbox) -> None:
    """Limits, conf and note come back as they were given."""
    limits = Limits(max_age_seconds=90.5, max_attempts=3, concurrency=2)
    conf = {"planasonix": {"trigger_id": "x"}, "text": "grüße \N{GRINNING FACE}", "none": None, "deep": [{"a": 1.5}]}
    found = trigger(inbox, add(inbox, stored(inbox), limits=limits, conf=conf, note="why"))
    assert (found.call.limits, found.call.conf, found.call.note) == (limits, conf, "why")
    assert (found.created_at, found.age_from, found.due_at, found.attempts) == (NOW, NOW, NOW, 0)


# --- claiming --------------------------------------------------------------------------------------


def test_a_claim_counts_the_attempt_and_takes_the_oldest(inbox: Inbox) -> None:
    """Claims come in order of age, not more than asked for, and the attempt counts from here."""
    ids = [add(inbox, stored(inbox, f"evt_{n}"), now=NOW - timedelta(seconds=10 - n)) for n in range(4)]
    claimed = claim(inbox, limit=3)
    assert [item.trigger.id for item in claimed] == ids[:3]
    assert {(item.trigger.state, item.trigger.attempts) for item in claimed} == {(TriggerState.FIRING, 1)}


@pytest.mark.parametrize("full", [(), ("another",)])
def test_claims_come_in_order_of_due_time_and_not_of_id(inbox: Inbox, full: tuple[str, ...]) -> None:
    """A trigger that was put off, and is due since longer, comes before those that are older by their id."""
    dues = [NOW - timedelta(seconds=seconds) for seconds in (1, 3, 2, 5, 4)]
    ids = [add(inbox, stored(inbox, f"evt_{n}"), route=f"route_{n % 2}", due_at=due) for n, due in enumerate(dues)]
    assert [item.trigger.id for item in claim(inbox, limit=3, full=full)] == [ids[3], ids[4], ids[1]]
    assert [item.trigger.id for item in claim(inbox, full=full)] == [ids[2], ids[0]]


def test_what_is_claimed_is_claimed_once(open_inbox: Open) -> None:
    """Claims from several processes at the same time never overlap."""
    first, second = open_inbox(), open_inbox()
    ids = [add(first, stored(first, f"evt_{number}")) for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(lambda n: claim((first, second)[n % 2], limit=5), range(12)))
    claimed = [item.trigger.id for batch in batches for item in batch]
    assert sorted(claimed) == sorted(ids)


def test_only_what_is_due_here_and_not_full_is_claimed(inbox: Inbox) -> None:
    """Another Airflow's, a full route's, and what is due later are left."""
    add(inbox, stored(inbox, "evt_1"), airflow="second")
    add(inbox, stored(inbox, "evt_2"), route="full")
    add(inbox, stored(inbox, "evt_3"), now=NOW + LATER)
    mine = add(inbox, stored(inbox, "evt_4"))
    assert [item.trigger.id for item in claim(inbox, full=("full",))] == [mine]


def test_held_triggers_are_claimed_when_due(inbox: Inbox) -> None:
    """What was shown as held while the Airflow was down goes on by itself, with its age kept."""
    id_ = add(inbox, stored(inbox))
    assert inbox.write(claiming.hold, airflow="default", reason=Reason.AIRFLOW_DOWN, limit=10) == 1
    assert (trigger(inbox, id_).state, trigger(inbox, id_).reason) == (TriggerState.HELD, Reason.AIRFLOW_DOWN)
    assert inbox.write(claiming.hold, airflow="default", reason=Reason.AIRFLOW_DOWN, limit=10) == 0
    assert [item.trigger.id for item in claim(inbox)] == [id_]


def test_hold_leaves_what_is_held_for_another_reason(inbox: Inbox) -> None:
    """A reason that a person should know is not painted over."""
    id_ = add(inbox, stored(inbox), state=TriggerState.HELD, reason=Reason.LOOP_GUARD)
    inbox.write(claiming.hold, airflow="default", reason=Reason.AIRFLOW_DOWN, limit=10)
    assert trigger(inbox, id_).reason is Reason.LOOP_GUARD
    assert claim(inbox, now=NOW + timedelta(days=3650)) == []


def test_triggers_of_an_airflow_that_is_gone_are_shown(inbox: Inbox) -> None:
    """Nothing would ever claim them, so they say why; back in the configuration they go on."""
    id_ = add(inbox, stored(inbox), airflow="gone")
    assert inbox.read(claiming.airflows_with_pending) == {"gone"}
    assert inbox.write(claiming.hold, airflow="gone", reason=Reason.UNKNOWN_AIRFLOW, limit=10) == 1
    assert inbox.read(claiming.airflows_with_pending) == set()
    assert trigger(inbox, id_).reason is Reason.UNKNOWN_AIRFLOW
    assert [item.trigger.id for item in claim(inbox, airflow="gone")] == [id_]


# --- leases ----------------------------------------------------------------------------------------


def _one_claim(inbox: Inbox, **more: object) -> Claimed:
    (claimed,) = claim(inbox, **more)  # type: ignore[arg-type]
    return claimed


def test_settling_moves_the_state_and_keeps_the_attempt(inbox: Inbox) -> None:
    """State, end and attempt are stored in one go."""
    id_ = add(inbox, stored(inbox))
    claimed = _one_claim(inbox)
    assert inbox.write(triggers.settle, claimed, settlement(reason=Reason.DAG_PAUSED), attempt())
    found = trigger(inbox, id_)
    assert (found.state, found.reason, found.attempts) == (TriggerState.FIRED, Reason.DAG_PAUSED, 1)
    assert found.settled_at == NOW + timedelta(seconds=0.25)
    assert inbox.read(browsing.attempts, id_) == [attempt()]


@pytest.mark.parametrize("state", [TriggerState.PENDING, TriggerState.HELD])
def test_what_is_to_be_tried_again_is_due_when_it_was_put_off_to(inbox: Inbox, state: TriggerState) -> None:
    """An Airflow that asked to wait a minute is not called before; then it is."""
    add(inbox, stored(inbox))
    later = NOW + timedelta(minutes=1)
    inbox.write(triggers.settle, _one_claim(inbox), settlement(state, due_at=later), attempt(outcome="later"))
    assert claim(inbox, now=later - LATER) == []
    assert len(claim(inbox, now=later)) == 1


def test_an_attempt_ends_when_it_ended(inbox: Inbox) -> None:
    """Start and seconds make the end, to the microsecond: metrics and people reckon with it."""
    id_ = add(inbox, stored(inbox))
    inbox.write(triggers.settle, _one_claim(inbox), settlement(), replace(attempt(), seconds=1800.0))
    assert trigger(inbox, id_).settled_at == NOW + timedelta(minutes=30)


def test_a_run_that_is_started_once_more_begins_anew(inbox: Inbox) -> None:
    """Nothing of the run before is shown as the new one's: neither its state nor when it started and ended."""
    id_ = add(inbox, stored(inbox))
    inbox.write(triggers.settle, _one_claim(inbox), settlement(run_after=NOW), attempt())
    (run,) = inbox.read(runs.due, airflow="default", now=NOW + LATER, limit=9)
    inbox.write(runs.store, [Progress(run, RunState.FAILED, NOW, NOW, NOW, None)])
    assert trigger(inbox, id_).run == Run(RunState.FAILED, NOW, NOW)
    inbox.write(replays.replay, id_, actor="test", reason=None, new_id=None, now=NOW)
    inbox.write(triggers.settle, _one_claim(inbox), settlement(run_after=NOW), attempt(2))
    assert trigger(inbox, id_).run == Run(RunState.QUEUED)


def test_a_trigger_is_counted_from_its_webhook_or_from_whoever_asked_last(inbox: Inbox) -> None:
    """The seconds from webhook to DAG run begin when the webhook came, and anew when a person asks again."""
    id_ = add(inbox, stored(inbox))
    found = trigger(inbox, id_)
    assert triggers.asked_at(found) == instant(made_at(found.delivery_id))
    new_id = inbox.new_trigger_id()
    inbox.write(replays.replay, id_, actor="test", reason=None, new_id=new_id, now=NOW + LATER)
    assert triggers.asked_at(trigger(inbox, new_id)) == NOW + LATER
    inbox.write(replays.replay, id_, actor="test", reason=None, new_id=None, now=NOW + 2 * LATER)
    assert triggers.asked_at(trigger(inbox, id_)) == NOW + 2 * LATER


def _settle(inbox: Inbox) -> None:
    inbox.write(triggers.settle, _one_claim(inbox, seconds=0.0), settlement(), attempt())


@pytest.mark.parametrize(
    "end",
    [
        _settle,
        lambda inbox: inbox.write(triggers.give_back, claim(inbox)),
        lambda inbox: claim(inbox, seconds=0.0) and inbox.write(triggers.take_over, now=NOW),
        lambda inbox: claim(inbox) and inbox.write(triggers.take_over_all),
    ],
    ids=["settled", "given back", "lapsed", "restart"],
)
def test_only_what_is_being_fired_has_a_lease(inbox: Inbox, store: Store, end: Callable[[Inbox], Any]) -> None:
    """However its time ends, nothing remains of it: a token that is stored is always that of a call under way."""
    add(inbox, stored(inbox))
    end(inbox)
    assert store.rows("SELECT lease_token, lease_until FROM triggers WHERE state <> 'firing'") == [(None, None)]


def test_a_refunded_attempt_does_not_count(inbox: Inbox) -> None:
    """When the place was the trouble the trigger keeps all its attempts; what happened is recorded all the same."""
    id_ = add(inbox, stored(inbox))
    outcome = settlement(TriggerState.HELD, reason=Reason.AIRFLOW_DOWN, is_refunded=True)
    inbox.write(triggers.settle, _one_claim(inbox), outcome, attempt(outcome="target_down"))
    found = trigger(inbox, id_)
    assert (found.state, found.attempts, found.settled_at) == (TriggerState.HELD, 0, None)
    assert [item.outcome for item in inbox.read(browsing.attempts, id_)] == ["target_down"]


def test_a_lost_lease_writes_nothing(inbox: Inbox, store: Store) -> None:
    """Whoever was too late changes neither trigger nor attempts, and is told so."""
    id_ = add(inbox, stored(inbox))
    slow = _one_claim(inbox, seconds=30)
    after = NOW + timedelta(seconds=30)
    assert inbox.write(triggers.take_over, now=after) == 1
    fast = _one_claim(inbox, now=after)
    assert not inbox.write(triggers.settle, slow, settlement(TriggerState.FAILED), attempt())
    assert store.one("SELECT COUNT(*) FROM attempts") == 0
    assert inbox.write(triggers.renew, [(id_, slow.token)], until=after + LATER) == 0
    inbox.write(triggers.give_back, [slow])
    assert trigger(inbox, id_).state is TriggerState.FIRING
    assert inbox.write(triggers.settle, fast, settlement(), attempt(2))
    assert trigger(inbox, id_).state is TriggerState.FIRED


def test_settling_twice_writes_once(inbox: Inbox, store: Store) -> None:
    """An answer of the store that was lost may be asked for again."""
    add(inbox, stored(inbox))
    claimed = _one_claim(inbox)
    assert inbox.write(triggers.settle, claimed, settlement(), attempt())
    assert not inbox.write(triggers.settle, claimed, settlement(), attempt())
    assert store.one("SELECT COUNT(*) FROM attempts") == 1


def test_a_lease_that_is_renewed_is_not_taken_over(inbox: Inbox) -> None:
    """A slow call keeps its trigger as long as its process is alive."""
    id_ = add(inbox, stored(inbox))
    claimed = _one_claim(inbox, seconds=30)
    until = NOW + timedelta(seconds=60)
    assert inbox.write(triggers.renew, [(id_, claimed.token)], until=until) == 1
    assert inbox.write(triggers.take_over, now=NOW + timedelta(seconds=59)) == 0
    assert inbox.write(triggers.take_over, now=until) == 1


@ON_SQLITE
def test_what_a_dead_process_was_firing_is_free_after_a_restart(open_inbox: Open) -> None:
    """The one process that may serve the file need not wait for the leases of the one before."""
    first = open_inbox()
    id_ = add(first, stored(first))
    claim(first, seconds=3600)
    first.close()
    second = open_inbox()
    assert second.recover() == 1
    (claimed,) = claim(second)
    assert (claimed.trigger.id, claimed.trigger.attempts) == (id_, 1)


@ON_SQLITE
def test_a_lookup_that_died_with_its_process_is_due_after_a_restart(open_inbox: Open) -> None:
    """It does not wait for its lease; one that failed goes on waiting for its time."""
    first = open_inbox()
    asked, failed = stored(first, "evt_1"), stored(first, "evt_2")
    until = NOW + timedelta(seconds=120)
    first.write(postpone, [Postponed(asked, until, None, None, is_lookup=True)])
    first.write(postpone, [Postponed(failed, until, Reason.LOOKUP_FAILED, None, is_lookup=True)])
    first.close()
    second = open_inbox()
    assert second.recover() == 1
    assert [item.id for item in second.read(due, now=NOW, limit=9)] == [asked]


def test_a_turn_to_be_looked_up_is_given_once_and_in_the_order_of_waiting(inbox: Inbox, store: Store) -> None:
    """Whoever draws gets those that have waited longest, leased; whoever read the same ones gets nothing."""
    ids = [stored(inbox, f"evt_{number}") for number in range(3)]
    waiting = [Postponed(id_, NOW + LATER * n, Reason.LOOKUP_QUEUED, None, False) for n, id_ in enumerate(ids[::-1], 1)]
    inbox.write(postpone, waiting)
    rows = inbox.read(queued, source="planasonix", limit=2)
    drawn = inbox.write(draw, rows, until=NOW + LATER)
    assert {(item.id, item.lookups, item.reason) for item in drawn} == {
        (id_, 0, Reason.LOOKUP_QUEUED) for id_ in ids[1:]
    }
    assert inbox.write(draw, rows, until=NOW + LATER) == []
    assert len(inbox.read(queued, source="planasonix", limit=9)) == 1
    leased = inbox.read(due, now=NOW + LATER, limit=9)
    assert {(item.id, item.lookups, item.reason) for item in leased} == {(id_, 1, None) for id_ in ids[1:]}


def test_each_source_has_a_queue_and_what_has_lost_its_api_is_found(inbox: Inbox) -> None:
    """Of a source that has an API no more, with others that have one, or with none at all."""
    ids = {source: stored(inbox, source=source) for source in ("one", "other", "gone")}
    inbox.write(postpone, [Postponed(id_, NOW + LATER, Reason.LOOKUP_QUEUED, None, False) for id_ in ids.values()])
    rows = {source: number(id_, "dlv") for source, id_ in ids.items()}
    assert inbox.read(queued, source="other", limit=9) == [rows["other"]]
    assert inbox.read(queued_elsewhere, sources=["one", "other"], limit=9) == [rows["gone"]]
    assert sorted(inbox.read(queued_elsewhere, sources=[], limit=9)) == sorted(rows.values())


@ON_POSTGRESQL
def test_two_replicas_that_draw_at_once_do_not_draw_the_same(open_inbox: Open) -> None:
    """The second neither waits for the first nor looks up what the first does."""
    first, second = open_inbox(), open_inbox()
    first.write(postpone, [Postponed(stored(first), NOW + LATER, Reason.LOOKUP_QUEUED, None, False)])
    rows = first.read(queued, source="planasonix", limit=9)

    def both(connection: Connection) -> tuple[int, int]:
        drawn = draw(connection, rows, until=NOW + LATER)
        return len(drawn), len(second.write(draw, rows, until=NOW + LATER))

    assert first.write(both) == (1, 0)


def test_a_reason_of_a_newer_release_is_read(inbox: Inbox, store: Store) -> None:
    """Old code runs beside new code on one store, so it may meet a word that it does not know."""
    id_ = add(inbox, stored(inbox))
    store.rows("UPDATE triggers SET state = 'held', reason = 'invented_tomorrow'")
    store.rows("UPDATE deliveries SET reason = 'invented_tomorrow'")
    assert trigger(inbox, id_).reason is Reason.UNKNOWN_REASON
    (claimed,) = claim(inbox)
    assert claimed.trigger.id == id_


def test_a_hold_for_a_dag_goes_on_until_it_is_over(inbox: Inbox, store: Store) -> None:
    """Its next step stays where the first hold put it; what waits for a newer one only has no further step."""
    add(inbox, stored(inbox))
    steps = []
    for awaits in (Awaits.UNPAUSED, Awaits.THERE, Awaits.NEWER):
        (claimed,) = claim(inbox)
        held = settlement(TriggerState.HELD, reason=Reason.DAG_PAUSED, awaits=awaits)
        assert inbox.write(triggers.settle, claimed, held, attempt())
        steps += store.rows("SELECT awaits, hold_step, hold_step_at FROM triggers")
        store.rows("UPDATE triggers SET hold_step = 1")
    day = 86_400.0
    assert steps == [("unpaused", 0, 13 * day), ("there", 1, 13 * day), ("newer", 0, None)]


def test_what_is_given_back_is_as_before(inbox: Inbox) -> None:
    """An unused claim costs no attempt, and the place in the line is kept."""
    id_ = add(inbox, stored(inbox))
    inbox.write(triggers.give_back, claim(inbox, now=NOW + LATER))
    found = trigger(inbox, id_)
    assert (found.state, found.attempts, found.due_at) == (TriggerState.PENDING, 0, NOW)


def test_what_is_given_back_keeps_its_reason(inbox: Inbox) -> None:
    """A person goes on seeing what it waited for, and what it has used of its limits stays used."""
    id_ = add(inbox, stored(inbox))
    used = Spent(7.5, {Reason.AIRFLOW_ERROR: 2})
    before = settlement(TriggerState.PENDING, reason=Reason.AIRFLOW_ERROR, detail="500: x", spent=used)
    inbox.write(triggers.settle, _one_claim(inbox), before, attempt())
    inbox.write(triggers.give_back, claim(inbox))
    found = trigger(inbox, id_)
    assert (found.reason, found.detail, found.attempts) == (Reason.AIRFLOW_ERROR, "500: x", 1)
    assert (found.spent.seconds, found.spent.causes) == (7.5, {"airflow_error": 2})


def test_only_what_waits_for_routing_is_postponed(inbox: Inbox, store: Store) -> None:
    """A delivery that another replica routed meanwhile keeps its state, reason and due time."""
    delivery_id = stored(inbox)
    add(inbox, delivery_id)
    before = store.rows("SELECT state, reason, due_at, lookups FROM deliveries")
    inbox.write(postpone, [Postponed(delivery_id, NOW + LATER, Reason.LOOKUP_FAILED, "why", is_lookup=True)])
    assert store.rows("SELECT state, reason, due_at, lookups FROM deliveries") == before


def test_only_a_lookup_under_way_is_renewed(inbox: Inbox, store: Store) -> None:
    """One that has failed meanwhile waits for its own time, and what is routed is left alone."""
    failed, routed, asked = (stored(inbox, f"evt_{number}") for number in range(3))
    inbox.write(postpone, [Postponed(failed, NOW + LATER, Reason.LOOKUP_FAILED, None, is_lookup=True)])
    inbox.write(postpone, [Postponed(asked, NOW + LATER, None, None, is_lookup=True)])
    add(inbox, routed)
    before = dict(store.rows("SELECT event_id, due_at FROM deliveries"))
    inbox.write(renew, [failed, routed, asked], until=NOW + timedelta(hours=1))
    after = dict(store.rows("SELECT event_id, due_at FROM deliveries"))
    assert {event for event, due_at in after.items() if due_at != before[event]} == {"evt_2"}


def test_recent_starts_are_those_of_each_route_since_then(inbox: Inbox) -> None:
    """What waits for its start counts as well; what started before, failed or waits for a person does not."""
    now = datetime.now(UTC)
    hour = timedelta(hours=1)

    def put(name: str, **more: Any) -> None:
        add(inbox, stored(inbox, f"evt_{name}"), now=now, dag_run_id=f"run_{name}", **more)

    put("now")
    put("to come", state=TriggerState.HELD, reason=Reason.HOURLY_CEILING, due_at=now + hour)
    put("long ago", due_at=now - 2 * hour)
    put("another route", route="other", due_at=now + 2 * hour)
    put("another route's second", route="other", due_at=now + 3 * hour)
    put("a third route", route="third")
    put("failed", state=TriggerState.FAILED, reason=Reason.TEMPLATE)
    put("a circle", state=TriggerState.HELD, reason=Reason.LOOP_GUARD)

    def recent(**more: Any) -> list[list[datetime]]:
        usual: dict[str, Any] = {"since": now - hour, "oldest": now - 2 * hour, "limit": 10}
        found = inbox.read(starts.recent_starts, routes=["orders", "other", "quiet"], **usual | more)
        return [found.pop(route) for route in ("orders", "other", "quiet")] + list(found.values())

    assert recent() == [[now + hour, now], [now + 3 * hour, now + 2 * hour], []]
    assert recent(limit=1) == [[now + hour], [now + 3 * hour], []]
    assert recent(oldest=now + hour) == [[], [], []]


def test_who_lost_its_lease_renames_nothing(inbox: Inbox) -> None:
    """Another process calls Airflow under the name by then."""
    id_ = add(inbox, stored(inbox))
    (lost,) = claim(inbox)
    inbox.write(triggers.take_over_all)
    assert len(claim(inbox)) == 1
    renamed = settlement(TriggerState.PENDING, reason=Reason.RUN_ID_CONFLICT, dag_run_id="spare")
    inbox.write(triggers.settle, lost, renamed, attempt())
    found = inbox.read(triggers.get, id_)
    assert found is not None
    assert (found.state, found.call.dag_run_id) == (TriggerState.FIRING, lost.trigger.call.dag_run_id)


@pytest.mark.parametrize(
    ("other", "is_free"),
    [
        ({}, False),
        ({"state": TriggerState.HELD}, False),
        ({"state": TriggerState.FAILED}, True),
        ({"state": TriggerState.CANCELLED}, True),
        ({"dag_id": "another"}, True),
        ({"airflow": "another"}, True),
        ({"dag_run_id": "another"}, True),
    ],
)
def test_a_trigger_takes_a_new_name_that_no_other_live_one_of_its_dag_has(
    inbox: Inbox, other: dict[str, Any], is_free: bool
) -> None:
    """Else it stays as it is, until its lease lapses."""
    id_ = add(inbox, stored(inbox, "evt_1"), dag_run_id="first")
    (claimed,) = claim(inbox)
    add(inbox, stored(inbox, "evt_2"), **{"dag_run_id": "spare"} | other)
    renamed = settlement(TriggerState.HELD, reason=Reason.RUN_ID_CONFLICT, dag_run_id="spare")
    assert inbox.write(triggers.settle, claimed, renamed, attempt()) is is_free
    found = trigger(inbox, id_)
    assert (found.call.dag_run_id, found.state) == (
        ("spare", TriggerState.HELD) if is_free else ("first", TriggerState.FIRING)
    )


def test_a_trigger_may_keep_its_own_name(inbox: Inbox) -> None:
    """It is in nobody's way under it, itself least of all."""
    add(inbox, stored(inbox), dag_run_id="first")
    kept = settlement(TriggerState.PENDING, dag_run_id="first")
    assert inbox.write(triggers.settle, _one_claim(inbox), kept, attempt())


@pytest.mark.parametrize(
    ("state", "follow", "run"),
    [
        (TriggerState.FIRED, True, ("queued", microseconds(NOW) + 250_000, microseconds(NOW))),
        (TriggerState.FIRED, False, (None, None, None)),
        (TriggerState.HELD, True, (None, None, None)),
        (TriggerState.CANCELLED, True, (None, None, None)),
    ],
)
def test_a_run_is_followed_once_it_is_started(
    inbox: Inbox, store: Store, state: TriggerState, follow: bool, run: tuple[Any, ...]
) -> None:
    """If its route wants that: looked at from the end of the call on."""
    add(inbox, stored(inbox), follow=follow)
    inbox.write(triggers.settle, _one_claim(inbox), settlement(state, run_after=NOW), attempt())
    assert store.rows("SELECT run_state, run_due_at, run_after FROM triggers") == [run]


def test_a_hold_is_reckoned_by_the_time_that_its_own_dag_was_away(inbox: Inbox, store: Store) -> None:
    """And by no other's: neither another DAG's, nor that of the same name elsewhere."""
    columns = "airflow, dag_id, state, since, read_at, away_seconds, freed"
    for airflow, dag_id, away in (("default", "load_orders", 60.0), ("default", "b", 900.0), ("b", "load_orders", 5.0)):
        store.rows(f"INSERT INTO dags ({columns}) VALUES (?, ?, 'paused', 0, 0, ?, 0)", airflow, dag_id, away)  # noqa: S608
    add(inbox, stored(inbox))
    held = settlement(TriggerState.HELD, reason=Reason.DAG_PAUSED, awaits=Awaits.UNPAUSED)
    assert inbox.write(triggers.settle, _one_claim(inbox), held, attempt())
    assert store.one("SELECT hold_step_at FROM triggers") == 13 * 86_400.0 + 60.0


def test_what_waits_for_a_person_is_due_at_an_instant_that_every_release_knows(inbox: Inbox, store: Store) -> None:
    """Another one would take it for something that waits too long, and make it due."""
    add(inbox, stored(inbox), state=TriggerState.HELD, reason=Reason.LOOP_GUARD)
    assert store.one("SELECT due_at FROM triggers") == microseconds(datetime(9999, 12, 31, tzinfo=UTC))


_DOUBTED = NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("undo", "reason", "doubted_at"),
    [
        (lambda inbox, claims: inbox.write(triggers.give_back, claims), None, _DOUBTED),
        (
            lambda inbox, claims: inbox.write(
                triggers.put_back, [(each, NOW + LATER) for each in claims], reason=Reason.THROTTLED
            ),
            Reason.THROTTLED,
            _DOUBTED,
        ),
        (lambda inbox, claims: inbox.write(triggers.leave_behind, claims, now=NOW + LATER), None, NOW + LATER),
    ],
    ids=["given back", "put back", "left behind"],
)
def test_a_claim_that_is_undone_costs_no_attempt_and_ends_no_doubt(
    inbox: Inbox,
    store: Store,
    undo: Callable[[Inbox, list[Claimed]], None],
    reason: Reason | None,
    doubted_at: datetime,
) -> None:
    """One whose call is under way may start its run from then on; what is put back is held until its instant."""
    ids = [add(inbox, stored(inbox, f"evt_{place}")) for place in range(2)]
    store.rows("UPDATE triggers SET doubted_at = ?", microseconds(_DOUBTED))
    undo(inbox, claim(inbox))
    state, due_at = (TriggerState.PENDING, NOW) if reason is None else (TriggerState.HELD, NOW + LATER)
    for id_ in ids:
        found = trigger(inbox, id_)
        assert (found.state, found.reason, found.due_at) == (state, reason, due_at)
        assert (found.attempts, found.doubted_at, found.settled_at) == (0, doubted_at, None)
