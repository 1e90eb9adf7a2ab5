"""Statements on single triggers: renew, settle, give back, take over.

Who claims (claiming.py) gets a lease and a fresh token; every later write carries the token and reports whether it
hit. Zero rows mean that someone else owns the trigger by now.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, text

from bridge.edges.inbox import pauses
from bridge.edges.inbox.engine.ids import made_at, number
from bridge.edges.inbox.engine.statements import locking
from bridge.edges.inbox.rows import TRIGGER_COLUMNS, instant, microseconds, spent_text, trigger
from bridge.edges.inbox.vault import ADD_KEY, attempt_row, key_for, place, ring_of, sealed
from bridge.rules.holding import warned_after
from bridge.rules.retrying.settling import Settlement
from bridge.rules.sealing import Ring
from bridge.words.holds import Awaits
from bridge.words.model import Attempt, Claimed, Trigger, TriggerState
from bridge.words.reasons import Reason
from bridge.words.runs import RunState

_RENEW = text("UPDATE triggers SET lease_until = :until WHERE id = :id AND lease_token = :token AND state = 'firing'")
_SETTLE = text(
    "UPDATE triggers SET state = :state, reason = :reason, detail = :detail, due_at = :due_at,"  # noqa: S608
    " attempts = attempts - :refund, settled_at = :settled_at, lease_token = NULL, lease_until = NULL,"
    " spent = COALESCE(:spent, spent),"
    " doubted_at = CASE WHEN :is_certain THEN NULL ELSE COALESCE(CAST(:doubted_at AS BIGINT), doubted_at) END,"
    " awaits = :awaits, hold_step = CASE WHEN :hold = 'over' THEN 0 ELSE hold_step END,"
    " hold_step_at = CASE :hold WHEN 'none' THEN hold_step_at WHEN 'over' THEN NULL ELSE COALESCE(hold_step_at,"
    " CAST(:hold_seconds AS DOUBLE PRECISION) + COALESCE((SELECT away_seconds FROM dags"
    " WHERE dags.airflow = triggers.airflow AND dags.dag_id = triggers.dag_id), 0)) END,"
    " run_state = :run_state, run_due_at = :run_due_at, run_after = :run_after,"
    " run_started_at = NULL, run_ended_at = NULL,"
    f" {ADD_KEY} WHERE id = :id AND lease_token = :token AND state = 'firing'"
)
_NO_RUN = {"run_state": None, "run_due_at": None, "run_after": None}
_NO_HOLD = {"awaits": None, "hold": "none", "hold_seconds": 0.0}
_RECORD = text(
    "INSERT INTO attempts (trigger_id, number, started_at, seconds, outcome, reason, detail, http_status, sealed_with)"
    " VALUES (:id, :number, :started_at, :seconds, :outcome, :reason, :detail, :http_status, :key)"
)
# Not to a name that another live trigger has: then the lease lapses, and a person looks (`run_id_conflict`). By the
# partial index `triggers_live`.
_RENAME = text(
    "UPDATE triggers SET dag_run_id = :dag_run_id WHERE id = :id AND lease_token = :token AND state = 'firing'"
    " AND NOT EXISTS (SELECT 1 FROM triggers AS other WHERE other.airflow = triggers.airflow"
    " AND other.dag_id = triggers.dag_id AND other.dag_run_id = :dag_run_id"
    " AND other.state <> 'cancelled' AND other.state <> 'failed' AND other.id <> triggers.id)"
)
# Nobody knows how the call ended. It uses no attempt: those count the calls that Airflow did not take.
_TAKE_OVER = locking(
    "UPDATE triggers SET state = 'pending', lease_token = NULL, lease_until = NULL, doubted_at = lease_until,"
    " attempts = attempts - 1 WHERE id IN {chosen}",
    chosen="SELECT id FROM triggers WHERE state = 'firing' AND lease_until <= :now",
)
_TAKE_OVER_ALL = text(
    "UPDATE triggers SET state = 'pending', lease_token = NULL, lease_until = NULL, doubted_at = lease_until,"
    " attempts = attempts - 1 WHERE state = 'firing'"
)
_GET = text(f"SELECT {TRIGGER_COLUMNS} FROM triggers WHERE id = :id")  # noqa: S608


# When a trigger is due that waits for a person: a replay makes it due at once.
NEVER = datetime(9999, 12, 31, tzinfo=UTC)


def renew(connection: Connection, leases: Collection[tuple[str, str]], *, until: datetime) -> int:
    """Lengthen leases given as (trigger id, token); returns how many were still ours."""
    parameters = [{"id": number(id_, "trg"), "token": token, "until": microseconds(until)} for id_, token in leases]
    return sum(connection.execute(_RENEW, item).rowcount for item in parameters)


def settle(connection: Connection, claimed: Claimed, settlement: Settlement, attempt: Attempt) -> bool:
    """End an attempt: move the trigger and append the attempt together. False: the lease was lost, nothing written.

    Its new DAG run id, if it gets one, is stored with it: whoever held the lease before hits nothing by then.
    """
    is_settled = settlement.state in (TriggerState.FIRED, TriggerState.FAILED, TriggerState.CANCELLED)
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
        "doubted_at": ended_at if settlement.is_doubtful else None,
        "is_certain": settlement.is_certain,
        **_NO_RUN,
        **_hold(claimed.trigger, settlement),
    }
    if is_followed:
        made_at = microseconds(settlement.run_after) if settlement.run_after else None
        parameters |= {"run_state": RunState.QUEUED, "run_due_at": ended_at, "run_after": made_at}
    if settlement.dag_run_id is not None and not _renamed(connection, claimed, row, settlement.dag_run_id):
        return False
    if not connection.execute(_SETTLE, parameters).rowcount:
        return False
    connection.execute(_RECORD, _record(ring, row, attempt))
    return True


def _renamed(connection: Connection, claimed: Claimed, row: int, dag_run_id: str) -> bool:
    parameters = {"id": row, "token": claimed.token, "dag_run_id": dag_run_id}
    return bool(connection.execute(_RENAME, parameters).rowcount)


def _hold(trigger: Trigger, settlement: Settlement) -> Mapping[str, object]:
    """Return what is stored of a hold for a DAG: it goes on from where it was, by the DAG's clock."""
    if settlement.awaits is None:
        return _NO_HOLD
    hold = "over" if settlement.awaits is Awaits.NEWER else "held"
    seconds = warned_after(trigger.call.limits.hold_seconds)
    return {"awaits": settlement.awaits, "hold": hold, "hold_seconds": seconds}


