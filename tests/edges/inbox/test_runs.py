"""Open DAG runs and leases of duties, on both databases."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from bridge.edges.inbox import Inbox, dags, duties, runs, triggers
from bridge.edges.inbox.engine.ids import made_at
from bridge.edges.inbox.engine.ids import number as row_of
from bridge.edges.inbox.moving import ahead, move_up, pull_in_looks
from bridge.edges.inbox.replays import replay
from bridge.edges.inbox.rows import instant, microseconds
from bridge.words.dags import DagState, KnownDag
from bridge.words.model import Trigger, TriggerState
from bridge.words.reasons import Reason
from bridge.words.runs import OpenRun, Progress, Run, RunState
from tests.support.store import NOW, ON_POSTGRESQL, ON_SQLITE, Store, add, attempt, claim, settlement, stored

Open = Callable[..., Inbox]
MINUTE = timedelta(minutes=1)
ENDED = timedelta(seconds=0.25)  # how long `attempt` took


def fired(inbox: Inbox, event: str = "evt_1", *, state: TriggerState = TriggerState.FIRED, **more: object) -> str:
    """Store a trigger and settle it."""
    trigger_id = add(inbox, stored(inbox, event), **more)
    (claimed,) = claim(inbox)
    inbox.write(triggers.settle, claimed, settlement(state, run_after=NOW), attempt())
    return trigger_id


def due(inbox: Inbox, *, airflow: str = "default", limit: int = 10, after: timedelta = MINUTE) -> list[OpenRun]:
    """Return the open runs that are due."""
    return inbox.read(runs.due, airflow=airflow, now=NOW + after, limit=limit)


def look(run: OpenRun, state: RunState, *, due_after: timedelta | None = None) -> Progress:
    """Return a look at a run."""
    due_at = None if due_after is None else NOW + due_after
    return Progress(run, state, NOW, NOW, NOW if due_at is None else None, due_at)


def trigger(inbox: Inbox, trigger_id: str) -> Trigger:
    """Return a trigger as it stands."""
    found = inbox.read(triggers.get, trigger_id)
    assert found is not None
    return found


def test_a_fired_trigger_has_an_open_run(inbox: Inbox) -> None:
    """Due at once, with what is needed to find it in Airflow and to tell of it."""
    trigger_id = fired(inbox)
    (run,) = due(inbox)
    assert (run.trigger_id, run.dag_id, run.route, run.state) == (trigger_id, "load_orders", "orders", RunState.QUEUED)
    assert (run.fired_at, run.due_at, run.run_after) == (NOW + ENDED, NOW + ENDED, NOW)
    assert trigger(inbox, trigger_id).run == Run(RunState.QUEUED)


def test_a_run_waits_for_a_dag_that_was_paused_after_it_was_started(inbox: Inbox, store: Store) -> None:
    """By what the store says of the DAG; once the run has moved the reason is gone."""
    trigger_id, other_id = fired(inbox), fired(inbox, "evt_2", dag_id="other")
    dag = KnownDag("default", "load_orders", DagState.PAUSED, NOW, NOW)
    inbox.write(dags.store, [(dag, None)])
    inbox.write(runs.store, [look(run, RunState.QUEUED, due_after=MINUTE) for run in due(inbox)])
    assert (trigger(inbox, trigger_id).reason, trigger(inbox, other_id).reason) == (Reason.DAG_PAUSED, None)
    inbox.write(runs.store, [look(run, RunState.RUNNING, due_after=2 * MINUTE) for run in due(inbox)])
    assert trigger(inbox, trigger_id).reason is None


@pytest.mark.parametrize(
    ("state", "after", "reason"),
    [
        (DagState.OK, MINUTE, None),
        (DagState.PAUSED, MINUTE, Reason.DAG_PAUSED),
        (DagState.STALE, MINUTE, Reason.DAG_PAUSED),
        (DagState.OK, -MINUTE, Reason.DAG_PAUSED),
    ],
)
def test_a_run_that_is_queued_waits_for_no_dag_that_is_unpaused(
    inbox: Inbox, state: DagState, after: timedelta, reason: Reason | None
) -> None:
    """It waits for its turn in Airflow. A look at the DAG from before the run was started tells nothing of it."""
    trigger_id = add(inbox, stored(inbox))
    (claimed,) = claim(inbox)
    settled = settlement(TriggerState.FIRED, run_after=NOW, reason=Reason.DAG_PAUSED)
    inbox.write(triggers.settle, claimed, settled, attempt())
    inbox.write(dags.store, [(KnownDag("default", "load_orders", state, NOW + after, NOW + after), None)])
    inbox.write(runs.store, [look(run, RunState.QUEUED, due_after=MINUTE) for run in due(inbox)])
    assert trigger(inbox, trigger_id).reason is reason


def test_a_trigger_that_was_not_fired_has_no_run(inbox: Inbox) -> None:
    """Nor has one whose route does not follow."""
    failed = fired(inbox, "evt_1", state=TriggerState.FAILED)
    silent = fired(inbox, "evt_2", follow=False)
    assert due(inbox) == []
    assert (trigger(inbox, failed).run, trigger(inbox, silent).run) == (None, None)


def test_the_longest_due_come_first_and_each_airflow_has_its_own(inbox: Inbox) -> None:
    """However many are due elsewhere."""
    ids = [fired(inbox, f"evt_{number}") for number in range(3)]
    first, second, third = due(inbox)
    inbox.write(runs.store, [look(first, RunState.RUNNING, due_after=MINUTE)])
    assert [run.trigger_id for run in due(inbox, limit=2)] == [second.trigger_id, third.trigger_id]
    assert {run.trigger_id for run in due(inbox)} == set(ids)
    assert due(inbox, airflow="other") == []
    assert len(due(inbox, after=MINUTE / 2)) == 2


def test_an_end_is_stored_once(inbox: Inbox) -> None:
    """Of two replicas that saw it, one counts it."""
    trigger_id = fired(inbox)
    (run,) = due(inbox)
    end = look(run, RunState.FAILED)
    assert inbox.write(runs.store, [end]) == [end]
    assert inbox.write(runs.store, [end]) == []
    assert due(inbox) == []
    assert trigger(inbox, trigger_id).run == Run(RunState.FAILED, NOW, NOW)


def test_an_old_look_overwrites_nothing(inbox: Inbox) -> None:
    """The due time that was read guards the change: a later look, or a replay, stands."""
    trigger_id = fired(inbox)
    (run,) = due(inbox)
    assert inbox.write(runs.store, [look(run, RunState.RUNNING, due_after=MINUTE)])
    assert inbox.write(runs.store, [look(run, RunState.FAILED)]) == []
    assert trigger(inbox, trigger_id).run == Run(RunState.RUNNING, NOW)
    (run,) = due(inbox)
    inbox.write(replay, trigger_id, actor="test", reason=None, new_id=None, now=NOW)
    assert inbox.write(runs.store, [look(run, RunState.FAILED)]) == []
    assert trigger(inbox, trigger_id).run is None


def test_a_run_is_found_by_its_id_while_it_is_open(inbox: Inbox) -> None:
    """For whoever is told of its end."""
    fired(inbox, dag_run_id="run-1")
    names = {"airflow": "default", "dag_id": "load_orders", "dag_run_id": "run-1"}
    (run,) = inbox.read(runs.named, **names)
    for wrong in ({"airflow": "other"}, {"dag_id": "other"}, {"dag_run_id": "run-2"}):
        assert inbox.read(runs.named, **names | wrong) == []
    inbox.write(runs.store, [look(run, RunState.SUCCESS)])
    assert inbox.read(runs.named, **names) == []


def test_open_runs_are_counted_by_airflow_and_state(inbox: Inbox) -> None:
    """With the oldest; what has ended does not count."""
    for number in range(3):
        fired(inbox, f"evt_{number}")
    running, ended, _ = due(inbox)
    inbox.write(runs.store, [look(running, RunState.RUNNING, due_after=MINUTE), look(ended, RunState.SUCCESS)])
    found = {(item.airflow, item.state): item for item in inbox.read(runs.count)}
    assert {place: item.amount for place, item in found.items()} == {
        ("default", RunState.QUEUED): 1,
        ("default", RunState.RUNNING): 1,
    }
    assert found["default", RunState.QUEUED].oldest_at == NOW + ENDED


def test_a_run_of_the_release_before_follows_too(inbox: Inbox, store: Store) -> None:
    """It stores no `follow`: its triggers are followed once this release fires them. A newer word is unknown."""
    trigger_id = add(inbox, stored(inbox))
    store.rows("UPDATE triggers SET follow = NULL")
    (claimed,) = claim(inbox)
    assert claimed.trigger.call.follow
    inbox.write(triggers.settle, claimed, settlement(), attempt())
    assert len(due(inbox)) == 1
    store.rows("UPDATE triggers SET run_state = 'resting'")
    assert trigger(inbox, trigger_id).run == Run(RunState.UNKNOWN)


def test_a_clock_that_is_set_back_leaves_no_run_stranded(inbox: Inbox) -> None:
    """Due times of looks move with all others."""
    fired(inbox)
    (run,) = due(inbox)
    inbox.write(runs.store, [look(run, RunState.RUNNING, due_after=timedelta(hours=1))])
    assert due(inbox) == []
    (part,) = inbox.read(ahead, now=NOW)
    assert inbox.write(move_up, part, by=timedelta(hours=1)) == 1
    (run,) = due(inbox)
    inbox.write(runs.store, [replace(look(run, RunState.RUNNING), due_at=NOW + timedelta(days=9))])
    assert inbox.write(pull_in_looks, now=NOW, slack=MINUTE) == 1
    assert len(due(inbox)) == 1


def take(inbox: Inbox, token: str, *, after: float = 0.0) -> bool:
    """Take one duty for 30 s, so many seconds later."""
    return inbox.write(duties.take, "duty", token=token, now=NOW + timedelta(seconds=after), seconds=30)


def test_one_at_a_time_has_a_duty(inbox: Inbox) -> None:
    """Whoever has it keeps it by asking again; the other one gets it when the lease is over."""
    assert take(inbox, "a")
    assert not take(inbox, "b", after=29)
    assert take(inbox, "a", after=29)
    assert not take(inbox, "b", after=58)
    assert take(inbox, "b", after=59)
    assert not take(inbox, "a", after=60)


def test_a_duty_that_is_given_back_is_free_at_once(inbox: Inbox) -> None:
    """And only by the one that has it."""
    assert take(inbox, "a")
    inbox.write(duties.give_back, token="b")
    assert not take(inbox, "b")
    inbox.write(duties.give_back, token="a")
    assert take(inbox, "b")


def test_a_lease_of_a_clock_far_ahead_holds_nobody_up(inbox: Inbox) -> None:
    """A replica whose clock was a day ahead is dead: nobody waits for a day. A minute's difference is no such thing."""
    assert take(inbox, "a", after=86_400)
    assert take(inbox, "b")
    assert take(inbox, "b", after=20)
    assert not take(inbox, "a")


