"""Where the two databases differ inside a statement: locks of single rows, and waking the other replicas.

SQLite has one writer at a time and one process, so it needs neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, TextClause, bindparam, text

CHANNEL = "planasonix_bridge"
_SKIP_LOCKED = " FOR UPDATE SKIP LOCKED"
_ANNOUNCE = text("SELECT pg_notify(:channel, '')")


@dataclass(frozen=True, slots=True)
class Pair:
    """One statement as each database wants it."""

    sqlite: TextClause
    postgresql: TextClause

    def on(self, connection: Connection) -> TextClause:
        """Return the one for this connection's database."""
        return self.postgresql if is_shared(connection) else self.sqlite


def locking(update: str, *lists: Any, chosen: str) -> Pair:
    """Return an update of the rows that `chosen` selects; `{chosen}` stands for them.

    On PostgreSQL rows that another replica is working on are passed over. The choice stands in a CTE there, since a
    subquery may be run more than once and lock more rows each time; and not on SQLite, whose driver counts no rows
    of an update that begins with WITH.
    """
    first = f"WITH chosen AS MATERIALIZED ({chosen}{_SKIP_LOCKED}) "
    alone, shared = update.format(chosen=f"({chosen})"), update.format(chosen="(SELECT id FROM chosen)")
    return Pair(text(alone).bindparams(*lists), text(first + shared).bindparams(*lists))


def a_list(name: str, kind: Any) -> Any:
    """Return a parameter that holds several values; an empty one needs to know their type."""
    return bindparam(name, expanding=True, type_=kind)


def is_shared(connection: Connection) -> bool:
    """Whether other replicas may work on this store at the same time."""
    return connection.dialect.name == "postgresql"


def announce(connection: Connection) -> None:
    """Wake every replica once this transaction has committed."""
    if is_shared(connection):
        connection.execute(_ANNOUNCE, {"channel": CHANNEL})


def unlocked(connection: Connection, statement: TextClause, ids: Sequence[int]) -> set[int]:
    """Lock those of the rows that nobody else is working on, and return them; on SQLite that is all."""
    if not is_shared(connection):
        return set(ids)
    return {row[0] for row in connection.execute(statement, {"ids": list(ids)})}
