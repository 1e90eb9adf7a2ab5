"""What a person asks of a delivery or a trigger: the same call once more, a new run, an end; and the audit log."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum

from sqlalchemy import Connection, text

from bridge.edges.inbox import completions, deliveries, triggers
from bridge.edges.inbox.adding import AS_NEW, ONCE_MORE, NewTrigger, add_rerun, owned_conf
from bridge.edges.inbox.engine.ids import number
from bridge.edges.inbox.engine.statements import Pair, announce
from bridge.edges.inbox.rows import microseconds
from bridge.edges.inbox.vault import ADD_KEY, key_for, place, ring_of, sealed
from bridge.rules import run_names
from bridge.rules.completion import Standing
from bridge.rules.mapping.runs import rerun_id
from bridge.words.errors import Locked, NotThere
from bridge.words.model import Trigger, TriggerState
from bridge.words.reasons import Reason

_AGAIN = text(f"UPDATE triggers SET {ONCE_MORE} WHERE id = :id AND state <> 'firing'")  # noqa: S608
_AGAIN_AS = text(  # no call was under this DAG run id
    f"UPDATE triggers SET dag_run_id = :dag_run_id, {AS_NEW}, doubted_at = NULL WHERE id = :id AND state = 'cancelled'"  # noqa: S608
)
_RIVAL = text(
    "SELECT delivery_id, delivery_id IN (SELECT delivery_id FROM completions WHERE delivery_id = triggers.delivery_id)"
    " AS is_told, state FROM triggers WHERE airflow = :airflow AND dag_id = :dag_id AND dag_run_id = :dag_run_id"
    " AND state <> 'cancelled' AND state <> 'failed' AND id <> :id"
)
_CALLED = text("SELECT 1 FROM attempts WHERE trigger_id = :id LIMIT 1")
_CANCEL = text(
    "UPDATE triggers SET state = 'cancelled', reason = 'by_operator', detail = NULL, settled_at = :now"
    " WHERE id = :id AND state IN ('pending','held','failed')"
)
_EXPLAIN = text(f"UPDATE triggers SET detail = :detail, {ADD_KEY} WHERE id = :id")  # noqa: S608
_IN_DOUBT = "a call of it may have started its DAG run before: look for that in Airflow"
# A new run that a person asked for is left out: routing makes no such triggers.
_OF_ROUTING = Pair(
    sqlite=text("SELECT id, state FROM triggers WHERE delivery_id = :id AND rerun = 0"),
    postgresql=text("SELECT id, state FROM triggers WHERE delivery_id = :id AND rerun = 0 ORDER BY id FOR UPDATE"),
)
_SUPERSEDE = text(
    "UPDATE triggers SET state = 'cancelled', reason = 'superseded', settled_at = :now"
    " WHERE delivery_id = :id AND state IN ('pending','held','failed') AND rerun = 0"
)
# For one that is held for a DAG that is not there: no call of it can have started a run.
_TAKE_BACK = text(
    "UPDATE triggers SET state = 'cancelled', reason = 'superseded', settled_at = :now WHERE id = :id AND rerun = 0"
    " AND state = 'held' AND reason = 'dag_not_found' AND doubted_at IS NULL"
)
# What gave way to a newer one, and is asked for by a person now: as if a replay had taken it back. What else its
# delivery has given way to stays as it is, when only one trigger was asked for.
_LEAVE_SERIES = text(
    "UPDATE triggers SET series = NULL WHERE delivery_id = :id AND (CAST(:trigger AS BIGINT) IS NULL OR id = :trigger)"
    " AND state = 'cancelled' AND reason = 'superseded'"
)
# What waits for its time, after a failed look-up or for a key. One whose look-up is under way has no reason, and one
# that waits for its turn to be looked up keeps its place.
_HURRY = text("UPDATE deliveries SET due_at = :now WHERE id = :id AND state = 'received' AND reason <> 'lookup_queued'")
_LAST_RERUN = text(
    "SELECT MAX(rerun) FROM triggers WHERE delivery_id = :delivery_id AND route = :route AND airflow = :airflow"
    " AND dag_id = :dag_id"
)
_AUDIT = text("INSERT INTO audit (at, actor, action, subject, reason) VALUES (:at, :actor, :action, :subject, :reason)")
_ERASED = Pair(
    sqlite=text("SELECT erased_at FROM deliveries WHERE id = :id"),
    postgresql=text("SELECT erased_at FROM deliveries WHERE id = :id FOR UPDATE"),
)
_NEEDS_MENDING = frozenset({Reason.CONF_REFUSED, Reason.CONF_TOO_LARGE})  # the same call would fail again
# No call of it was made, so that a new run of it cannot be started either.
WITHOUT_CALL = frozenset({Reason.TEMPLATE, Reason.CONDITION})
# What a replay of a trigger does not fire again: its delivery is routed once more.
ROUTED_AGAIN = WITHOUT_CALL | _NEEDS_MENDING | {Reason.DAG_NOT_FOUND}


class Replayed(StrEnum):
    """What became of one replay."""

    QUEUED = "queued"  # the same call, the same DAG run id
    ROUTED_AGAIN = "routed_again"  # the delivery goes through the mapping once more
    NEW_RUN = "new_run"  # a new trigger under a new DAG run id
    BUSY = "busy"  # it is being fired at this moment
    ERASED = "erased"  # a person had its payload removed: there is nothing left to send
    DUPLICATE = "duplicate"  # another trigger stands for this DAG run id


class Cancelled(StrEnum):
    """What became of one cancelling."""

    CANCELLED = "cancelled"
    IN_DOUBT = "in_doubt"  # it is cancelled, and a call of it may have started its DAG run before
    BUSY = "busy"  # it is being fired at this moment
    ENDED = "ended"  # it was fired, or cancelled before


def replay(
    connection: Connection, id_: str, *, actor: str, reason: str | None, new_id: str | None, now: datetime
) -> Replayed:
    """Replay a delivery or a trigger and write it to the audit log. Raises NotThere.

    With `new_id`, a trigger is not repeated but made anew under the next DAG run id.
    """
    if _is_erased(connection, id_):
        outcome = Replayed.ERASED
    elif id_.startswith("dlv_"):
        outcome = replay_delivery(connection, id_, now=now)
    elif new_id is not None:
        outcome = run_again(connection, id_, new_id=new_id, now=now)
    else:
        outcome = replay_trigger(connection, id_, now=now)
    audit(connection, at=now, actor=actor, action=str(outcome), subject=id_, reason=reason)
    announce(connection)
    return outcome


def _is_erased(connection: Connection, id_: str) -> bool:
    """Whether the delivery was erased; it is locked until the end of the transaction, as erasing locks it first."""
    delivery_id = id_ if id_.startswith("dlv_") else _existing(connection, id_).delivery_id
    return connection.execute(_ERASED.on(connection), {"id": number(delivery_id, "dlv")}).scalar() is not None


def replay_delivery(connection: Connection, delivery_id: str, *, now: datetime) -> Replayed:
    """Take back what a delivery has not started, and route it again. Raises NotThere.

    What the mapping still asks for is made anew under the same trigger id; the rest stays `cancelled`, `superseded`. If
    a call of the rest may have started its DAG run, and a route has taken its place, it is fired under its own id.
    While a call is under way nothing is done: it could come back and wait for what is asked for no more.
    """
    values = {"id": number(delivery_id, "dlv"), "now": microseconds(now)}
    if TriggerState.FIRING in [state for _, state in connection.execute(_OF_ROUTING.on(connection), values)]:
        return Replayed.BUSY
    connection.execute(_SUPERSEDE, values)
    return _route_again(connection, delivery_id, None, now=now)


def _route_again(connection: Connection, delivery_id: str, trigger_id: str | None, *, now: datetime) -> Replayed:
    """Send a delivery through routing once more, for all of it or for one trigger. Raises NotThere."""
    if deliveries.get(connection, delivery_id) is None:
        raise NotThere(f"no delivery {delivery_id}")
    values = {"id": number(delivery_id, "dlv"), "now": microseconds(now)}
    connection.execute(_LEAVE_SERIES, values | {"trigger": None if trigger_id is None else number(trigger_id, "trg")})
    if not deliveries.reopen(connection, delivery_id, now=now):
        connection.execute(_HURRY, values)
    return Replayed.ROUTED_AGAIN


def replay_trigger(connection: Connection, trigger_id: str, *, now: datetime) -> Replayed:
    """Fire a trigger again under the same DAG run id, so that it cannot run twice. Raises NotThere.

    One whose templates failed has no call yet, and one whose conf was refused needs another: their delivery is routed
    again instead, with the mapping as it is by then. So is that of one that is held for a DAG that is not there: it is
    taken back, since the mapping may name another DAG now. If it names the same, it is made anew under its own id.
    """
    found = _existing(connection, trigger_id)
    if not found.call.dag_run_id or (found.reason in _NEEDS_MENDING and not found.rerun):
        return _route_again(connection, found.delivery_id, trigger_id, now=now)
    parameters = {
        "id": number(trigger_id, "trg"),
        "now": microseconds(now),
        "airflow": found.call.airflow,
        "dag_id": found.call.dag_id,
        "dag_run_id": found.call.dag_run_id,
    }
    if found.reason is Reason.DAG_NOT_FOUND and connection.execute(_TAKE_BACK, parameters).rowcount:
        return _route_again(connection, found.delivery_id, trigger_id, now=now)
    match _rivalry(connection, found, parameters):
        case _Rivalry.NONE:
            is_done = connection.execute(_AGAIN, parameters).rowcount
        case _Rivalry.SAME_NAME if (run_id := _free_spare(connection, found, parameters)) is not None:
            is_done = connection.execute(_AGAIN_AS, {**parameters, "dag_run_id": run_id}).rowcount
        case _Rivalry.UNCLEAR if not found.rerun:
            return _route_again(connection, found.delivery_id, trigger_id, now=now)
        case _:
            return Replayed.DUPLICATE
    return Replayed.QUEUED if is_done else Replayed.BUSY


def _free_spare(connection: Connection, found: Trigger, parameters: Mapping[str, object]) -> str | None:
    """Return the spare DAG run id of a trigger, if no other has it. There is none for a route's own."""
    run_id = run_names.spare_of(found.call.conf.get("planasonix") or {}, dag_run_id=found.call.dag_run_id)
    is_taken = run_id and connection.execute(_RIVAL, {**parameters, "dag_run_id": run_id}).first() is not None
    return None if is_taken else run_id


