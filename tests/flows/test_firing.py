"""From a trigger to exactly one DAG run, against a stand-in for Airflow that keeps runs by id."""

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bridge.edges.airflow import Airflow
from bridge.edges.inbox import Inbox
from bridge.edges.metrics import Metrics
from bridge.flows.firing.lane import Begun, Lane, Offer
from bridge.rules.sealing import Ring
from bridge.words.model import Limits, TriggerState
from bridge.words.outcomes import AlreadyThere, Later, Outcome, Started, TargetDown
from bridge.words.reasons import Reason
from bridge.words.targets import AirflowTarget
from tests.support.firing import Make
from tests.support.standin import Answer, Broken, Standin
from tests.support.store import Store, add, claim, stored, wait_for


def test_a_trigger_becomes_one_run(make: Make, standin: Standin) -> None:
    """Under its own id, with its conf, and the attempt is on record."""
    firing = make().start()
    id_ = firing.add()
    firing.dispatcher.wake()
    found = firing.wait(id_)
    (run,) = standin.runs()
    assert (run["dag_run_id"], run["logical_date"]) == ("run-evt_1", None)
    assert run["conf"]["planasonix"]["trigger_id"] == id_
    assert (found.reason, found.attempts) == (None, 1)
    assert [(item.number, item.outcome, item.http_status) for item in firing.attempts(id_)] == [(1, "started", 200)]


def test_a_paused_dag_is_told(make: Make, standin: Standin) -> None:
    """The run exists, and the reason says why it does not run."""
    standin.dags["load_orders"] = {"is_paused": True}
    firing = make().start()
    assert firing.wait(firing.add()).reason is Reason.DAG_PAUSED


def test_a_lost_answer_makes_no_second_run(make: Make, standin: Standin) -> None:
    """Airflow made the run and the answer was lost: the run is read back and the trigger has fired."""

    def lose(_: dict[str, Any]) -> Answer | None:
        standin.after = lambda _: None
        raise Broken

    standin.after = lose
    firing = make().start()
    found = firing.wait(firing.add())
    assert found.reason is Reason.ALREADY_THERE
    assert (len(standin.runs()), standin.posts()) == (1, 1)


def test_a_request_that_never_arrived_is_repeated(make: Make, standin: Standin) -> None:
    """The connection broke before Airflow made the run: the same id is asked for again."""

    def lose(_: dict[str, Any]) -> Answer | None:
        standin.before = lambda _: None
        raise Broken

    standin.before = lose
    firing = make().start()
    id_ = firing.add()
    firing.wait(id_)
    assert (len(standin.runs()), standin.posts()) == (1, 2)
    assert [item.reason for item in firing.attempts(id_)] == [Reason.ANSWER_LOST, None]


def test_what_a_dead_process_had_fired_is_settled(inbox: Inbox, make: Make, standin: Standin, store: Store) -> None:
    """Killed between Airflow's answer and the settle: the next one finds the run, and there is no second."""
    firing = make()
    id_ = firing.add()
    (claimed,) = claim(inbox, now=datetime.now(UTC), seconds=-1)
    firing.airflow.fire(claimed.trigger)
    firing.start()
    found = firing.wait(id_)
    assert (found.reason, found.attempts) == (Reason.ALREADY_THERE, 1)
    assert len(standin.runs()) == 1


def test_a_strangers_run_is_a_conflict(make: Make, standin: Standin) -> None:
    """A run with our id that somebody else made fails the trigger instead of passing for ours."""
    standin.make_run("load_orders", {"dag_run_id": "run-evt_1", "logical_date": None, "conf": {}})
    firing = make().start()
    found = firing.wait(firing.add(), TriggerState.FAILED, TriggerState.FIRED)
    assert (found.state, found.reason) == (TriggerState.FAILED, Reason.RUN_ID_CONFLICT)


def test_a_dag_that_is_not_there_yet_is_waited_for(make: Make) -> None:
    """Held with its reason, not failed: the DAG may not be parsed yet."""
    firing = make().start()
    found = firing.wait(firing.add(dag_id="not_there"), TriggerState.HELD)
    assert found.reason is Reason.DAG_NOT_FOUND
    assert not firing.lane.breaker.is_open


def test_refused_conf_fails(make: Make, standin: Standin) -> None:
    """What cannot get better is a dead letter at once, with Airflow's words."""
    standin.before = lambda _: (400, {"detail": "Invalid input for param limit: 'x' is not of type 'integer'"})
    firing = make().start()
    found = firing.wait(firing.add(), TriggerState.FAILED)
    assert found.reason is Reason.CONF_REFUSED
    assert "limit" in (found.detail or "")
    assert found.settled_at is not None


