"""Statements on the deliveries that wait for a mapping (reason `mapping_broken`).

Which they are is read beside the writer, and nothing else that waits, however much a paused source has sent. The writer
then changes just those rows.
"""

from collections.abc import Sequence

from sqlalchemy import BigInteger, Connection, text

from bridge.edges.inbox.engine.statements import a_list, locking

# By the partial index `deliveries_unmapped`; asking for the state or `due_at` too would let SQLite read all that waits.
_WAITING = text("SELECT id FROM deliveries WHERE reason = 'mapping_broken' ORDER BY id LIMIT :limit")
_LET_GO = locking(
    "UPDATE deliveries SET due_at = received_at, reason = NULL, detail = NULL WHERE id IN {chosen}",
    a_list("ids", BigInteger()),
    chosen="SELECT id FROM deliveries WHERE id IN :ids AND state = 'received'"
    " AND COALESCE(reason, '') = 'mapping_broken'",
)


def waiting(connection: Connection, *, limit: int) -> list[int]:
    """Return rows that wait for a mapping, those that came first."""
    return list(connection.execute(_WAITING, {"limit": limit}).scalars())


def let_go(connection: Connection, rows: Sequence[int]) -> int:
    """Let routing have these, if they still wait for a mapping; returns how many did."""
    return connection.execute(_LET_GO.on(connection), {"ids": list(rows)}).rowcount
