"""Statements on what is held for a DAG: set free, superseded, warned of, failed.

What is looked for is read beside the writer, in pages; the writer then changes rows by their ids, each guarded by its
still being held for its DAG. So two replicas, or a replica and a person, never do it twice.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, RowMapping, text

from bridge.edges.inbox.claiming import AIRFLOWS
from bridge.edges.inbox.engine.ids import number, trigger_text
from bridge.edges.inbox.engine.statements import a_list
from bridge.edges.inbox.rows import instant, microseconds, spent_when_freed
from bridge.edges.inbox.vault import ADD_KEY, key_for, place, ring_of, sealed
from bridge.rules.holding import goes_first
from bridge.words.holds import Awaits
from bridge.words.model import TriggerState
from bridge.words.reasons import Reason

# The literal condition lets the databases use the partial indexes `triggers_away` and `triggers_hold_steps`.
_AWAY = "state = 'held' AND awaits IS NOT NULL"
_OF_DAG = f"{_AWAY} AND airflow = :airflow AND dag_id = :dag_id"
_IS_HELD = f"{_AWAY} AND reason IN ('dag_paused','dag_not_found','dag_refuses_runs')"
_NAMED = text(
    f"WITH RECURSIVE walk (dag_id) AS (SELECT MIN(dag_id) FROM triggers WHERE {_AWAY} AND airflow = :airflow"  # noqa: S608
    f" UNION ALL SELECT (SELECT MIN(dag_id) FROM triggers WHERE {_AWAY} AND airflow = :airflow"
    " AND dag_id > walk.dag_id) FROM walk WHERE walk.dag_id IS NOT NULL)"
    f" SELECT dag_id, EXISTS (SELECT 1 FROM triggers WHERE {_AWAY} AND airflow = :airflow"
    " AND triggers.dag_id = walk.dag_id AND awaits = 'newer') AS is_behind FROM walk WHERE dag_id IS NOT NULL"
)
_PAGE = text(
    f"SELECT id, route, series, age_from, doubted_at FROM triggers WHERE {_OF_DAG}"  # noqa: S608
    " AND awaits = :awaits AND id > :after ORDER BY id LIMIT :limit"
)
# The newest that stands: by the webhook, or by when a person sent that through routing again. Two statements, since
# PostgreSQL would sort the whole series for a join.
_SERIES = text("SELECT id, series, series_at FROM triggers WHERE id = :id AND series IS NOT NULL")
_NEWER = text(
    "SELECT id, state FROM triggers WHERE series = :series AND (series_at, id) > (:series_at, :id)"
    " AND series IS NOT NULL AND state <> 'cancelled' AND state <> 'failed' AND COALESCE(reason, '') <> 'loop_guard'"
    " ORDER BY series_at DESC, id DESC LIMIT 1"
)
_STILL_DUE = text(
    "SELECT id FROM triggers WHERE id IN :ids AND state IN ('pending','held') AND due_at <= :now"
    " AND COALESCE(reason, '') <> 'paused_by_person'"
).bindparams(a_list("ids", BigInteger()))
_CLAIM = text("UPDATE dags SET freed = :upto WHERE airflow = :airflow AND dag_id = :dag_id AND freed = :was")
_NO_STEP = "hold_step_at = NULL, hold_step = 0"
_SPENT = text("SELECT spent FROM triggers WHERE id = :id")
_FREE = text(
    "UPDATE triggers SET state = :state, reason = :reason, detail = NULL, due_at = :due_at, awaits = NULL,"  # noqa: S608
    f" spent = :spent, {_NO_STEP} WHERE id = :id AND {_IS_HELD}"
)
_PUT_BEHIND = text(
    f"UPDATE triggers SET reason = 'dag_paused', detail = :detail, awaits = 'newer', {_NO_STEP}, {ADD_KEY}"  # noqa: S608
    f" WHERE id = :id AND {_IS_HELD}"
)
_END = text(
    "UPDATE triggers SET state = :state, reason = :reason, detail = :detail, settled_at = :now, awaits = NULL,"  # noqa: S608
    f" {ADD_KEY} WHERE id = :id AND {_IS_HELD}"
)
_STEPS = text(
    f"SELECT id, route, hold_seconds, reason, doubted_at FROM triggers WHERE {_OF_DAG}"  # noqa: S608
    " AND hold_step = :step AND hold_step_at <= :clock LIMIT :limit"
)
_WARN = text(
    f"UPDATE triggers SET hold_step = 1, hold_step_at = :step_at WHERE id = :id AND {_IS_HELD} AND hold_step = 0"  # noqa: S608
)
_GIVE_OVER = text(
    f"UPDATE triggers SET hold_step = 2, due_at = :now WHERE id = :id AND {_IS_HELD} AND hold_step = 1"  # noqa: S608
)
_ENDING = text(
    f"{AIRFLOWS} SELECT name, (SELECT COUNT(*) FROM triggers WHERE {_AWAY} AND hold_step = 1"  # noqa: S608
    " AND airflow = airflows.name) FROM airflows WHERE name IS NOT NULL"
)


class Newer(NamedTuple):
    """A trigger that takes the place of an older one, once it is fired."""

    id: str
    is_fired: bool


class HeldRow(NamedTuple):
    """A trigger that is held for its DAG. `asked_at`: when it was made, or a person last asked for it.

    `newer`: which one is wanted instead. `is_doubted`: a call of it may have started its DAG run.
    """

    id: str
    route: str
    asked_at: datetime
    newer: Newer | None = None
    is_doubted: bool = False


class StepRow(NamedTuple):
    """A trigger that was held for long enough for the next step: a warning, then its end."""

    id: str
    route: str
    hold_seconds: float
    reason: Reason
    is_doubted: bool


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a held trigger: due at an instant; else a newer one was fired, or may be."""

    row: HeldRow
    due_at: datetime | None = None
    is_behind_ceiling: bool = False

    @property
    def is_superseded(self) -> bool:
        """Whether it is cancelled for a newer one."""
        return self.due_at is None and self.row.newer is not None and self.row.newer.is_fired


