"""Whether a run has lost its task: tables of literals."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.rules.abandoning import Shown, Verdict, is_hopeless, judge, pause, read
from bridge.words.waits import Abandoned, Parked, TaskKey

AT = datetime(2026, 8, 1, 10, tzinfo=UTC)
TASK = TaskKey("load", "manual__1", "wait", -1)
RUN = Abandoned("default", TASK, 2, "run_1", "pl_1", "planasonix", AT)
ENDED = ["success", "failed", "skipped", "upstream_failed", "removed"]


def parked(try_number: int, state: str | None = None, *, is_waiting: bool = False, is_answered: bool = False) -> Parked:
    """Return a try of the task as Airflow shows it."""
    return Parked(TASK, try_number, "", AT, is_waiting, is_answered, state)


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        (None, Verdict.LEFT_ALONE),
        (parked(1, "failed"), Verdict.LEFT_ALONE),  # of an older try nobody knows more
        (parked(2, "failed"), Verdict.ABANDONED),
        (parked(2, "skipped"), Verdict.ABANDONED),
        (parked(2, "failed", is_answered=True), Verdict.LEFT_ALONE),
        (parked(2, "failed", is_waiting=True), Verdict.LEFT_ALONE),
        (parked(2, "success"), Verdict.LEFT_ALONE),
        (parked(2, "upstream_failed"), Verdict.LEFT_ALONE),
        (parked(2, "removed"), Verdict.LEFT_ALONE),
        (parked(2, "deferred", is_waiting=True), Verdict.LEFT_ALONE),
        (parked(2, "running", is_answered=True), Verdict.LEFT_ALONE),
        (parked(2, "running"), Verdict.UNDECIDED),
        (parked(2), Verdict.UNDECIDED),
    ],
)
def test_a_run_is_abandoned_in_the_same_try_only_if_it_was_given_up(now: Parked | None, verdict: Verdict) -> None:
    """Failed or skipped, and its request neither answered nor open; what has no end yet is looked at again."""
    assert judge(RUN, now=now, before=None, run_now=None) is verdict


@pytest.mark.parametrize(
    ("before", "now", "run_now", "verdict"),
    [
        (parked(2), parked(3, "running"), None, Verdict.UNDECIDED),
        (parked(2), parked(3, "running"), "run_1", Verdict.UNDECIDED),
        (parked(2), parked(3, "deferred", is_waiting=True), "run_1", Verdict.LEFT_ALONE),
        (parked(2), parked(3, "running"), "run_2", Verdict.ABANDONED),
        *((parked(2), parked(3, state), None, Verdict.ABANDONED) for state in ENDED),
        *((parked(2), parked(3, state), "run_1", Verdict.LEFT_ALONE) for state in ENDED),
        *((parked(2), parked(3, state), "run_2", Verdict.ABANDONED) for state in ENDED),
        (parked(2, is_answered=True), parked(3, "running"), "run_2", Verdict.LEFT_ALONE),
        (None, parked(3, "running"), "run_2", Verdict.LEFT_ALONE),
    ],
)
def test_a_new_try_decides_once_it_has_told_its_run_or_ended(
    before: Parked | None, now: Parked, run_now: str | None, verdict: Verdict
) -> None:
    """With the very same run it is left alone; so is what was answered in its old try, or of which nothing is known."""
    assert judge(RUN, now=now, before=before, run_now=run_now) is verdict


@pytest.mark.parametrize(
    ("looks", "asked", "hopeless"), [(145, 0, False), (146, 0, True), (73, 72, False), (73, 73, True), (0, 146, True)]
)
def test_so_many_looks_and_requests_are_enough(looks: int, asked: int, *, hopeless: bool) -> None:
    """A day of them, together."""
    assert is_hopeless(replace(RUN, looks=looks, asked=asked)) is hopeless


def test_the_pause_between_looks_grows_up_to_ten_minutes() -> None:
    """Two at first, so that a person may clear a task that they have just marked."""
    pauses = [pause(looks) // timedelta(minutes=1) for looks in (0, 1, 2, 3, 4, 10_000)]
    assert pauses == [2, 4, 8, 10, 10, 10]


GOES_ON, ENDED_WELL, CANCELLED = Shown(True, False, False), Shown(False, False, False), Shown(False, True, False)
ANOTHER = Shown(True, False, True)
TIMES = ["finishedAt", "finished_at", "endedAt", "ended_at"]


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ({"id": "run_1", "status": "running"}, GOES_ON),
        ({"id": "run_1"}, GOES_ON),
        ({"id": "run_1", "status": "odd", "state": "succeeded"}, GOES_ON),
        ({"id": "", "runId": "run_1", "state": "succeeded"}, ENDED_WELL),
        ({"id": 7, "run_id": "run_1", "status": "failed"}, ENDED_WELL),
        *(({"id": "run_1", "status": "running", name: "2026-08-01T10:00:00Z"}, ENDED_WELL) for name in TIMES),
        ({"id": "run_1", "status": "running", "finished_at": None}, GOES_ON),
        ({"id": "run_1", "status": "cancelled"}, CANCELLED),
        ({"id": "run_1", "status": "Cancelling"}, CANCELLED),
        ({"id": "run_1", "status": "canceling"}, CANCELLED),
        ({"id": "run_1", "status": "CANCEL_REQUESTED"}, CANCELLED),
        ({"data": {"id": "run_1", "status": "succeeded"}}, ENDED_WELL),
        ({"run": {"id": "run_1", "status": "succeeded"}}, ENDED_WELL),
        ({"data": {"run": {"id": "run_1", "status": "succeeded"}}}, ENDED_WELL),
        ({"id": "run_2", "status": "running"}, None),
        ({"status": "running"}, None),
        ({"data": "run_1"}, None),
        ("run_1", None),
        ([], None),
        ({"id": "run_1", "pipelineId": "pl_1"}, GOES_ON),
        ({"id": "run_1", "pipeline_id": "pl_2"}, ANOTHER),
        ({"id": "run_1", "pipelineId": "pl_2", "metadata": {"dag_id": "load"}}, ANOTHER),
        ({"id": "run_1", "metadata": {"dag_id": "other"}}, ANOTHER),
        ({"id": "run_1", "metadata": {"dag_id": "load", "task_id": "other"}}, ANOTHER),
        ({"id": "run_1", "metadata": {"dag_run_id": "manual__2"}}, ANOTHER),
        ({"id": "run_1", "metadata": {"dag_id": "load", "task_id": "wait", "dag_run_id": "manual__1"}}, GOES_ON),
        ({"id": "run_1", "metadata": {"dag_id": None}}, GOES_ON),
        ({"id": "run_1", "metadata": "load"}, GOES_ON),
    ],
)
def test_what_the_api_answers_of_a_run(answer: Any, shown: Shown | None) -> None:
    """In any spelling; what is another run, or none, is never cancelled, nor what another task says that it started."""
    assert read(answer, RUN) == shown


def test_a_run_whose_pipeline_the_task_did_not_name_is_of_any() -> None:
    """Nothing says that it is another one's."""
    assert read({"id": "run_1", "pipeline_id": "pl_2"}, replace(RUN, pipeline_id=None)) == GOES_ON
