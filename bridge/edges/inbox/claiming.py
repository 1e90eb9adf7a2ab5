"""Statements on triggers that wait: which routes may be claimed, claim, hold.

No statement in the writer reads more rows than it changes, however much waits. So what has to be looked for (which
routes are due, which Airflows have something pending) is asked on a reading connection, by stepping from name to name
in an index; the writer then takes the rows of those names, and looks at their state and due time once more.
"""

import json
from collections.abc import Collection
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection, RowMapping, Text, text

from bridge.edges.inbox.engine.ids import trigger_text
from bridge.edges.inbox.engine.statements import Pair, a_list, locking
from bridge.edges.inbox.rows import TRIGGER_COLUMNS, microseconds, trigger
from bridge.edges.inbox.vault import ring_of
from bridge.rules.sealing import Ring
from bridge.words.model import Claimed, Trigger
from bridge.words.reasons import Reason

# The literal states let the databases use the partial indexes.
_WAITS = "state IN ('pending','held')"  # triggers_waiting: by Airflow and due time
_STATES = ("state = 'pending'", "state = 'held'")  # triggers_pending, triggers_held: by Airflow, route and due time
_CLAIM = (
    "UPDATE triggers SET state = 'firing', attempts = attempts + 1, lease_token = :token, lease_until = :until,"  # noqa: S608
    " awaits = NULL"
    f" WHERE id IN {{chosen}} RETURNING {TRIGGER_COLUMNS}"
)
_CLAIM_ANY = locking(
    _CLAIM,
    chosen=f"SELECT id FROM triggers WHERE airflow = :airflow AND {_WAITS} AND due_at <= :now"  # noqa: S608
    " ORDER BY due_at LIMIT :limit",
)
# `limit` rows of each route and state are read, since the oldest of all are among them.
_OF_ONE_ROUTE = " UNION ALL ".join(
    f"SELECT * FROM (SELECT id, due_at FROM triggers WHERE airflow = :airflow AND {state} AND route = routes.value"  # noqa: S608
    f" AND due_at <= :now ORDER BY due_at LIMIT :limit{{lock}}) AS of_{number}"
    for number, state in enumerate(_STATES)
)
_CLAIM_OF_ROUTES = Pair(
    sqlite=text(
        _CLAIM.format(
            chosen="(SELECT oldest.id FROM json_each(:routes) AS routes JOIN triggers AS oldest ON oldest.id IN"  # noqa: S608
            f" (SELECT id FROM ({_OF_ONE_ROUTE.format(lock='')})) ORDER BY oldest.due_at LIMIT :limit)"
        )
    ),
    postgresql=text(
        "WITH chosen AS MATERIALIZED (SELECT oldest.id FROM json_array_elements_text(CAST(:routes AS json)) AS"  # noqa: S608
        f" routes(value) CROSS JOIN LATERAL ({_OF_ONE_ROUTE.format(lock=' FOR UPDATE SKIP LOCKED')}) AS oldest"
        f" ORDER BY oldest.due_at LIMIT :limit) {_CLAIM.format(chosen='(SELECT id FROM chosen)')}"
    ),
)
_WALKS = ", ".join(
    f"walk_{number} (route) AS (SELECT MIN(route) FROM triggers WHERE airflow = :airflow AND {state}"  # noqa: S608
    f" UNION ALL SELECT (SELECT MIN(route) FROM triggers WHERE airflow = :airflow AND {state}"
    f" AND route > walk_{number}.route) FROM walk_{number} WHERE walk_{number}.route IS NOT NULL)"
    for number, state in enumerate(_STATES)
)
_FIRSTS = " UNION ALL ".join(
    f"SELECT route, (SELECT MIN(due_at) FROM triggers WHERE airflow = :airflow AND {state}"  # noqa: S608
    f" AND triggers.route = walk_{number}.route AND due_at <= :now) AS due_at"
    f" FROM walk_{number} WHERE route NOT IN :full"
    for number, state in enumerate(_STATES)
)
_READY_ROUTES = text(
    f"WITH RECURSIVE {_WALKS} SELECT route FROM ({_FIRSTS}) AS ready WHERE due_at IS NOT NULL"  # noqa: S608
    " GROUP BY route ORDER BY MIN(due_at) LIMIT :limit"
).bindparams(a_list("full", Text()))


