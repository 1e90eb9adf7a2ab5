"""What became of a DAG run: the words for its way from Airflow's queue to its end.

queued -> running -> success | failed     as Airflow says
deleted                                   Airflow has no such run any more
unknown                                   nobody knows: the time for watching it was over
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class RunState(StrEnum):
    """Where the DAG run of a fired trigger stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    DELETED = "deleted"
    UNKNOWN = "unknown"


ENDS = (RunState.SUCCESS, RunState.FAILED, RunState.DELETED, RunState.UNKNOWN)
OPEN = (RunState.QUEUED, RunState.RUNNING)


@dataclass(frozen=True, slots=True)
class Run:
    """The DAG run of a trigger, as far as the bridge knows; instants are Airflow's."""

    state: RunState
    started_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunSeen:
    """One DAG run as Airflow tells of it. `state` is Airflow's own word, `run_after` when it was made to run.

    `triggered_by` is Airflow's word for what started it; Airflow 2 has none. The conf is payload: it is never shown.
    """

    dag_id: str
    dag_run_id: str
    state: str
    run_after: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    conf: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    triggered_by: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class RunPage:
    """A list of DAG runs. `is_whole`: nothing is missing from it; `is_cut`: it is too long to be read, so empty.

    `listed`: how many entries it has, also those that are no runs; `total`: how many there are in all, as Airflow says.
    """

    runs: tuple[RunSeen, ...]
    is_whole: bool
    is_cut: bool = False
    listed: int = field(default=0, compare=False)
    total: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A DAG run that has not ended, as far as the store knows, and when to look at it again."""

    trigger_id: str
    delivery_id: str
    route: str
    dag_id: str
    dag_run_id: str
    state: RunState
    asked_at: datetime  # when its webhook came, or a person last asked for it
    fired_at: datetime
    due_at: datetime
    run_after: datetime | None  # as Airflow said; None before it was seen for the first time
    started_at: datetime | None = None
    is_copys: bool = False  # started by another trigger, of the same completion


@dataclass(frozen=True, slots=True)
class OpenRuns:
    """How many runs of one Airflow are open in one state, and since when the oldest."""

    airflow: str
    state: RunState
    amount: int
    oldest_at: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """What a look at an open run showed; `due_at` is None when it has ended."""

    open: OpenRun
    state: RunState
    run_after: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    due_at: datetime | None
