"""Forty-four rounds over both stores: every fault alone on each, then pairs; and what makes a seed worth keeping."""

from pathlib import Path

import pytest

from tests.crash.audit import compare
from tests.crash.many import STORES, run_seeds, totals
from tests.crash.plans import CLOCKS, KINDS, LEASE_SECONDS, Kind, Plan, make
from tests.crash.system import HAS_CLOCKS, System

pytestmark = pytest.mark.crash
ROUNDS = 44


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    """Every acknowledged delivery has exactly its runs, whatever broke. A failure names the seed to run again."""
    results, left_out = run_seeds(range(ROUNDS), STORES, at_once=2, say=False)
    table = totals(results, left_out)
    print(table)
    assert [result.plan.seed for result in results if not result.audit.is_clean] == [], table
    done = {(result.plan.store, kind) for result in results for kind in result.plan.kinds}
    able = {(store, kind) for store in STORES for kind in KINDS[store] if HAS_CLOCKS or kind not in CLOCKS}
    assert able <= done
    assert left_out == 0 or not HAS_CLOCKS


def test_a_seed_is_a_plan() -> None:
    """The same seed gives the same faults at the same instants, and consecutive seeds cover every fault and pair."""
    assert [make(seed) for seed in range(300)] == [make(seed) for seed in range(300)]
    everything = {(make(seed).store, frozenset(make(seed).kinds)) for seed in range(1000, 1300)}
    for store in STORES:
        kinds = KINDS[store]
        expected = {(store, frozenset({one, other})) for one in kinds for other in kinds}
        assert expected <= everything


def test_a_freeze_is_longer_than_a_lease() -> None:
    """Or nobody would take the frozen replica's work over."""
    frozen = [fault for seed in range(300) for fault in make(seed).faults if fault.kind is Kind.FREEZE_REPLICA]
    assert frozen
    assert all(fault.lasts_seconds > LEASE_SECONDS for fault in frozen)


def test_the_comparison_sees_what_is_wrong() -> None:
    """A webhook that was acknowledged and is not stored, and a run that nobody asked for, are told."""
    with System(Plan(1, "sqlite", 1, ()), None) as system:
        with system.journal.open("a") as journal:
            run_of_nobody = '{"dag_id": "load_orders", "dag_run_id": "x", "conf": {"planasonix": {"event_id": "evt"}}}'
            journal.write(f"made\t{run_of_nobody}\nmade\t{run_of_nobody}\n")
        audit = compare(system, {"evt_1": "dlv_0000000000000001"}, may_be=[["first"]], must_be={})
    assert (audit.lost, audit.doubled, audit.is_clean) == (1, 3, False)
    assert "evt_1 was acknowledged" in audit.faults[0]
