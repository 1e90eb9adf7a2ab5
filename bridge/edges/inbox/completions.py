"""Statements on completions: which deliveries tell of the same one, and what they have started.

Two replicas never judge one completion at the same time: whoever routes an event of it holds its row 0 until the end of
the transaction. For all deliveries of a transaction together (`tell`):

    1. insert a row 0 for each completion that has none, in the order of their keys: who comes second waits
    2. lock row 0 of the others, in one order (PostgreSQL; SQLite has one writer)
    3. read the other rows whose pipelines agree, and their deliveries' triggers: whatever was judged before is visible

Everybody inserts before he locks, so nobody waits in a circle. Row 0 may be gone (retention): then who comes next makes
it anew, and finds the other rows all the same.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import BigInteger, Connection, text

from bridge.edges.inbox.agreeing import COLUMNS, ROWS, Telling, agreeing, telling_row
from bridge.edges.inbox.engine.ids import delivery_text, first_id, number, trigger_text
from bridge.edges.inbox.engine.intake import key_ranges
from bridge.edges.inbox.engine.statements import a_list, is_shared
from bridge.edges.inbox.rows import microseconds
from bridge.edges.inbox.vault import place, ring_of
from bridge.rules.completion import Completion, Key, Kind, Standing, pipelines_agree
from bridge.words.errors import InboxUnavailable, Locked
from bridge.words.model import TriggerState
from bridge.words.reasons import Reason

_OWN = text(f"{ROWS} delivery_id IN :ids").bindparams(a_list("ids", BigInteger()))
# PostgreSQL alone. By the whole key: else it may read all the pipelines that have a run of this id.
_LOCK = text(
    f"SELECT {COLUMNS} FROM unnest(CAST(:ids AS text[]), CAST(:kinds AS text[]), CAST(:sources AS text[]),"  # noqa: S608 - our own names
    " CAST(:statuses AS text[])) AS wanted (id, of_kind, of_source, of_status) JOIN completions ON about_id = wanted.id"
    " AND kind = of_kind AND source = of_source AND status = of_status AND nth = 0"
    " ORDER BY about_id, kind, source, status FOR UPDATE OF completions"
)
_INSERT = (
    f"INSERT INTO completions ({COLUMNS})"  # noqa: S608 - our own names
    " VALUES (:delivery_id, :about_id, :kind, :source, :status, :pipeline_id, {nth}) ON CONFLICT DO NOTHING"
)
_INSERT_FIRST = text(_INSERT.format(nth="0"))
_INSERT_NEXT = text(
    _INSERT.format(
        nth="(SELECT COALESCE(MAX(nth), 0) + 1 FROM completions"
        " WHERE about_id = :about_id AND kind = :kind AND source = :source AND status = :status)"
    )
)
_FORGET = text("DELETE FROM completions WHERE delivery_id = :id")
_REFINE = text("UPDATE completions SET pipeline_id = :pipeline_id WHERE delivery_id = :id AND pipeline_id IS NULL")
_TRIGGERS = text(
    "SELECT id, delivery_id, route, airflow, dag_id, rerun, state, reason, dag_run_id, doubted_at,"
    " series IS NOT NULL AS is_in_series FROM triggers WHERE delivery_id IN :ids ORDER BY id"
).bindparams(a_list("ids", BigInteger()))
_SAME_EVENT = text(
    "SELECT other.id FROM deliveries AS mine JOIN deliveries AS other ON other.event_id = mine.event_id"
    " WHERE mine.id = :id AND other.id IN :ids AND other.state = 'routed' ORDER BY other.id LIMIT 1"
).bindparams(a_list("ids", BigInteger()))
# Without an event id, a signed message id may be what two bodies share: then their keys begin alike. So do those of the
# same bytes that came again without any id, so the bodies are compared too.
_KEY_AND_BODY = text("SELECT dedup_key, body FROM deliveries WHERE id = :id AND event_id IS NULL")
_UNDER_KEY = text(
    "SELECT id, body FROM deliveries WHERE id IN :ids AND state = 'routed' AND event_id IS NULL AND erased_at IS NULL"
    " AND (dedup_key BETWEEN :first AND :last OR dedup_key BETWEEN :stale_first AND :stale_last) ORDER BY id"
).bindparams(a_list("ids", BigInteger()))
_PIPELINES = text("SELECT delivery_id, pipeline_id FROM completions WHERE delivery_id IN :ids").bindparams(
    a_list("ids", BigInteger())
)
_TELLING = text(
    "SELECT delivery_id FROM completions WHERE about_id = :about_id AND kind = :kind AND delivery_id >= :since"
    " ORDER BY delivery_id LIMIT :limit"
)
_TRIES = 3  # row 0 was there, and retention removed it before it could be locked
_MOST_ROWS = 16  # of a completion of one pipeline; beyond them, only deliveries that own a run have one


@dataclass(slots=True)
class Known:
    """What one transaction knows of its completions; it grows with what the transaction adds."""

    telling: dict[int, Completion] = field(default_factory=dict)  # by delivery
    rows: dict[Key, list[Telling]] = field(default_factory=dict)
    triggers: dict[int, list[Standing]] = field(default_factory=dict)  # by delivery

    def siblings(self, delivery: int) -> list[int]:
        """Return the other deliveries that tell of the same completion."""
        completion = self.telling.get(delivery)
        if completion is None:
            return []
        rows = self.rows.get(completion.key, ())
        return [
            row.delivery
            for row in rows
            if row.delivery != delivery and pipelines_agree(row.pipeline_id, completion.pipeline_id)
        ]

    def standing(self, delivery: int) -> list[Standing]:
        """Return all triggers of the completion that a delivery tells of, its own first."""
        deliveries = [delivery, *self.siblings(delivery)]
        return [trigger for each in deliveries for trigger in self.triggers.get(each, ())]

    def add(self, trigger: Standing) -> None:
        """Take in a trigger that was stored or changed."""
        own = self.triggers.setdefault(number(trigger.delivery_id, "dlv"), [])
        own[:] = [*(item for item in own if item.id != trigger.id), trigger]


def telling_of(connection: Connection, *, kind: Kind, about_id: str, since: datetime, limit: int) -> list[str]:
    """Return the deliveries since an instant whose events tell of a job, run or backfill; oldest first."""
    values = {"kind": kind, "about_id": about_id, "since": first_id(microseconds(since)), "limit": limit}
    return [delivery_text(row) for row in connection.execute(_TELLING, values).scalars()]


def tell(connection: Connection, telling: Mapping[str, Completion | None]) -> Known:
    """Take hold of the completions that deliveries tell of, and return what is known of them. See above for the steps.

    Deliveries without a completion are in it with their own triggers only.
    """
    ours = {number(id_, "dlv"): completion for id_, completion in telling.items()}
    known = Known({id_: completion for id_, completion in ours.items() if completion is not None})
    if known.telling:
        _forget_outdated(connection, known.telling)
        _take_first(connection, known.telling)
        for row in agreeing(connection, ((each.key, each.pipeline_id) for each in known.telling.values())):
            known.rows.setdefault(row.key, []).append(row)
    others = {row.delivery for rows in known.rows.values() for row in rows}
    for trigger in standing(connection, ours.keys() | others):
        known.add(trigger)
    return known


def keep(connection: Connection, known: Known, delivery: int) -> None:
    """Store that a delivery tells of its completion, and the pipeline that others left out."""
    completion = known.telling.get(delivery)
    if completion is None:
        return
    rows = known.rows.setdefault(completion.key, [])
    if completion.pipeline_id is not None:
        for place, row in enumerate(rows):
            if row.pipeline_id is None:
                connection.execute(_REFINE, {"id": row.delivery, "pipeline_id": completion.pipeline_id})
                rows[place] = row._replace(pipeline_id=completion.pipeline_id)
    owns = any(trigger.owns for trigger in known.triggers.get(delivery, ()))
    agreeing_rows = (row for row in rows if pipelines_agree(row.pipeline_id, completion.pipeline_id))
    amount = max(Counter(row.pipeline_id for row in agreeing_rows).values(), default=0)
    if (owns or amount < _MOST_ROWS) and all(row.delivery != delivery for row in rows):
        connection.execute(_INSERT_NEXT, _values(delivery, completion))
        rows.append(Telling(delivery, completion.key, completion.pipeline_id))


def same_event(connection: Connection, known: Known, delivery: int) -> str | None:
    """Return the delivery under the same event id that was routed for the same completion, unless its runs failed.

    For a body without an event id: the delivery under the same signed message id, with another body.
    """
    siblings = [
        each for each in known.siblings(delivery) if any(trigger.owns for trigger in known.triggers.get(each, ()))
    ]
    if not siblings:
        return None
    found = connection.execute(_SAME_EVENT, {"id": delivery, "ids": siblings}).scalar()
    if found is None:
        found = _same_message(connection, delivery, siblings)
    return None if found is None else delivery_text(found)


def _same_message(connection: Connection, delivery: int, others: Collection[int]) -> int | None:
    """Return the first of these deliveries that has another body under the same signed message id."""
    mine = connection.execute(_KEY_AND_BODY, {"id": delivery}).first()
    if mine is None:
        return None
    (first, last), (stale_first, stale_last) = key_ranges(bytes(mine.dedup_key))
    values = {"first": first, "last": last, "stale_first": stale_first, "stale_last": stale_last}
    body = _body(connection, delivery, mine.body)
    for row in connection.execute(_UNDER_KEY, {"ids": sorted(others), **values}):
        if _body(connection, row.id, row.body) not in (None, body):
            return int(row.id)
    return None


def _body(connection: Connection, delivery: int, stored: bytes) -> bytes | None:
    """Return a stored body; None when it cannot be opened."""
    try:
        return ring_of(connection).open(bytes(stored), place("deliveries", "body", delivery))
    except Locked:
        return None


def standing(connection: Connection, deliveries: Collection[int]) -> list[Standing]:
    """Return the triggers of these deliveries."""
    return [
        Standing(
            id=trigger_text(row.id),
            delivery_id=delivery_text(row.delivery_id),
            route=row.route,
            airflow=row.airflow,
            dag_id=row.dag_id,
            rerun=row.rerun,
            state=TriggerState(row.state),
            reason=None if row.reason is None else Reason.of(row.reason),
            dag_run_id=row.dag_run_id,
            is_doubted=row.doubted_at is not None,
            is_in_series=bool(row.is_in_series),
        )
        for row in connection.execute(_TRIGGERS, {"ids": sorted(deliveries)})
    ]


def hold(connection: Connection, delivery: int) -> list[int]:
    """Take hold of the completion that a delivery told of; returns all that tell of it, itself among them."""
    own = next(map(telling_row, connection.execute(_OWN, {"ids": [delivery]})), None)
    if own is None:
        return [delivery]
    if is_shared(connection):
        _lock(connection, [own.key])
    return [row.delivery for row in agreeing(connection, [(own.key, own.pipeline_id)])]


def hold_all(connection: Connection, deliveries: Collection[int]) -> None:
    """Take hold of all the completions that these deliveries told of, in one order (PostgreSQL)."""
    _lock(connection, {telling_row(row).key for row in connection.execute(_OWN, {"ids": sorted(deliveries)})})


def _lock(connection: Connection, keys: Collection[Key]) -> set[Key]:
    """Lock row 0 of these completions; returns those that have one."""
    ids, kinds, sources, statuses = ([str(key[part]) for key in keys] for part in range(4))
    values = {"ids": ids, "kinds": kinds, "sources": sources, "statuses": statuses}
    return {telling_row(row).key for row in connection.execute(_LOCK, values)}


def _forget_outdated(connection: Connection, telling: dict[int, Completion]) -> None:
    """Remove what these deliveries told before, unless it is the same; a pipeline that was added to it stays."""
    for found in connection.execute(_OWN, {"ids": sorted(telling)}):
        row, now = telling_row(found), telling[found.delivery_id]
        if row.key == now.key and now.pipeline_id is None and row.pipeline_id is not None:
            telling[row.delivery] = now = Completion(now.source, now.kind, now.id, now.status, row.pipeline_id)
        if (row.key, row.pipeline_id, found.nth) != (now.key, now.pipeline_id, 0):
            connection.execute(_FORGET, {"id": row.delivery})


def _take_first(connection: Connection, telling: Mapping[int, Completion]) -> None:
    """Make sure that each completion has a row 0, held by this transaction."""
    first: dict[Key, int] = {}
    for delivery in sorted(telling):
        first.setdefault(telling[delivery].key, delivery)
    rows = [_values(first[key], telling[first[key]]) for key in sorted(first)]
    for _ in range(_TRIES):
        connection.execute(_INSERT_FIRST, rows)
        if not is_shared(connection):
            return
        if first.keys() <= _lock(connection, first):
            return
    raise InboxUnavailable("a completion is removed as often as it is made")


def _values(delivery: int, completion: Completion) -> dict[str, object]:
    return {
        "delivery_id": delivery,
        "about_id": completion.id,
        "kind": str(completion.kind),
        "source": completion.source,
        "status": completion.status,
        "pipeline_id": completion.pipeline_id,
    }


def pipelines(connection: Connection, delivery_ids: Collection[str]) -> dict[str, str | None]:
    """Return the pipeline that each of these deliveries tells of, as far as routing has read one."""
    ids = [number(id_, "dlv") for id_ in delivery_ids]
    return {delivery_text(row.delivery_id): row.pipeline_id for row in connection.execute(_PIPELINES, {"ids": ids})}
