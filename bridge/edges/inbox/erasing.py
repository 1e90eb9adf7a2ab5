"""Statements that erase: what an event said goes, that it came and what it started stays.

Body, look-up, conf, notes and details are overwritten. Ids, states, the DAG run id and the key that tells copies stay,
so that a copy of the event is still a duplicate; and so does the audit log. An event goes as a whole: every delivery
that can stand for it, its stale copies too.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Connection, text

from bridge.edges.inbox import browsing, deliveries, reconciling
from bridge.edges.inbox.engine.ids import delivery_text, number
from bridge.edges.inbox.engine.intake import dedup_key
from bridge.edges.inbox.engine.statements import a_list, is_shared
from bridge.edges.inbox.replays import audit
from bridge.edges.inbox.rows import microseconds
from bridge.edges.inbox.vault import place, ring_of
from bridge.words.errors import BadFilter, NotThere
from bridge.words.model import Delivery, DeliveryState, TriggerState
from bridge.words.reasons import Reason

_KEY = text("SELECT dedup_key FROM deliveries WHERE id = :id")
_STALE_LAST = "ORDER BY (state = 'stale'), id"
_STILL = text(f"SELECT id FROM deliveries WHERE id IN :ids AND source = :source {_STALE_LAST}").bindparams(  # noqa: S608
    a_list("ids", BigInteger())
)
_STATE = "SELECT state, erased_at FROM deliveries WHERE id = :id"
_TRIGGERS = "SELECT id, state FROM triggers WHERE delivery_id = :id ORDER BY id"
_COUNT_ATTEMPTS = text(
    "SELECT COUNT(*) FROM attempts WHERE trigger_id IN (SELECT id FROM triggers WHERE delivery_id = :id)"
)
_DELIVERY = text(
    "UPDATE deliveries SET body = :body, lookup = NULL, detail = NULL, headers = '{}', sealed_with = :key,"
    " erased_at = :now WHERE id = :id"
)
_IGNORE = text("UPDATE deliveries SET state = 'ignored', reason = 'erased' WHERE id = :id AND state = 'received'")
_TRIGGER = text("UPDATE triggers SET conf = :conf, note = NULL, detail = NULL, sealed_with = :key WHERE id = :id")
_CANCEL = text(
    "UPDATE triggers SET state = 'cancelled', reason = 'by_operator', settled_at = :now"
    " WHERE delivery_id = :id AND state IN ('pending','held')"
)
_ATTEMPTS = text(
    "UPDATE attempts SET detail = NULL, sealed_with = :key"
    " WHERE trigger_id IN (SELECT id FROM triggers WHERE delivery_id = :id)"
)
_JOBS = text(
    "SELECT about_id FROM completions WHERE delivery_id = :id AND kind = 'job'"
    " UNION SELECT id FROM completion_ids WHERE delivery_id = :id"
)
_WAITING = (TriggerState.PENDING, TriggerState.HELD)


@dataclass(frozen=True, slots=True)
class Found:
    """What the store holds of one event: all deliveries of it, the stale ones last."""

    deliveries: tuple[str, ...]
    triggers: int
    attempts: int
    waiting: int  # what is still to happen: the routing, or triggers that are pending or held
    firing: int  # triggers whose call is under way
    is_erased: bool


def find(connection: Connection, *, source: str, event_id: str) -> Found:
    """Return what is stored of an event, under every key that it can stand under. Raises NotThere.

    An event without an id is named by its delivery.
    """
    return _look(connection, rows_of(connection, source=source, event_id=event_id))


def rows_of(connection: Connection, *, source: str, event_id: str) -> list[int]:
    """Return the rows of all deliveries of an event, the stale ones last. Raises NotThere.

    Read beside the writer: on SQLite it looks through the newest deliveries, whose keys have no index yet.
    """
    named = _named(connection, event_id)
    name = event_id if named is None else named.event_id
    if named is None or name is not None:
        rows = _standing(connection, source, name, dedup_key(source, name, b""))
    elif named.source == source:
        rows = _nameless(connection, named)
    else:
        rows = []
    if not rows:
        raise _not_there(source, event_id)
    return rows


def _not_there(source: str, event_id: str) -> NotThere:
    return NotThere(f"no event {event_id[:128]!r} of the source {source!r}")


def _named(connection: Connection, event_id: str) -> Delivery | None:
    """Return the delivery that stands in the place of an event's id, if it is one."""
    try:
        return deliveries.get(connection, event_id)
    except NotThere:
        return None


def _standing(connection: Connection, source: str, name: str | None, key: bytes) -> list[int]:
    condition, values = browsing.standing_under(connection, [key])
    of_event = "event_id = :event_id" if name is not None else "event_id IS NULL"
    statement = f"SELECT id FROM deliveries WHERE source = :source AND {of_event} AND {condition} {_STALE_LAST}"  # noqa: S608
    return list(connection.execute(text(statement), values | {"source": source, "event_id": name}).scalars())


