"""What is sent for a trigger, and whose a DAG run is that was found under its id."""

from dataclasses import replace
from typing import Any

import pytest

from bridge.edges.airflow import runs
from bridge.words.outcomes import AlreadyThere, Later, Never, Renamed, Taken
from bridge.words.reasons import Reason
from tests.edges.airflow.support import RUN_ID, carried, trigger


def test_body_for_airflow_3_and_2() -> None:
    """Our own id always; `logical_date` is null for Airflow 3 and absent for 2; the note is cut to 1000."""
    item = trigger(note="x" * 2000)
    assert runs.body(item, "3") == {
        "dag_run_id": RUN_ID,
        "logical_date": None,
        "conf": dict(item.call.conf),
        "note": "x" * 1000,
    }
    assert "logical_date" not in runs.body(item, "2")
    assert "note" not in runs.body(trigger(), "3")


@pytest.mark.parametrize(
    ("dag_id", "conf", "kind", "reason"),
    [
        ("marts", {"a": "x" * 100}, type(None), None),
        ("my.dag-1_ü", {}, type(None), None),
        ("marts", {"a": "x" * 1000}, Never, Reason.CONF_TOO_LARGE),
        ("marts", {"a": "é" * 500}, Never, Reason.CONF_TOO_LARGE),
        ("marts", {"a": float("nan")}, Never, Reason.CONF_REFUSED),
        ("marts", {"a": [float("inf")]}, Never, Reason.CONF_REFUSED),
        ("marts", {"a": "\ud800"}, Never, Reason.CONF_REFUSED),
        ("a/b", {}, Later, Reason.DAG_NOT_FOUND),
        ("..", {}, Later, Reason.DAG_NOT_FOUND),
        ("", {}, Later, Reason.DAG_NOT_FOUND),
        ("~", {}, Later, Reason.DAG_NOT_FOUND),
    ],
)
def test_what_is_not_worth_a_call(dag_id: str, conf: dict[str, Any], kind: type, reason: Reason | None) -> None:
    """What Airflow would mistake for its own or its whole URL's trouble never leaves."""
    refusal = runs.unsendable(trigger(dag_id, conf=conf), 1000)
    assert type(refusal) is kind
    assert getattr(refusal, "reason", None) is reason


@pytest.mark.parametrize(
    ("conf", "reason"),
    [
        ({"planasonix": carried("trg_1")}, Reason.ALREADY_THERE),
        ({"planasonix": {"trigger_id": "trg_1"}}, Reason.ALREADY_THERE),
        ({"planasonix": carried("trg_9")}, Reason.SAME_COMPLETION),
        ({"planasonix": carried("trg_9", event_id="evt_9")}, Reason.SAME_COMPLETION),
        ({"planasonix": carried("trg_9", job_id="job_9")}, Reason.RUN_ID_CONFLICT),
        ({"planasonix": carried("trg_9", run_id="run_9")}, Reason.RUN_ID_CONFLICT),
        ({"planasonix": carried("trg_9", route="other")}, Reason.RUN_ID_CONFLICT),
        ({"planasonix": carried("trg_9", status="failed")}, Reason.RUN_ID_CONFLICT),
        ({"planasonix": {}}, Reason.RUN_ID_CONFLICT),
        ({"planasonix": "trg_1"}, Reason.RUN_ID_CONFLICT),
        ({}, Reason.RUN_ID_CONFLICT),
        (None, Reason.RUN_ID_CONFLICT),
        ([], Reason.RUN_ID_CONFLICT),
    ],
)
def test_whose_a_run_is(conf: Any, reason: Reason) -> None:
    """Ours by trigger id; a copy's by route, status and identity; else anybody's, and never taken for ours."""
    outcome = runs.judge_existing({"dag_run_id": RUN_ID, "conf": conf}, trigger())
    assert outcome.reason is reason
    assert type(outcome) is (Never if reason is Reason.RUN_ID_CONFLICT else AlreadyThere)
    assert isinstance(outcome, AlreadyThere) or outcome.is_certain  # Airflow takes an id once: ours is not there


@pytest.mark.parametrize("identity", ["run_id", "job_id", "backfill_id", "event_id"])
def test_best_identity_tells_completions_apart(identity: str) -> None:
    """Whichever id is the best that an event has, the same one is the same completion and another one is not."""
    nothing = dict.fromkeys(["run_id", "job_id", "backfill_id", "event_id"])
    ours = trigger(conf={"planasonix": carried(**nothing | {identity: "x"})})
    same = {"conf": {"planasonix": carried("trg_9", **nothing | {identity: "x"})}}
    other = {"conf": {"planasonix": carried("trg_9", **nothing | {identity: "y"})}}
    assert runs.judge_existing(same, ours).reason is Reason.SAME_COMPLETION
    assert runs.judge_existing(other, ours).reason is Reason.RUN_ID_CONFLICT


def test_events_without_any_identity_are_never_the_same() -> None:
    """Two nothings are not one completion."""
    nothing = dict.fromkeys(["run_id", "job_id", "event_id"])
    ours = trigger(conf={"planasonix": carried(**nothing)})
    assert (
        runs.judge_existing({"conf": {"planasonix": carried("trg_9", **nothing)}}, ours).reason
        is Reason.RUN_ID_CONFLICT
    )


OWN_NAME = "orders-2025-03-27"
OTHERS = {"job_id": "job_9", "event_id": "evt_9", "source": "planasonix"}


@pytest.mark.parametrize(
    ("name", "theirs", "kind"),
    [
        (OWN_NAME, carried("trg_9", **OTHERS), Taken),
        (OWN_NAME, carried("trg_9", **OTHERS | {"status": "failed"}), Taken),
        (OWN_NAME, carried("trg_1", **OTHERS), AlreadyThere),
        (OWN_NAME, carried("trg_9", source="planasonix"), AlreadyThere),
        (OWN_NAME, carried("trg_9", **OTHERS | {"route": "other"}), Never),
        (OWN_NAME, carried("trg_9", **OTHERS | {"source": "other"}), Never),
        (OWN_NAME, carried("trg_9", **OTHERS | {"source": None}), Never),
        (OWN_NAME, carried("", **OTHERS), Never),
        (OWN_NAME, {}, Never),
        (RUN_ID, carried("trg_9", **OTHERS), Renamed),
    ],
)
def test_a_routes_own_name_is_the_identity_of_its_runs(name: str, theirs: dict[str, Any], kind: type) -> None:
    """What an earlier trigger of the route made under it stands for this one too; the detail names that trigger."""
    ours = trigger(dag_run_id=name, conf={"planasonix": carried(source="planasonix")})
    outcome = runs.judge_taken({"dag_run_id": name, "conf": {"planasonix": theirs}}, ours)
    assert type(outcome) is kind
    if isinstance(outcome, Taken):
        assert (outcome.reason, "trg_9" in outcome.detail) == (Reason.DUPLICATE_RUN, True)


def test_a_run_that_a_person_asked_for_is_no_duplicate() -> None:
    """`--run-again` wants one more: a person looks why its name is taken."""
    ours = replace(trigger(dag_run_id=OWN_NAME, conf={"planasonix": carried(source="planasonix")}), rerun=1)
    outcome = runs.judge_existing({"conf": {"planasonix": carried("trg_9", **OTHERS)}}, ours)
    assert outcome.reason is Reason.RUN_ID_CONFLICT