def _airflows(condition: str) -> str:
    """Return what begins a statement on rows of one condition: a step from one Airflow's name to the next."""
    return (
        f"WITH RECURSIVE airflows (name) AS (SELECT MIN(airflow) FROM triggers WHERE {condition}"  # noqa: S608
        f" UNION ALL SELECT (SELECT MIN(airflow) FROM triggers WHERE {condition} AND airflow > airflows.name)"
        " FROM airflows WHERE airflows.name IS NOT NULL)"
    )


AIRFLOWS = _airflows(_WAITS)
OPEN_AIRFLOWS = _airflows("state = 'fired' AND run_due_at IS NOT NULL")
_WITH_PENDING = text(
    f"{AIRFLOWS} SELECT name FROM airflows"  # noqa: S608
    " WHERE EXISTS (SELECT 1 FROM triggers WHERE airflow = airflows.name AND state = 'pending')"
)
_SET_ASIDE = text(
    "UPDATE triggers SET state = 'held', reason = 'internal_error', detail = NULL, attempts = attempts - 1,"
    " due_at = :due_at, lease_token = NULL, lease_until = NULL WHERE id = :id"
)
_ASIDE = timedelta(seconds=300)
_log = structlog.get_logger("bridge.inbox")
_HOLD = locking(
    "UPDATE triggers SET state = 'held', reason = :reason, detail = NULL WHERE id IN {chosen}",
    chosen="SELECT id FROM triggers WHERE airflow = :airflow AND state = 'pending' LIMIT :limit",
)


def ready_routes(
    connection: Connection, *, airflow: str, now: datetime, full: Collection[str], limit: int
) -> list[str]:
    """Return up to `limit` routes of one Airflow that have something due and are not `full`, the longest due first.

    Whatever else is due is younger than `limit` rows of theirs. To be read beside the writer: it looks at each route
    that has something waiting, however much that is.
    """
    values = {"airflow": airflow, "now": microseconds(now), "full": list(full), "limit": limit}
    return list(connection.execute(_READY_ROUTES, values).scalars())


def claim(
    connection: Connection,
    *,
    airflow: str,
    now: datetime,
    until: datetime,
    token: str,
    limit: int,
    routes: Collection[str] | None,
) -> list[Claimed]:
    """Lease up to `limit` due triggers of one Airflow, oldest first, and count the attempt.

    `routes` are those of `ready_routes`; None: any. A row that cannot be read is held, and stops no other.
    """
    values = {
        "airflow": airflow,
        "now": microseconds(now),
        "until": microseconds(until),
        "token": token,
        "limit": limit,
    }
    statement = _CLAIM_ANY
    if routes is not None:
        statement, values["routes"] = _CLAIM_OF_ROUTES, json.dumps(list(routes))
    ring = ring_of(connection)
    rows = connection.execute(statement.on(connection), values).mappings().all()
    found = [each for row in rows if (each := _readable(connection, row, ring, now)) is not None]
    return sorted(
        (Claimed(each, token) for each in found), key=lambda item: item.trigger.due_at
    )  # RETURNING has no order


def _readable(connection: Connection, row: RowMapping, ring: Ring, now: datetime) -> Trigger | None:
    try:
        return trigger(row, ring)
    except (ValueError, TypeError, KeyError) as error:
        _log.error("trigger_unreadable", trigger_id=trigger_text(row["id"]), error=type(error).__name__)
        connection.execute(_SET_ASIDE, {"id": row["id"], "due_at": microseconds(now + _ASIDE)})
        return None


def airflows_with_pending(connection: Connection) -> set[str]:
    """Return the Airflows for which something is `pending`, also those that are not configured any more."""
    return set(connection.execute(_WITH_PENDING).scalars())


def hold(connection: Connection, *, airflow: str, reason: Reason, limit: int) -> int:
    """Show up to `limit` triggers that wait for one Airflow as `held`; returns how many were moved."""
    return connection.execute(_HOLD.on(connection), {"airflow": airflow, "reason": reason, "limit": limit}).rowcount
