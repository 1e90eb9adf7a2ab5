"""Waits: tasks of an Airflow that are parked until a completion comes."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple


class TaskKey(NamedTuple):
    """A task instance of an Airflow, whatever its try."""

    dag_id: str
    dag_run_id: str
    task_id: str
    map_index: int


@dataclass(frozen=True, slots=True)
class Wait:
    """A task that waits for the end of a run of Planasonix. `source` is None where any may tell of it.

    `is_own`: the task has started that run, and does not only wait for it.
    """

    airflow: str
    task: TaskKey
    try_number: int
    run_id: str
    pipeline_id: str | None
    source: str | None
    since: datetime
    is_own: bool = False


@dataclass(frozen=True, slots=True)
class Abandoned:
    """A run of Planasonix whose task perhaps waits no longer. `source` is the one whose API is asked.

    `gone_at`: when the task was seen to wait no longer. `asked`: how often Planasonix was asked to cancel the run.
    """

    airflow: str
    task: TaskKey
    try_number: int
    run_id: str
    pipeline_id: str | None
    source: str
    gone_at: datetime
    looks: int = 0
    asked: int = 0


@dataclass(frozen=True, slots=True)
class Parked:
    """A task as Airflow shows it: its request for input, and whether it still waits for the answer.

    `state` is the task's, None if it has none yet, as after a clear.
    """

    task: TaskKey
    try_number: int
    subject: str
    since: datetime
    is_waiting: bool
    is_answered: bool
    state: str | None = None


@dataclass(frozen=True, slots=True)
class ParkedPage:
    """Some of the tasks that wait. `listed`: how many entries the page had; `total`: how many there are in all.

    `is_cut`: the answer was too long to be read.
    """

    tasks: tuple[Parked, ...]
    listed: int
    total: int
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of a wait. `status` is None where it only says that a look is worthwhile.

    `delivery_id` is None where no delivery tells it, but Planasonix was asked.
    """

    wait: Wait
    delivery_id: str | None
    status: str | None


@dataclass(frozen=True, slots=True)
class OpenWaits:
    """How many tasks of an Airflow wait, and since when the oldest of them."""

    airflow: str
    amount: int
    oldest_at: datetime