class _Rivalry(Enum):
    """Whether another trigger stands in the way of one that is to be fired again."""

    NONE = "none"
    SAME_RUN = "same run"  # it stands for the same DAG run
    SAME_NAME = "same name"  # it is of another completion, and no call can have started the run of this one
    UNCLEAR = "unclear"  # only routing can say: it needs the mapping, or another DAG run id


def _rivalry(connection: Connection, found: Trigger, parameters: Mapping[str, object]) -> _Rivalry:
    """Look for another trigger that owns the run of a trigger, or its DAG run id. Holds the completion.

    The other routes that the delivery itself has triggers of are no rivals of one that failed: each has its own run.
    What was superseded, or is a copy, may have its run under the name of such a route: the mapping knows.
    """
    tellers = completions.hold(connection, number(found.delivery_id, "dlv"))
    together = completions.standing(connection, tellers)
    me = next(item for item in together if item.id == found.id)
    if (not me.owns or me.is_superseded) and not me.rerun:  # a person asked for a rerun, besides what there is
        others = [item for item in together if item is not me and item.place[1:] == me.place[1:]]
        if any(item.owns and item.route == me.route for item in others):
            return _Rivalry.SAME_RUN
        beside = {item.route for item in together if item.delivery_id == me.delivery_id and not _is_taken(me)}
        beside.add(me.route)
        if any((item.owns or item.may_have_run) and item.route not in beside for item in others):
            return _Rivalry.UNCLEAR
    holder = connection.execute(_RIVAL, parameters).first()
    if holder is None:
        return _Rivalry.NONE
    is_other = holder.is_told and holder.delivery_id not in tellers
    if is_other and not me.owns:
        return _Rivalry.UNCLEAR
    is_stopped = me.state is TriggerState.CANCELLED
    # Once the other's run is there under the name, its own cannot be; before that, only if it was never called.
    is_called = me.is_doubted or connection.execute(_CALLED, {"id": number(me.id, "trg")}).first() is not None
    is_sure = holder.state == "fired" or not is_called
    return _Rivalry.SAME_NAME if is_other and is_stopped and is_sure else _Rivalry.SAME_RUN


