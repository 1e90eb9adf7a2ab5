"""What Airflow says about a DAG: the words for whether a run of it can start now."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class DagState(StrEnum):
    """Whether a run of a DAG can start."""

    OK = "ok"
    PAUSED = "paused"  # runs are made, and wait in Airflow until it is unpaused
    MISSING = "missing"  # not parsed yet, or misspelled in the mapping
    STALE = "stale"  # no longer in its file
    BROKEN = "broken"  # its file has an import error


# No run can be made of a DAG in one of these.
GONE = frozenset({DagState.MISSING, DagState.STALE, DagState.BROKEN})


@dataclass(frozen=True, slots=True)
class DagFacts:
    """What Airflow says about one DAG; `params` is its JSON schema by param name, `required` those without a value."""

    exists: bool
    is_paused: bool = False
    is_stale: bool = False
    has_import_errors: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)
    required: tuple[str, ...] = ()

    @property
    def state(self) -> DagState:
        """Return the state; what keeps a run from being made goes before what keeps it waiting."""
        if not self.exists:
            return DagState.MISSING
        if self.has_import_errors:
            return DagState.BROKEN
        if self.is_stale:
            return DagState.STALE
        return DagState.PAUSED if self.is_paused else DagState.OK


@dataclass(frozen=True, slots=True)
class DagPage:
    """A page of an Airflow's DAGs by id, and how many it has in all; `is_cut`: too long to be read, ask for fewer."""

    dags: Mapping[str, DagFacts]
    total: int
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class KnownDag:
    """A DAG as it is kept in the store.

    `away_seconds` adds up the time in which something was held for it; while Airflow cannot be asked, nothing is added.
    `freed`: it is back, and what was held for it is being set free, up to the trigger with this number.
    """

    airflow: str
    dag_id: str
    state: DagState
    since: datetime
    read_at: datetime
    away_seconds: float = 0.0
    freed: int | None = None


@dataclass(frozen=True, slots=True)
class DagParams:
    """The params of a DAG as they are kept in the store: their schemas by name, and those that conf must have."""

    schemas: Mapping[str, Any]
    required: tuple[str, ...]
    read_at: datetime