def test_poison_is_tried_a_few_times(make: Make, standin: Standin, store: Store) -> None:
    """A 500 without a word may be this trigger's own fault: other triggers go on meanwhile."""

    def poison(body: dict[str, Any]) -> Answer | None:
        return (500, "Internal Server Error") if body["dag_run_id"] == "run-evt_bad" else None

    standin.before = poison
    firing = make().start()
    bad = firing.add("evt_bad")
    wait_for(lambda: firing.trigger(bad).reason is Reason.AIRFLOW_ERROR)
    firing.wait(firing.add("evt_good"))
    for _ in range(4):
        wait_for(lambda: firing.trigger(bad).state in (TriggerState.PENDING, TriggerState.FAILED))
        store.rows("UPDATE triggers SET due_at = 0 WHERE state = 'pending'")
        firing.dispatcher.wake()
        time.sleep(0.2)
    assert firing.wait(bad, TriggerState.FAILED).reason is Reason.TOO_MANY_ATTEMPTS
    assert len(firing.attempts(bad)) == 5


# --- the place is the trouble ----------------------------------------------------------------------


def test_an_airflow_that_is_down_holds_everything(make: Make, standin: Standin, metrics: Metrics) -> None:
    """No attempt is used up, nothing is lost, it is not hammered; when it returns the oldest go first."""
    firing = make(concurrency=1)
    standin.is_healthy = False
    standin.before = lambda _: (500, {"detail": {"reason": "Database error"}})
    ids = [firing.add(f"evt_{number}") for number in range(6)]
    firing.start()
    for id_ in ids:
        found = firing.wait(id_, TriggerState.HELD)
        assert (found.reason, found.attempts) == (Reason.AIRFLOW_DOWN, 0)
    assert standin.posts() == 1
    assert 'bridge_airflow_unavailable{airflow="default"} 1.0' in metrics.exposition().decode()
    standin.before = lambda _: None
    standin.is_healthy = True
    for id_ in ids:
        assert firing.wait(id_).attempts == 1
    assert [run["dag_run_id"] for run in standin.runs()] == [f"run-evt_{number}" for number in range(6)]
    assert 'bridge_airflow_unavailable{airflow="default"} 0.0' in metrics.exposition().decode()


def test_nobody_listens(make: Make, free_port: int) -> None:
    """A refused connection opens the breaker; what comes later is shown as held without a call."""
    firing = make(f"http://127.0.0.1:{free_port}").start()
    first = firing.wait(firing.add("evt_1"), TriggerState.HELD)
    assert (first.reason, first.attempts) == (Reason.AIRFLOW_DOWN, 0)
    second = firing.add("evt_2")
    assert firing.wait(second, TriggerState.HELD).attempts == 0
    assert firing.attempts(second) == []


def test_a_refused_sign_in_parks_the_airflow(make: Make, standin: Standin) -> None:
    """Nothing is dead-lettered for a wrong password."""
    standin.passwords = {"bridge": "another"}
    firing = make().start()
    found = firing.wait(firing.add(), TriggerState.HELD)
    assert (found.reason, found.attempts) == (Reason.AIRFLOW_UNAUTHORIZED, 0)
    assert firing.lane.breaker.is_open


def test_a_missing_right_parks_the_trigger_only(make: Make, standin: Standin) -> None:
    """Others of the same Airflow go on, and it is not even probed."""
    standin.before = lambda body: (403, {"detail": "Forbidden"}) if body["dag_run_id"] == "run-evt_1" else None
    firing = make()
    first = firing.add("evt_1")
    firing.dispatcher.step()  # alone, so that nothing closes a breaker that was opened
    found = firing.wait(first, TriggerState.HELD)
    assert (found.reason, found.attempts) == (Reason.AIRFLOW_FORBIDDEN, 0)
    assert not firing.lane.breaker.is_open
    firing.start()
    firing.wait(firing.add("evt_2"))
    assert not any("health" in asked for asked in standin.asked)


def test_throttling_is_obeyed(make: Make, standin: Standin) -> None:
    """429 to everything stops the whole Airflow for a while, without using up attempts."""
    standin.front = lambda _method, _path: (429, {"detail": "slow down"})
    firing = make().start()
    found = firing.wait(firing.add(), TriggerState.HELD)
    assert (found.reason, found.attempts) == (Reason.THROTTLED, 0)
    assert firing.lane.breaker.is_open
    standin.front = lambda _method, _path: None
    firing.wait(found.id)


# --- how many at once ------------------------------------------------------------------------------


class Counted:
    """Counts the calls under way, each held for a moment."""

    def __init__(self) -> None:
        self.limit = 0
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, _: dict[str, Any]) -> Answer | None:
        with self._lock:
            self._now += 1
            self.limit = max(self.limit, self._now)
        time.sleep(0.03)
        with self._lock:
            self._now -= 1
        return None


