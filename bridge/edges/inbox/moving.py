"""Statements that move due times and leases to an earlier instant, after the wall clock was set back.

They wait for rows that another replica is working on: a row that was passed over would wait for an hour.
"""

from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from bridge.edges.inbox.rows import microseconds
from bridge.edges.inbox.triggers import NEVER

# What waits for a person (due at NEVER) goes on waiting. The literal states let the databases use the partial indexes.
_MOVES = (
    text("UPDATE deliveries SET due_at = due_at - :by WHERE state = 'received' AND due_at > :now"),
    text(
        "UPDATE triggers SET due_at = due_at - :by"
        " WHERE state IN ('pending','held') AND due_at > :now AND due_at < :never"
    ).bindparams(never=microseconds(NEVER)),
    text("UPDATE triggers SET lease_until = lease_until - :by WHERE state = 'firing' AND lease_until > :now"),
)
_PULLED_IN = (
    text("UPDATE deliveries SET due_at = :now WHERE state = 'received' AND due_at > :latest"),
    text(
        "UPDATE triggers SET due_at = :now WHERE state IN ('pending','held') AND due_at > :latest AND due_at < :never"
    ).bindparams(never=microseconds(NEVER)),
    text("UPDATE triggers SET lease_until = :now WHERE state = 'firing' AND lease_until > :latest"),
)


def move_up(connection: Connection, *, now: datetime, by: timedelta) -> int:
    """Move everything that is due, or whose lease ends, after `now`; returns how much was moved.

    Of two replicas that notice the same change, the second finds nothing after `now` any more.
    """
    values = {"now": microseconds(now), "by": int(by.total_seconds() * 1_000_000)}
    return sum(connection.execute(statement, values).rowcount for statement in _MOVES)


def pull_in(connection: Connection, *, now: datetime, latest: datetime) -> int:
    """Make due what would wait longer than anything may, and end leases that no process can hold; returns how many."""
    values = {"now": microseconds(now), "latest": microseconds(latest)}
    return sum(connection.execute(statement, values).rowcount for statement in _PULLED_IN)