@pytest.mark.parametrize(("ahead", "is_free"), [(30.0, False), (30.001, True)])
def test_a_lease_may_be_ahead_by_its_own_length_and_no_more(inbox: Inbox, ahead: float, is_free: bool) -> None:
    """So far the clocks of two replicas may differ: within it nobody takes the other's duty."""
    assert take(inbox, "a", after=ahead)
    assert take(inbox, "b") is is_free


@ON_SQLITE
def test_a_restart_frees_the_duties_of_the_dead_process(inbox: Inbox) -> None:
    """A file has one process, so no other one can hold any."""
    assert take(inbox, "a")
    inbox.recover()
    assert take(inbox, "b")


@ON_POSTGRESQL
def test_a_restart_leaves_the_duties_of_other_replicas_alone(inbox: Inbox) -> None:
    """They may well be alive."""
    assert take(inbox, "a")
    inbox.recover()
    assert not take(inbox, "b")


def test_the_trigger_that_stands_for_a_run_is_found(inbox: Inbox, store: Store) -> None:
    """Not one that failed or was cancelled under its id, nor one of another DAG or Airflow."""
    others = ({"dag_id": "other"}, {"airflow": "other"}, {"dag_run_id": "other"})
    for n, (state, other) in enumerate([("failed", {}), ("cancelled", {}), *(("fired", each) for each in others)]):
        id_ = add(inbox, stored(inbox, f"evt_{n}"), **{"dag_run_id": "mine"} | other)
        store.rows("UPDATE triggers SET state = ? WHERE id = ?", state, row_of(id_, "trg"))
    names = {"airflow": "default", "dag_id": "load_orders", "dag_run_id": "mine"}
    assert inbox.read(runs.standing, **names) is None
    mine = add(inbox, stored(inbox, "evt_mine"), dag_run_id="mine")
    found = inbox.read(runs.standing, **names)
    assert found is not None
    assert found.id == mine


