"""What is the same: completions, and who owns which of their DAG runs."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.rules.completion import (
    Completion,
    Kind,
    Standing,
    is_same,
    is_same_elsewhere,
    is_same_run,
    of,
    of_conf,
    owners,
    run_in_doubt,
)
from bridge.words.model import Event, Status, TriggerState
from bridge.words.reasons import Reason

FIRED, FAILED, CANCELLED = TriggerState.FIRED, TriggerState.FAILED, TriggerState.CANCELLED


def told(**fields: Any) -> Completion:
    """Return what an event tells of."""
    return of(Event(status=Status.SUCCEEDED, **fields), source="planasonix", delivery_id="dlv_1")


@pytest.mark.parametrize(
    ("fields", "kind", "id_"),
    [
        ({"type": "job.completed", "job_id": "j", "run_id": "r", "id": "e"}, Kind.JOB, "j"),
        ({"type": "job.succeeded", "job_id": "j", "id": "e"}, Kind.JOB, "j"),
        ({"type": "pipeline.run.succeeded", "job_id": "j", "run_id": "r"}, Kind.RUN, "r"),
        ({"type": "backfill.completed", "job_id": "j", "run_id": "r", "backfill_id": "b"}, Kind.BACKFILL, "b"),
        ({"type": "load.finished", "job_id": "j", "run_id": "r", "backfill_id": "b"}, Kind.RUN, "r"),
        ({"type": "load.finished", "job_id": "j", "backfill_id": "b", "id": "e"}, Kind.JOB, "j"),
        ({"type": "load.finished", "backfill_id": "b", "id": "e"}, Kind.BACKFILL, "b"),
        ({"type": "load.finished", "id": "e"}, Kind.EVENT, "e"),
        ({"type": "job.completed", "run_id": "r"}, Kind.RUN, "r"),
        ({"type": "jobs.completed", "job_id": "j", "run_id": "r"}, Kind.RUN, "r"),
        ({"job_id": "j"}, Kind.JOB, "j"),
        ({}, Kind.DELIVERY, "dlv_1"),
    ],
)
def test_what_an_event_tells_of(fields: dict[str, Any], kind: Kind, id_: str) -> None:
    """Of what its type is about; else of the first of run, job and backfill; else of itself."""
    found = told(**fields)
    assert (found.kind, found.id, found.source, found.status) == (kind, id_, "planasonix", "succeeded")


@pytest.mark.parametrize(
    ("fields", "others"),
    [
        ({"type": "job.completed", "job_id": "j", "run_id": "r", "backfill_id": "b"}, {"r", "b"}),
        ({"type": "job.completed", "job_id": "j"}, set()),
        ({"type": "job.completed", "job_id": "j", "run_id": "j"}, set()),
        ({"type": "load.finished", "id": "e"}, set()),
    ],
)
def test_the_other_ids_that_an_event_names_are_found_too(fields: dict[str, Any], others: set[str]) -> None:
    """Whoever looks for a run by its id finds the completion of its job; the event's own id is no such id."""
    event = Event(status=Status.SUCCEEDED, **fields)
    assert of(event, source="planasonix", delivery_id="dlv_1").others(event) == others


def test_each_part_tells_completions_apart() -> None:
    """Source, kind, id, status and pipeline: another one gives another digest, so another DAG run id."""
    base = {"source": "s", "kind": Kind.JOB, "id": "1", "status": "succeeded", "pipeline_id": "p"}
    other = {"source": "t", "kind": Kind.RUN, "id": "2", "status": "failed", "pipeline_id": None}
    digests = {Completion(**base | {name: value}).digest for name, value in other.items()}  # type: ignore[arg-type]
    assert len(digests | {Completion(**base).digest}) == 6  # type: ignore[arg-type]


def standing(route: str, state: TriggerState = FIRED, reason: Reason | None = None, **more: Any) -> Standing:
    """Return a trigger of a completion."""
    usual = {"id": f"trg_{route}", "delivery_id": "dlv_1", "airflow": "default", "dag_id": "d", "rerun": 0}
    return Standing(route=route, state=state, reason=reason, **usual | more)


DOUBTED: dict[str, Any] = {"dag_run_id": "run", "is_doubted": True}