@pytest.mark.parametrize(("concurrency", "route", "limit"), [(1, None, 1), (3, None, 3), (4, 1, 1), (4, 2, 2)])
def test_calls_under_way_are_bounded(
    make: Make, standin: Standin, concurrency: int, route: int | None, limit: int
) -> None:
    """By the Airflow's limit and by the route's; all triggers fire in the end, each once."""
    counted = Counted()
    standin.before = counted
    firing = make(concurrency=concurrency)
    ids = [firing.add(f"evt_{number}", limits=Limits(concurrency=route)) for number in range(12)]
    firing.start()
    for id_ in ids:
        firing.wait(id_)
    assert counted.limit <= limit
    assert (len(standin.runs()), standin.posts()) == (12, 12)
    wait_for(lambda: not firing.lane.under_way)


def test_a_full_route_does_not_hold_up_another(make: Make, standin: Standin) -> None:
    """One slow route with a limit leaves the rest of the Airflow to the others."""
    gate = threading.Event()

    def slow(body: dict[str, Any]) -> Answer | None:
        if body["dag_run_id"].startswith("run-slow"):
            gate.wait(20)
        return None

    standin.before = slow
    firing = make(concurrency=3)
    for number in range(5):
        firing.add(f"slow_{number}", route="slow", limits=Limits(concurrency=1))
    quick = [firing.add(f"quick_{number}", route="quick") for number in range(3)]
    firing.start()
    try:
        for id_ in quick:
            firing.wait(id_)
    finally:
        gate.set()


def test_the_pace_is_kept(make: Make, standin: Standin) -> None:
    """No faster than `rate` after the first burst: Airflow itself never asks to slow down."""
    firing = make(concurrency=2, rate=10.0)
    ids = [firing.add(f"evt_{number}") for number in range(8)]
    began = time.monotonic()
    firing.start()
    for id_ in ids:
        firing.wait(id_)
    assert time.monotonic() - began >= 0.55


# --- leases and the end ----------------------------------------------------------------------------


def _until(gate: threading.Event) -> Callable[[dict[str, Any]], Answer | None]:
    """Hold answers back until the gate opens."""

    def wait(_: dict[str, Any]) -> Answer | None:
        gate.wait(20)
        return None

    return wait


@pytest.mark.crash
def test_a_slow_call_keeps_its_lease(make: Make, standin: Standin, metrics: Metrics) -> None:
    """A call that takes longer than the lease is not taken over by its own process."""

    def slow(_: dict[str, Any]) -> Answer | None:
        time.sleep(9)
        return None

    standin.before = slow
    firing = make(lease_seconds=4, read_seconds=60.0, deadline_seconds=60.0).start()
    found = firing.wait(firing.add())
    assert (found.reason, found.attempts, standin.posts()) == (None, 1, 1)
    assert "bridge_leases_taken_over_total 0.0" in metrics.exposition().decode()


def test_a_lease_lost_all_the_same_leaves_no_trace(
    make: Make, standin: Standin, store: Store, metrics: Metrics
) -> None:
    """Its end is not written, the second call finds the run, and the route's places are all free again."""
    gate = threading.Event()
    standin.after = _until(gate)
    firing = make(concurrency=3, read_seconds=60.0, deadline_seconds=60.0).start()
    id_ = firing.add(limits=Limits(concurrency=2))
    wait_for(lambda: standin.posts() == 1)
    store.rows("UPDATE triggers SET lease_until = 0")  # as after half a minute in which the store took no write
    wait_for(lambda: standin.posts() == 2)
    gate.set()
    firing.wait(id_)
    wait_for(lambda: not firing.lane.under_way)
    assert len(standin.runs()) == 1
    assert len(firing.attempts(id_)) == 1
    assert 'bridge_triggers_total{route="",state="fired"} 1.0' in metrics.exposition().decode()
    more = [firing.add(f"evt_more_{number}", limits=Limits(concurrency=2)) for number in range(3)]
    for item in more:
        firing.wait(item)
    wait_for(lambda: not firing.lane.offer(time.monotonic()).full)


def test_an_orderly_stop_waits_for_running_calls(make: Make, standin: Standin) -> None:
    """What was begun ends and is settled; nothing new begins."""
    entered = threading.Event()

    def slow(_: dict[str, Any]) -> Answer | None:
        entered.set()
        time.sleep(0.5)
        return None

    standin.before = slow
    firing = make(concurrency=1)
    first, second = firing.add("evt_1"), firing.add("evt_2")
    firing.start()
    entered.wait(60)
    firing.stop(60)
    assert firing.trigger(first).state is TriggerState.FIRED
    assert (firing.trigger(second).state, firing.trigger(second).attempts) == (TriggerState.PENDING, 0)
    assert standin.posts() == 1


