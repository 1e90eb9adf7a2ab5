"""Statements on refusals: a ring of the newest of each kind. Who numbers a row second, of two replicas, tries again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from bridge.edges.inbox.engine.ids import delivery_text, number
from bridge.edges.inbox.rows import NUMBER, instant, microseconds
from bridge.words.errors import BadFilter
from bridge.words.refusals import Refusal, RefusalKind

KEPT = 1000
_COLUMNS = "kind, nth, at, source, reason, sender, keys, fingerprint, delivery_id"
_LAST = text("SELECT MAX(nth) FROM refusals WHERE kind = :kind")
_INSERT = text(
    f"INSERT INTO refusals ({_COLUMNS})"  # noqa: S608 - our own names
    " VALUES (:kind, :nth, :at, :source, :reason, :sender, :keys, :fingerprint, :delivery_id)"
)
_FORGET = text("DELETE FROM refusals WHERE kind = :kind AND nth <= :upto")
_NEWEST = text("SELECT MAX(at), reason, source FROM refusals WHERE kind = 'refused' GROUP BY source, reason")
# Rows are numbered upward: in the place of one that left the ring stands the oldest of its kind that is kept.
_PLACE = text("SELECT at, nth FROM refusals WHERE kind = :kind AND nth >= :nth ORDER BY nth LIMIT 1")


@dataclass(frozen=True, slots=True)
class RefusalFilter:
    """What to show; None leaves a condition out. `since` is inclusive, `until` exclusive; `copy_of` is a delivery."""

    source: str | None = None
    reason: str | None = None
    kind: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: str | None = None
    copy_of: str | None = None


def append(connection: Connection, found: Sequence[Refusal]) -> None:
    """Keep these, and forget what is older than the newest `KEPT` of their kind."""
    for kind in RefusalKind:
        if rows := [item for item in found if item.kind is kind]:
            last = connection.execute(_LAST, {"kind": kind}).scalar() or 0
            connection.execute(_INSERT, [_values(item, last + place) for place, item in enumerate(rows, 1)])
            connection.execute(_FORGET, {"kind": kind, "upto": last + len(rows) - KEPT})


def page(connection: Connection, *, wanted: RefusalFilter, limit: int) -> list[Refusal]:
    """Return a page, newest first. The table has 1000 rows of a kind, so it needs no index for this. BadFilter."""
    if wanted.kind is not None and wanted.kind not in set(RefusalKind):
        raise BadFilter(f"no such kind of refusal: {wanted.kind}; there is {', '.join(RefusalKind)}")
    values: dict[str, Any] = {"limit": limit}
    clauses = []
    for name in ("source", "reason", "kind"):
        if (value := getattr(wanted, name)) is not None:
            values[name] = value
            clauses.append(f"{name} = :{name}")
    for name, clause in (("since", "at >= :since"), ("until", "at < :until")):
        if (at := getattr(wanted, name)) is not None:
            values[name] = microseconds(at)
            clauses.append(clause)
    if wanted.copy_of is not None:
        values["copy_of"] = number(wanted.copy_of, "dlv")
        clauses.append("delivery_id = :copy_of")
    if wanted.after is not None:
        values |= _place(connection, wanted.after)
        clauses.append("(at, kind, nth) < (:after_at, :after_kind, :after_nth)")
    where = " WHERE " + " AND ".join(clauses) if clauses else ""
    order = "ORDER BY at DESC, kind DESC, nth DESC LIMIT :limit"
    question = text(f"SELECT {_COLUMNS} FROM refusals{where} {order}")  # noqa: S608 - our own names
    return [_refusal(row) for row in connection.execute(question, values)]


def newest(connection: Connection) -> dict[str, tuple[datetime, str]]:
    """Return when a request to each source was last refused, and why, as far as the ring has it; no copies."""
    oldest_first = sorted(tuple(row) for row in connection.execute(_NEWEST))
    return {source: (instant(at), reason) for at, reason, source in oldest_first}


def _place(connection: Connection, after: str) -> dict[str, Any]:
    kind, _, nth = after.partition("_")
    place = connection.execute(_PLACE, {"kind": kind, "nth": int(nth)}).one_or_none() if NUMBER.fullmatch(nth) else None
    if place is None:
        raise BadFilter("after must be the id of a refusal, as `next` of the page before says it")
    return {"after_at": place.at, "after_kind": kind, "after_nth": place.nth}


def _values(item: Refusal, nth: int) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "nth": nth,
        "at": microseconds(item.at),
        "source": item.source,
        "reason": item.reason,
        "sender": item.sender,
        "keys": " ".join(item.keys),
        "fingerprint": item.fingerprint,
        "delivery_id": None if item.delivery_id is None else number(item.delivery_id, "dlv"),
    }


def _refusal(row: Any) -> Refusal:
    return Refusal(
        at=instant(row.at),
        kind=RefusalKind(row.kind),
        source=row.source,
        reason=row.reason,
        sender=row.sender,
        keys=tuple(row.keys.split()),
        fingerprint=row.fingerprint,
        delivery_id=None if row.delivery_id is None else delivery_text(row.delivery_id),
        id=f"{row.kind}_{row.nth}",
    )