def test_a_run_that_moves_waits_for_no_dag(inbox: Inbox) -> None:
    """Though its DAG is paused by now; nor does one whose DAG has the name of a paused one elsewhere."""
    moving, queued = fired(inbox), fired(inbox, "evt_2", dag_id="other")
    paused = [("default", "load_orders"), ("elsewhere", "other"), ("default", "third")]
    inbox.write(dags.store, [(KnownDag(*each, DagState.PAUSED, NOW, NOW), None) for each in paused])
    states = {moving: RunState.RUNNING, queued: RunState.QUEUED}
    later = NOW + timedelta(minutes=9)
    looks = [replace(look(run, states[run.trigger_id], due_after=MINUTE), run_after=later) for run in due(inbox)]
    assert inbox.write(runs.store, looks) == looks
    assert [trigger(inbox, id_).reason for id_ in (moving, queued)] == [None, None]
    assert {(run.state, run.run_after, run.started_at) for run in due(inbox)} == {
        (RunState.RUNNING, later, NOW),
        (RunState.QUEUED, later, NOW),
    }


def test_a_dag_that_was_unpaused_elsewhere_is_another_one(inbox: Inbox) -> None:
    """Its name alone says nothing."""
    trigger_id = add(inbox, stored(inbox))
    (claimed,) = claim(inbox)
    settled = settlement(TriggerState.FIRED, run_after=NOW, reason=Reason.DAG_PAUSED)
    inbox.write(triggers.settle, claimed, settled, attempt())
    others = [("other", "load_orders"), ("default", "other")]
    inbox.write(dags.store, [(KnownDag(*each, DagState.OK, NOW + MINUTE, NOW + MINUTE), None) for each in others])
    inbox.write(runs.store, [look(run, RunState.QUEUED, due_after=MINUTE) for run in due(inbox)])
    assert trigger(inbox, trigger_id).reason is Reason.DAG_PAUSED


def test_since_when_a_run_was_asked_for_is_known(inbox: Inbox, store: Store) -> None:
    """When its webhook came; if a person asked for it later, then. And whether it is a copy's."""
    ids = [fired(inbox, f"evt_{number}") for number in range(4)]
    rows = [row_of(id_, "trg") for id_ in ids]
    later = NOW + timedelta(hours=1)
    store.rows("UPDATE triggers SET age_from = ? WHERE id = ?", microseconds(later), rows[1])
    store.rows("UPDATE triggers SET rerun = 1 WHERE id = ?", rows[2])
    store.rows("UPDATE triggers SET reason = 'same_completion' WHERE id = ?", rows[3])
    found = {run.trigger_id: run for run in due(inbox)}
    came_at = [instant(made_at(found[id_].delivery_id)) for id_ in ids]
    assert [found[id_].asked_at for id_ in ids] == [came_at[0], later, NOW, came_at[3]]
    assert [found[id_].is_copys for id_ in ids] == [False, False, False, True]
