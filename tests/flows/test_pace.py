"""An Airflow that bears less than its settings say is called more slowly, and one DAG never holds all that remains."""

import threading
import time
from typing import Any

import pytest

from bridge.edges.metrics import Metrics
from bridge.rules.easing import Ended, Strain
from tests.support.firing import Firing, Make
from tests.support.standin import Answer, Standin
from tests.support.store import wait_for

_LOCKED: Answer = (500, {"detail": {"reason": "Database error"}})


class OneWriter:
    """Answers as an Airflow on SQLite does: calls that come together fail."""

    def __init__(self, at_once: int) -> None:
        self.refused = 0
        self._arrived = threading.Barrier(at_once)
        self._is_alone = True
        self._lock = threading.Lock()

    def __call__(self, _: dict[str, Any]) -> Answer | None:
        """The first ones wait for each other, so that they do come together on any machine."""
        try:
            self._arrived.wait(10 if self._is_alone else 0)
        except threading.BrokenBarrierError:
            return None
        with self._lock:
            self._is_alone = False
            self.refused += 1
        return _LOCKED


def gauge(metrics: Metrics, name: str) -> float:
    """Return what a scrape shows of the one Airflow."""
    (line,) = (
        line for line in metrics.exposition().decode().splitlines() if line.startswith(f'bridge_{name}{{airflow="')
    )
    return float(line.rsplit(" ", 1)[1])


def lower_to_one(firing: Firing) -> None:
    """Let the pace be lowered twice, as by three errors each time: it is one for the half minute to come."""
    easing = firing.lane.easing
    for number in range(6):
        easing.ended(Ended(f"trg_{number}", "any", 0.0, 4, Strain.ERRORS, False), time.monotonic())
    assert easing.concurrency(time.monotonic()) == 1


@pytest.mark.parametrize(("is_adaptive", "pace"), [(True, 2), (False, 4)])
def test_calls_that_fail_together_are_made_fewer(
    make: Make, standin: Standin, metrics: Metrics, is_adaptive: bool, pace: int
) -> None:
    """Four at once fail; from then on there are two, unless that is switched off. Every trigger is fired, once."""
    for number in range(2):
        standin.dags[f"dag_{number}"] = {"is_paused": False}
    writer = OneWriter(4)
    standin.before = writer
    firing = make(adaptive=is_adaptive)
    ids = [firing.add(f"evt_{number}", dag_id=f"dag_{number % 2}") for number in range(12)]
    assert gauge(metrics, "airflow_pace_concurrency") == 4
    firing.start()
    wait_for(lambda: writer.refused == 4)
    wait_for(lambda: firing.lane.easing.strain is Strain.ERRORS or not is_adaptive)
    assert gauge(metrics, "airflow_pace_concurrency") in (pace, pace + 1)  # on its way back
    assert gauge(metrics, "airflow_pace_rate") == 1000.0
    for id_ in ids:
        firing.wait(id_)
    assert len(standin.runs("dag_0")) + len(standin.runs("dag_1")) == 12


def test_calls_that_are_asked_to_wait_lower_the_rate(make: Make, standin: Standin) -> None:
    """429 to the calls of every DAG, by a gateway in front of a healthy Airflow."""
    for number in range(4):
        standin.dags[f"dag_{number}"] = {"is_paused": False}
    standin.before = lambda _: (429, {"detail": "slow down"})
    firing = make(rate=100.0)
    ids = [firing.add(f"evt_{number}", dag_id=f"dag_{number}") for number in range(4)]
    firing.start()
    wait_for(lambda: firing.lane.easing.strain is Strain.THROTTLED)
    standin.before = lambda _: None
    for id_ in ids:
        firing.wait(id_)


def test_a_dag_that_hangs_leaves_a_place_to_the_others_at_a_pace_of_one(make: Make, standin: Standin) -> None:
    """The pace was lowered to one call at a time, and that one hangs: another DAG's trigger is fired meanwhile."""
    gate = threading.Event()

    def hang(body: dict[str, Any]) -> Answer | None:
        if body["dag_run_id"].startswith("run-hangs"):
            gate.wait(20)
        return None

    standin.dags["hangs"] = {"is_paused": False}
    standin.before = hang
    firing = make()
    hanging = [firing.add(f"hangs_{number}", route="hangs", dag_id="hangs") for number in range(6)]
    lower_to_one(firing)
    firing.start()
    try:
        wait_for(lambda: len(firing.lane.under_way) == 1)
        assert firing.wait(firing.add("evt_good")).attempts == 1
        assert len([claimed for claimed in firing.lane.under_way.values() if claimed.trigger.id in hanging]) == 1
    finally:
        gate.set()
