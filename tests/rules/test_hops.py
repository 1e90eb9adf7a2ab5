"""How many of the bridge's DAG runs led to an event, as its metadata tells."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rules.hops import Cause, Chain, Link, cause, claimed, count, disagreement, problem
from bridge.words.model import Event

_OURS = "planasonix__job_1__succeeded__sales"
TRIGGER, LATER = "trg_0000000000000001", "trg_0000000000000002"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, 0),
        ({"hops": 2}, 2),
        ({"hops": "2"}, 2),  # whoever passes metadata on may turn numbers into text
        ({"planasonix": {"hops": 3}}, 3),
        ({"planasonix": {"hops": "3"}}, 3),
        ({"hops": 1, "planasonix": {"hops": 3}}, 3),  # anybody's own number beside it
        ({"hops": 3, "planasonix": {"hops": "1"}}, 3),
        ({"planasonix": {"hops": 1}, "planasonix.hops": "3"}, 3),
        ({"hops": "many", "planasonix": {"hops": 3}}, 3),
        ({"dag_run_id": _OURS}, 1),
        ({"dag_run_id": _OURS, "hops": 4}, 4),
        ({"dag_run_id": _OURS, "hops": None}, 1),
        ({"dag_run_id": _OURS, "hops": 0}, 1),
        ({"dag_run_id": "scheduled__2025-03-27T02:00:00+00:00"}, 0),
        ({"dag_run_id": 7}, 0),
        ({"planasonix": "hops"}, 0),
        ({"planasonix": ["hops"]}, 0),
        ({"hops": True}, 0),
        ({"hops": 1.0}, 0),
        ({"hops": -1}, 0),
        ({"hops": "-1"}, 0),
        ({"hops": "\N{ARABIC-INDIC DIGIT TWO}"}, 0),
        ({"hops": "9" * 5000}, 0),
        ({"hops": 10**30}, 0),
        ({"hops": 1_000_000}, 1_000_000),
        ({"hops": "1000000"}, 1_000_000),
        ({"hops": "01000000"}, 0),
        ({"hops": 1_000_001}, 0),
        ({"hops": [1]}, 0),
    ],
)
def test_hops(metadata: dict[str, Any], expected: int) -> None:
    """The greatest count that is there is taken; a run of ours counts at least once; anything else is no circle."""
    assert claimed(Event(metadata=metadata)) == expected


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"planasonix": {"hops": 2}}, 2),
        ({"planasonix.hops": "2"}, 2),
        ({"hops": 2}, 0),  # anybody's own parameter
        ({"planasonix": "hops"}, 0),
    ],
)
def test_parameters_may_carry_the_count(parameters: dict[str, Any], expected: int) -> None:
    """A pipeline run takes no metadata, so conf.planasonix may have been passed on among its parameters."""
    assert claimed(Event(parameters=parameters)) == expected


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Event(), None),
        (Event(metadata={"trigger_id": TRIGGER}), Cause((TRIGGER,))),
        (Event(metadata={"planasonix": {"trigger_id": TRIGGER}}), Cause((TRIGGER,))),
        (Event(parameters={"planasonix": {"trigger_id": TRIGGER}}), Cause((TRIGGER,))),
        (Event(parameters={"planasonix.trigger_id": TRIGGER}), Cause((TRIGGER,))),
        (Event(parameters={"trigger_id": TRIGGER}), None),
        (Event(metadata={"trigger_id": "trg_' OR 1=1"}), None),
        (Event(metadata={"trigger_id": [TRIGGER]}), None),
        (
            Event(metadata={"trigger_id": TRIGGER}, parameters={"planasonix": {"trigger_id": LATER}}),
            Cause((LATER, TRIGGER)),
        ),
        (Event(metadata={"dag_id": "a", "dag_run_id": _OURS}), Cause((), "a", _OURS)),
        (Event(metadata={"dag_run_id": _OURS}), None),
        (Event(metadata={"dag_id": "a", "dag_run_id": ""}), None),
        (Event(metadata={"dag_id": "", "dag_run_id": _OURS}), None),
        (Event(metadata={"dag_id": "a" * 250, "dag_run_id": "r" * 250}), Cause((), "a" * 250, "r" * 250)),
        (Event(metadata={"dag_id": "a", "dag_run_id": "r" * 251}), None),
        (Event(metadata={"dag_id": "a" * 251, "dag_run_id": _OURS}), None),
        (Event(metadata={"dag_id": "a\0", "dag_run_id": _OURS}), None),
        (Event(metadata={"dag_id": 7, "dag_run_id": _OURS}), None),
    ],
)
def test_what_an_event_names_as_its_cause(event: Event, expected: Cause | None) -> None:
    """Ids that could be ours, the newest first; anything else is not looked up."""
    assert cause(event) == expected


def link(number: int, dag_id: str = "a") -> Link:
    """Return one link of a chain."""
    return Link(f"trg_{number}", f"dlv_{number}", "route", "default", dag_id, f"run_{number}")


def judged(event: Event, chain: Chain | None, *, dag_id: str = "x", airflow: str = "default") -> str | None:
    """Judge an event, at a limit of 3."""
    return problem(event, chain, limit=3, airflow=airflow, dag_id=dag_id, delivery_id="dlv_9")


@pytest.mark.parametrize(("hops", "is_held"), [(0, False), (2, False), (3, True), (9, True)])
def test_limit(hops: int, is_held: bool) -> None:
    """The limit is the number of DAG runs in a row that may be; a claim that nobody can prove is said to be one."""
    said = judged(Event(metadata={"hops": hops}), None)
    assert said == (f"hop {hops}, as the event says; the store knows no trigger that led to it" if is_held else None)


def test_a_dag_that_led_here_is_a_circle_at_once() -> None:
    """Shown as the chain that it is; the same name at another Airflow is another DAG."""
    chain = Chain((link(2, "b"), link(1, "a")), 2)
    assert judged(Event(), chain, dag_id="a") == "comes back to a: dlv_1 -> trg_1 (a) -> dlv_2 -> trg_2 (b) -> dlv_9"
    assert judged(Event(), chain, dag_id="a", airflow="other") is None
    assert judged(Event(), chain, dag_id="c") is None


@pytest.mark.parametrize("claim", [{}, {"hops": 0}, {"hops": 1}, {"hops": 99}])
@pytest.mark.parametrize(("links", "carried", "hops"), [(1, 1, 1), (2, 2, 2), (3, 0, 3), (1, 3, 3)])
def test_the_stores_count_is_the_count(claim: dict[str, int], links: int, carried: int, hops: int) -> None:
    """Whatever the event claims; where the store has forgotten the beginning, the last conf still counts it."""
    chain = Chain(tuple(link(number, f"dag_{number}") for number in range(links)), carried)
    event = Event(metadata=claim)
    assert count(event, chain) == hops
    assert (judged(event, chain) is not None) is (hops >= 3)
    is_said = claim.get("hops") not in (None, hops)
    assert (disagreement(event, chain) is not None) is is_said


def test_a_chain_names_the_trigger_that_led_here_directly() -> None:
    """Without any trigger there is none, and no hop."""
    assert (Chain().caused_by, Chain().hops) == (None, 0)
    assert Chain((link(2), link(1))).caused_by == "trg_2"
    assert Chain((link(2), link(1))).hops == 2


@pytest.mark.parametrize("chain", [None, Chain(), Chain((), 2)])
def test_an_event_whose_trigger_the_store_does_not_know_is_not_contradicted(chain: Chain | None) -> None:
    """Another bridge may have started the run: the claim counts."""
    event = Event(metadata={"hops": 2})
    assert (count(event, chain), disagreement(event, chain)) == (2, None)


def test_a_wrong_claim_is_said_with_both_counts() -> None:
    """The store's is the one that counts."""
    said = disagreement(Event(metadata={"hops": 7}), Chain((link(1),), 1))
    assert said == "the event says 7 hops, the store knows 1"
    assert disagreement(Event(metadata={"hops": -1}), Chain((link(1),), 1)) is None


def test_what_the_store_has_forgotten_is_shown_as_missing() -> None:
    """Three hops of which one is known."""
    assert judged(Event(), Chain((link(3),), 3)) == "hop 3: ... -> dlv_3 -> trg_3 (a) -> dlv_9"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["hops", "planasonix", "x"]), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["hops", "planasonix", "dag_run_id", "dag_id", "trigger_id"]), _JSON))
def test_any_metadata_gives_a_count(metadata: dict[str, Any]) -> None:
    """Whatever a sender puts into metadata is a small whole number in the end."""
    assert 0 <= claimed(Event(metadata=metadata)) <= 1_000_000
    cause(Event(metadata=metadata, parameters=metadata))