def _record(ring: Ring, row: int, attempt: Attempt) -> dict[str, object]:
    return {
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


def give_back(connection: Connection, claims: Sequence[Claimed]) -> None:
    """Undo claims that were not used: the trigger waits again, the attempt does not count."""
    for claimed in claims:
        _undo(connection, claimed, _as_before(claimed))


def leave_behind(connection: Connection, claims: Sequence[Claimed], *, now: datetime) -> None:
    """Give back claims whose calls are under way: as `give_back`, and each may have started its DAG run."""
    for claimed in claims:
        _undo(connection, claimed, _as_before(claimed), doubted_at=now)


def _as_before(claimed: Claimed) -> Settlement:
    before = claimed.trigger
    return Settlement(TriggerState.PENDING, before.reason, before.detail, before.due_at)


def put_back(connection: Connection, claims: Sequence[tuple[Claimed, datetime]], *, reason: Reason) -> None:
    """Undo claims that may not be used yet: each is held until an instant, the attempt does not count."""
    for claimed, due_at in claims:
        _undo(connection, claimed, Settlement(TriggerState.HELD, reason, None, due_at))


def _undo(connection: Connection, claimed: Claimed, waits: Settlement, *, doubted_at: datetime | None = None) -> None:
    ring, row = ring_of(connection), number(claimed.trigger.id, "trg")
    parameters = {
        "id": row,
        "token": claimed.token,
        "state": waits.state,
        "reason": waits.reason,
        "detail": sealed(ring, waits.detail, place("triggers", "detail", row)),
        "key": key_for(ring, waits.detail),
        "due_at": microseconds(waits.due_at),
        "refund": 1,
        "settled_at": None,
        "spent": None,
        "doubted_at": None if doubted_at is None else microseconds(doubted_at),
        "is_certain": False,
        **_NO_RUN,
        **_NO_HOLD,
    }
    connection.execute(_SETTLE, parameters)


def take_over(connection: Connection, *, now: datetime) -> int:
    """Set free what a dead process was firing: leases that lapsed before `now`. Returns how many."""
    return connection.execute(_TAKE_OVER.on(connection), {"now": microseconds(now)}).rowcount


def take_over_all(connection: Connection) -> int:
    """Set free every lease, lapsed or not: right only where no other process can hold one."""
    return connection.execute(_TAKE_OVER_ALL).rowcount


def asked_at(trigger: Trigger) -> datetime:
    """Return when a trigger's webhook came, or when a person last asked for its run."""
    is_first = not trigger.rerun and trigger.age_from == trigger.created_at
    return instant(made_at(trigger.delivery_id)) if is_first else trigger.age_from


def get(connection: Connection, trigger_id: str) -> Trigger | None:
    """Return one trigger."""
    row = connection.execute(_GET, {"id": number(trigger_id, "trg")}).mappings().first()
    return None if row is None else pauses.explained(connection, [trigger(row, ring_of(connection))])[0]
