"""Statements that move due times and leases to an earlier instant, after the wall clock was set back.

They read what they move and nothing else, since most of what waits may be due already.

They wait for rows that another replica is working on: a row that was passed over would wait for an hour.

Rule: a due time is wrong only if it lies further ahead than its reason may set one (`backoff.longest_wait`). What waits
for a person is due at NEVER and stays so. A queue behind an hourly ceiling is as long as it is; only its first trigger
shows a wrong clock, since that one waits for at most an hour.
"""

import math
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Connection, Text, text

from bridge.edges.inbox.claiming import AIRFLOWS, OPEN_AIRFLOWS
from bridge.edges.inbox.engine.statements import a_list
from bridge.edges.inbox.rows import microseconds
from bridge.edges.inbox.triggers import NEVER
from bridge.rules.ceiling import HOUR_SECONDS
from bridge.rules.following import LONGEST_PAUSE_SECONDS
from bridge.rules.retrying.backoff import longest_wait
from bridge.words.reasons import Reason

# The index that has due times begins with the Airflow. What is written is said again outside: PostgreSQL looks at a row
# once more after it has waited for it, and another replica may have moved it.
_TRIGGERS_DUE_AFTER = (
    f"id IN ({AIRFLOWS} SELECT triggers.id FROM airflows JOIN triggers ON triggers.airflow = airflows.name"  # noqa: S608
    " AND triggers.state IN ('pending','held') AND triggers.due_at > {after} AND triggers.due_at < :never)"
    " AND state IN ('pending','held') AND due_at > {after} AND due_at < :never"
)
_IS_LATE_LOOK = "state = 'fired' AND run_due_at IS NOT NULL AND run_due_at > {after}"
_LOOKS_AFTER = (
    f"id IN ({OPEN_AIRFLOWS} SELECT id FROM airflows JOIN triggers ON airflow = airflows.name AND {_IS_LATE_LOOK})"  # noqa: S608
    f" AND {_IS_LATE_LOOK}"
)
# What waits for a person (due at NEVER) goes on waiting. The literal states let the databases use the partial indexes.
_MOVES = (
    text(
        "UPDATE deliveries SET due_at = due_at - :by WHERE state = 'received' AND due_at > :now AND due_at < :never"
    ).bindparams(never=microseconds(NEVER)),
    text(
        f"UPDATE triggers SET due_at = due_at - :by WHERE {_TRIGGERS_DUE_AFTER.format(after=':now')}"  # noqa: S608
    ).bindparams(never=microseconds(NEVER)),
    text("UPDATE triggers SET lease_until = lease_until - :by WHERE state = 'firing' AND lease_until > :now"),
    text(f"UPDATE triggers SET run_due_at = run_due_at - :by WHERE {_LOOKS_AFTER.format(after=':now')}"),  # noqa: S608
)
# `reason` as text: NULL is no member of any list, nor of its opposite.
_IS_FAR = "due_at > :latest AND COALESCE(reason, '') IN :reasons"
_FAR_AHEAD = tuple(
    text(statement).bindparams(a_list("reasons", Text()))
    for statement in (
        f"SELECT id FROM deliveries WHERE state = 'received' AND due_at < :never AND {_IS_FAR} LIMIT :limit",  # noqa: S608
        f"{AIRFLOWS} SELECT id FROM airflows JOIN triggers ON airflow = airflows.name AND state IN ('pending','held')"  # noqa: S608
        f" AND due_at < :never AND {_IS_FAR} LIMIT :limit",
    )
)
_LOOKS = text(f"UPDATE triggers SET run_due_at = :now WHERE {_LOOKS_AFTER.format(after=':latest')}")  # noqa: S608
_PULLED_IN = tuple(
    text(f"UPDATE {table} SET due_at = :now WHERE id IN :ids AND {waits} AND {_IS_FAR}").bindparams(  # noqa: S608
        a_list("ids", BigInteger()), a_list("reasons", Text())
    )
    for table, waits in (("deliveries", "state = 'received'"), ("triggers", "state IN ('pending','held')"))
)
_AT_ONCE = 500
FarAhead = dict[float, list[list[int]]]
_ENDED = text("UPDATE triggers SET lease_until = :now WHERE state = 'firing' AND lease_until > :latest")
_LATE_QUEUES = text(
    "SELECT route, MIN(due_at) AS first_at FROM triggers WHERE state IN ('pending','held') AND state = 'held'"
    " AND reason = 'hourly_ceiling' GROUP BY route HAVING MIN(due_at) > :latest"
)
_MOVE_QUEUE = text(
    f"UPDATE triggers SET due_at = due_at - :by WHERE id IN ({AIRFLOWS} SELECT id FROM airflows JOIN triggers"  # noqa: S608
    " ON airflow = airflows.name AND state = 'held' AND route = :route) AND state = 'held'"
    " AND reason = 'hourly_ceiling' AND route = :route"
)
# By the longest wait that they may have: the reasons; the empty one is of what has none.
_BY_LONGEST: dict[float, list[str]] = {}
for _reason in (None, *Reason):
    _BY_LONGEST.setdefault(longest_wait(_reason), []).append(str(_reason or ""))


