"""Leases of duties: what any replica may do, and one at a time does.

Whoever takes a duty gets a lease under its own token and renews it by taking it again. A lease that ends later than any
process may ask for was written by a clock that ran ahead: it counts as over.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from bridge.edges.inbox.rows import microseconds

_TAKE = text(
    "INSERT INTO duties (name, token, lease_until) VALUES (:name, :token, :until)"
    " ON CONFLICT (name) DO UPDATE SET token = excluded.token, lease_until = excluded.lease_until"
    " WHERE duties.token = excluded.token OR duties.token IS NULL OR duties.lease_until <= :now"
    " OR duties.lease_until > :latest"
)
LOOKUP = "lookup:"  # what begins so is claimed for one question, and its row ends with it
_END = text("DELETE FROM duties WHERE name = :name AND token = :token")
# Of a name that begins so. A range of names would depend on how the database sorts: most PostgreSQL servers sort as a
# dictionary does, where a colon counts for nothing.
BEGINS = "SUBSTR(name, 1, LENGTH(:prefix)) = :prefix"
_LAPSED = text(f"SELECT name FROM duties WHERE {BEGINS} AND lease_until < :before LIMIT :limit")  # noqa: S608
_FORGET = text("DELETE FROM duties WHERE name = :name AND lease_until < :before")
_GIVE_BACK = text("UPDATE duties SET token = NULL WHERE token = :token")
_FREE_ALL = text("UPDATE duties SET token = NULL WHERE token IS NOT NULL")


def take(connection: Connection, name: str, *, token: str, now: datetime, seconds: float) -> bool:
    """Take a duty for so long, or keep it; False: another process has it. `seconds` is the same for every process."""
    lease = timedelta(seconds=seconds)
    values = {
        "name": name,
        "token": token,
        "now": microseconds(now),
        "until": microseconds(now + lease),
        "latest": microseconds(now + 2 * lease),  # the clocks of replicas differ a little
    }
    return bool(connection.execute(_TAKE, values).rowcount)


def give_back(connection: Connection, *, token: str) -> None:
    """Let go of every duty that was taken under a token."""
    connection.execute(_GIVE_BACK, {"token": token})


def end(connection: Connection, name: str, *, token: str) -> None:
    """Let go of a duty that does not come back."""
    connection.execute(_END, {"name": name, "token": token})


def lapsed(connection: Connection, prefix: str, *, before: datetime, limit: int) -> list[str]:
    """Return duties that begin so and whose process died before an instant. Read beside the writer."""
    values = {"prefix": prefix, "before": microseconds(before), "limit": limit}
    return list(connection.execute(_LAPSED, values).scalars())


def forget(connection: Connection, names: Sequence[str], *, before: datetime) -> None:
    """Remove duties that lapsed before an instant, and were not taken since."""
    for name in names:
        connection.execute(_FORGET, {"name": name, "before": microseconds(before)})


def free_all(connection: Connection) -> int:
    """Set every duty free: right only where no other process can hold one. Returns how many."""
    return connection.execute(_FREE_ALL).rowcount
