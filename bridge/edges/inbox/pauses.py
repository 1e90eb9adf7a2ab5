"""Statements on pauses: which there are, what waits for them, and what they are called on what waits.

    hold_*      show what waits for a paused route or Airflow as `held`; it keeps its place in the order of waiting
    let_go      show what was held by a pause that is over as `pending` again
    release     let routing have what a paused source has sent, the oldest first

Each takes up to `limit` rows, and reads no others. Which names to take is read beside the writer, by stepping through
an index that holds what is paused and nothing else. Nothing starts by any of these: who may be claimed is decided when
claiming. So two replicas that do the same, or know of different pauses for a second, double nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from sqlalchemy import BigInteger, Connection, RowMapping, text

from bridge.edges.inbox.engine.statements import a_list, locking
from bridge.edges.inbox.rows import instant, instant_or_none, microseconds
from bridge.rules.pauses import Pauses, sentence
from bridge.words.model import Delivery, DeliveryEntry, Trigger, TriggerEntry
from bridge.words.pauses import Pause, PauseKind
from bridge.words.reasons import Reason

D = TypeVar("D", Delivery, DeliveryEntry)
T = TypeVar("T", Trigger, TriggerEntry)
Place = tuple[str, str]  # an Airflow and a route
Row = tuple[int, int]  # when it is due, and its id
START: Row = (0, 0)
_ALL = text("SELECT kind, name, actor, reason, paused_at, ends_at FROM pauses ORDER BY paused_at, kind, name")
_HAS_PENDING = text("SELECT 1 FROM triggers WHERE airflow = :airflow AND route = :route AND state = 'pending' LIMIT 1")
_HOLD_ROUTE = locking(
    "UPDATE triggers SET state = 'held', reason = 'paused_by_person', detail = NULL WHERE id IN {chosen}",
    chosen="SELECT id FROM triggers WHERE airflow = :airflow AND route = :route AND state = 'pending'"
    " ORDER BY due_at LIMIT :limit",
)
# What waited for another cause, which has passed meanwhile: it is due. And what is held for its DAG, due or not: the
# pause goes first, so that its time does not count as held for the DAG.
# A stretch of an index at a time (`triggers_waiting`, `triggers_held`): what has the word by then stands in it as well.
_HELD_ELSE = (
    "SELECT id, due_at, state = 'held' AND (due_at <= :now OR awaits IS NOT NULL)"
    " AND COALESCE(reason, '') <> 'paused_by_person' AS is_held_else FROM triggers WHERE airflow = :airflow"
    " AND {waits} AND due_at >= :due_at AND (due_at > :due_at OR id > :id) ORDER BY due_at, id LIMIT :limit"
)
_HELD_ELSE_OF = {
    PauseKind.AIRFLOW: text(_HELD_ELSE.format(waits="state IN ('pending','held')")),
    PauseKind.ROUTE: text(_HELD_ELSE.format(waits="state = 'held' AND route = :route")),
}
_HOLD = locking(
    "UPDATE triggers SET reason = 'paused_by_person', detail = NULL, awaits = NULL, hold_step_at = NULL, hold_step = 0,"
    " due_at = CASE WHEN awaits IS NULL THEN due_at ELSE age_from END WHERE id IN {chosen}",
    a_list("ids", BigInteger()),
    chosen="SELECT id FROM triggers WHERE id IN :ids AND state = 'held'",
)
# Two steps, since SQLite compares (airflow, route) with a pair by the first of them only.
_NEXT_ROUTE = text(
    "SELECT airflow, route FROM triggers WHERE reason = 'paused_by_person' AND airflow = :airflow AND route > :route"
    " ORDER BY route LIMIT 1"
)
_NEXT_AIRFLOW = text(
    "SELECT airflow, route FROM triggers WHERE reason = 'paused_by_person' AND airflow > :airflow"
    " ORDER BY airflow, route LIMIT 1"
)
_NEXT_SOURCE = text("SELECT MIN(source) FROM deliveries WHERE reason = 'paused_by_person' AND source > :source")
# One that is being fired by now, or was, only loses the word.
_LET_GO = locking(
    "UPDATE triggers SET state = CASE state WHEN 'held' THEN 'pending' ELSE state END, reason = NULL, detail = NULL"
    " WHERE id IN {chosen}",
    chosen="SELECT id FROM triggers WHERE reason = 'paused_by_person' AND airflow = :airflow AND route = :route"
    " ORDER BY due_at LIMIT :limit",
)
_RELEASE = locking(
    "UPDATE deliveries SET due_at = received_at, reason = NULL, detail = NULL WHERE id IN {chosen}",
    chosen="SELECT id FROM deliveries WHERE reason = 'paused_by_person' AND source = :source"
    " ORDER BY received_at LIMIT :limit",
)


def read(connection: Connection) -> Pauses:
    """Return every pause that is stored, also those whose time is up."""
    return Pauses(_pause(row) for row in connection.execute(_ALL).mappings() if row["kind"] in _KINDS)


_KINDS = frozenset(map(str, PauseKind))  # a newer release may know more


def _pause(row: RowMapping) -> Pause:
    return Pause(
        kind=PauseKind(row["kind"]),
        name=row["name"],
        actor=row["actor"],
        paused_at=instant(row["paused_at"]),
        ends_at=instant_or_none(row["ends_at"]),
        reason=row["reason"],
    )


def explained(connection: Connection, triggers: Sequence[T]) -> list[T]:
    """Return triggers whose detail says who paused them; not stored with each, since a pause can be prolonged."""
    if all(trigger.reason is not Reason.PAUSED_BY_PERSON for trigger in triggers):
        return list(triggers)
    pauses = read(connection)
    return [
        replace(item, detail=sentence(_pause_of(pauses, item))) if item.reason is Reason.PAUSED_BY_PERSON else item
        for item in triggers
    ]


def _pause_of(pauses: Pauses, trigger: Trigger | TriggerEntry) -> Pause | None:
    place = trigger.call if isinstance(trigger, Trigger) else trigger
    return pauses.of_trigger(route=place.route, airflow=place.airflow)


def explained_deliveries(connection: Connection, deliveries: Sequence[D]) -> list[D]:
    """Return deliveries whose detail says who paused their source."""
    if all(delivery.reason is not Reason.PAUSED_BY_PERSON for delivery in deliveries):
        return list(deliveries)
    pauses = read(connection)
    return [
        replace(item, detail=sentence(pauses.get(PauseKind.SOURCE, item.source)))
        if item.reason is Reason.PAUSED_BY_PERSON
        else item
        for item in deliveries
    ]


def pending_places(connection: Connection, *, airflows: Collection[str], routes: Collection[str]) -> list[Place]:
    """Return the places among these that have something `pending`."""
    pairs = [{"airflow": airflow, "route": route} for airflow in airflows for route in routes]
    return [(each["airflow"], each["route"]) for each in pairs if connection.execute(_HAS_PENDING, each).first()]


def held_else(
    connection: Connection,
    *,
    kind: PauseKind,
    airflow: str,
    route: str | None,
    now: datetime,
    limit: int,
    after: Row = START,
) -> tuple[list[int], Row | None]:
    """Return rows of one Airflow, or of one route there, that are held for another cause and due, or held for a DAG.

    Of the next `limit` rows behind one; and the last of these, None if nothing is behind it. To be read beside the
    writer.
    """
    due_at, id_ = after
    values = {"airflow": airflow, "now": microseconds(now), "limit": limit, "due_at": due_at, "id": id_}
    rows = connection.execute(_HELD_ELSE_OF[kind], values | ({"route": route} if route else {})).all()
    found = [row.id for row in rows if row.is_held_else]
    return found, None if len(rows) < limit else (rows[-1].due_at, rows[-1].id)


def hold_rows(connection: Connection, rows: Sequence[int]) -> int:
    """Show these as held by a pause, if they are held; returns how many were."""
    return connection.execute(_HOLD.on(connection), {"ids": list(rows)}).rowcount


def hold_route(connection: Connection, place: Place, *, limit: int) -> int:
    """Show what is `pending` at one place as held by a pause; returns how many were moved."""
    airflow, route = place
    values = {"airflow": airflow, "route": route, "limit": limit}
    return connection.execute(_HOLD_ROUTE.on(connection), values).rowcount


def held(connection: Connection) -> tuple[list[Place], list[str]]:
    """Return the places, and the sources, of which a pause holds something, or did."""
    return _held_places(connection), _held_sources(connection)


def _held_places(connection: Connection) -> list[Place]:
    found: list[Place] = []
    place: Place | None = ("", "")
    while place is not None:
        airflow, route = place
        values = {"airflow": airflow, "route": route}
        row = connection.execute(_NEXT_ROUTE, values).first() or connection.execute(_NEXT_AIRFLOW, values).first()
        place = None if row is None else (row.airflow, row.route)
        found += [] if place is None else [place]
    return found


def _held_sources(connection: Connection) -> list[str]:
    found: list[str] = []
    source: str | None = ""
    while source is not None:
        source = connection.execute(_NEXT_SOURCE, {"source": source}).scalar()
        found += [] if source is None else [source]
    return found


def let_go(connection: Connection, place: Place, *, limit: int) -> int:
    """Show what a pause held at one place as `pending` again; returns how many were moved."""
    airflow, route = place
    values = {"airflow": airflow, "route": route, "limit": limit}
    return connection.execute(_LET_GO.on(connection), values).rowcount


def release(connection: Connection, source: str, *, limit: int) -> int:
    """Let routing have what one source has sent, the oldest first; returns how many were moved."""
    return connection.execute(_RELEASE.on(connection), {"source": source, "limit": limit}).rowcount
