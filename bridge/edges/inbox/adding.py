"""Statements that make triggers: at most one of a delivery for each place, and one live one for each DAG run.

    1. What the delivery has for the place already stays, unless it owns nothing: then it is made anew.
    2. If the completion's run is owned, the trigger is kept as `cancelled`, reason `duplicate_run`: it names the owner.
       An owner that ended in doubt, under a route that matches no more, is fired once more under its DAG run id. Once
       the run of another completion is there under that id, its own cannot be, and it owns nothing.
    3. A run in doubt keeps its DAG run id, whatever the mapping calls it now, and whichever event asks for it.
    4. If the DAG run id belongs to another completion, the trigger takes its spare one. A route's own `dag_run_id` has
       none: there the id is the identity, and the trigger is `duplicate_run`. So it is if a person cancelled the other
       one, or if that gave way to a newer one.
    5. In doubt it takes its spare one only once the other's run is there. Until then its own may be: it is `failed`,
       reason `run_id_conflict`.

What the release before has made is not told as completions; it is known by its DAG run id, and judged by its conf.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from bridge.edges.inbox.completions import Known
from bridge.edges.inbox.engine.ids import first_id, number
from bridge.edges.inbox.rows import microseconds
from bridge.edges.inbox.run_ids import holder_of, stopped_under
from bridge.edges.inbox.triggers import NEVER
from bridge.edges.inbox.vault import place, ring_of, sealed
from bridge.rules.completion import Completion, Place, Standing, owners, run_in_doubt
from bridge.words.errors import InboxUnavailable
from bridge.words.model import Call, TriggerState
from bridge.words.reasons import Reason

_ADD = text(
    "INSERT INTO triggers (id, delivery_id, route, airflow, dag_id, dag_run_id, rerun, conf, note, doubted_at,"
    " max_age_seconds, max_attempts, concurrency, state, reason, detail, created_at, due_at, age_from, settled_at,"
    " sealed_with, follow, deadline_seconds, late_at, if_paused, hold_seconds, series, series_at)"
    " VALUES (:id, :delivery_id, :route, :airflow, :dag_id, :dag_run_id, :rerun, :conf, :note, :doubted_at,"
    " :max_age_seconds, :max_attempts, :concurrency, :state, :reason, :detail, :now, :due_at, :now, :settled_at, :key,"
    " :follow, :deadline_seconds, :late_at, :if_paused, :hold_seconds, :series, :series_at)"
    " ON CONFLICT DO NOTHING"
)
_REMAKE = text(
    "UPDATE triggers SET dag_run_id = :dag_run_id, conf = :conf, note = :note, state = :state,"
    " max_age_seconds = :max_age_seconds, max_attempts = :max_attempts, concurrency = :concurrency, reason = :reason,"
    " detail = :detail, sealed_with = :key, follow = :follow, attempts = 0, due_at = :due_at, age_from = :now,"
    " settled_at = :settled_at, deadline_seconds = :deadline_seconds, late_at = :late_anew,"
    " if_paused = :if_paused, hold_seconds = :hold_seconds, series = :series, series_at = :asked_at, awaits = NULL,"
    " hold_step_at = NULL, hold_step = 0, doubted_at = CASE WHEN dag_run_id = :dag_run_id"
    " THEN COALESCE(doubted_at, CAST(:doubted_at AS BIGINT)) ELSE CAST(:doubted_at AS BIGINT) END"
    " WHERE id = :id AND (state = 'failed' OR state = 'cancelled' AND reason IN ('duplicate_run','superseded'))"
)
# What makes a trigger wait as if it were new.
AS_NEW = (
    "state = 'pending', reason = NULL, detail = NULL, attempts = 0, due_at = :now, age_from = :now, settled_at = NULL,"
    " series = NULL, awaits = NULL, hold_step_at = NULL, hold_step = 0,"
    " late_at = CASE WHEN late_at <= :now THEN :now + CAST(deadline_seconds * 1000000 AS BIGINT) ELSE late_at END"
)
# The same under its own DAG run id: what has started its run may have it.
ONCE_MORE = f"{AS_NEW}, doubted_at = CASE WHEN state = 'fired' THEN COALESCE(settled_at, :now) ELSE doubted_at END"
# Not one whose conf was erased, nor one whose DAG run id another trigger has by now.
_REVIVE = text(
    f"UPDATE triggers SET {ONCE_MORE} WHERE id = :id"  # noqa: S608
    " AND (state = 'failed' OR state = 'cancelled' AND reason = 'superseded')"
    " AND EXISTS (SELECT 1 FROM deliveries WHERE deliveries.id = triggers.delivery_id AND erased_at IS NULL)"
    " AND NOT EXISTS (SELECT 1 FROM triggers AS other WHERE other.airflow = triggers.airflow"
    " AND other.dag_id = triggers.dag_id AND other.dag_run_id = triggers.dag_run_id"
    " AND other.state <> 'cancelled' AND other.state <> 'failed')"
)
_TRIES = 3


@dataclass(frozen=True, slots=True)
class NewTrigger:
    """A trigger as routing makes it: `pending`, or at once `held` or `failed` with a reason.

    `spare_run_id` and `former_run_id` as in a plan. Once it is stored, `owner` is the trigger that it is a copy of, and
    `is_doubted` says that a call may have started its DAG run before.
    """

    id: str
    delivery_id: str
    call: Call
    rerun: int = 0
    state: TriggerState = TriggerState.PENDING
    reason: Reason | None = None
    detail: str | None = None
    due_at: datetime | None = None  # at once
    late_at: datetime | None = None  # never
    spare_run_id: str | None = None
    former_run_id: str | None = None
    owner: Standing | None = None
    is_doubted: bool = False

    @property
    def place(self) -> Place:
        """Return what it is made for."""
        return self.call.route, self.call.airflow, self.call.dag_id


def add_all(connection: Connection, new: Sequence[NewTrigger], known: Known, *, now: datetime) -> list[NewTrigger]:
    """Store the triggers of one delivery; returns those that are new or made anew, as they are stored.

    The completion that they are of is held (`completions.tell`). Raises InboxUnavailable if an id is taken (two
    processes can make the same one): whoever asked tries again, under another one.
    """
    if not new:
        return []
    delivery = number(new[0].delivery_id, "dlv")
    standing, completion = known.standing(delivery), known.telling.get(delivery)
    # What a replay took back of this very delivery is asked for once more.
    taken_back = {each.id for each in standing if each.delivery_id == new[0].delivery_id and each.is_taken_back}
    wanted_places = [trigger.place for trigger in new]
    owned = owners(wanted_places, [each for each in standing if _counts(each, taken_back, wanted_places)])
    stored: list[NewTrigger] = []
    for trigger in new:
        mine = next((each for each in standing if _is_the_same_call(each, trigger)), None)
        owner, in_doubt = owned.get(trigger.place), run_in_doubt(trigger.place, standing)
        if owner is not None and owner.may_have_run:
            owner, doubted_id = _of_doubted(connection, owner, known, completion, now)
            in_doubt = doubted_id or in_doubt
        if mine is not None and _stays(mine, owner, is_taken_back=mine.id in taken_back):
            continue
        wanted = _copy_of(trigger, owner) if owner else _under(trigger, in_doubt)
        done = _insert(connection, wanted, completion, now) if mine is None else None
        if mine is not None:
            done = _remake(connection, _in_place_of(mine, wanted), completion, now)
        if done is not None:
            known.add(_standing(done))
            stored.append(done)
    return stored


def add_rerun(connection: Connection, new: NewTrigger, *, now: datetime) -> bool:
    """Store a trigger that a person asked for; False when somebody took its number meanwhile."""
    return bool(connection.execute(_ADD, _values(connection, new, now)).rowcount)


def _counts(standing: Standing, taken_back: Collection[str], wanted: Collection[Place]) -> bool:
    """Say whether a trigger may own a run: what was taken back is asked for anew, or may have its run already."""
    return standing.id not in taken_back or (standing.may_have_run and standing.place not in wanted)


def _of_doubted(
    connection: Connection, owner: Standing, known: Known, completion: Completion | None, now: datetime
) -> tuple[Standing | None, str | None]:
    """Fire an owner that ended in doubt once more; returns who owns the run, or else the DAG run id that it may have.

    If the trigger of another completion has its DAG run id, it owns nothing: once that run is there, its own is not.
    """
    if connection.execute(_REVIVE, {"id": number(owner.id, "trg"), "now": microseconds(now)}).rowcount:
        revived = replace(owner, state=TriggerState.PENDING, reason=None)
        known.add(revived)
        return revived, None
    holder = holder_of(connection, str(owner.dag_run_id), owner, completion, beside=owner.id)
    if holder is None or holder[1]:
        return owner, None
    return None, None if holder[0].state is TriggerState.FIRED else owner.dag_run_id


def _in_place_of(mine: Standing, new: NewTrigger) -> NewTrigger:
    """Return a trigger under the id of the one that it replaces; in doubt, under its DAG run id too."""
    return replace(_under(new, mine.dag_run_id if mine.is_doubted else None), id=mine.id)


def _under(new: NewTrigger, run_id: str | None) -> NewTrigger:
    """Return a trigger under a DAG run id in doubt, if there is one, and if it is to make a run at all.

    A route's own DAG run id is then its spare one.
    """
    own = new.call.dag_run_id
    if not run_id or not own:
        return new
    spare = new.spare_run_id or (None if own == run_id else own)
    return replace(new, call=replace(new.call, dag_run_id=run_id), spare_run_id=spare, is_doubted=True)


def _stays(mine: Standing, owner: Standing | None, *, is_taken_back: bool) -> bool:
    """Say whether what the delivery has for a place already is left as it is."""
    if mine.owns and not is_taken_back:
        return True
    return owner is not None and mine.is_copy


def _is_the_same_call(standing: Standing, new: NewTrigger) -> bool:
    return (standing.delivery_id, standing.place, standing.rerun) == (new.delivery_id, new.place, new.rerun)


def _insert(connection: Connection, new: NewTrigger, completion: Completion | None, now: datetime) -> NewTrigger:
    """Store a trigger under a DAG run id that is free; nearly always its first one is."""
    wanted = new
    may_be_owned = new.former_run_id is not None or new.spare_run_id is None
    for attempt in range(_TRIES):
        if attempt or (may_be_owned and new.owner is None):
            wanted = _named(connection, new, completion)
        if connection.execute(_ADD, _values(connection, wanted, now)).rowcount:
            return wanted
    raise InboxUnavailable(f"the id {new.id} is taken")


def _remake(connection: Connection, new: NewTrigger, completion: Completion | None, now: datetime) -> NewTrigger | None:
    """Make a trigger that owns nothing anew, under its own id: a person sent its delivery through routing again."""
    named = _named(connection, new, completion)
    named = replace(named, call=replace(named.call, conf=owned_conf(named.call.conf, named.id)))
    return named if connection.execute(_REMAKE, _values(connection, named, now)).rowcount else None


def _named(connection: Connection, new: NewTrigger, completion: Completion | None) -> NewTrigger:
    """Return a trigger under a DAG run id that no other live one has, or as a copy of the one that owns its run."""
    if new.owner is not None or not new.call.dag_run_id:
        return new
    if new.former_run_id is not None:
        former = holder_of(connection, new.former_run_id, new.call, completion, beside=new.id)
        if former is not None and former[1]:
            return _copy_of(new, former[0])
    holder = holder_of(connection, new.call.dag_run_id, new.call, completion, beside=new.id)
    if holder is None:
        stopped = None if new.spare_run_id is not None else stopped_under(connection, new.call, beside=new.id)
        return new if stopped is None else _copy_of(new, stopped)
    if holder[1] or new.spare_run_id is None:
        return _copy_of(new, holder[0])
    if new.is_doubted and holder[0].state is not TriggerState.FIRED:
        return _clash(new, holder[0])
    return _spared(connection, new, new.spare_run_id, completion)


def _spared(connection: Connection, new: NewTrigger, run_id: str, completion: Completion | None) -> NewTrigger:
    holder = holder_of(connection, run_id, new.call, completion, beside=new.id)
    spared = replace(new, call=replace(new.call, dag_run_id=run_id), is_doubted=False)  # no call was under this name
    return _copy_of(new, holder[0]) if holder else spared


def _clash(new: NewTrigger, holder: Standing) -> NewTrigger:
    what = f"a call may have started it under {new.call.dag_run_id}, which {holder.id} ({holder.state}) has now"
    return replace(new, state=TriggerState.FAILED, reason=Reason.RUN_ID_CONFLICT, detail=what)


def _copy_of(new: NewTrigger, owner: Standing) -> NewTrigger:
    state = f"{owner.state}, {owner.reason}" if owner.state is TriggerState.CANCELLED else owner.state
    what = f"{owner.id} of {owner.delivery_id} (route {owner.route}, {state}) stands for this DAG run"
    return replace(new, state=TriggerState.CANCELLED, reason=Reason.DUPLICATE_RUN, detail=what, owner=owner)


def _standing(new: NewTrigger) -> Standing:
    call = new.call
    ended = (new.state, new.reason, call.dag_run_id or None, new.is_doubted)
    return Standing(new.id, new.delivery_id, call.route, call.airflow, call.dag_id, new.rerun, *ended)


def _values(connection: Connection, new: NewTrigger, now: datetime) -> dict[str, Any]:
    row, ring = number(new.id, "trg"), ring_of(connection)
    payload = {"conf": json.dumps(new.call.conf), "note": new.call.note, "detail": new.detail}
    has_ended = new.state in (TriggerState.FAILED, TriggerState.CANCELLED)
    return {
        "id": row,
        "delivery_id": number(new.delivery_id, "dlv"),
        "route": new.call.route,
        "airflow": new.call.airflow,
        "dag_id": new.call.dag_id,
        "dag_run_id": new.call.dag_run_id or None,
        "rerun": new.rerun,
        "max_age_seconds": new.call.limits.max_age_seconds,
        "max_attempts": new.call.limits.max_attempts,
        "concurrency": new.call.limits.concurrency,
        "follow": int(new.call.follow),
        "deadline_seconds": new.call.limits.deadline_seconds,
        "late_at": None if new.late_at is None else microseconds(new.late_at),
        "late_anew": _late_anew(new, now),
        "if_paused": new.call.if_paused,
        "hold_seconds": new.call.limits.hold_seconds,
        "series": new.call.series,
        "series_at": number(new.delivery_id, "dlv"),
        "asked_at": first_id(microseconds(now)),
        "state": new.state,
        "reason": new.reason,
        **{name: sealed(ring, value, place("triggers", name, row)) for name, value in payload.items()},
        "key": ring.current,
        "now": microseconds(now),
        "due_at": microseconds(NEVER if new.reason is Reason.LOOP_GUARD else new.due_at or now),
        "settled_at": microseconds(now) if has_ended else None,
        "doubted_at": microseconds(now) if new.is_doubted and new.reason is not Reason.DUPLICATE_RUN else None,
    }


def _late_anew(new: NewTrigger, now: datetime) -> int | None:
    """Return the deadline of a trigger that is made anew; one that has passed counts from now, as somebody asks now."""
    seconds, late_at = new.call.limits.deadline_seconds, new.late_at
    if late_at is not None and late_at <= now and seconds is not None:
        late_at = now + timedelta(seconds=seconds)
    return None if late_at is None else microseconds(late_at)


def owned_conf(conf: Mapping[str, Any], trigger_id: str) -> dict[str, Any]:
    """Return a conf that says which trigger it is of; that of a trigger without a call is empty."""
    own = conf.get("planasonix")
    return dict(conf) if own is None else {**conf, "planasonix": {**own, "trigger_id": trigger_id}}