def move_up(connection: Connection, *, now: datetime, by: timedelta) -> int:
    """Move everything that is due, or whose lease ends, after `now`; returns how much was moved.

    Of two replicas that notice the same change, the second finds nothing after `now` any more.
    """
    values = {"now": microseconds(now), "by": int(by.total_seconds() * 1_000_000)}
    return sum(connection.execute(statement, values).rowcount for statement in _MOVES)


def far_ahead(connection: Connection, *, now: datetime, slack: timedelta) -> FarAhead:
    """Return some of what would wait longer than its reason allows: ids of deliveries and triggers by longest wait.

    To be read beside the writer, since a queue (behind a ceiling, or for a look-up) has to be looked through. `slack`
    is by how much the clocks of replicas may differ.
    """
    found: FarAhead = {}
    for longest, reasons in _BY_LONGEST.items():
        if longest < math.inf:
            latest = microseconds(now + slack + timedelta(seconds=longest))
            values = {"latest": latest, "reasons": reasons, "never": microseconds(NEVER), "limit": _AT_ONCE}
            rows = [[row[0] for row in connection.execute(statement, values)] for statement in _FAR_AHEAD]
            if any(rows):
                found[longest] = rows
    return found


def end_leases(connection: Connection, *, now: datetime, latest: datetime) -> int:
    """End leases that reach beyond `latest`: no process can hold them; returns how many."""
    return connection.execute(_ENDED, {"now": microseconds(now), "latest": microseconds(latest)}).rowcount


def pull_in_looks(connection: Connection, *, now: datetime, slack: timedelta) -> int:
    """Look now at DAG runs whose next look is further ahead than any may be; returns how many."""
    latest = microseconds(now + slack + timedelta(seconds=LONGEST_PAUSE_SECONDS))
    return connection.execute(_LOOKS, {"now": microseconds(now), "latest": latest}).rowcount


def pull_in(connection: Connection, *, now: datetime, slack: timedelta, found: FarAhead) -> int:
    """Make due what was found and is still too far ahead; returns how much."""
    values, moved = {"now": microseconds(now)}, 0
    for longest, rows in found.items():
        latest = microseconds(now + slack + timedelta(seconds=longest))
        for statement, ids in zip(_PULLED_IN, rows, strict=True):
            parameters = values | {"latest": latest, "reasons": _BY_LONGEST[longest], "ids": ids}
            moved += connection.execute(statement, parameters).rowcount
    return moved


def late_queues(connection: Connection, *, now: datetime, slack: timedelta) -> dict[str, timedelta]:
    """Return the routes whose queue behind an hourly ceiling begins later than it may, and by how much."""
    latest = microseconds(now + slack + timedelta(seconds=HOUR_SECONDS))
    rows = connection.execute(_LATE_QUEUES, {"latest": latest})
    return {row.route: timedelta(microseconds=row.first_at - latest) for row in rows}


def move_queues(connection: Connection, queues: Collection[tuple[str, timedelta]]) -> int:
    """Move whole queues to an earlier time, each trigger by as much, so that the ceiling still holds."""
    parameters = [{"route": route, "by": by // timedelta(microseconds=1)} for route, by in queues]
    return sum(connection.execute(_MOVE_QUEUE, item).rowcount for item in parameters)