def test_a_call_that_outlives_the_stop_gives_its_lease_back(make: Make, standin: Standin) -> None:
    """After the limit the trigger is free for the next process, which finds the run instead of making another."""
    gate = threading.Event()
    standin.after = _until(gate)
    firing = make().start()
    id_ = firing.add()
    wait_for(lambda: len(standin.runs()) == 1)
    firing.stop(limit_seconds=0.2)
    found = firing.trigger(id_)
    assert (found.state, found.attempts) == (TriggerState.PENDING, 0)
    assert found.doubted_at is not None  # so nothing ends it, nor renames it, as if no run could be there
    gate.set()
    standin.after = lambda _: None
    next_one = make().start()
    assert next_one.wait(id_).reason is Reason.ALREADY_THERE
    assert len(standin.runs()) == 1


def test_one_hundred_triggers_are_one_hundred_runs(make: Make, standin: Standin) -> None:
    """With every tenth answer lost and every seventh request dropped, each trigger makes exactly one run."""
    count = iter(range(10**6))
    lock = threading.Lock()

    def lossy(every: int) -> Callable[[dict[str, Any]], Answer | None]:
        def lose(_: dict[str, Any]) -> Answer | None:
            with lock:
                number = next(count)
            if number % every == 0:
                raise Broken
            return None

        return lose

    standin.before, standin.after = lossy(7), lossy(10)
    firing = make(concurrency=8)
    ids = [firing.add(f"evt_{number}") for number in range(100)]
    firing.start()
    for id_ in ids:
        firing.wait(id_)
    assert sorted(run["dag_run_id"] for run in standin.runs()) == sorted(f"run-evt_{n}" for n in range(100))


def test_trouble_is_news_once() -> None:
    """A lane tells when its Airflow's trouble is new, or another one."""
    lane = Lane(AirflowTarget("default", "http://127.0.0.1:1"), Airflow(AirflowTarget("default", "x")), now=0.0)
    assert lane.problem(TargetDown(), 0.0)
    assert not lane.problem(TargetDown(), 1.0)
    assert lane.problem(TargetDown(Reason.THROTTLED), 2.0)
    assert lane.room(3.0) == 0


def test_the_next_call_may_begin_while_one_is_settled(inbox: Inbox) -> None:
    """Its place is free, its lease is still renewed, and what ends it twice frees nothing twice."""
    target = AirflowTarget("default", "http://127.0.0.1:1", concurrency=1)
    lane = Lane(target, Airflow(target), now=0.0)
    add(inbox, stored(inbox), limits=Limits(concurrency=1))
    (claimed,) = claim(inbox)
    assert lane.begin([claimed], 0.0) == Begun(fire=[claimed])
    assert lane.offer(9.0) == Offer(0)
    lane.called(claimed, Started(), 9.0, seconds=0.1)
    assert (lane.offer(9.0), list(lane.under_way.values())) == (Offer(1), [claimed])
    lane.end(claimed)
    lane.end(claimed)
    assert (lane.offer(9.0), lane.under_way) == (Offer(1), {})


def test_only_what_started_a_run_says_what_calls_cost(inbox: Inbox) -> None:
    """A refusal, or a run that was found there, costs less: the pace stays when real calls go on."""
    target = AirflowTarget("default", "http://127.0.0.1:1", concurrency=4)
    lane = Lane(target, Airflow(target), now=0.0)
    add(inbox, stored(inbox))
    (claimed,) = claim(inbox)
    lane.begin([claimed], 0.0)
    ended: list[tuple[Outcome, float]] = [(Later(Reason.DAG_NOT_FOUND), 0.02), (AlreadyThere(), 0.02), (Started(), 1.0)]
    for now, (outcome, seconds) in enumerate(ended, start=10):
        assert not any(lane.called(claimed, outcome, float(now), seconds=seconds) for _ in range(10))
    assert not lane.easing.is_eased(13.0)


def test_what_cannot_be_decrypted_is_held_and_not_called(path: Path, standin: Standin, make: Make) -> None:
    """No run is started with half a conf: the trigger waits for its key without using an attempt up."""
    sealed = Inbox(f"sqlite:///{path}", ring=Ring({"lost": bytes(range(32))}, os.urandom))
    trigger_id = add(sealed, stored(sealed), conf={"x": 1}, now=datetime.now(UTC))
    found = make().start().wait(trigger_id, TriggerState.HELD)
    assert (found.reason, found.attempts) == (Reason.KEY_MISSING, 0)
    assert "'lost' is not configured" in str(found.detail)
    assert standin.posts() == 0
    sealed.close()