def _nameless(connection: Connection, named: Delivery) -> list[int]:
    """Return the rows of an event without an id: its delivery, stale copies, and other bodies of its signed message.

    A later webhook with the same bytes is another event, although its key begins alike.
    """
    row = number(named.id, "dlv")
    key = bytes(connection.execute(_KEY, {"id": row}).scalar_one())
    beside = [each for each in _standing(connection, named.source, None, key) if each != row]
    others = [each for id_ in beside if (each := deliveries.get(connection, delivery_text(id_))) is not None]
    found = [named, *(each for each in others if each.state is DeliveryState.STALE or _has_another_body(each, named))]
    return [number(each.id, "dlv") for each in sorted(found, key=lambda each: each.state is DeliveryState.STALE)]


def _has_another_body(item: Delivery, other: Delivery) -> bool:
    """Say whether two bodies are known to differ: then one signed message id led to both."""
    return item.body != other.body and not (item.locked or other.locked or item.erased_at or other.erased_at)


def _look(connection: Connection, rows: Sequence[int], lock: str = "") -> Found:
    found = [_look_at(connection, row, lock) for row in sorted(rows)]
    return Found(
        deliveries=tuple(delivery_text(row) for row in rows),
        triggers=sum(each.triggers for each in found),
        attempts=sum(each.attempts for each in found),
        waiting=sum(each.waiting for each in found),
        firing=sum(each.firing for each in found),
        is_erased=all(each.is_erased for each in found),
    )


def _look_at(connection: Connection, row: int, lock: str) -> Found:
    state, erased_at = connection.execute(text(_STATE + lock), {"id": row}).one()
    states = [each for _, each in connection.execute(text(_TRIGGERS + lock), {"id": row})]
    return Found(
        deliveries=(delivery_text(row),),
        triggers=len(states),
        attempts=connection.execute(_COUNT_ATTEMPTS, {"id": row}).scalar_one(),
        waiting=sum(each in _WAITING for each in states) + (state == DeliveryState.RECEIVED),
        firing=states.count(TriggerState.FIRING),
        is_erased=erased_at is not None,
    )


def erase(
    connection: Connection,
    *,
    source: str,
    event_id: str,
    rows: Sequence[int],
    actor: str,
    reason: str,
    is_cancelling: bool,
    now: datetime,
    job_of: Callable[[Delivery], str | None] = lambda _: None,
) -> Found:
    """Erase all deliveries of one event with what they started, and write it to the audit log; returns what there was.

    `rows` are those that `rows_of` has found; what retention has removed since is passed over.

    1. lock its rows, so that nothing is routed, claimed or replayed meanwhile
    2. refuse while something is still to happen, unless that may be cancelled; a call under way is always refused
    3. keep a digest of the jobs that it tells of, so that reconciling does not bring them back; `job_of` reads the one
       that a body names: what was never routed tells of none yet
    4. cancel, overwrite, audit

    Raises BadFilter for a refusal and NotThere. Idempotent.
    """
    rows = list(connection.execute(_STILL, {"ids": list(rows), "source": source}).scalars())
    if not rows:
        raise _not_there(source, event_id)
    found = _look(connection, rows, " FOR UPDATE" if is_shared(connection) else "")
    if found.firing:
        raise BadFilter(f"{found.firing} of its triggers are being fired at this moment; try again in a minute")
    if found.waiting and not is_cancelling:
        raise BadFilter("it still has DAG runs to start; wait until they are fired, or cancel them (--cancel)")
    for row in rows:
        values = {"id": row, "now": microseconds(now)}
        reconciling.forget_jobs(connection, source, _jobs(connection, row, job_of))
        connection.execute(_IGNORE, values)
        connection.execute(_CANCEL, values)
        _overwrite(connection, row, microseconds(now))
        audit(connection, at=now, actor=actor, action=str(Reason.ERASED), subject=delivery_text(row), reason=reason)
    return found


def _jobs(connection: Connection, row: int, job_of: Callable[[Delivery], str | None]) -> Collection[str]:
    jobs = set(connection.execute(_JOBS, {"id": row}).scalars())
    delivery = deliveries.get(connection, delivery_text(row))
    named = None if delivery is None or delivery.locked or delivery.erased_at else job_of(delivery)
    return jobs if named is None else jobs | {named}


def _overwrite(connection: Connection, row: int, now: int) -> None:
    ring = ring_of(connection)
    body = ring.seal(b"", place("deliveries", "body", row))
    connection.execute(_DELIVERY, {"id": row, "now": now, "body": body, "key": ring.current})
    for trigger, _ in connection.execute(text(_TRIGGERS), {"id": row}).all():
        conf = ring.seal_text("{}", place("triggers", "conf", trigger))
        connection.execute(_TRIGGER, {"id": trigger, "conf": conf, "key": ring.current})
    connection.execute(_ATTEMPTS, {"id": row, "key": ring.current})
