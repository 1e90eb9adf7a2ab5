"""Statements on orders: place, work on a slice, stop, look, forget.

The rule: a slice is one transaction that holds the order's row, does the items, deletes them from what is still to be
done, and moves the count. So a crash repeats nothing and leaves nothing out, and one replica at a time works on an
order. It needs no lease, since no work is under way outside of a transaction. What cannot be done with an item is an
outcome of this item and never of the order.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import structlog
from sqlalchemy import BigInteger, Connection, RowMapping, text
from sqlalchemy.exc import DBAPIError

from bridge.edges.inbox import completions, replays
from bridge.edges.inbox.engine.ids import number, order_text
from bridge.edges.inbox.engine.statements import Pair, a_list, announce, is_shared
from bridge.edges.inbox.rows import first_from, instant, instant_or_none, microseconds
from bridge.words.errors import BadFilter, InboxUnavailable, Locked, NotThere
from bridge.words.orders import Action, Order, OrderState

SLICE = 20  # items in one transaction: about 10 ms in which webhooks wait
_log = structlog.get_logger("bridge.inbox")
_LOOKED_AT = 500  # ids in one statement
_COLUMNS = "id, action, state, actor, reason, total, done, outcomes, placed_at, ended_at"
_PLACE = text(
    "INSERT INTO orders (id, idempotency_key, asked, action, actor, reason, state, total, placed_at)"
    " VALUES (:id, :key, :asked, :action, :actor, :reason, 'running', :total, :now) ON CONFLICT DO NOTHING"
)
_ADD_PART = text("INSERT INTO order_parts (order_id, position, ids) VALUES (:id, :position, :ids)")
_OF_KEY = text(f"SELECT asked, {_COLUMNS} FROM orders WHERE idempotency_key = :key")  # noqa: S608
_GET = text(f"SELECT {_COLUMNS} FROM orders WHERE id = :id")  # noqa: S608
_NEWEST = text(f"SELECT {_COLUMNS} FROM orders WHERE id < :before ORDER BY id DESC LIMIT :limit")  # noqa: S608
# Not those of a newer release, which this one could not carry out.
_NEXT = text(
    "SELECT id FROM orders WHERE state = 'running' AND action IN ('replay','run_again','cancel')"
    " ORDER BY done, id LIMIT 1"
)
# A replica that finds the row locked lets the other one work.
_TAKE = Pair(
    sqlite=text(f"SELECT {_COLUMNS} FROM orders WHERE id = :id AND state = 'running'"),  # noqa: S608
    postgresql=text(
        f"SELECT {_COLUMNS} FROM orders WHERE id = :id AND state = 'running' FOR UPDATE SKIP LOCKED"  # noqa: S608
    ),
)
_PART = text("SELECT position, ids FROM order_parts WHERE order_id = :id ORDER BY position LIMIT 1")
_DROP_PART = text("DELETE FROM order_parts WHERE order_id = :id AND position = :position")
_DROP_PARTS = text("DELETE FROM order_parts WHERE order_id = :id")
_MOVE = text(
    "UPDATE orders SET done = :done, outcomes = :outcomes, state = :state, ended_at = :ended_at WHERE id = :id"
)
_SAVE, _UNDO, _RELEASE = (
    text(statement) for statement in ("SAVEPOINT item", "ROLLBACK TO SAVEPOINT item", "RELEASE SAVEPOINT item")
)
_STOP = text("UPDATE orders SET state = 'stopped', ended_at = :now WHERE id = :id AND state = 'running'")
_ENDED = text("SELECT id FROM orders WHERE id < :before AND state <> 'running' ORDER BY id LIMIT :limit")
_THERE = {
    prefix: text(f"SELECT id FROM {table} WHERE id IN :ids").bindparams(a_list("ids", BigInteger()))  # noqa: S608
    for prefix, table in (("dlv", "deliveries"), ("trg", "triggers"))
}
_IDS = a_list("ids", BigInteger())
_FORGET = text("DELETE FROM orders WHERE id IN :ids AND state <> 'running'").bindparams(_IDS)
_DELIVERIES_OF = text("SELECT delivery_id FROM triggers WHERE id IN :ids").bindparams(_IDS)
_LOCK_DELIVERIES = text("SELECT id FROM deliveries WHERE id IN :ids ORDER BY id FOR UPDATE").bindparams(_IDS)
NOT_THERE, LOCKED, FAILED = "not_there", "locked", "failed"  # outcomes that any action may have


@dataclass(frozen=True, slots=True)
class NewOrder:
    """Who asks for what and why. `asked` is the whole of it as the person spelled it, to compare two with one key."""

    action: Action
    actor: str
    asked: str
    reason: str | None = None
    key: str | None = None

    @property
    def digest(self) -> bytes:
        """What tells this order from another one under the same key."""
        return hashlib.sha256(f"{self.action}\0{self.asked}".encode("utf-8", "backslashreplace")).digest()


def missing(connection: Connection, ids: Sequence[str]) -> list[str]:
    """Return those of the ids that name no stored delivery or trigger, in their order."""
    there: set[str] = set()
    for prefix, statement in _THERE.items():
        mine = {row: id_ for id_ in ids if (row := _number(id_, prefix)) is not None}
        rows = list(mine)
        for at in range(0, len(rows), _LOOKED_AT):
            chunk = {"ids": rows[at : at + _LOOKED_AT]}
            there |= {mine[row] for row in connection.execute(statement, chunk).scalars()}
    return [id_ for id_ in ids if id_ not in there]


def _number(id_: str, prefix: str) -> int | None:
    try:
        return number(id_, prefix)
    except NotThere:
        return None


def find(connection: Connection, new: NewOrder) -> Order | None:
    """Return the order that was placed under this key; BadFilter if that asked for something else."""
    if new.key is None:
        return None
    row = connection.execute(_OF_KEY, {"key": new.key}).mappings().first()
    if row is None:
        return None
    if bytes(row["asked"]) != new.digest:
        raise BadFilter(f"the key {new.key!r} belongs to {order_text(row['id'])}, which asks for something else")
    return _order(row)


def place(connection: Connection, new: NewOrder, *, id_: str, ids: Sequence[str], now: datetime) -> Order:
    """Store an order, or return the one that has its key already. Raises BadFilter as `find` does."""
    row = number(id_, "ord")
    values = {
        "id": row,
        "key": new.key,
        "asked": new.digest,
        "action": new.action,
        "actor": new.actor,
        "reason": new.reason,
        "total": len(ids),
        "now": microseconds(now),
    }
    if not connection.execute(_PLACE, values).rowcount:
        found = find(connection, new)
        if found is None:
            raise InboxUnavailable(f"the id {id_} is taken")
        return found
    connection.execute(_ADD_PART, list(_parts(row, ids)))
    announce(connection)
    return _existing(connection, id_)


def _parts(row: int, ids: Sequence[str]) -> Iterator[dict[str, Any]]:
    for position in range(0, len(ids), SLICE):
        yield {"id": row, "position": position, "ids": " ".join(ids[position : position + SLICE])}


def next_order(connection: Connection) -> str | None:
    """Return the order that has the least done, so that a small one never waits for the end of a large one."""
    row = connection.execute(_NEXT).scalar()
    return None if row is None else order_text(row)


def work(connection: Connection, order_id: str, *, new_trigger_id: Callable[[], str], now: datetime) -> Order | None:
    """Do one slice of an order; None if it has ended, or if another replica is working on it."""
    found = _take(connection, order_id)
    if found is None:
        return None
    order, position, ids = found
    if is_shared(connection):
        _hold(connection, ids)
    outcomes: Counter[str] = Counter()
    for id_ in ids:
        act = partial(_carry_out, connection, order, id_, new_trigger_id, now)
        outcomes[str(_guarded(connection, order, id_, act))] += 1
    return _move(connection, order, position, outcomes, now)


def _take(connection: Connection, order_id: str) -> tuple[Order, int, list[str]] | None:
    row = number(order_id, "ord")
    found = connection.execute(_TAKE.on(connection), {"id": row}).mappings().first()
    if found is None:
        return None
    position, ids = connection.execute(_PART, {"id": row}).one()
    return _order(found), position, ids.split(" ")


def _hold(connection: Connection, ids: Sequence[str]) -> None:
    """Lock what the items of a slice will lock, all of it before the first: deliveries, then completions.

    Routing takes them in the same order, so neither waits for the other in a circle.
    """
    rows = {row for id_ in ids if (row := _number(id_, "dlv")) is not None}
    triggers = [row for id_ in ids if (row := _number(id_, "trg")) is not None]
    rows |= set(connection.execute(_DELIVERIES_OF, {"ids": triggers}).scalars())
    connection.execute(_LOCK_DELIVERIES, {"ids": sorted(rows)})
    completions.hold_all(connection, rows)


def _guarded(connection: Connection, order: Order, id_: str, act: Callable[[], str]) -> str:
    """Do one item in a savepoint: one that fails as nothing should is logged, counted and left.

    What the database itself raises ends the slice, which is tried again as a whole.
    """
    connection.execute(_SAVE)
    try:
        outcome = act()
    except (DBAPIError, InboxUnavailable):
        raise
    except NotThere:
        outcome = NOT_THERE  # retention has removed it since the order was placed
    except Locked:
        outcome = LOCKED
    except Exception:  # noqa: BLE001 - see above
        _log.exception("order_item_failed", order_id=order.id, id=id_)
        outcome = FAILED
    else:
        connection.execute(_RELEASE)
        return outcome
    connection.execute(_UNDO)
    connection.execute(_RELEASE)
    return outcome


def _carry_out(connection: Connection, order: Order, id_: str, new_trigger_id: Callable[[], str], now: datetime) -> str:
    if order.action == Action.CANCEL:
        return replays.cancel(connection, id_, actor=order.actor, reason=order.reason, now=now)
    new_id = new_trigger_id() if order.action == Action.RUN_AGAIN else None
    return replays.replay(connection, id_, actor=order.actor, reason=order.reason, new_id=new_id, now=now)


def _move(connection: Connection, order: Order, position: int, outcomes: Counter[str], now: datetime) -> Order:
    row, done = number(order.id, "ord"), order.done + outcomes.total()
    connection.execute(_DROP_PART, {"id": row, "position": position})
    is_done = done >= order.count
    values = {
        "id": row,
        "done": done,
        "outcomes": json.dumps(Counter(order.outcomes) + outcomes),
        "state": OrderState.DONE if is_done else OrderState.RUNNING,
        "ended_at": microseconds(now) if is_done else None,
    }
    connection.execute(_MOVE, values)
    return _existing(connection, order.id)


def stop(connection: Connection, order_id: str, *, actor: str, reason: str | None, now: datetime) -> Order:
    """End an order after the slice at hand, and write it to the audit log; what is done stays done. Idempotent.

    Raises NotThere.
    """
    row = number(order_id, "ord")
    if connection.execute(_STOP, {"id": row, "now": microseconds(now)}).rowcount:
        connection.execute(_DROP_PARTS, {"id": row})
        replays.audit(connection, at=now, actor=actor, action="order_stopped", subject=order_id, reason=reason)
    return _existing(connection, order_id)


def get(connection: Connection, order_id: str) -> Order | None:
    """Return one order as it stands."""
    row = connection.execute(_GET, {"id": number(order_id, "ord")}).mappings().first()
    return None if row is None else _order(row)


def newest(connection: Connection, *, limit: int, after: str | None = None) -> list[Order]:
    """Return a page of orders, newest first."""
    before = first_from(None) if after is None else number(after, "ord")
    return [_order(row) for row in connection.execute(_NEWEST, {"before": before, "limit": limit}).mappings()]


def ended(connection: Connection, *, before: datetime, limit: int) -> list[int]:
    """Return up to `limit` orders that have ended and were placed before an instant; to be read beside the writer."""
    values = {"before": first_from(before), "limit": limit}
    return list(connection.execute(_ENDED, values).scalars())


def prune(connection: Connection, ids: Sequence[int]) -> int:
    """Forget orders that have ended, with their keys; returns how many."""
    return connection.execute(_FORGET, {"ids": list(ids)}).rowcount


def _existing(connection: Connection, order_id: str) -> Order:
    found = get(connection, order_id)
    if found is None:
        raise NotThere(f"no order {order_id}")
    return found


def _order(row: RowMapping) -> Order:
    return Order(
        id=order_text(row["id"]),
        action=row["action"],
        state=OrderState(row["state"]),
        actor=row["actor"],
        reason=row["reason"],
        count=row["total"],
        done=row["done"],
        outcomes=json.loads(row["outcomes"]),
        placed_at=instant(row["placed_at"]),
        ended_at=instant_or_none(row["ended_at"]),
    )
