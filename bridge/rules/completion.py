"""What is the same: the completion that an event tells of, and which of a completion's DAG runs exist already. Pure.

A completion is a source, a kind, an id and a status:

    job.*            tells of a job              any other type        of the first of run, job and backfill id that it
    pipeline.run.*   tells of a run                                    has, else of the event by its id
    backfill.*       tells of a backfill         no id at all          of its own delivery

Two events that name different pipelines never tell of the same completion; a missing pipeline agrees with any.

One run for each completion and matching route, at each DAG of each Airflow:

    1. A trigger owns its run from the moment it is made, whatever its state, but for `failed` and `duplicate_run`.
    2. A matching route whose run is owned makes no other.
    3. Owners whose route no longer matches (renamed, moved, removed) count for the matching routes that have none, one
       for one: first for those that they counted for before, then in the order of the mapping. What a replay took back
       has no run, and counts for its own route only. What gave way to a newer one (`release: latest`) counts.
    4. What failed or was superseded in doubt (a call of it may have started its run) counts as in 3, too: it is fired
       once more under its own DAG run id, so that Airflow tells. Its own route makes a trigger as ever, under that
       same id, whatever the mapping or another event calls the run by now.

So identity hangs on no label and on no place of the configuration. The DAG run id is a name and not the identity: it
stays as it always was, and gets a digest of the completion when another completion has it.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bridge.words.model import Event, TriggerState
from bridge.words.reasons import Reason

DEFAULT_PREFIX = "planasonix__"
Key = tuple[str, str, str, str]
Place = tuple[str, str, str]  # route, Airflow, DAG


class Kind(StrEnum):
    """What a completion is one of."""

    JOB = "job"
    RUN = "run"
    BACKFILL = "backfill"
    EVENT = "event"
    DELIVERY = "delivery"


_KIND_OF_TYPE = (("job.", Kind.JOB), ("pipeline.run.", Kind.RUN), ("backfill.", Kind.BACKFILL))
_IN_TURN = (Kind.RUN, Kind.JOB, Kind.BACKFILL, Kind.EVENT)


@dataclass(frozen=True, slots=True)
class Completion:
    """This job, run or backfill of this source ended with this status."""

    source: str
    kind: Kind
    id: str
    status: str
    pipeline_id: str | None = None

    @property
    def key(self) -> Key:
        """Return what two events must share to tell of the same completion, in the order in which it is stored."""
        return self.id, self.kind, self.source, self.status

    @property
    def digest(self) -> str:
        """Return a short text that tells completions with the same DAG run id apart."""
        parts = (self.source, self.kind, self.id, self.status, self.pipeline_id or "")
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]

    def others(self, event: Event) -> frozenset[str]:
        """Return the ids of runs, jobs and backfills that its event names beside the one that it tells of."""
        ids = (event.run_id, event.job_id, event.backfill_id)
        return frozenset(id_ for id_ in ids if id_ is not None) - {self.id}

    def __str__(self) -> str:
        """Return it as people say it."""
        return f"{self.kind} {self.id}, {self.status}"


@dataclass(frozen=True, slots=True)
class Standing:
    """A trigger, as far as it matters for who owns a DAG run."""

    id: str
    delivery_id: str
    route: str
    airflow: str
    dag_id: str
    rerun: int
    state: TriggerState
    reason: Reason | None
    dag_run_id: str | None = None
    is_doubted: bool = False  # a call of it may have started its DAG run, and nobody knows
    is_in_series: bool = False  # only the latest of some is wanted (`release: latest`), and this may be it

    @property
    def place(self) -> Place:
        """Return what it was made for."""
        return self.route, self.airflow, self.dag_id

    @property
    def owns(self) -> bool:
        """Whether it stands for a DAG run of its completion: one that exists, is to come, or that a person stopped."""
        return self.state is not TriggerState.FAILED and not self.is_copy

    @property
    def is_copy(self) -> bool:
        """Whether it is kept only to say that another trigger stands for the run."""
        return self.state is TriggerState.CANCELLED and self.reason is Reason.DUPLICATE_RUN

    @property
    def is_superseded(self) -> bool:
        """Whether it gave way to a newer one or was taken back, and is made anew if its delivery is routed again."""
        return self.state is TriggerState.CANCELLED and self.reason is Reason.SUPERSEDED

    @property
    def is_taken_back(self) -> bool:
        """Whether a replay of its delivery took it back, which also takes it out of its series."""
        return self.is_superseded and not self.is_in_series

    @property
    def may_have_run(self) -> bool:
        """Whether it ended without its DAG run as far as anybody knows, and the run may be there all the same."""
        has_ended = self.state is TriggerState.FAILED or self.is_superseded
        return has_ended and self.is_doubted and self.dag_run_id is not None


def of(event: Event, *, source: str, delivery_id: str) -> Completion:
    """Return what an event with a status tells of."""
    ids = {
        Kind.JOB: event.job_id,
        Kind.RUN: event.run_id,
        Kind.BACKFILL: event.backfill_id,
        Kind.EVENT: event.id,
        Kind.DELIVERY: delivery_id,
    }
    kind = _kind(event.type, ids)
    return Completion(source, kind, ids[kind] or delivery_id, str(event.status), event.pipeline_id)


def _kind(event_type: str | None, ids: Mapping[Kind, Any]) -> Kind:
    for prefix, kind in _KIND_OF_TYPE:
        if (event_type or "").startswith(prefix) and ids.get(kind) is not None:
            return kind
    return next((kind for kind in _IN_TURN if ids.get(kind) is not None), Kind.DELIVERY)


def names_its_kind(event_type: str) -> bool:
    """Say whether every event of this type tells of the kind that the type begins with, whatever else it names."""
    return event_type.startswith(tuple(prefix for prefix, _ in _KIND_OF_TYPE))


def pipelines_agree(item: str | None, other: str | None) -> bool:
    """Say whether two events may be about the same pipeline."""
    return item is None or other is None or item == other


def default_run_id(about: str, status: object, route: str) -> str:
    """Return the DAG run id of a route that has none of its own, before it is made legal."""
    return f"{DEFAULT_PREFIX}{about}__{status}__{route}"


def owners(wanted: Sequence[Place], standing: Iterable[Standing]) -> dict[Place, Standing]:
    """Return which of the places that match have their DAG run already, each with the trigger that owns it.

    `wanted` in the order of the mapping; `standing` are all triggers of the completion.
    """
    known = sorted(standing, key=lambda item: item.may_have_run)  # what is certain goes first
    owned: dict[Place, Standing] = {}
    for item in known:
        if item.owns or (item.may_have_run and item.place not in wanted):
            owned.setdefault(item.place, item)
    counted_before = {item.place for item in known if item.is_copy}
    found = {place: owned[place] for place in wanted if place in owned}
    spare = [
        item for place, item in owned.items() if place not in wanted and (item.may_have_run or not item.is_taken_back)
    ]
    for place in sorted(
        (place for place in wanted if place not in owned), key=lambda place: place not in counted_before
    ):
        counted = next((item for item in spare if (item.airflow, item.dag_id) == place[1:]), None)
        if counted is not None:
            spare.remove(counted)
            found[place] = counted
    return found


def run_in_doubt(place: Place, standing: Iterable[Standing]) -> str | None:
    """Return the DAG run id under which a run of a place may be there, although its trigger ended without one."""
    doubted = (item for item in standing if item.place == place and item.may_have_run and not item.rerun)
    return next((item.dag_run_id for item in doubted), None)


def is_same(completion: Completion, carried: Mapping[str, Any] | None, *, source: str | None) -> bool:
    """Say whether a trigger or DAG run under the name of this completion was made for it.

    `carried` is the `planasonix` of its conf, None when that is gone; a release before this one wrote no source and no
    backfill id there. `source` is where its delivery came from, if the store knows.
    """
    if source not in (None, completion.source):
        return False
    return carried is None or (_agree(completion, carried) and _is_of(completion, carried))


def is_same_elsewhere(own: Completion, other: Completion) -> bool:
    """Say whether two completions of one status can be one that two bridges tell of, whatever each calls the source."""
    return (own.kind, own.id) == (other.kind, other.id) and pipelines_agree(own.pipeline_id, other.pipeline_id)


def is_same_run(ours: Mapping[str, Any], theirs: Mapping[str, Any], *, run_id: str) -> bool:
    """Say whether two confs' `planasonix` are of the same completion and route. Ours has the name `run_id`.

    A backfill's id stands in a default name only.
    """
    if ours.get("route") != theirs.get("route"):
        return False
    own = of_conf(ours)
    is_named = own.id or run_id.startswith(DEFAULT_PREFIX)
    is_same_event = ours.get("event_id") is not None and ours.get("event_id") == theirs.get("event_id")
    return bool(is_named or is_same_event) and is_same(own, theirs, source=None)


def _agree(completion: Completion, carried: Mapping[str, Any]) -> bool:
    from_source = carried.get("source") or completion.source
    return (
        completion.source in ("", from_source)
        and carried.get("status") == completion.status
        and pipelines_agree(completion.pipeline_id, carried.get("pipeline_id"))
    )


def _is_of(completion: Completion, carried: Mapping[str, Any]) -> bool:
    kind, id_ = _carried(carried)
    if completion.kind is Kind.BACKFILL and kind in (Kind.EVENT, Kind.DELIVERY):
        return True  # its conf names no backfill, but the DAG run id does
    if kind is Kind.BACKFILL and "" in (id_ or "", completion.id):
        return completion.kind is kind
    return kind is completion.kind and id_ == completion.id


def of_conf(carried: Mapping[str, Any]) -> Completion:
    """Return the completion that the `planasonix` of a conf names; an id that it lacks is empty."""
    kind, id_ = _carried(carried)
    pipeline_id = carried.get("pipeline_id")
    source, status = carried.get("source") or "", carried.get("status")
    return Completion(source, kind, id_ or "", str(status), None if pipeline_id is None else str(pipeline_id))


def _carried(carried: Mapping[str, Any]) -> tuple[Kind, str | None]:
    """Return kind and id; a backfill's id is not carried, so that it is known by its name only."""
    ids = {kind: carried.get(f"{kind}_id") for kind in Kind}
    event_type = carried.get("event_type")
    if isinstance(event_type, str) and event_type.startswith("backfill.") and ids[Kind.BACKFILL] is None:
        return Kind.BACKFILL, None
    kind = _kind(event_type if isinstance(event_type, str) else None, ids)
    return kind, None if ids[kind] is None else str(ids[kind])