def named(connection: Connection, *, airflow: str) -> dict[str, bool]:
    """Return the DAGs of an Airflow that something is held for, and whether something waits for a newer one there.

    Steps from name to name, however much that is.
    """
    return {row.dag_id: bool(row.is_behind) for row in connection.execute(_NAMED, {"airflow": airflow})}


def page(
    connection: Connection, *, airflow: str, dag_id: str, awaits: Collection[Awaits], after: int, limit: int
) -> list[HeldRow]:
    """Return what is held for a DAG and waits for one of these changes, oldest first, after a number."""
    values = {"airflow": airflow, "dag_id": dag_id, "after": after, "limit": limit}
    found = [row for word in awaits for row in connection.execute(_PAGE, values | {"awaits": word}).mappings()]
    return [_held(connection, row) for row in sorted(found, key=lambda row: row["id"])[:limit]]


def _held(connection: Connection, row: RowMapping) -> HeldRow:
    id_ = trigger_text(row["id"])
    behind = None if row["series"] is None else newer(connection, id_)
    return HeldRow(id_, row["route"], instant(row["age_from"]), behind, row["doubted_at"] is not None)


def newer(connection: Connection, trigger_id: str) -> Newer | None:
    """Return the newest trigger that stands, if it is newer than this one and its route wants the latest alone."""
    series = connection.execute(_SERIES, {"id": number(trigger_id, "trg")}).mappings().first()
    found = None if series is None else connection.execute(_NEWER, dict(series)).first()
    return None if found is None else Newer(trigger_text(found.id), found.state == TriggerState.FIRED)


def still_due(connection: Connection, ids: Collection[str], *, now: datetime) -> set[str]:
    """Return which of these triggers wait for their turn at firing."""
    values = {"ids": [number(id_, "trg") for id_ in ids], "now": microseconds(now)}
    return {trigger_text(row) for row in connection.execute(_STILL_DUE, values).scalars()}


