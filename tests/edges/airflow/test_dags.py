"""What Airflow says about DAGs: read leniently, and its state in one word."""

from typing import Any

import pytest

from bridge.edges.airflow import Airflow, dags
from bridge.words.dags import DagFacts, DagPage, DagState
from bridge.words.outcomes import Misconfigured
from bridge.words.reasons import Reason
from bridge.words.targets import AirflowAuth, AirflowTarget, Secret
from tests.support.standin import Standin

AUTH = AirflowAuth(Secret("bridge"), Secret("bridge-password"))


@pytest.mark.parametrize(
    ("details", "facts"),
    [
        ({}, DagFacts(exists=True)),
        ({"is_paused": True, "is_stale": True}, DagFacts(exists=True, is_paused=True, is_stale=True)),
        ({"is_active": False}, DagFacts(exists=True, is_stale=True)),
        ({"has_import_errors": True}, DagFacts(exists=True, has_import_errors=True)),
        ({"params": "?"}, DagFacts(exists=True)),
    ],
)
def test_facts_of_a_dag(details: dict[str, Any], facts: DagFacts) -> None:
    """Airflow 2's words and 3's, and whatever else may stand there."""
    assert dags.facts(details) == facts


def test_required_params_are_those_without_a_value_or_leave_to_be_null() -> None:
    """`Param(type="string")` must be given; a default, a null type or no type at all need not."""
    params = {
        "must": {"value": None, "schema": {"type": "string"}},
        "must_be_one_of": {"value": None, "schema": {"type": ["string", "integer"]}},
        "may_be_null": {"value": None, "schema": {"type": ["null", "string"]}},
        "any": {"value": None, "schema": {}},
        "default": {"value": 10, "schema": {"type": "integer"}},
        "strange": 7,
    }
    made = dags.facts({"params": params})
    assert made.required == ("must", "must_be_one_of")
    assert made.params["default"] == {"type": "integer"}


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (DagFacts(exists=False), DagState.MISSING),
        (DagFacts(exists=True), DagState.OK),
        (DagFacts(exists=True, is_paused=True), DagState.PAUSED),
        (DagFacts(exists=True, is_paused=True, is_stale=True), DagState.STALE),
        (DagFacts(exists=True, is_stale=True, has_import_errors=True), DagState.BROKEN),
    ],
)
def test_what_keeps_a_run_from_being_made_goes_before_what_keeps_it_waiting(facts: DagFacts, state: DagState) -> None:
    """One word for each DAG."""
    assert facts.state is state


def test_a_page_has_stale_dags_too(standin: Standin) -> None:
    """Airflow leaves them out unless it is asked for them."""
    standin.dags = {"b": {"is_paused": True}, "a": {"is_stale": True}}
    airflow = Airflow(AirflowTarget("default", standin.url, AUTH))
    assert airflow.list_dags(0) == DagPage(
        {"a": DagFacts(exists=True, is_stale=True), "b": DagFacts(exists=True, is_paused=True)}, 2
    )
    assert airflow.list_dags(1) == DagPage({"b": DagFacts(exists=True, is_paused=True)}, 2)
    airflow.close()


def test_a_page_that_is_too_long_to_be_read_is_cut(standin: Standin) -> None:
    """A megabyte of descriptions: whoever asked for it asks for fewer DAGs."""
    standin.dags = {name: {"description": name * 700_000} for name in ("a", "b")}
    airflow = Airflow(AirflowTarget("default", standin.url, AUTH))
    assert airflow.list_dags(0) == DagPage({}, 0, is_cut=True)
    assert airflow.list_dags(0, 1) == DagPage({"a": DagFacts(exists=True)}, 2)
    airflow.close()


@pytest.mark.parametrize("answer", [{"dags": "?"}, {"dags": []}, {}, [], {"dags": [], "total_entries": "2"}])
def test_what_is_no_list_of_dags_says_nothing_of_any(standin: Standin, answer: Any) -> None:
    """A gateway's page, or another service: never an Airflow without DAGs."""
    standin.front = lambda _, path: (200, answer) if path.startswith("/api/v2/dags") else None
    airflow = Airflow(AirflowTarget("default", standin.url, AUTH))
    for found in (airflow.list_dags(0), airflow.look_at_dag("a")):
        assert isinstance(found, Misconfigured)
        assert (found.reason, found.is_whole_target) == (Reason.AIRFLOW_MISCONFIGURED, False)
    airflow.close()