def _is_taken(standing: Standing) -> bool:
    """Say whether another trigger stands for its run, or did."""
    return standing.is_copy or standing.is_superseded


def run_again(connection: Connection, trigger_id: str, *, new_id: str, now: datetime) -> Replayed:
    """Make a new trigger with the same conf and the DAG run id `...__rN`. Raises NotThere."""
    found = _existing(connection, trigger_id)
    if found.locked is not None:
        raise Locked(f"{trigger_id}: {found.locked}")
    if not found.call.dag_run_id:
        return replay_trigger(connection, trigger_id, now=now)
    parameters = {
        "delivery_id": number(found.delivery_id, "dlv"),
        "route": found.call.route,
        "airflow": found.call.airflow,
        "dag_id": found.call.dag_id,
    }
    rerun = connection.execute(_LAST_RERUN, parameters).scalar_one() + 1
    run_id = rerun_id(found.call.dag_run_id, rerun_of=found.rerun, rerun=rerun)
    # A copy of the delivery may have been run again before: then its trigger has this number.
    while connection.execute(_RIVAL, {**parameters, "id": 0, "dag_run_id": run_id}).first() is not None:
        rerun += 1
        run_id = rerun_id(found.call.dag_run_id, rerun_of=found.rerun, rerun=rerun)
    deadline = found.call.limits.deadline_seconds
    new = NewTrigger(
        id=new_id,
        delivery_id=found.delivery_id,
        call=replace(found.call, dag_run_id=run_id, conf=owned_conf(found.call.conf, new_id), series=None),
        rerun=rerun,
        state=TriggerState.PENDING,
        late_at=None if deadline is None else now + timedelta(seconds=deadline),
    )
    # Somebody who asks at the same moment, at another replica, may have taken the number.
    return Replayed.NEW_RUN if add_rerun(connection, new, now=now) else Replayed.DUPLICATE


