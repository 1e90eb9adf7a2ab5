"""Statements on triggers: claim under a lease, renew, settle, give back, hold, take over.

Who claims gets a lease and a fresh token; every later write carries the token and reports whether it hit. Zero
rows mean that someone else owns the trigger by now.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, Text, text

from bridge.edges.inbox.engine.ids import made_at, number
from bridge.edges.inbox.engine.statements import a_list, locking
from bridge.edges.inbox.rows import TRIGGER_COLUMNS, instant, microseconds, spent_text, trigger
from bridge.edges.inbox.vault import ADD_KEY, attempt_row, key_for, place, ring_of, sealed
from bridge.rules.retrying.settling import Settlement
from bridge.words.model import Attempt, Claimed, Trigger, TriggerState
from bridge.words.reasons import Reason
from bridge.words.runs import RunState

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
