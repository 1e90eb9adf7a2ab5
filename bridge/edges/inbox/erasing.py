"""Statements that erase: what an event said goes, that it came and what it started stays.

Body, look-up, conf, notes and details are overwritten. Ids, states, the DAG run id and the key that tells copies stay,
so that a copy of the event is still a duplicate; and so does the audit log.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from bridge.edges.inbox import browsing, deliveries
from bridge.edges.inbox.engine.ids import delivery_text, number
from bridge.edges.inbox.engine.statements import is_shared
from bridge.edges.inbox.replays import audit
from bridge.edges.inbox.rows import microseconds
from bridge.edges.inbox.vault import place, ring_of
from bridge.words.errors import BadFilter, NotThere
from bridge.words.model import DeliveryState, TriggerState
from bridge.words.reasons import Reason

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
_WAITING = (TriggerState.PENDING, TriggerState.HELD)


@dataclass(frozen=True, slots=True)
class Found:
    """What the store holds of one event."""

    delivery_id: str
    triggers: int
    attempts: int
    waiting: int  # what is still to happen: the routing, or triggers that are pending or held
    firing: int  # triggers whose call is under way
    is_erased: bool


def find(connection: Connection, *, source: str, event_id: str) -> Found:
    """Return what is stored of an event; one without an id is named by its delivery. Raises NotThere."""
    if event_id.startswith("dlv_"):
        delivery = deliveries.get(connection, event_id)
    else:
        wanted = browsing.Filter(event_id=event_id, source=source, among=(source,))
        delivery = next(iter(browsing.deliveries(connection, wanted=wanted, limit=1)), None)
    found = None
    if delivery is not None and delivery.source == source:
        found = _look(connection, number(delivery.id, "dlv"))
    if found is None:
        raise NotThere(f"no event {event_id[:128]!r} of the source {source!r}")
    return found


def _look(connection: Connection, row: int, lock: str = "") -> Found | None:
    delivery = connection.execute(text(_STATE + lock), {"id": row}).first()
    if delivery is None:
        return None
    states = [state for _, state in connection.execute(text(_TRIGGERS + lock), {"id": row})]
    return Found(
        delivery_id=delivery_text(row),
        triggers=len(states),
        attempts=connection.execute(_COUNT_ATTEMPTS, {"id": row}).scalar_one(),
        waiting=sum(state in _WAITING for state in states) + (delivery[0] == DeliveryState.RECEIVED),
        firing=states.count(TriggerState.FIRING),
        is_erased=delivery[1] is not None,
    )


def erase(
    connection: Connection, delivery_id: str, *, actor: str, reason: str, is_cancelling: bool, now: datetime
) -> Found:
    """Erase one delivery with what it started, and write it to the audit log; returns what there was.

    1. lock its rows, so that nothing is routed, claimed or replayed meanwhile
    2. refuse while something is still to happen, unless that may be cancelled; a call under way is always refused
    3. cancel, overwrite, audit

    Raises BadFilter for a refusal and NotThere. Idempotent.
    """
    row = number(delivery_id, "dlv")
    found = _look(connection, row, " FOR UPDATE" if is_shared(connection) else "")
    if found is None:
        raise NotThere(f"no delivery {delivery_id}")
    if found.firing:
        raise BadFilter(f"{found.firing} of its triggers are being fired at this moment; try again in a minute")
    if found.waiting and not is_cancelling:
        raise BadFilter("it still has DAG runs to start; wait until they are fired, or cancel them (--cancel)")
    values = {"id": row, "now": microseconds(now)}
    connection.execute(_IGNORE, values)
    connection.execute(_CANCEL, values)
    _overwrite(connection, row, microseconds(now))
    audit(connection, at=now, actor=actor, action=str(Reason.ERASED), subject=delivery_id, reason=reason)
    return found


def _overwrite(connection: Connection, row: int, now: int) -> None:
    ring = ring_of(connection)
    body = ring.seal(b"", place("deliveries", "body", row))
    connection.execute(_DELIVERY, {"id": row, "now": now, "body": body, "key": ring.current})
    for trigger, _ in connection.execute(text(_TRIGGERS), {"id": row}).all():
        conf = ring.seal_text("{}", place("triggers", "conf", trigger))
        connection.execute(_TRIGGER, {"id": trigger, "conf": conf, "key": ring.current})
    connection.execute(_ATTEMPTS, {"id": row, "key": ring.current})
