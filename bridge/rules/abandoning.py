"""Whether a run of Planasonix has lost the task that started it. Pure.

    cleared         an old try whose request was never answered, and a new try: it waits for another run, or for none
    marked failed   the same try, failed or skipped, and its request was never answered
    left alone      everything else: answered, marked as success, deleted, waiting again

A new try may wait for the very same run (an `idempotency_key`, or Planasonix says that it is running): so long as a new
try has not told which run it has, nothing is decided. Airflow keeps what a task has left in XCom until its next try
begins, so the run of the old try there says nothing of the new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from bridge.rules.event.statuses import meaning
from bridge.words.model import Status
from bridge.words.waits import Abandoned, Parked, Wait

# A person may clear the task that they have just marked, and what another task waits for is listed within a minute.
GRACE = timedelta(minutes=2)
# A day of them, by `pause`. Looks are counted and not hours: while nobody can be asked, nothing is used up.
MOST_LOOKS = 146
_LONGEST = timedelta(minutes=10)
_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
_LEAVING = frozenset({"cancelling", "canceling", "cancel_requested"})
_GIVEN_UP = frozenset({"failed", "skipped"})  # skipped: the DAG run's time was up


class Verdict(StrEnum):
    """What is known of a task that waits no longer."""

    ABANDONED = "abandoned"  # nobody waits for the run
    UNDECIDED = "undecided"  # a new try has not told yet
    LEFT_ALONE = "left_alone"  # it ended otherwise, or waits again


def judge(run: Abandoned, *, now: Parked | None, before: Parked | None, run_now: str | None) -> Verdict:
    """Judge a task: how Airflow shows it now, how its old try ended, and which run the task has told last.

    `before` and `run_now` are asked for only where there is a new try.
    """
    if now is None or now.try_number < run.try_number:
        return Verdict.LEFT_ALONE
    if now.try_number == run.try_number:
        return _of_the_same_try(now)
    if before is None or before.is_answered:
        return Verdict.LEFT_ALONE
    is_over = now.state in _ENDED
    if run_now == run.run_id:
        return Verdict.LEFT_ALONE if is_over or now.is_waiting else Verdict.UNDECIDED
    return Verdict.ABANDONED if is_over or run_now is not None else Verdict.UNDECIDED


def is_hopeless(run: Abandoned) -> bool:
    """Whether so many looks and requests decided nothing that no further one would."""
    return run.looks + run.asked >= MOST_LOOKS


def pause(looks: int) -> timedelta:
    """Return how long to wait after so many looks that decided nothing."""
    return min(_LONGEST, GRACE * (1 << min(looks, 10)))


def _of_the_same_try(now: Parked) -> Verdict:
    if now.is_waiting or now.is_answered or now.state in _ENDED - _GIVEN_UP:
        return Verdict.LEFT_ALONE
    return Verdict.ABANDONED if now.state in _GIVEN_UP else Verdict.UNDECIDED


@dataclass(frozen=True, slots=True)
class Shown:
    """A run as the API shows it: whether it goes on, was cancelled, or is none of the task's."""

    is_active: bool
    is_cancelled: bool
    is_another: bool


def read(answer: Any, run: Abandoned | Wait) -> Shown | None:
    """Read what the API answers about a run, in any spelling; None if it is no run."""
    body = _inner(answer)
    if _text(body, "id", "runId", "run_id") != run.run_id:
        return None
    status = _text(body, "status", "state") or ""
    end = meaning(status)
    is_over = isinstance(end, Status) or _text(body, "finishedAt", "finished_at", "endedAt", "ended_at") is not None
    pipeline = _text(body, "pipelineId", "pipeline_id")
    is_another = None not in (pipeline, run.pipeline_id) and pipeline != run.pipeline_id
    is_leaving = status.lower() in _LEAVING
    return Shown(
        is_active=not is_over and not is_leaving,
        is_cancelled=end is Status.CANCELLED or is_leaving,
        is_another=is_another or _is_of_another(body.get("metadata"), run),
    )


def _is_of_another(metadata: Any, run: Abandoned | Wait) -> bool:
    """Whether the run says itself that another task has started it; most APIs say nothing."""
    if not isinstance(metadata, Mapping):
        return False
    names = {"dag_id": run.task.dag_id, "task_id": run.task.task_id, "dag_run_id": run.task.dag_run_id}
    return any(metadata.get(name) not in (None, own) for name, own in names.items())


def _inner(answer: Any) -> Mapping[str, Any]:
    for name in ("data", "run"):
        if isinstance(answer, Mapping) and isinstance(answer.get(name), Mapping):
            answer = answer[name]
    return answer if isinstance(answer, Mapping) else {}


def _text(body: Mapping[str, Any], *names: str) -> str | None:
    return next((value for name in names if isinstance(value := body.get(name), str) and value), None)
