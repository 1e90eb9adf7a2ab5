"""What was answered 2xx has its runs, once each, whatever breaks: every kind of fault, alone and in pairs."""

import random
from pathlib import Path

import pytest

from tests.crash.__main__ import line, play, summary
from tests.crash.faults import FAULTS
from tests.crash.rounds import LEAST, Plan, Result, Stored, compare, judge, plan
from tests.support.standin import Standin
from tests.support.store import empty_store

_PAIRS = 2


def _plans(store: str, testrun_uid: str) -> list[Plan]:
    """Every kind of fault alone, at one of its stores, then some pairs; others each time, which a failure tells.

    The draw is the same in every worker: what one store is not asked for, the other is. `make crash` tries them all.
    """
    draw = random.Random(testrun_uid)
    names = [name for name, fault in FAULTS.items() if draw.choice(sorted(fault.stores)) == store]
    first = 2 * random.randrange(500_000)
    alone = [plan(first + 2 * n, store=store, fault=name) for n, name in enumerate(names)]
    return alone + [plan(first + 2 * n + 1, store=store) for n in range(_PAIRS)]


@pytest.mark.crash
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_nothing_lost_nothing_doubled(store: str, testrun_uid: str, tmp_path: Path) -> None:
    """Three lists agree after every round: acknowledged, stored, asked for."""
    plans = [item for item in _plans(store, testrun_uid) if item.is_possible]
    results = list(play(plans, at_once=3, kept=tmp_path))
    told = [line(item) + "".join(f"\n    {wrong}" for wrong in item.wrong[:10]) for item in results if item.wrong]
    assert not told, "\n".join([*told, summary(results)])
    assert len(results) == len(plans)
    assert all(item.acknowledged >= LEAST for item in results)


def test_every_fault_is_tried_at_one_store(testrun_uid: str) -> None:
    """None is left out by the draw."""
    tried = [made.fault for store in ("sqlite", "postgresql") for made in _plans(store, testrun_uid) if made.fault]
    assert sorted(tried) == sorted(FAULTS)


def _result(fault: str = "clock_back") -> Result:
    return Result(plan(2, store="sqlite", fault=fault))


_STORED = Stored(
    deliveries={1: ("evt_1", "routed"), 2: ("evt_2", "stale")},
    triggers=[(7, 1, "load_orders", "run_1", "fired", None)],
)
_RUN = {"dag_id": "load_orders", "dag_run_id": "run_1"}
_ACKNOWLEDGED = {"evt_1": "dlv_1", "evt_2": "dlv_2"}


def test_a_webhook_that_was_dropped_and_has_no_run_is_lost() -> None:
    """The judge counts it; one whose run the reconciler has started is found."""
    fired = (7, 1, "load_orders", "planasonix__job_evt_1__succeeded__one", "fired", None)
    kept = Stored(deliveries={1: (None, "routed")}, triggers=[fired])
    run = {"dag_id": "load_orders", "dag_run_id": fired[3]}
    result = _result("dropped_webhook")
    compare(result, {}, kept, [run], dropped=["evt_1", "evt_2"])
    assert result.wrong == ["lost: evt_2 got lost on its way and has no run"]


def test_a_round_that_failed_can_be_run_again() -> None:
    """What it tells gives the same plan, whether its store was drawn or told."""
    for seed in range(40):
        drawn = plan(seed)
        assert f"SEED={seed} STORE={drawn.store}" in drawn.again
        assert plan(seed, store=drawn.store) == drawn
        told = plan(seed, store="sqlite", fault="disk_full")
        assert told.again.endswith("STORE=sqlite FAULT=disk_full")
        assert told == plan(seed, store="sqlite", fault="disk_full")


def test_lists_that_agree_are_right() -> None:
    """Also with a webhook that came too late and was kept aside."""
    result = _result()
    compare(result, _ACKNOWLEDGED, _STORED, [_RUN])
    assert result.wrong == []


@pytest.mark.parametrize(
    ("acknowledged", "runs", "kind"),
    [
        (_ACKNOWLEDGED, [], "lost"),
        (_ACKNOWLEDGED, [_RUN, _RUN], "doubled"),
        (_ACKNOWLEDGED, [_RUN, _RUN | {"dag_run_id": "run_2"}], "doubled"),
        (_ACKNOWLEDGED | {"evt_3": "dlv_3"}, [_RUN], "lost"),
    ],
)
def test_lists_that_differ_are_told(acknowledged: dict[str, str], runs: list[dict[str, str]], kind: str) -> None:
    """A run that is missing, made twice or nobody's, and a delivery that is gone."""
    result = _result()
    compare(result, acknowledged, _STORED, runs)
    assert getattr(result, kind)


def test_a_trigger_that_was_settled_twice_is_told() -> None:
    """A thawed replica's write must hit zero rows."""
    result = _result()
    compare(result, _ACKNOWLEDGED, Stored(_STORED.deliveries, _STORED.triggers, {7: 2}), [_RUN])
    assert result.doubled == ["trigger 7 was settled 2 times"]


def test_a_stale_webhook_without_a_clock_that_was_set_is_told() -> None:
    """It was signed just now."""
    result = _result("kill_bridge")
    compare(result, _ACKNOWLEDGED, _STORED, [_RUN])
    assert result.lost == ["evt_2 was kept aside as stale"]


def test_what_verify_finds_is_told(tmp_path: Path) -> None:
    """A run that no trigger owns; and a run that it has not seen at all."""
    store = f"sqlite:///{empty_store(tmp_path / 'bridge.db')}"
    with Standin() as airflow:
        airflow.make_run("load_orders", {"dag_run_id": "planasonix__x", "logical_date": None, "conf": {}})
        result = _result()
        judge(result, airflow.url, store)
        assert result.off == ["extra: planasonix__x: the store has no trigger of it (started by rest_api)"]
        airflow.delete_run("planasonix__x")
        result = Result(plan(2), runs=1)
        judge(result, airflow.url, store)
        assert result.wrong == ["off: verify has seen {}, and there are 1 runs"]


@pytest.mark.parametrize("state", ["pending", "firing", "held", "failed"])
def test_what_waits_is_told(state: str) -> None:
    """A trigger that did not end well is stuck."""
    result = _result()
    stored = Stored(_STORED.deliveries, [(7, 1, "load_orders", "run_1", state, "airflow_down")])
    compare(result, _ACKNOWLEDGED, stored, [_RUN])
    assert result.stuck
    assert result.lost
