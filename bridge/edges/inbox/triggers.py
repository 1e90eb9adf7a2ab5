"""Statements on triggers: add, claim under a lease, renew, settle, give back, hold, take over.

Who claims gets a lease and a fresh token; every later write carries the token and reports whether it hit. Zero
rows mean that someone else owns the trigger by now.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Text, text

from bridge.edges.inbox.engine.ids import made_at, number, trigger_text
from bridge.edges.inbox.engine.statements import a_list, locking
from bridge.edges.inbox.rows import TRIGGER_COLUMNS, instant, microseconds, spent_text, trigger
from bridge.edges.inbox.vault import ADD_KEY, attempt_row, key_for, place, ring_of, sealed
from bridge.rules.retrying.settling import Settlement
from bridge.words.errors import InboxUnavailable
from bridge.words.model import Attempt, Call, Claimed, Trigger, TriggerState
from bridge.words.reasons import Reason
from bridge.words.runs import RunState

_ADD = text(
    "INSERT INTO triggers (id, delivery_id, route, airflow, dag_id, dag_run_id, rerun, conf, note,"
    " max_age_seconds, max_attempts, concurrency, state, reason, detail, created_at, due_at, age_from, settled_at,"
    " sealed_with, follow)"
    " VALUES (:id, :delivery_id, :route, :airflow, :dag_id, :dag_run_id, :rerun, :conf, :note, :max_age_seconds,"
    " :max_attempts, :concurrency, :state, :reason, :detail, :now, :due_at, :now, :settled_at, :key, :follow)"
    " ON CONFLICT DO NOTHING"
)
_HAS = text(
    "SELECT id, state FROM triggers WHERE delivery_id = :delivery_id AND route = :route AND airflow = :airflow"
    " AND dag_id = :dag_id AND rerun = :rerun"
)
# Another trigger may stand for the new DAG run id: then the one there is stays as it is.
_REMAKE = text(
    "UPDATE triggers SET dag_run_id = :dag_run_id, conf = :conf, note = :note, state = :state,"
    " max_age_seconds = :max_age_seconds, max_attempts = :max_attempts, concurrency = :concurrency, reason = :reason,"
    " detail = :detail, sealed_with = :key, follow = :follow, attempts = 0, due_at = :due_at, age_from = :now,"
    " settled_at = :settled_at"
    " WHERE id = :id AND (state = 'failed' OR state = 'cancelled' AND reason = 'superseded')"
    " AND NOT EXISTS (SELECT 1 FROM triggers AS rival WHERE rival.id <> :id"
    " AND rival.airflow = :airflow AND rival.dag_id = :dag_id AND rival.dag_run_id = :dag_run_id"
    " AND rival.state <> 'cancelled')"
)
# The literal states let the databases use the partial index `triggers_waiting`.
_CLAIM = locking(
    "UPDATE triggers SET state = 'firing', attempts = attempts + 1, lease_token = :token, lease_until = :until"  # noqa: S608
    f" WHERE id IN {{chosen}} RETURNING {TRIGGER_COLUMNS}",
    a_list("full", Text()),
    chosen="SELECT id FROM triggers WHERE airflow = :airflow AND state IN ('pending','held')"
    " AND due_at <= :now AND route NOT IN :full ORDER BY due_at LIMIT :limit",
)
_RENEW = text("UPDATE triggers SET lease_until = :until WHERE id = :id AND lease_token = :token AND state = 'firing'")
_SETTLE = text(
    "UPDATE triggers SET state = :state, reason = :reason, detail = :detail, due_at = :due_at,"  # noqa: S608
    " attempts = attempts - :refund, settled_at = :settled_at, lease_token = NULL, lease_until = NULL,"
    " spent = COALESCE(:spent, spent),"
    " run_state = :run_state, run_due_at = :run_due_at, run_after = :run_after,"
    " run_started_at = NULL, run_ended_at = NULL,"
    f" {ADD_KEY} WHERE id = :id AND lease_token = :token AND state = 'firing'"
)
_NO_RUN = {"run_state": None, "run_due_at": None, "run_after": None}
_RECORD = text(
    "INSERT INTO attempts (trigger_id, number, started_at, seconds, outcome, reason, detail, http_status, sealed_with)"
    " VALUES (:id, :number, :started_at, :seconds, :outcome, :reason, :detail, :http_status, :key)"
)
_TAKE_OVER = locking(
    "UPDATE triggers SET state = 'pending', lease_token = NULL, lease_until = NULL WHERE id IN {chosen}",
    chosen="SELECT id FROM triggers WHERE state = 'firing' AND lease_until <= :now",
)
_TAKE_OVER_ALL = text(
    "UPDATE triggers SET state = 'pending', lease_token = NULL, lease_until = NULL WHERE state = 'firing'"
)
_HOLD = locking(
    "UPDATE triggers SET state = 'held', reason = :reason, detail = NULL WHERE id IN {chosen}",
    chosen="SELECT id FROM triggers WHERE airflow = :airflow AND state IN ('pending','held') AND state = 'pending'"
    " LIMIT :limit",
)
_HOLD_STRAYS = locking(
    "UPDATE triggers SET state = 'held', reason = 'unknown_airflow', detail = NULL WHERE id IN {chosen}",
    a_list("airflows", Text()),
    chosen="SELECT id FROM triggers WHERE state IN ('pending','held') AND state = 'pending'"
    " AND airflow NOT IN :airflows",
)
_GET = text(f"SELECT {TRIGGER_COLUMNS} FROM triggers WHERE id = :id")  # noqa: S608


# When a trigger is due that waits for a person: a replay makes it due at once.
NEVER = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class NewTrigger:
    """A trigger as routing makes it: `pending`, or at once `held` or `failed` with a reason."""

    id: str
    delivery_id: str
    call: Call
    rerun: int = 0
    state: TriggerState = TriggerState.PENDING
    reason: Reason | None = None
    detail: str | None = None
    due_at: datetime | None = None  # at once


def add(connection: Connection, new: NewTrigger, *, now: datetime) -> NewTrigger | None:
    """Store a trigger and return it as it is stored; None when the delivery has it already.

    One that failed, or that a replay took back, is made anew under its own id: only a person sends a delivery through
    routing again, and they have mended what it waited for or failed of. If another live trigger stands for the same
    DAG run, this one is kept as `cancelled` with the reason `duplicate_run`, so that a person sees why it started
    nothing. Raises InboxUnavailable if the id is taken (two processes can make the same one): whoever asked tries
    again, under another one.
    """
    row = number(new.id, "trg")
    parameters = {
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
        "state": new.state,
        "reason": new.reason,
        **_sealed(connection, row, new, new.call.conf),
        "now": microseconds(now),
        "due_at": microseconds(NEVER if new.reason is Reason.LOOP_GUARD else new.due_at or now),
        "settled_at": microseconds(now) if new.state is TriggerState.FAILED else None,
    }
    if connection.execute(_ADD, parameters).rowcount:
        return new
    existing = connection.execute(_HAS, parameters).mappings().first()
    if existing is not None:
        own = _sealed(connection, existing["id"], new, owned(new.call.conf, trigger_text(existing["id"])))
        is_remade = connection.execute(_REMAKE, parameters | {"id": existing["id"]} | own).rowcount
        return replace(new, id=trigger_text(existing["id"])) if is_remade else None
    cancelled = {"state": TriggerState.CANCELLED, "reason": Reason.DUPLICATE_RUN, "settled_at": microseconds(now)}
    if not connection.execute(_ADD, parameters | cancelled).rowcount:
        raise InboxUnavailable(f"the id {new.id} is taken")
    return replace(new, state=TriggerState.CANCELLED, reason=Reason.DUPLICATE_RUN, detail=None)


def _sealed(connection: Connection, row: int, new: NewTrigger, conf: Mapping[str, Any]) -> dict[str, str | None]:
    """Return what a trigger holds of its payload, as it is stored in this row."""
    ring = ring_of(connection)
    values = {"conf": json.dumps(conf), "note": new.call.note, "detail": new.detail}
    return {name: sealed(ring, value, place("triggers", name, row)) for name, value in values.items()} | {
        "key": ring.current
    }


def owned(conf: Mapping[str, Any], trigger_id: str) -> dict[str, Any]:
    """Return a conf that says which trigger it is of; that of a trigger without a call is empty."""
    own = conf.get("planasonix")
    return dict(conf) if own is None else {**conf, "planasonix": {**own, "trigger_id": trigger_id}}


def claim(
    connection: Connection,
    *,
    airflow: str,
    now: datetime,
    until: datetime,
    token: str,
    limit: int,
    full: Collection[str],
) -> list[Claimed]:
    """Lease up to `limit` due triggers of one Airflow, oldest first, and count the attempt.

    `full` are routes that may start no more now; theirs are left out.
    """
    parameters = {
        "airflow": airflow,
        "now": microseconds(now),
        "until": microseconds(until),
        "token": token,
        "limit": limit,
        "full": list(full),
    }
    ring = ring_of(connection)
    rows = connection.execute(_CLAIM.on(connection), parameters).mappings().all()
    claimed = [Claimed(trigger(row, ring), token) for row in rows]
    return sorted(claimed, key=lambda item: item.trigger.due_at)  # RETURNING keeps no order


def renew(connection: Connection, leases: Collection[tuple[str, str]], *, until: datetime) -> int:
    """Lengthen leases given as (trigger id, token); returns how many were still ours."""
    parameters = [{"id": number(id_, "trg"), "token": token, "until": microseconds(until)} for id_, token in leases]
    return sum(connection.execute(_RENEW, item).rowcount for item in parameters)


def settle(connection: Connection, claimed: Claimed, settlement: Settlement, attempt: Attempt) -> bool:
    """End an attempt: move the trigger and append the attempt together. False: the lease was lost, nothing written."""
    is_settled = settlement.state in (TriggerState.FIRED, TriggerState.FAILED)
    is_followed = settlement.state is TriggerState.FIRED and claimed.trigger.call.follow
    ended_at = microseconds(attempt.started_at) + int(attempt.seconds * 1_000_000)
    ring, row = ring_of(connection), number(claimed.trigger.id, "trg")
    parameters = {
        "id": row,
        "token": claimed.token,
        "state": settlement.state,
        "reason": settlement.reason,
        "detail": sealed(ring, settlement.detail, place("triggers", "detail", row)),
        "key": key_for(ring, settlement.detail),
        "due_at": microseconds(settlement.due_at),
        "refund": int(settlement.is_refunded),
        "settled_at": ended_at if is_settled else None,
        "spent": None if settlement.spent is None else spent_text(settlement.spent, claimed.trigger.age_from),
        **_NO_RUN,
    }
    if is_followed:
        made_at = microseconds(settlement.run_after) if settlement.run_after else None
        parameters |= {"run_state": RunState.QUEUED, "run_due_at": ended_at, "run_after": made_at}
    if not connection.execute(_SETTLE, parameters).rowcount:
        return False
    record = {
        "id": row,
        "number": attempt.number,
        "started_at": microseconds(attempt.started_at),
        "seconds": attempt.seconds,
        "outcome": attempt.outcome,
        "reason": attempt.reason,
        "detail": sealed(ring, attempt.detail, place("attempts", "detail", attempt_row(row, attempt.number))),
        "key": ring.current,
        "http_status": attempt.http_status,
    }
    connection.execute(_RECORD, record)
    return True


def give_back(connection: Connection, claims: Sequence[Claimed]) -> None:
    """Undo claims that were not used: the trigger waits again, the attempt does not count."""
    ring = ring_of(connection)
    for claimed in claims:
        before, row = claimed.trigger, number(claimed.trigger.id, "trg")
        parameters = {
            "id": row,
            "token": claimed.token,
            "state": TriggerState.PENDING,
            "reason": before.reason,
            "detail": sealed(ring, before.detail, place("triggers", "detail", row)),
            "key": key_for(ring, before.detail),
            "due_at": microseconds(before.due_at),
            "refund": 1,
            "settled_at": None,
            "spent": None,
            **_NO_RUN,
        }
        connection.execute(_SETTLE, parameters)


def take_over(connection: Connection, *, now: datetime) -> int:
    """Set free what a dead process was firing: leases that lapsed before `now`. Returns how many."""
    return connection.execute(_TAKE_OVER.on(connection), {"now": microseconds(now)}).rowcount


def take_over_all(connection: Connection) -> int:
    """Set free every lease, lapsed or not: right only where no other process can hold one."""
    return connection.execute(_TAKE_OVER_ALL).rowcount


def hold(connection: Connection, *, airflow: str, reason: Reason, limit: int) -> int:
    """Show what waits for an Airflow that is down as `held`; returns how many were moved."""
    return connection.execute(_HOLD.on(connection), {"airflow": airflow, "reason": reason, "limit": limit}).rowcount


def hold_strays(connection: Connection, *, airflows: Collection[str]) -> int:
    """Show as `held` what waits for an Airflow that this configuration does not have; returns how many."""
    return connection.execute(_HOLD_STRAYS.on(connection), {"airflows": list(airflows)}).rowcount


def asked_at(trigger: Trigger) -> datetime:
    """Return when a trigger's webhook came, or when a person last asked for its run."""
    is_first = not trigger.rerun and trigger.age_from == trigger.created_at
    return instant(made_at(trigger.delivery_id)) if is_first else trigger.age_from


def get(connection: Connection, trigger_id: str) -> Trigger | None:
    """Return one trigger."""
    row = connection.execute(_GET, {"id": number(trigger_id, "trg")}).mappings().first()
    return None if row is None else trigger(row, ring_of(connection))
