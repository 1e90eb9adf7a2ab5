"""The words of the bridge as frozen facts: delivery, event, trigger, attempt.

Imports words alone. Instants are aware UTC datetimes, durations seconds, ids text (`dlv_...`, `trg_...`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from bridge.words.holds import DEFAULT_HOLD_SECONDS, FOR_A_DAG, IfPaused
from bridge.words.reasons import Reason
from bridge.words.runs import Run
from bridge.words.via import Via, via


class Status(StrEnum):
    """How a pipeline run ended, in the one vocabulary that routes use."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    RECEIVED = "received"
    ROUTED = "routed"
    UNROUTED = "unrouted"
    IGNORED = "ignored"
    INVALID = "invalid"
    STALE = "stale"


class TriggerState(StrEnum):
    """Where a trigger stands."""

    PENDING = "pending"
    FIRING = "firing"
    FIRED = "fired"
    HELD = "held"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Verified(NamedTuple):
    """Raw bytes whose signature was right. Only `bridge.rules.signature` makes one."""

    body: bytes
    key_id: str
    signed_at: int | None  # Unix seconds, as signed; None for schemes without a timestamp
    is_stale: bool
    message_id: str | None = None  # of schemes that sign one beside the body


@dataclass(frozen=True, slots=True)
class Event:
    """What a delivery says, in one normal form. A field that the webhook lacks is None."""

    id: str | None = None
    type: str | None = None
    status: Status | None = None
    status_word: str | None = None  # as sent, for people; routes see `status`
    is_test: bool = False
    is_running: bool = False
    pipeline_id: str | None = None
    pipeline_name: str | None = None
    connection_id: str | None = None
    run_id: str | None = None
    job_id: str | None = None
    backfill_id: str | None = None
    environment: str | None = None
    occurred_at: str | None = None  # instants as RFC 3339 text in UTC ("...Z"), as templates print them
    started_at: str | None = None
    finished_at: str | None = None
    duration_seconds: float | None = None
    rows_loaded: int | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    error: Any = None
    data: Mapping[str, Any] = field(default_factory=dict)
    # What is there and cannot be read: by field, why. Such a field is None (or empty), and asking for it is an error.
    unreadable: Mapping[str, str] = field(default_factory=dict)
    # Where each field was found (a JSON pointer, or words; never a value), and the body itself. No template sees them.
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)
    whole: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of fields that could not be read; without values."""
        return tuple(f"{name} {why}" for name, why in self.unreadable.items())


# What templates may read of an event (docs/mapping.md, "Templates").
EVENT_FIELDS = (
    "id",
    "type",
    "status",
    "pipeline_id",
    "pipeline_name",
    "connection_id",
    "run_id",
    "job_id",
    "backfill_id",
    "environment",
    "occurred_at",
    "started_at",
    "finished_at",
    "duration_seconds",
    "rows_loaded",
    "parameters",
    "metadata",
    "error",
    "data",
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One authentic webhook, as stored."""

    id: str
    source: str
    event_id: str | None
    state: DeliveryState
    reason: Reason | None
    detail: str | None
    received_at: datetime
    key_id: str
    signed_at: datetime | None
    path_pipeline_id: str | None
    headers: Mapping[str, str]
    body: bytes
    lookup: Mapping[str, Any] | None  # what the Planasonix API told about the job, once asked
    lookups: int  # how often it was asked
    locked: str | None = None  # why body and look-up could not be decrypted; they are empty then
    erased_at: datetime | None = None  # when a person had its payload removed
    caused_by: str | None = None  # the trigger of which the run led to this webhook, as far as the store knows
    not_found: int = 0  # how often the Planasonix API said that it does not know the job

    @property
    def via(self) -> Via:
        """How it came to be."""
        return via(self.key_id)


