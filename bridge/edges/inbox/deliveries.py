"""Statements on deliveries: what waits for routing, and what routing decided."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, Text, text

from bridge.edges.inbox import completions, pauses, waits
from bridge.edges.inbox.adding import NewTrigger, add_all
from bridge.edges.inbox.completions import Known
from bridge.edges.inbox.engine.ids import NODES, number
from bridge.edges.inbox.engine.intake import dedup_key, stale_key
from bridge.edges.inbox.engine.statements import Pair, a_list, announce, unlocked
from bridge.edges.inbox.rows import DELIVERY_COLUMNS, delivery, microseconds
from bridge.edges.inbox.triggers import NEVER
from bridge.edges.inbox.vault import ADD_KEY, key_for, place, ring_of, sealed
from bridge.rules.completion import Completion
from bridge.rules.copies import END_UNKNOWN
from bridge.rules.sealing import Ring
from bridge.words.model import Delivery, DeliveryState
from bridge.words.reasons import Reason

# The literal state lets the databases use the partial index `deliveries_waiting`.
_DUE = text(
    f"SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE state = 'received' AND due_at <= :now"  # noqa: S608
    f" AND (id & {NODES - 1} = :node OR due_at <= :others) ORDER BY due_at LIMIT :limit"
)
_OTHERS = timedelta(seconds=2)
_GET = text(f"SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE id = :id")  # noqa: S608
_LOCK = text("SELECT id FROM deliveries WHERE id IN :ids AND state = 'received' FOR UPDATE SKIP LOCKED").bindparams(
    a_list("ids", BigInteger())
)
# `due_at` of what is routed is when that was: `grouping.odd` goes by it.
_ROUTE = text(
    "UPDATE deliveries SET state = :state, reason = :reason, detail = :detail, lookup = COALESCE(:lookup, lookup),"  # noqa: S608
    f" due_at = :now, caused_by = :caused_by, {ADD_KEY}"
    " WHERE id = :id AND state = 'received'"
)
_IGNORE = text(
    f"UPDATE deliveries SET state = :state, reason = :reason, detail = :detail, {ADD_KEY} WHERE id = :id"  # noqa: S608
)
_POSTPONE = text(
    "UPDATE deliveries SET due_at = :due_at, reason = :reason, detail = :detail, lookups = lookups + :asked,"  # noqa: S608
    f" not_found = not_found + :not_found, {ADD_KEY}"
    " WHERE id = :id AND state = 'received'"
)
_RENEW = text("UPDATE deliveries SET due_at = :due_at WHERE id = :id AND state = 'received' AND reason IS NULL")
# By the partial index `deliveries_queued_of`; asking for the state too would let PostgreSQL read past all that waits.
_QUEUED = text(
    "SELECT id FROM deliveries WHERE reason = 'lookup_queued' AND source = :source ORDER BY due_at LIMIT :limit"
)
_QUEUED_ELSEWHERE = text(
    "SELECT id FROM deliveries WHERE reason = 'lookup_queued' AND source NOT IN :sources LIMIT :limit"
).bindparams(a_list("sources", Text()))
# COALESCE: else SQLite reads all that is queued instead of these ids.
_QUEUED_OF = (
    f"SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE id IN :ids AND state = 'received'"  # noqa: S608
    " AND COALESCE(reason, '') = 'lookup_queued'"
)
_DRAW = Pair(
    sqlite=text(_QUEUED_OF).bindparams(a_list("ids", BigInteger())),
    postgresql=text(f"{_QUEUED_OF} FOR UPDATE SKIP LOCKED").bindparams(a_list("ids", BigInteger())),
)
# A look-up under way has no reason yet; one that failed waits for its time with the reason `lookup_failed`. What is due
# already is looked up again anyway.
_LOOKED_UP = text(
    "SELECT id FROM deliveries WHERE state = 'received' AND due_at > :now AND due_at < :never AND lookups > 0"
    " AND reason IS NULL"
).bindparams(never=microseconds(NEVER))
_TAKE_OVER_LOOKUPS = text(
    "UPDATE deliveries SET due_at = received_at WHERE id IN :ids AND state = 'received' AND lookups > 0"
    " AND reason IS NULL"
).bindparams(a_list("ids", BigInteger()))
# Triggers that have no call, since the route's own templates failed: they are made anew.
_FORGET_UNPLANNED = text("DELETE FROM triggers WHERE delivery_id = :id AND dag_run_id IS NULL")
_REOPEN = text(
    "UPDATE deliveries SET state = 'received', reason = NULL, detail = NULL, lookup = NULL, lookups = 0,"
    " not_found = 0, due_at = :now WHERE id = :id AND state <> 'received'"
)
# For the same webhook sent again: nobody but routing decides about any other state (bridge.rules.copies).
_ROUTE_AGAIN = text(
    "UPDATE deliveries SET state = 'received', reason = NULL, detail = NULL, lookup = NULL, lookups = 0,"
    " not_found = 0, due_at = :now"
    " WHERE id = :id AND (state IN ('unrouted','invalid') OR (state = 'ignored' AND reason IN :open))"
).bindparams(a_list("open", Text()))
_KEY = text("SELECT dedup_key FROM deliveries WHERE id = :id")

_ROWS_AT_ONCE = 10
_MOST_BODIES = 8_388_608  # bytes of bodies in memory at once


@dataclass(frozen=True, slots=True)
class Routing:
    """What routing decided about one delivery, with the triggers that follow from it."""

    delivery_id: str
    state: DeliveryState
    reason: Reason | None
    detail: str | None
    lookup: Mapping[str, Any] | None
    triggers: Sequence[NewTrigger]
    completion: Completion | None = None
    caused_by: str | None = None  # the trigger of which the run led to it
    also_names: Collection[str] = ()  # ids that the event names beside the one of its completion


@dataclass(frozen=True, slots=True)
class Postponed:
    """A delivery that cannot be routed now, and when to look again."""

    delivery_id: str
    due_at: datetime
    reason: Reason | None
    detail: str | None
    is_lookup: bool
    is_given_back: bool = False  # it was counted as a look-up, and none was made
    is_not_found: bool = False  # the Planasonix API does not know the job


def due(connection: Connection, *, now: datetime, limit: int, node: int | None = None) -> list[Delivery]:
    """Return what waits for routing, oldest first; fewer than `limit` when the bodies are large.

    `node` is the mark of this process in the ids that it makes. What another replica has taken in is left to it for a
    moment: then both would plan it, although only one can store the plan. None: there is no other.
    """
    moment = microseconds(now)
    values = {"now": moment, "node": node, "others": moment if node is None else microseconds(now - _OTHERS)}
    options = {"yield_per": _ROWS_AT_ONCE}
    ring = ring_of(connection)
    waiting: list[Delivery] = []
    size = 0
    with connection.execute(_DUE, {**values, "limit": limit}, execution_options=options) as rows:
        for row in rows.mappings():
            waiting.append(delivery(row, ring))
            size += len(waiting[-1].body)
            if size > _MOST_BODIES:
                break
    return waiting


def get(connection: Connection, delivery_id: str) -> Delivery | None:
    """Return one delivery."""
    row = connection.execute(_GET, {"id": number(delivery_id, "dlv")}).mappings().first()
    return None if row is None else pauses.explained_deliveries(connection, [delivery(row, ring_of(connection))])[0]


def settle_routing(
    connection: Connection, routings: Sequence[Routing], *, now: datetime, on_each: Callable[[], None] = lambda: None
) -> dict[str, Routing]:
    """Store what routing decided: the state and its triggers together.

    1. store the states, guarded by the state: a delivery routed by someone else meanwhile is left alone (idempotent)
    2. take hold of the completions (`completions.tell`)
    3. add the triggers whose runs nobody owns yet, in the order of the completions, as they were taken hold of

    Returns the deliveries that were routed here, as they are stored, each with the triggers that are new. `on_each` is
    called before each delivery: a slow store may take its time for each of their statements.
    """
    routed: dict[str, Routing] = {}
    ring = ring_of(connection)
    free = unlocked(connection, _LOCK, [number(routing.delivery_id, "dlv") for routing in routings])
    for routing in routings:
        on_each()
        if (
            number(routing.delivery_id, "dlv") in free
            and connection.execute(_ROUTE, _parameters(routing, ring) | {"now": microseconds(now)}).rowcount
        ):
            routed[routing.delivery_id] = routing
    known = completions.tell(connection, {id_: routing.completion for id_, routing in routed.items()})
    for routing in sorted(routed.values(), key=_order):
        on_each()
        routed[routing.delivery_id] = _settle_one(connection, routing, known, now)
    if any(routing.triggers for routing in routed.values()):
        announce(connection)
    return routed


def _order(routing: Routing) -> tuple[str, ...]:
    return () if routing.completion is None else routing.completion.key


def _settle_one(connection: Connection, routing: Routing, known: Known, now: datetime) -> Routing:
    """Store the triggers of one delivery, whose state is stored; none if it only repeats an event that was routed."""
    row = number(routing.delivery_id, "dlv")
    if routing.triggers and (first := completions.same_event(connection, known, row)) is not None:
        copy = replace(routing, state=DeliveryState.IGNORED, reason=Reason.SAME_EVENT, detail=first, triggers=())
        connection.execute(_IGNORE, _parameters(copy, ring_of(connection)))
        settled = copy
    else:
        settled = replace(routing, triggers=add_all(connection, routing.triggers, known, now=now))
    completions.keep(connection, known, row)
    waits.tell_also(connection, row, routing.also_names)
    return settled


def _parameters(routing: Routing, ring: Ring) -> dict[str, Any]:
    row = number(routing.delivery_id, "dlv")
    lookup = None if routing.lookup is None else json.dumps(routing.lookup)
    return {
        "id": row,
        "state": routing.state,
        "reason": routing.reason,
        "detail": sealed(ring, routing.detail, place("deliveries", "detail", row)),
        "lookup": sealed(ring, lookup, place("deliveries", "lookup", row)),
        "key": key_for(ring, routing.detail, lookup),
        "caused_by": None if routing.caused_by is None else number(routing.caused_by, "trg"),
    }


def postpone(connection: Connection, postponed: Sequence[Postponed]) -> None:
    """Move the due time of deliveries that cannot be routed now."""
    ring = ring_of(connection)
    for item in postponed:
        row = number(item.delivery_id, "dlv")
        parameters = {
            "id": row,
            "due_at": microseconds(item.due_at),
            "reason": item.reason,
            "detail": sealed(ring, item.detail, place("deliveries", "detail", row)),
            "key": key_for(ring, item.detail),
            "asked": int(item.is_lookup) - int(item.is_given_back),
            "not_found": int(item.is_not_found),
        }
        connection.execute(_POSTPONE, parameters)


def queued(connection: Connection, *, source: str, limit: int) -> list[int]:
    """Return the rows of a source that wait for their turn to be looked up, in the order of waiting.

    Read beside the writer.
    """
    return list(connection.execute(_QUEUED, {"source": source, "limit": limit}).scalars())


def queued_elsewhere(connection: Connection, *, sources: Collection[str], limit: int) -> list[int]:
    """Return rows that wait for their turn to be looked up, of no source of these. Read beside the writer."""
    return list(connection.execute(_QUEUED_ELSEWHERE, {"sources": sorted(sources), "limit": limit}).scalars())


def draw(connection: Connection, rows: Sequence[int], *, until: datetime) -> list[Delivery]:
    """Take those that still wait for a look-up's turn, and leave them to the caller until then, as looked up once more.

    Of two replicas that draw the same one, the second gets nothing. Returned as they stood before.
    """
    ring = ring_of(connection)
    found = connection.execute(_DRAW.on(connection), {"ids": list(rows)}).mappings()
    drawn = [delivery(row, ring) for row in found]
    postpone(connection, [Postponed(item.id, until, None, None, is_lookup=True) for item in drawn])
    return drawn


def renew(connection: Connection, delivery_ids: Sequence[str], *, until: datetime) -> None:
    """Leave these alone until then, if they are still being looked up."""
    for id_ in delivery_ids:
        connection.execute(_RENEW, {"id": number(id_, "dlv"), "due_at": microseconds(until)})


def looked_up(connection: Connection, *, now: datetime) -> list[int]:
    """Return the rows that are being looked up, a few of all that waits. Read beside the writer."""
    return list(connection.execute(_LOOKED_UP, {"now": microseconds(now)}).scalars())


def take_over_lookups(connection: Connection, rows: Sequence[int]) -> int:
    """Make due those that are still being looked up: right only where no other process does so. Returns how many."""
    return connection.execute(_TAKE_OVER_LOOKUPS, {"ids": list(rows)}).rowcount


def reopen(connection: Connection, delivery_id: str, *, now: datetime) -> bool:
    """Send a delivery through routing once more, with the mapping of that moment.

    Triggers that it has stay the only ones of their route and DAG, except those whose templates failed.
    """
    parameters = {"id": number(delivery_id, "dlv"), "now": microseconds(now)}
    connection.execute(_FORGET_UNPLANNED, parameters)
    return bool(connection.execute(_REOPEN, parameters).rowcount)


def route_again(connection: Connection, delivery_id: str, *, now: datetime) -> bool:
    """Route what nothing matched, what could not be read, or whose end nobody knew: the same webhook was sent again."""
    parameters = {"id": number(delivery_id, "dlv"), "now": microseconds(now), "open": list(END_UNKNOWN)}
    is_routed = bool(connection.execute(_ROUTE_AGAIN, parameters).rowcount)
    if is_routed:
        announce(connection)
    return is_routed


def has_message_id(connection: Connection, row: int, *, source: str, message_id: str) -> bool:
    """Say whether a delivery stands under this signed message id."""
    key = dedup_key(source, None, b"", message_id)
    stored = connection.execute(_KEY, {"id": row}).scalar()
    return stored is not None and bytes(stored) in (key, stale_key(key))