@pytest.mark.parametrize(
    ("wanted", "known", "owned"),
    [
        ("a", [], ""),
        ("a", [standing("a")], "a=a"),
        ("ab", [standing("a"), standing("b")], "a=a b=b"),
        ("ab", [standing("a")], "a=a"),  # a second route to the DAG has its own run
        ("b", [standing("a")], "b=a"),  # renamed
        ("bc", [standing("a")], "b=a"),  # one for one
        ("cb", [standing("a"), standing("b", CANCELLED, Reason.DUPLICATE_RUN)], "b=a"),  # for whom it counted before
        ("a", [standing("a", FAILED, Reason.EXPIRED)], ""),
        ("a", [standing("a", CANCELLED, Reason.DUPLICATE_RUN)], ""),
        ("a", [standing("a", CANCELLED, Reason.BY_OPERATOR)], "a=a"),
        ("a", [standing("a", TriggerState.HELD, Reason.LOOP_GUARD)], "a=a"),
        ("a", [standing("a", FAILED), standing("a", rerun=1)], "a=a"),  # a person had it run again
        ("b", [standing("a"), standing("a", rerun=1)], "b=a"),
        ("bc", [standing("a"), standing("a", rerun=1)], "b=a"),  # twice the run of one route counts once
        ("a", [standing("a", CANCELLED, Reason.SUPERSEDED)], "a=a"),
        ("b", [standing("a", CANCELLED, Reason.SUPERSEDED)], ""),  # a replay took it back
        ("b", [standing("a", CANCELLED, Reason.SUPERSEDED, is_in_series=True)], "b=a"),  # it gave way to a newer one
        ("a", [standing("a", CANCELLED, Reason.SUPERSEDED, is_in_series=True)], "a=a"),
        ("b", [standing("a", FAILED, Reason.EXPIRED, **DOUBTED)], "b=a"),  # a call of it may have started its run
        ("b", [standing("a", CANCELLED, Reason.SUPERSEDED, **DOUBTED)], "b=a"),
        ("a", [standing("a", FAILED, Reason.EXPIRED, **DOUBTED)], ""),  # the DAG run id is the same
        ("bc", [standing("a", FAILED, **DOUBTED), standing("a", rerun=1)], "b=a"),
        ("b", [standing("a", FAILED, is_doubted=True)], ""),  # it was never called
        ("b", [standing("a", dag_id="other")], ""),
        ("b", [standing("a", airflow="other")], ""),
    ],
)
def test_who_owns_the_runs(wanted: str, known: list[Standing], owned: str) -> None:
    """One run for each matching route; what matches no longer counts for those that have none, one for one."""
    found = owners([(route, "default", "d") for route in wanted], known)
    assert " ".join(f"{place[0]}={item.route}" for place, item in sorted(found.items())) == owned


_ROUTES = st.lists(st.sampled_from("abcde"), unique=True, max_size=5)
_STEP = st.tuples(_ROUTES, st.sampled_from("xy"))  # the routes that match, and the DAG


@given(steps=st.lists(_STEP, max_size=8))
def test_however_routes_are_renamed_no_event_makes_more_runs_than_it_has_routes(steps: list[tuple[Any, str]]) -> None:
    """After each event of one completion each DAG has as many runs as the most routes that matched at once."""
    known: list[Standing] = []
    most: dict[str, int] = {}
    for number, (routes, dag_id) in enumerate(steps):
        wanted = [(route, "default", dag_id) for route in routes]
        owned = owners(wanted, known)
        for route, _, dag in wanted:
            is_copy = (route, "default", dag) in owned
            state, reason = (CANCELLED, Reason.DUPLICATE_RUN) if is_copy else (FIRED, None)
            delivery = f"dlv_{number}"
            known.append(standing(route, state, reason, id=f"trg_{len(known)}", dag_id=dag, delivery_id=delivery))
        most[dag_id] = max(most.get(dag_id, 0), len(routes))
        assert sum(item.owns and item.dag_id == dag_id for item in known) == most[dag_id]
        assert len(owners(wanted, known)) == len(wanted)  # the same event once more makes none


def conf(**fields: Any) -> dict[str, Any]:
    """Return the `planasonix` of a conf, as this release writes it."""
    usual = {"source": "planasonix", "event_type": "job.completed", "status": "succeeded", "pipeline_id": "p"}
    return {**usual, "run_id": None, "job_id": "j", "event_id": "e", "delivery_id": "dlv_1"} | fields


@pytest.mark.parametrize(
    ("carried", "same"),
    [
        (conf(), True),
        (conf(run_id="r", event_id="e2"), True),
        (conf(pipeline_id=None), True),
        (conf(pipeline_id="q"), False),
        (conf(status="failed"), False),
        (conf(job_id="k"), False),
        (conf(source="other"), False),
        (conf(source=None), True),  # the release before wrote none
        (conf(event_type="pipeline.run.succeeded", run_id="j"), False),
        (None, True),  # erased: the DAG run id is all that is left
    ],
)
def test_whose_a_trigger_of_the_release_before_is(carried: dict[str, Any] | None, same: bool) -> None:
    """Judged by its conf, since no completion is stored for it."""
    completion = Completion("planasonix", Kind.JOB, "j", "succeeded", "p")
    assert is_same(completion, carried, source="planasonix") is same
    assert not is_same(completion, carried, source="other")