@dataclass(frozen=True, slots=True)
class DeliveryEntry:
    """A delivery as a list shows it: nothing of what its payload says but why it is in its state."""

    id: str
    source: str
    event_id: str | None
    state: DeliveryState
    reason: Reason | None
    detail: str | None
    received_at: datetime
    key_id: str = ""

    @property
    def via(self) -> Via:
        """How it came to be."""
        return via(self.key_id)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how often a route's triggers are tried."""

    max_age_seconds: float = 86_400.0
    max_attempts: int | None = None
    concurrency: int | None = None
    max_per_hour: int | None = None  # heeded when a trigger is made, so not stored with it
    deadline_seconds: float | None = None  # from the webhook on; later it is not started any more
    hold_seconds: float = DEFAULT_HOLD_SECONDS  # for a DAG that is paused or gone


@dataclass(frozen=True, slots=True)
class Call:
    """The exact call that a route makes for one delivery: what `explain` shows and `fire` sends."""

    route: str
    airflow: str
    dag_id: str
    dag_run_id: str  # empty where the route's templates failed: nothing can be called yet
    conf: Mapping[str, Any]
    note: str | None
    limits: Limits
    follow: bool = True  # watch the DAG run to its end
    if_paused: IfPaused = IfPaused.TRIGGER
    series: bytes | None = None  # after a hold only the latest of these is fired; None: each is


@dataclass(frozen=True, slots=True)
class Spent:
    """What a trigger has used of its limits since it was made, or since a person last asked for it."""

    seconds: float = 0.0  # of `max_age`, which only trying uses up
    causes: Mapping[str, int] = field(default_factory=dict)  # how often it was tried in vain, by reason


@dataclass(frozen=True, slots=True)
class TriggerEntry:
    """A trigger as a list shows it: nothing of what its call sends."""

    id: str
    delivery_id: str
    route: str
    airflow: str
    dag_id: str
    dag_run_id: str  # empty as in its call
    state: TriggerState
    reason: Reason | None
    detail: str | None
    attempts: int
    rerun: int
    created_at: datetime
    age_from: datetime  # creation, or the last replay
    due_at: datetime
    settled_at: datetime | None
    run: Run | None = None


@dataclass(frozen=True, slots=True)
class Trigger:
    """One route's call for one delivery; becomes one DAG run."""

    id: str
    delivery_id: str
    call: Call
    state: TriggerState
    reason: Reason | None
    detail: str | None
    attempts: int
    rerun: int
    created_at: datetime
    age_from: datetime  # creation, or the last replay
    due_at: datetime
    settled_at: datetime | None
    locked: str | None = None  # why conf and note could not be decrypted; they are empty then
    spent: Spent = Spent()
    run: Run | None = None  # of a fired trigger whose DAG run is followed
    late_at: datetime | None = None  # from then on it is not started any more
    is_hold_over: bool = False  # it was held for its DAG for as long as its route allows
    doubted_at: datetime | None = None  # when a call of it last ended in a way that may have started its DAG run

    def is_late(self, now: datetime) -> bool:
        """Whether its deadline has passed."""
        return self.late_at is not None and self.late_at <= now

    @property
    def was_held(self) -> bool:
        """Whether it was held for its DAG."""
        return not FOR_A_DAG.isdisjoint(self.spent.causes)

    @property
    def entry(self) -> TriggerEntry:
        """Return what a list shows of it."""
        return TriggerEntry(
            id=self.id,
            delivery_id=self.delivery_id,
            route=self.call.route,
            airflow=self.call.airflow,
            dag_id=self.call.dag_id,
            dag_run_id=self.call.dag_run_id,
            state=self.state,
            reason=self.reason,
            detail=self.detail,
            attempts=self.attempts,
            rerun=self.rerun,
            created_at=self.created_at,
            age_from=self.age_from,
            due_at=self.due_at,
            settled_at=self.settled_at,
            run=self.run,
        )


@dataclass(frozen=True, slots=True)
class Claimed:
    """A trigger together with the lease under which this process may fire it."""

    trigger: Trigger
    token: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a trigger, as it ended."""

    number: int
    started_at: datetime
    seconds: float
    outcome: str
    reason: Reason | None
    detail: str | None
    http_status: int | None
