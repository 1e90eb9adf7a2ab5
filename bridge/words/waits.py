"""Waits: tasks of an Airflow that are parked until a completion comes. Floor 0."""

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
    """A task that waits for the end of a run of Planasonix. `source` is None where any may tell of it."""

    airflow: str
    task: TaskKey
    try_number: int
    run_id: str
    pipeline_id: str | None
    source: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class Parked:
    """A task as Airflow shows it: its request for input, and whether it still waits for the answer."""

    task: TaskKey
    try_number: int
    subject: str
    since: datetime
    is_waiting: bool
    is_answered: bool


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
    """A delivery that tells something of a wait. `status` is None where it only says that a look is worthwhile."""

    wait: Wait
    delivery_id: str
    status: str | None


@dataclass(frozen=True, slots=True)
class OpenWaits:
    """How many tasks of an Airflow wait, and since when the oldest of them."""

    airflow: str
    amount: int
    oldest_at: datetime