def cancel(connection: Connection, trigger_id: str, *, actor: str, reason: str | None, now: datetime) -> Cancelled:
    """Cancel a trigger that waits or failed, and write it to the audit log. Raises NotThere.

    Nothing is asked of Airflow, so that a person can end anything; what a call may have started is said.
    """
    is_cancelled = connection.execute(_CANCEL, {"id": number(trigger_id, "trg"), "now": microseconds(now)}).rowcount
    found = _existing(connection, trigger_id)
    if is_cancelled and found.doubted_at is not None and found.call.dag_run_id:
        _explain(connection, found.id, _IN_DOUBT)
        outcome = Cancelled.IN_DOUBT
    elif is_cancelled:
        outcome = Cancelled.CANCELLED
    else:
        outcome = Cancelled.BUSY if found.state is TriggerState.FIRING else Cancelled.ENDED
    audit(connection, at=now, actor=actor, action=str(outcome), subject=trigger_id, reason=reason)
    return outcome


def _explain(connection: Connection, trigger_id: str, detail: str) -> None:
    ring, row = ring_of(connection), number(trigger_id, "trg")
    stored = sealed(ring, detail, place("triggers", "detail", row))
    connection.execute(_EXPLAIN, {"id": row, "detail": stored, "key": key_for(ring, detail)})


def audit(connection: Connection, *, at: datetime, actor: str, action: str, subject: str, reason: str | None) -> None:
    """Append to the audit log who did what to which; nothing ever changes or removes a line."""
    connection.execute(
        _AUDIT, {"at": microseconds(at), "actor": actor, "action": action, "subject": subject, "reason": reason}
    )


def _existing(connection: Connection, trigger_id: str) -> Trigger:
    found = triggers.get(connection, trigger_id)
    if found is None:
        raise NotThere(f"no trigger {trigger_id}")
    return found
