"""Statements that move due times and leases to an earlier instant, after the wall clock was set back.

They wait for rows that another replica is working on: a row that was passed over would wait for an hour.

Rule: a due time is wrong only if it lies further ahead than its reason may set one (`backoff.longest_wait`). What waits
for a person is due at NEVER and stays so. A queue behind an hourly ceiling is as long as it is; only its first trigger
shows a wrong clock, since that one waits for at most an hour.
"""

import math
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import Connection, Text, text

from bridge.edges.inbox.engine.statements import a_list
from bridge.edges.inbox.rows import microseconds
from bridge.edges.inbox.triggers import NEVER
from bridge.rules.ceiling import HOUR_SECONDS
from bridge.rules.following import LONGEST_PAUSE_SECONDS
from bridge.rules.retrying.backoff import longest_wait
from bridge.words.reasons import Reason

# What waits for a person (due at NEVER) goes on waiting. The literal states let the databases use the partial indexes.
_MOVES = (
    text("UPDATE deliveries SET due_at = due_at - :by WHERE state = 'received' AND due_at > :now"),
    text(
        "UPDATE triggers SET due_at = due_at - :by"
        " WHERE state IN ('pending','held') AND due_at > :now AND due_at < :never"
    ).bindparams(never=microseconds(NEVER)),
    text("UPDATE triggers SET lease_until = lease_until - :by WHERE state = 'firing' AND lease_until > :now"),
    text(
        "UPDATE triggers SET run_due_at = run_due_at - :by"
        " WHERE state = 'fired' AND run_due_at IS NOT NULL AND run_due_at > :now"
    ),
)
# `reason` as text: NULL is no member of any list, nor of its opposite.
_PULLED_IN = tuple(
    text(statement).bindparams(a_list("reasons", Text()))
    for statement in (
        "UPDATE deliveries SET due_at = :now WHERE state = 'received' AND due_at > :latest"
        " AND COALESCE(reason, '') IN :reasons",
        "UPDATE triggers SET due_at = :now WHERE state IN ('pending','held') AND due_at > :latest AND due_at < :never"
        " AND COALESCE(reason, '') IN :reasons",
    )
)
_LOOKS = text(
    "UPDATE triggers SET run_due_at = :now WHERE state = 'fired' AND run_due_at IS NOT NULL AND run_due_at > :latest"
)
_ENDED = text("UPDATE triggers SET lease_until = :now WHERE state = 'firing' AND lease_until > :latest")
_LATE_QUEUES = text(
    "SELECT route, MIN(due_at) AS first_at FROM triggers WHERE state IN ('pending','held') AND state = 'held'"
    " AND reason = 'hourly_ceiling' GROUP BY route HAVING MIN(due_at) > :latest"
)
_MOVE_QUEUE = text(
    "UPDATE triggers SET due_at = due_at - :by WHERE state IN ('pending','held') AND state = 'held'"
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


def pull_in(connection: Connection, *, now: datetime, slack: timedelta, longest_lease: timedelta) -> int:
    """Make due what would wait longer than its reason allows, and end leases that no process can hold.

    Returns how many. `slack` is by how much the clocks of replicas may differ.
    """
    values = {"now": microseconds(now), "never": microseconds(NEVER)}
    moved = connection.execute(_ENDED, values | {"latest": microseconds(now + longest_lease)}).rowcount
    look = microseconds(now + slack + timedelta(seconds=LONGEST_PAUSE_SECONDS))
    moved += connection.execute(_LOOKS, {"now": microseconds(now), "latest": look}).rowcount
    for longest, reasons in _BY_LONGEST.items():
        if longest < math.inf:
            latest = microseconds(now + slack + timedelta(seconds=longest))
            parameters = values | {"latest": latest, "reasons": reasons}
            moved += sum(connection.execute(statement, parameters).rowcount for statement in _PULLED_IN)
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
