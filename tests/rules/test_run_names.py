"""The spare name of a DAG run: when a trigger takes it after Airflow refused its usual one."""

from typing import Any

import pytest

from bridge.rules.completion import of_conf
from bridge.rules.run_names import is_of_the_route, spare, spare_beside

NAME = "planasonix__42__succeeded__orders"
OURS: dict[str, Any] = {
    "source": "planasonix",
    "delivery_id": "dlv_2",
    "event_id": "evt_2",
    "event_type": "pipeline.run.succeeded",
    "status": "succeeded",
    "pipeline_id": "pl_b",
    "run_id": "42",
    "job_id": None,
    "route": "orders",
    "trigger_id": "trg_2",
}
THEIRS = OURS | {"delivery_id": "dlv_1", "event_id": "evt_1", "pipeline_id": "pl_a", "trigger_id": "trg_1"}


@pytest.mark.parametrize(
    "theirs",
    [
        {},
        {"source": None},
        {"source": "other"},
        {"pipeline_id": "pl_b", "event_type": "job.succeeded", "job_id": "job_1"},
        {"pipeline_id": "pl_b", "source": "other", "event_type": "job.succeeded", "job_id": "job_1"},
    ],
    ids=["pipeline", "of the release before", "pipeline and source", "kind", "kind and source"],
)
def test_the_name_of_another_completion_gets_a_digest(theirs: dict[str, Any]) -> None:
    """Another pipeline or kind is another completion, whatever the source is called."""
    found = spare_beside(OURS, THEIRS | theirs, dag_run_id=NAME)
    assert found == spare(NAME, of_conf(OURS)) != NAME


@pytest.mark.parametrize(
    ("ours", "theirs", "name"),
    [
        ({}, {"pipeline_id": "pl_b"}, NAME),
        ({}, {"pipeline_id": None}, NAME),
        ({}, {"pipeline_id": "pl_b", "source": "other"}, NAME),
        ({}, {"pipeline_id": None, "source": "other"}, NAME),
        ({}, {"event_id": "evt_2", "source": "other"}, NAME),
        ({"event_id": None}, {"pipeline_id": "pl_b", "source": "other", "event_id": None}, NAME),
        ({}, {"route": "other"}, NAME),
        ({}, {"status": "failed"}, NAME),
        ({}, {"run_id": None, "event_id": None, "delivery_id": None}, NAME),
        ({"source": None}, {}, NAME),
        ({"event_type": "backfill.completed", "run_id": None}, {}, "planasonix__evt_2__succeeded__orders"),
        ({}, {}, f"{NAME}__r1"),
        ({}, {}, spare(NAME, of_conf(OURS))),
        ({}, {}, "orders-2025-03-27"),
    ],
    ids=[
        "same",
        "perhaps the same",
        "source",
        "source, perhaps the same pipeline",
        "same event, other source",
        "source, no event id",
        "route",
        "status",
        "no id",
        "before",
        "backfill",
        "rerun",
        "spare",
        "own name",
    ],
)
def test_whatever_else_is_unclear_is_a_persons(ours: dict[str, Any], theirs: dict[str, Any], name: str) -> None:
    """No second name for what may be the same, was named by somebody, or cannot be told."""
    assert spare_beside(OURS | ours, THEIRS | theirs, dag_run_id=name) is None


def test_a_conf_that_says_nothing_is_no_other_completion() -> None:
    """Somebody else wrote it."""
    assert spare_beside(OURS, {}, dag_run_id=NAME) is None
    assert spare_beside({}, THEIRS, dag_run_id=NAME) is None


@pytest.mark.parametrize(
    ("theirs", "name", "expected"),
    [
        ({}, "orders-2025-03-27", True),
        ({"pipeline_id": "pl_b", "status": "failed"}, "orders-2025-03-27", True),
        ({}, NAME, False),
        ({"route": "other"}, "orders-2025-03-27", False),
        ({"source": "other"}, "orders-2025-03-27", False),
        ({"source": None}, "orders-2025-03-27", False),
        ({"trigger_id": None}, "orders-2025-03-27", False),
    ],
    ids=["same", "other completion", "usual name", "route", "source", "before", "no trigger"],
)
def test_a_run_under_a_routes_own_name_is_of_that_route(theirs: dict[str, Any], name: str, expected: bool) -> None:
    """The name is the identity there, and only there."""
    assert is_of_the_route(OURS, THEIRS | theirs, dag_run_id=name) is expected


@pytest.mark.parametrize("name", ["route", "source"])
def test_what_names_neither_route_nor_source_is_of_no_route(name: str) -> None:
    """Two that say nothing do not say the same."""
    assert not is_of_the_route(OURS | {name: None}, THEIRS | {name: None}, dag_run_id="orders-2025-03-27")
