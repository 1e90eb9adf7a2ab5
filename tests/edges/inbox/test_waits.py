"""Tasks that wait in the store: each is itself, and is told of what agrees with it and came late enough."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, waits
from bridge.edges.inbox.engine.ids import delivery_text
from bridge.edges.inbox.rows import first_since
from bridge.words.waits import OpenWaits, TaskKey, Wait
from tests.support.store import NOW, Store

TASK = TaskKey("loads", "run/1", "load", -1)
WAIT = Wait("default", TASK, 1, "run_1", "pl_1", None, NOW)
SLACK = timedelta(minutes=5)  # by which the clocks may differ
OTHERS = [
    replace(WAIT, airflow="other"),
    *(
        replace(WAIT, task=TASK._replace(**{name: value}))
        for name, value in (("dag_id", "x"), ("dag_run_id", "x"), ("task_id", "x"), ("map_index", 0))
    ),
]
Tell = Callable[..., str]


@pytest.fixture
def tell(store: Store) -> Tell:
    """Store what a delivery tells; returns its id."""

    def add(row: int, kind: str = "run", about: str = "run_1", status: str = "failed", **more: Any) -> str:
        values = {"source": "s", "pipeline_id": "pl_1", "also": None} | more
        store.rows(
            "INSERT INTO completions (delivery_id, about_id, kind, source, status, pipeline_id, nth)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(row, about, kind, values["source"], status, values["pipeline_id"], row % 1000),
        )
        if values["also"]:
            store.rows("INSERT INTO completion_ids (id, delivery_id) VALUES (?, ?)", values["also"], row)
        return delivery_text(row)

    return add


def known(inbox: Inbox, airflow: str = "default") -> list[Wait]:
    """Return the waits of an Airflow."""
    return sorted(inbox.read(waits.known, airflow=airflow).values(), key=str)


def facts(inbox: Inbox, airflow: str = "default") -> dict[str, tuple[str | None, str | None]]:
    """Return what is known, by the id that is waited for."""
    return {each.wait.run_id: (each.delivery_id, each.status) for each in inbox.read(waits.facts, airflow=airflow)}


def test_a_wait_is_forgotten_alone(inbox: Inbox) -> None:
    """Whatever another task has in common with it."""
    inbox.write(waits.add, [WAIT, *OTHERS])
    assert inbox.read(waits.count) == [OpenWaits("default", 5, NOW), OpenWaits("other", 1, NOW)]
    inbox.write(waits.forget, airflow="default", tasks=[TASK])
    assert known(inbox) == sorted(OTHERS[1:], key=str)
    assert known(inbox, "other") == OTHERS[:1]
    inbox.write(waits.forget, airflow="other", tasks=[])
    assert known(inbox, "other") == OTHERS[:1]


def test_a_task_that_waits_for_another_run_waits_for_that_alone(inbox: Inbox, tell: Tell) -> None:
    """All that is known of it is the newer; what came before it began to wait anew tells it nothing."""
    inbox.write(waits.add, [WAIT])
    again = Wait("default", TASK, 2, "run_2", "pl_2", "crm", NOW + 2 * SLACK, is_own=True)
    inbox.write(waits.add, [again])
    inbox.write(waits.add, [])
    assert known(inbox) == [again]
    tell(first_since(NOW + SLACK) - 1, "job", "job_1", pipeline_id="pl_2", source="crm")
    assert facts(inbox) == {}
    id_ = tell(first_since(NOW + SLACK), "job", "job_2", pipeline_id="pl_2", source="crm")
    assert facts(inbox) == {"run_2": (id_, None)}


@pytest.mark.parametrize(
    ("wanted", "told", "is_told"),
    [
        ({}, {}, True),
        ({"source": "s"}, {}, True),
        ({"source": "other"}, {}, False),
        ({"pipeline_id": None}, {}, True),
        ({}, {"pipeline_id": None}, True),
        ({}, {"pipeline_id": "pl_2"}, False),
        ({"airflow": "other"}, {}, False),
        ({}, {"kind": "job"}, True),
        ({}, {"kind": "backfill"}, True),
        ({}, {"kind": "event"}, False),
        ({}, {"about": "run_2"}, False),
    ],
)
def test_a_run_is_told_of_by_what_agrees_with_the_wait(
    inbox: Inbox, tell: Tell, wanted: dict[str, Any], told: dict[str, Any], is_told: bool
) -> None:
    """A run may have been over before the task began to wait, so it counts whenever it came."""
    inbox.write(waits.add, [replace(WAIT, **wanted)])
    id_ = tell(5, **told)
    assert facts(inbox) == ({"run_1": (id_, "failed")} if is_told else {})


@pytest.mark.parametrize(
    ("wanted", "told", "is_told"),
    [
        ({}, {}, True),
        ({"source": "other"}, {}, False),
        ({"airflow": "other"}, {}, False),
        ({}, {"pipeline_id": "pl_2"}, False),
        ({}, {"also": "run_2"}, False),
    ],
)
def test_what_names_the_run_beside_something_else_is_worth_a_look(
    inbox: Inbox, tell: Tell, wanted: dict[str, Any], told: dict[str, Any], is_told: bool
) -> None:
    """It says nothing of how the run ended."""
    inbox.write(waits.add, [replace(WAIT, **wanted)])
    id_ = tell(5, **{"about": "job_1", "kind": "job", "also": "run_1"} | told)
    assert facts(inbox) == ({"run_1": (id_, None)} if is_told else {})


@pytest.mark.parametrize(
    ("wanted", "told", "is_told"),
    [
        ({}, {}, True),
        ({}, {"kind": "event"}, True),
        ({}, {"kind": "delivery"}, True),
        ({}, {"kind": "run"}, False),
        ({}, {"also": "run_9"}, False),
        ({}, {"row": first_since(NOW - SLACK) - 1}, False),
        ({"source": "other"}, {}, False),
        ({"airflow": "other"}, {}, False),
        ({"pipeline_id": None}, {"pipeline_id": None}, False),
        ({}, {"pipeline_id": "pl_2"}, False),
    ],
)
def test_what_says_no_run_is_worth_a_look_of_who_waits_for_its_pipeline(
    inbox: Inbox, tell: Tell, wanted: dict[str, Any], told: dict[str, Any], is_told: bool
) -> None:
    """From five minutes before the task began to wait, as the clocks may differ."""
    inbox.write(waits.add, [replace(WAIT, **wanted)])
    id_ = tell(**{"row": first_since(NOW - SLACK), "about": "job_1", "kind": "job"} | told)
    assert facts(inbox) == ({"run_1": (id_, None)} if is_told else {})


def test_the_last_that_tells_of_a_wait_counts(inbox: Inbox, tell: Tell) -> None:
    """And how it ended before what is only worth a look, whenever that came."""
    inbox.write(waits.add, [WAIT])
    row = first_since(NOW)
    tell(row, "job", "job_0")
    newest = tell(row + 1, "job", "job_1")
    assert facts(inbox) == {"run_1": (newest, None)}
    for after in (2, 3):
        id_ = tell(row + after, "job", f"job_{after}", also="run_1")
        assert facts(inbox) == {"run_1": (id_, None)}
    for place, (after, kind) in enumerate(((-9, "run"), (-8, "job"))):
        id_ = tell(row + after, kind, status=f"status_{place}")
        assert facts(inbox) == {"run_1": (id_, f"status_{place}")}
    tell(row + 4, "job", "job_4")
    assert facts(inbox) == {"run_1": (id_, "status_1")}


def test_what_an_event_names_beside_is_kept_once(inbox: Inbox, store: Store) -> None:
    """However often it is said; none names none."""
    for ids in (["run_2", "run_1"], ["run_1"], []):
        inbox.write(waits.tell_also, 5, ids)
    assert store.rows("SELECT id, delivery_id FROM completion_ids ORDER BY id") == [("run_1", 5), ("run_2", 5)]
