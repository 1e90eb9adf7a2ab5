"""Statements for people: pages of deliveries and triggers, counts, and ages; newest first.

`after` is the id of the last row of the page before. All read only.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, TextClause, text

from bridge.edges.inbox import pauses
from bridge.edges.inbox.engine.ids import delivery_text, first_id, number, trigger_text
from bridge.edges.inbox.engine.intake import dedup_key, key_ranges
from bridge.edges.inbox.engine.statements import is_shared
from bridge.edges.inbox.filtering import DELIVERY_FILTERS, TRIGGER_FILTERS, Filter, order, where
from bridge.edges.inbox.rows import (
    DELIVERY_ENTRY_COLUMNS,
    TRIGGER_ENTRY_COLUMNS,
    attempt,
    delivery_entry,
    instant,
    microseconds,
    trigger_entry,
)
from bridge.edges.inbox.vault import ring_of
from bridge.words.backlog import Waiting
from bridge.words.model import Attempt, DeliveryEntry, DeliveryState, TriggerEntry, TriggerState
from bridge.words.reasons import Reason

__all__ = ["DELIVERY_FILTERS", "TRIGGER_FILTERS", "Filter"]  # a page is asked for with them
# No index on event ids: they are random, and intake would pay for it with every delivery. Their keys have one anyway.
_IN_RANGE = "dedup_key BETWEEN :{first} AND :{last}"
_FOLDED = "SELECT delivery_id FROM dedup WHERE "
_UNFOLDED = "SELECT id FROM deliveries WHERE id > (SELECT upto FROM folded) AND "
_TABLES = {
    "deliveries": (DELIVERY_FILTERS, "dlv", delivery_text),
    "triggers": (TRIGGER_FILTERS, "trg", trigger_text),
}


def deliveries(connection: Connection, *, wanted: Filter, limit: int) -> list[DeliveryEntry]:
    """Return a page of deliveries, newest first; their payloads are not read."""
    question, values = statement(connection, wanted=wanted, limit=limit)
    ring = ring_of(connection)
    found = [delivery_entry(row, ring) for row in connection.execute(question, values).mappings()]
    return pauses.explained_deliveries(connection, found)


def statement(connection: Connection, *, wanted: Filter, limit: int) -> tuple[TextClause, dict[str, Any]]:
    """Return the statement that asks for a page of deliveries, and its values."""
    clause, values = where(wanted, DELIVERY_FILTERS, "dlv")
    if wanted.event_id is not None and wanted.among:
        among, keys = standing_under(connection, [dedup_key(each, wanted.event_id, b"") for each in wanted.among])
        clause, values = f"{clause} AND {among}", values | keys
    by = order(wanted, "dlv")
    page = text(f"SELECT {DELIVERY_ENTRY_COLUMNS} FROM deliveries{clause} ORDER BY {by} DESC LIMIT :limit")  # noqa: S608
    return page, values | {"limit": limit}


def standing_under(connection: Connection, keys: Sequence[bytes]) -> tuple[str, dict[str, Any]]:
    """Return the condition, and its values, that a delivery is of an event that has one of these keys.

    Every key that an event can stand under is looked for, that of its stale copies too. The condition alone lets a few
    others pass: the event's id is to be compared as well.
    """
    ranges = [each for key in keys for each in key_ranges(key)]
    values = {f"{end}{n}": each[at] for n, each in enumerate(ranges) for at, end in enumerate(("first", "last"))}
    conditions = [_IN_RANGE.format(first=f"first{n}", last=f"last{n}") for n in range(len(ranges))]
    if is_shared(connection):
        return f"({' OR '.join(conditions)})", values
    parts = [_FOLDED + each for each in conditions] + [f"{_UNFOLDED}({' OR '.join(conditions)})"]
    return f"id IN ({' UNION ALL '.join(parts)})", values


def triggers(connection: Connection, *, wanted: Filter, limit: int) -> list[TriggerEntry]:
    """Return a page of triggers, newest first; what their calls send is not read."""
    clause, values = where(wanted, TRIGGER_FILTERS, "trg")
    by = order(wanted, "trg")
    page = text(f"SELECT {TRIGGER_ENTRY_COLUMNS} FROM triggers{clause} ORDER BY {by} DESC LIMIT :limit")  # noqa: S608
    ring = ring_of(connection)
    found = [trigger_entry(row, ring) for row in connection.execute(page, values | {"limit": limit}).mappings()]
    return pauses.explained(connection, found)


def ids(connection: Connection, *, table: str, wanted: Filter, limit: int) -> list[str]:
    """Return the ids of a page of `deliveries` or `triggers`, newest first; no payload is read."""
    allowed, prefix, spell = _TABLES[table]
    clause, values = where(wanted, allowed, prefix)
    statement = f"SELECT id FROM {table}{clause} ORDER BY {order(wanted, prefix)} DESC LIMIT :limit"  # noqa: S608
    return [spell(row) for row in connection.execute(text(statement), values | {"limit": limit}).scalars()]


def count(connection: Connection, *, table: str, wanted: Filter) -> int:
    """Return how many rows of `deliveries` or `triggers` a filter means."""
    allowed, prefix, _ = _TABLES[table]
    clause, values = where(wanted, allowed, prefix)
    return int(connection.execute(text(f"SELECT COUNT(*) FROM {table}{clause}"), values).scalar_one())  # noqa: S608


def attempts(connection: Connection, trigger_id: str) -> list[Attempt]:
    """Return the attempts of a trigger, oldest first."""
    statement = text("SELECT * FROM attempts WHERE trigger_id = :id ORDER BY id")
    ring = ring_of(connection)
    return [attempt(row, ring) for row in connection.execute(statement, {"id": number(trigger_id, "trg")}).mappings()]


def waiting(connection: Connection) -> dict[str, tuple[int, datetime | None]]:
    """Return the count of what waits (`received`, `pending`, `held`, `firing`), and since when: receipt, or a replay.

    Reads partial indexes only, so that history costs it nothing.
    """
    found: dict[str, tuple[int, datetime | None]] = {}
    for state, statement in _WAITING.items():
        amount, oldest = connection.execute(statement).one()
        found[state] = (amount, None if oldest is None else instant(oldest))
    return found


_WAITING = {
    DeliveryState.RECEIVED: text("SELECT COUNT(*), MIN(received_at) FROM deliveries WHERE state = 'received'"),
    TriggerState.PENDING: text(
        "SELECT COUNT(*), MIN(age_from) FROM triggers WHERE state IN ('pending','held') AND state = 'pending'"
    ),
    TriggerState.HELD: text(
        "SELECT COUNT(*), MIN(age_from) FROM triggers WHERE state IN ('pending','held') AND state = 'held'"
    ),
    TriggerState.FIRING: text("SELECT COUNT(*), MIN(age_from) FROM triggers WHERE state = 'firing'"),
}


def backlog(connection: Connection) -> list[Waiting]:
    """Return what waits by source, or by Airflow and reason; reads what waits and nothing that has ended."""
    return [
        Waiting(
            state=DeliveryState(state) if source else TriggerState(state),
            amount=amount,
            oldest_at=instant(oldest),
            source=source,
            airflow=airflow,
            reason=Reason.of(reason) if reason in _REASONS else None,  # a newer replica may know more
        )
        for statement in _BACKLOG
        for state, source, airflow, reason, amount, oldest in connection.execute(statement)
    ]


_REASONS = frozenset(map(str, Reason))
_BACKLOG = (
    text(
        "SELECT state, source, '', reason, COUNT(*), MIN(received_at) FROM deliveries WHERE state = 'received'"
        " GROUP BY state, source, reason"
    ),
    text(
        "SELECT state, '', airflow, reason, COUNT(*), MIN(age_from) FROM triggers"
        " WHERE state IN ('pending','held') GROUP BY state, airflow, reason"
    ),
    text(
        "SELECT state, '', airflow, NULL, COUNT(*), MIN(age_from) FROM triggers WHERE state = 'firing'"
        " GROUP BY state, airflow"
    ),
)


def keys_used(connection: Connection, *, since: datetime, until: datetime, limit: int) -> set[tuple[str, str]]:
    """Return source and key of those that signed webhooks of a time, by the latest `limit` of them."""
    values = {"since": first_id(microseconds(since)), "until": first_id(microseconds(until)), "limit": limit}
    return {(row.source, row.key_id) for row in connection.execute(_KEYS_USED, values)}


_KEYS_USED = text(
    "SELECT DISTINCT source, key_id FROM (SELECT source, key_id FROM deliveries"
    " WHERE id >= :since AND id < :until ORDER BY id DESC LIMIT :limit) AS latest"
)


def odd(connection: Connection, *, limit: int) -> Mapping[str, int]:
    """Return how many deliveries and triggers ended in a state that a person should know of, at most `limit` of each.

    For most pipelines it is meant that no route wants their webhooks: those may be nearly all of history.
    """
    return {state: amount for state, amount in connection.execute(_ODD, {"limit": limit}) if amount}


_COUNT_OF = (
    "SELECT '{state}', COUNT(*) FROM"
    " (SELECT 1 FROM {table} WHERE state = '{state}' AND state IN ({index}) LIMIT :limit) AS a_{state}"
)
_ODD = text(
    " UNION ALL ".join(
        _COUNT_OF.format(state=state, table=table, index=index)
        for table, index, states in (
            ("deliveries", "'unrouted','ignored','invalid','stale'", ("unrouted", "ignored", "invalid", "stale")),
            ("triggers", "'held','failed','cancelled'", ("failed", "cancelled")),
        )
        for state in states
    )
)