@pytest.mark.parametrize(
    ("completion", "carried", "same"),
    [
        # The release before carries no backfill's id: an event type says it, or the name alone.
        ((Kind.BACKFILL, "b"), conf(event_type="backfill.completed", job_id=None), True),
        ((Kind.BACKFILL, "b"), conf(event_type=None, job_id=None), True),
        ((Kind.BACKFILL, "b"), conf(event_type=None), False),
        ((Kind.BACKFILL, "b"), conf(event_type="backfill.completed", job_id=None, backfill_id="b"), True),
        ((Kind.BACKFILL, "b"), conf(event_type="backfill.completed", job_id=None, backfill_id="c"), False),
        ((Kind.JOB, "j"), conf(event_type="backfill.completed", job_id=None), False),
        ((Kind.EVENT, "e"), conf(event_type=None, job_id=None), True),
        ((Kind.EVENT, "e2"), conf(event_type=None, job_id=None), False),
        ((Kind.JOB, ""), conf(), False),
    ],
)
def test_a_backfill_is_known_by_its_name_where_its_conf_has_no_id(
    completion: tuple[Kind, str], carried: dict[str, Any], same: bool
) -> None:
    """What else carries an id is judged by that, whatever it is called."""
    kind, id_ = completion
    assert is_same(Completion("planasonix", kind, id_, "succeeded", "p"), carried, source="planasonix") is same


@pytest.mark.parametrize(
    ("theirs", "same"),
    [
        (conf(route="orders"), True),
        (conf(route="orders", event_id="e2"), True),
        (conf(route="stock"), False),
        (conf(route="orders", job_id="k"), False),
    ],
)
def test_a_run_that_is_read_back_is_of_the_same_completion_and_route(theirs: dict[str, Any], same: bool) -> None:
    """Another route's run, or another job's, is never taken for ours, whatever its name is."""
    assert is_same_run(conf(route="orders"), theirs, run_id="nightly") is same


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({}, True),
        ({"source": "other"}, True),
        ({"pipeline_id": None}, True),
        ({"pipeline_id": "q"}, False),
        ({"id": "k"}, False),
        ({"kind": Kind.RUN}, False),
    ],
)
def test_another_bridge_may_tell_of_the_same_completion(other: dict[str, Any], same: bool) -> None:
    """It may call the source otherwise; kind, id and pipeline are Planasonix's own."""
    own = Completion("planasonix", Kind.JOB, "j", "succeeded", "p")
    assert is_same_elsewhere(own, replace(own, **other)) is same
    assert is_same_elsewhere(replace(own, **other), own) is same


@pytest.mark.parametrize(
    ("run_id", "event_id", "same"),
    [("planasonix__b__succeeded__orders", "e2", True), ("nightly", "e2", False), ("nightly", "e", True)],
)
def test_a_backfills_run_is_known_by_a_default_name_or_by_its_event(run_id: str, event_id: str, same: bool) -> None:
    """Its conf may have no id, and a route's own name is that of any backfill."""
    ours = conf(route="orders", event_type="backfill.completed", job_id=None)
    assert is_same_run(ours, {**ours, "event_id": event_id}, run_id=run_id) is same


def test_a_conf_names_the_completion_it_was_made_for() -> None:
    """So a run that is read back can be judged."""
    assert of_conf(conf()) == Completion("planasonix", Kind.JOB, "j", "succeeded", "p")
    assert of_conf(conf(event_type=None, run_id="r")).kind is Kind.RUN
    assert of_conf(conf(event_type="backfill.completed", job_id=None)).kind is Kind.BACKFILL


def test_the_digest_in_a_run_id_keeps_its_length() -> None:
    """Runs that exist are found under it: another length would start them once more after an upgrade."""
    assert told(type="job.completed", job_id="j").digest == "60eaa0f1739e"


@pytest.mark.parametrize(
    ("state", "reason", "is_superseded"),
    [
        (CANCELLED, Reason.SUPERSEDED, True),
        (CANCELLED, Reason.BY_OPERATOR, False),
        (CANCELLED, Reason.DUPLICATE_RUN, False),
        (FIRED, None, False),
    ],
)
def test_only_what_was_taken_back_is_superseded(
    state: TriggerState, reason: Reason | None, is_superseded: bool
) -> None:
    """What a person cancelled, or a copy, is not made anew."""
    found = Standing("trg_1", "dlv_1", "orders", "default", "load_orders", 0, state, reason)
    assert found.is_superseded is is_superseded


@pytest.mark.parametrize(
    ("known", "run_id"),
    [
        ([standing("a", FAILED, **DOUBTED)], "run"),
        ([standing("b", FAILED, **DOUBTED)], None),
        ([standing("a", FAILED, **DOUBTED, rerun=1)], None),
        ([standing("a", FAILED, dag_run_id="run")], None),
        ([standing("a", **DOUBTED)], None),
        ([standing("b", FAILED, dag_run_id="other", is_doubted=True), standing("a", FAILED, **DOUBTED)], "run"),
        ([], None),
    ],
)
def test_a_run_may_be_there_under_the_id_of_what_ended_in_doubt_for_its_own_place(
    known: list[Standing], run_id: str | None
) -> None:
    """Not of another route, nor one for which a person asked, nor where no call may have started it."""
    assert run_in_doubt(("a", "default", "d"), known) == run_id
