"""What goes wrong in the dispatcher itself: no claim is kept that nobody works on, and one lane stops no other."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bridge.edges.airflow import Airflow
from bridge.edges.inbox import Inbox, replays, triggers
from bridge.edges.metrics import Metrics
from bridge.flows.firing import Dispatcher
from bridge.words.model import TriggerState
from bridge.words.reasons import Reason
from bridge.words.targets import AirflowTarget
from tests.support.firing import AUTH, Make
from tests.support.standin import Answer, Broken, Standin
from tests.support.store import Store, add, stored, wait_for


@contextmanager
def no_more_threads() -> Iterator[None]:
    """Let no thread start, as on a machine that has no more of them."""
    before = threading.stack_size(1 << 46)
    try:
        yield
    finally:
        threading.stack_size(before)


def test_a_claim_that_no_thread_can_be_had_for_is_given_back(make: Make, standin: Standin) -> None:
    """It waits again without an attempt used and without a lease; when there are threads it is fired, once."""
    firing = make()
    ids = [firing.add(f"evt_{number}") for number in range(3)]
    with no_more_threads():
        firing.dispatcher.step()
    for id_ in ids:
        found = firing.trigger(id_)
        assert (found.state, found.attempts) == (TriggerState.PENDING, 0)
    assert not firing.lane.under_way
    firing.start()
    for id_ in ids:
        assert firing.wait(id_).attempts == 1
    assert standin.posts() == 3


def test_a_probe_that_no_thread_can_be_had_for_comes_later(make: Make, standin: Standin) -> None:
    """The Airflow is probed again, and what waits for it is fired."""
    firing = make()
    id_ = firing.add()
    standin.is_healthy = False
    standin.before = lambda _: (500, {"detail": {"reason": "Database error"}})
    firing.lane.breaker.open(-100.0, Reason.AIRFLOW_DOWN, None)  # no call was made, so no thread is idle
    with no_more_threads():
        firing.dispatcher.step()
    assert not firing.lane.is_probing
    standin.is_healthy, standin.before = True, lambda _: None
    firing.start()
    firing.wait(id_)


def test_a_lost_answer_a_renamed_route_and_a_replay_make_one_run(make: Make, standin: Standin) -> None:
    """Airflow makes the run and goes away; when it is back, the run is found under its first name."""

    def lose(_: dict[str, Any]) -> Answer | None:
        standin.is_healthy = False
        raise Broken

    standin.after, standin.before_read = lose, lambda _: (500, "who knows")
    firing = make().start()
    first = firing.add()
    firing.dispatcher.wake()
    assert firing.wait(first, TriggerState.HELD).reason is Reason.AIRFLOW_DOWN
    delivery = firing.trigger(first).delivery_id
    now = datetime.now(UTC)
    firing.inbox.write(replays.replay, delivery, actor="test", reason=None, new_id=None, now=now)
    second = add(firing.inbox, delivery, now=now, route="sales", dag_run_id="run-sales")
    standin.after = standin.before_read = lambda _: None
    standin.is_healthy = True
    assert firing.wait(first).reason is Reason.ALREADY_THERE
    assert firing.trigger(second).reason is Reason.DUPLICATE_RUN
    assert [run["dag_run_id"] for run in standin.runs()] == ["run-evt_1"]


def test_a_hiccup_of_the_store_at_settling_costs_nothing(
    make: Make, path: Path, store: Store, standin: Standin, metrics: Metrics
) -> None:
    """The end of the call is stored at the next try: no lease lapses, and nobody doubts whether there is a run."""
    refused = threading.Event()

    def mend(operation: str, _seconds: float, is_done: bool) -> None:
        if operation == "write" and not is_done:
            beside = Store(path)
            beside.rows("DROP TRIGGER IF EXISTS refuses")
            beside.close()
            refused.set()

    inbox = Inbox(f"sqlite:///{path}", on_access=mend)
    store.rows(
        "CREATE TRIGGER refuses BEFORE UPDATE ON triggers WHEN NEW.state = 'fired'"
        " BEGIN SELECT RAISE(ABORT, 'refused'); END"
    )
    firing = make(over=inbox, read_seconds=60.0, deadline_seconds=60.0).start()
    found = firing.wait(firing.add())
    assert refused.is_set()
    assert (found.attempts, found.doubted_at, len(firing.attempts(found.id)), standin.posts()) == (1, None, 1, 1)
    assert "bridge_leases_taken_over_total 0.0" in metrics.exposition().decode()
    firing.stop()
    inbox.close()


def test_one_lane_that_fails_stops_no_other(inbox: Inbox, store: Store, metrics: Metrics, standin: Standin) -> None:
    """The store refuses every claim for the first Airflow; the one after it goes on."""
    lanes = {}
    for name in ("broken", "default"):
        target = AirflowTarget(name, standin.url, AUTH, rate=1000.0)
        lanes[name] = (target, Airflow(target))
    add(inbox, stored(inbox, "evt_1"), airflow="broken", due_at=datetime.now(UTC))
    store.rows(
        "CREATE TRIGGER refuses BEFORE UPDATE ON triggers WHEN OLD.airflow = 'broken'"
        " BEGIN SELECT RAISE(ABORT, 'refused'); END"
    )
    good = add(inbox, stored(inbox, "evt_2"))
    store.rows("UPDATE triggers SET due_at = 0 WHERE airflow = 'default'")
    dispatcher = Dispatcher(inbox=inbox, airflows=lanes, metrics=metrics, lease_seconds=30)
    dispatcher.loop.start()
    try:
        wait_for(lambda: inbox.read(triggers.get, good).state is TriggerState.FIRED)  # type: ignore[union-attr]
    finally:
        dispatcher.loop.stop(60)
        for _, airflow in lanes.values():
            airflow.close()


def test_a_row_that_cannot_be_read_stops_no_other(make: Make, store: Store) -> None:
    """It is held with a reason, and looked at again later, without using an attempt; what is behind it is fired."""
    firing = make(concurrency=1)
    bad = firing.add("evt_bad")
    store.rows("UPDATE triggers SET conf = '{'")
    good = firing.add("evt_good")
    firing.start()
    firing.wait(good)
    assert store.rows("SELECT state, reason, attempts, lease_token FROM triggers WHERE conf = '{'") == [
        ("held", "internal_error", 0, None)
    ]
    store.rows("UPDATE triggers SET conf = '{}', due_at = 0 WHERE conf = '{'")
    firing.dispatcher.wake()
    firing.wait(bad)


def test_what_is_claimed_while_the_loop_ends_is_given_back(make: Make, standin: Standin) -> None:
    """A step that the deadline left behind begins no call, and leaves no lease."""
    firing = make()
    id_ = firing.add()
    firing.dispatcher.loop.end()
    firing.dispatcher.step()
    found = firing.trigger(id_)
    assert (found.state, found.attempts) == (TriggerState.PENDING, 0)
    assert standin.posts() == 0


def test_one_probe_at_a_time(make: Make, standin: Standin) -> None:
    """While one hangs no second one is sent, however often the dispatcher looks."""
    entered, gate = list[str](), threading.Event()

    def hang(_: str, path: str) -> Answer | None:
        if path.endswith("/health"):
            entered.append(path)
            gate.wait(60)
        return None

    firing = make()
    firing.add()
    standin.is_healthy = False
    standin.before = lambda _: (500, {"detail": {"reason": "Database error"}})
    firing.dispatcher.step()
    wait_for(lambda: firing.lane.breaker.is_open and not firing.lane.under_way)
    standin.front = hang
    firing.is_started = True
    wait_for(lambda: firing.dispatcher.step() > 0 and bool(entered))
    for _ in range(5):
        firing.dispatcher.step()
    standin.is_healthy = True
    gate.set()
    wait_for(lambda: not firing.lane.breaker.is_open)
    firing.stop(60)
    assert len(entered) == 1


def test_leases_are_renewed_while_stopping(make: Make, standin: Standin, store: Store) -> None:
    """A call that takes longer than its lease keeps it until the stop has waited for it."""
    gate = threading.Event()

    def slow(_: object) -> Answer | None:
        gate.wait(60)
        return None

    standin.before = slow
    firing = make(lease_seconds=1, read_seconds=60.0, deadline_seconds=60.0).start()
    id_ = firing.add()
    firing.dispatcher.wake()
    wait_for(lambda: standin.posts() == 1)
    stopping = threading.Thread(target=firing.stop, args=(60.0,))
    stopping.start()
    wait_for(lambda: not firing.dispatcher.loop.is_alive)
    until = store.one("SELECT lease_until FROM triggers")
    wait_for(lambda: store.one("SELECT lease_until FROM triggers") > until)
    gate.set()
    stopping.join()
    found = firing.trigger(id_)
    assert (found.state, found.attempts, standin.posts()) == (TriggerState.FIRED, 1, 1)
