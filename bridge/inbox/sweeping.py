"""What has to be looked for now and then: leases that lapsed, targets that are gone, and due times no clock will reach.

A wall clock may be set back, on this machine or on the one whose process wrote a row and died. Then due times and
leases lie an hour or a day ahead, and what waits would wait as long. Nobody asks for a wait longer than 15 minutes,
so whatever lies farther ahead than that is due now. Being early is harmless: the DAG run id is the same.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from bridge.inbox import triggers
from bridge.inbox.rows import microseconds
from bridge.inbox.statements import locking

# Longer than any wait: a Retry-After counts up to 900 s, backing off ends at 300 s.
HORIZON = timedelta(seconds=1000)
_MOST = 500

_STRANDED_TRIGGERS = locking(
    "UPDATE triggers SET due_at = :now WHERE id IN {chosen}",
    chosen="SELECT id FROM triggers WHERE airflow = :airflow AND state IN ('pending','held')"
    " AND due_at > :horizon AND due_at < :never ORDER BY due_at LIMIT :most",
)
_STRANDED_DELIVERIES = locking(
    "UPDATE deliveries SET due_at = :now WHERE id IN {chosen}",
    chosen="SELECT id FROM deliveries WHERE state = 'received' AND due_at > :horizon ORDER BY due_at LIMIT :most",
)
_STRANDED_LEASES = locking(
    "UPDATE triggers SET state = 'pending', lease_token = NULL, lease_until = NULL WHERE id IN {chosen}",
    chosen="SELECT id FROM triggers WHERE state = 'firing' AND lease_until > :horizon",
)


@dataclass(frozen=True, slots=True)
class Swept:
    """How many rows of each sort there were."""

    taken_over: int
    strays: int
    stranded: int


def sweep(connection: Connection, *, now: datetime, lease: timedelta, airflows: Collection[str]) -> Swept:
    """Set free what a dead process was firing, hold what has no Airflow, and make due what a clock set back strands.

    `lease` is how long this process's own leases are.
    """
    return Swept(
        taken_over=triggers.take_over(connection, now=now),
        strays=triggers.hold_strays(connection, airflows=airflows),
        stranded=_free_stranded(connection, now=now, lease=lease, airflows=airflows),
    )


def _free_stranded(connection: Connection, *, now: datetime, lease: timedelta, airflows: Collection[str]) -> int:
    values = {"now": microseconds(now), "horizon": microseconds(now + HORIZON), "most": _MOST}
    leases = {"horizon": microseconds(now + HORIZON + lease)}
    freed = connection.execute(_STRANDED_LEASES.on(connection), leases).rowcount
    freed += connection.execute(_STRANDED_DELIVERIES.on(connection), values).rowcount
    values["never"] = microseconds(triggers.NEVER)
    for airflow in airflows:
        freed += connection.execute(_STRANDED_TRIGGERS.on(connection), values | {"airflow": airflow}).rowcount
    return freed