def free(
    connection: Connection,
    changes: Sequence[Change],
    *,
    airflow: str,
    dag_id: str,
    after: int,
    upto: int | None,
    now: datetime,
) -> list[Change] | None:
    """Change a page of what is held, and note how far that is. None: another process was quicker, nothing is changed.

    `upto`: the number of the page's last trigger; None: nothing is after it.
    """
    claimed = {"airflow": airflow, "dag_id": dag_id, "was": after, "upto": upto}
    return change(connection, changes, now=now) if connection.execute(_CLAIM, claimed).rowcount else None


def change(connection: Connection, changes: Sequence[Change], *, now: datetime) -> list[Change]:
    """Change what is held; returns what was, each once, whoever else does the same."""
    return [item for item in changes if _is_changed(connection, item, now)]


def steps(connection: Connection, *, airflow: str, dag_id: str, clock: float, step: int, limit: int) -> list[StepRow]:
    """Return what is held for a DAG, is at a step, and has reached the next by the clock of the DAG."""
    values = {"airflow": airflow, "dag_id": dag_id, "clock": clock, "step": step, "limit": limit}
    return [
        StepRow(trigger_text(row.id), row.route, row.hold_seconds or 0.0, Reason.of(row.reason), bool(row.doubted_at))
        for row in connection.execute(_STEPS, values)
    ]


def warn(connection: Connection, rows: Sequence[tuple[StepRow, float]]) -> int:
    """Note that triggers were warned of, each with when its hold is over; returns how many."""
    values = [{"id": number(row.id, "trg"), "step_at": step_at} for row, step_at in rows]
    return sum(connection.execute(_WARN, item).rowcount for item in values)


def end(connection: Connection, rows: Sequence[StepRow], *, now: datetime) -> tuple[list[StepRow], int]:
    """End triggers that were held for too long; returns those that failed, and how many are left to firing.

    A call may have started the DAG run of those: firing asks for it first.
    """
    doubted = [{"id": number(row.id, "trg"), "now": microseconds(now)} for row in rows if row.is_doubted]
    given_over = sum(connection.execute(_GIVE_OVER, item).rowcount for item in doubted)
    sure = [row for row in rows if not row.is_doubted]
    return [row for row in sure if _is_ended(connection, row.id, _TOO_LONG, f"last: {row.reason}", now)], given_over


def ending(connection: Connection) -> dict[str, int]:
    """Return how many triggers will fail within a day, by Airflow."""
    return {row[0]: row[1] for row in connection.execute(_ENDING) if row[1]}


_TOO_LONG = (TriggerState.FAILED, Reason.HELD_TOO_LONG)
_SUPERSEDED = (TriggerState.CANCELLED, Reason.SUPERSEDED)


def _is_changed(connection: Connection, item: Change, now: datetime) -> bool:
    id_, instead = item.row.id, item.row.newer
    if item.due_at is not None:
        row = number(id_, "trg")
        values: dict[str, Any] = {
            "id": row,
            "spent": spent_when_freed(connection.execute(_SPENT, {"id": row}).scalar()),
            "state": TriggerState.HELD if item.is_behind_ceiling else TriggerState.PENDING,
            "reason": Reason.HOURLY_CEILING if item.is_behind_ceiling else None,
            "due_at": microseconds(item.due_at),
        }
        return bool(connection.execute(_FREE, values).rowcount)
    if instead is None:
        return False
    if instead.is_fired:
        return _is_ended(connection, id_, _SUPERSEDED, f"{instead.id} is newer", now)
    return bool(connection.execute(_PUT_BEHIND, _with_detail(connection, id_, goes_first(instead.id))).rowcount)


def _is_ended(connection: Connection, id_: str, end: tuple[TriggerState, Reason], detail: str, now: datetime) -> bool:
    values = _with_detail(connection, id_, detail) | {"state": end[0], "reason": end[1], "now": microseconds(now)}
    return bool(connection.execute(_END, values).rowcount)


def _with_detail(connection: Connection, id_: str, detail: str) -> dict[str, Any]:
    ring, row = ring_of(connection), number(id_, "trg")
    sealed_detail = sealed(ring, detail, place("triggers", "detail", row))
    return {"id": row, "detail": sealed_detail, "key": key_for(ring, detail)}
