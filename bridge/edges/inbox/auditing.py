"""Statements on the audit log: append, and pages of it, newest first, by time and by person. Nothing removes a line.

What was done to one thing no index knows: such a list reads a stretch of lines at a time, as `walking` does, and none
from before the thing was made.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from bridge.edges.inbox import replays
from bridge.edges.inbox.engine.ids import made_at
from bridge.edges.inbox.rows import NUMBER, instant, microseconds
from bridge.edges.inbox.walking import STRETCH
from bridge.words.audit import MAPPING_ACTOR, MAPPING_LOADED, AuditLine
from bridge.words.errors import BadFilter, NotThere

_COLUMNS = "id, at, actor, action, subject, reason"
_LAST_MAPPING = text("SELECT subject FROM audit WHERE actor = :actor ORDER BY at DESC, id DESC LIMIT 1")
_PLACE = text("SELECT at, id FROM audit WHERE id = :id")
_CLOCKS_DIFFER = timedelta(hours=1)  # of replicas, at most: one makes the id of a thing, another writes the line


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What to show; None leaves a condition out. `since` is inclusive, `until` exclusive.

    `subject` is what something was done to; `edge` the last line that is looked at for it (see `part`).
    """

    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: str | None = None
    subject: str | None = None
    edge: str | None = None


def append(connection: Connection, lines: Sequence[AuditLine]) -> None:
    """Append lines."""
    for line in lines:
        replays.audit(
            connection, at=line.at, actor=line.actor, action=line.action, subject=line.subject, reason=line.reason
        )


def append_mapping(connection: Connection, *, at: datetime, digest: str, reason: str) -> None:
    """Append that a mapping is in use, unless the newest such line says so: replicas read one file."""
    if connection.execute(_LAST_MAPPING, {"actor": MAPPING_ACTOR}).scalar() != digest:
        append(connection, [AuditLine(at, MAPPING_ACTOR, MAPPING_LOADED, digest, reason)])


def part(connection: Connection, *, wanted: AuditFilter, stretch: int = STRETCH) -> AuditFilter:
    """Return the filter of this part of a list, with the `edge` of a stretch of lines if a subject is looked for.

    Raises BadFilter as `page` does.
    """
    if wanted.subject is None:
        return wanted
    wanted = replace(wanted, since=_since(wanted))
    where, values = _where(connection, replace(wanted, subject=None))
    question = text(f"SELECT id FROM audit{where} ORDER BY at DESC, id DESC LIMIT 1 OFFSET :others")  # noqa: S608
    last = connection.execute(question, values | {"others": stretch - 1}).scalar()
    return replace(wanted, edge=None if last is None else str(last))


def page(connection: Connection, *, wanted: AuditFilter, limit: int) -> list[AuditLine]:
    """Return a page of lines, newest first. Raises BadFilter for an `after` that is not there."""
    where, values = _where(connection, wanted)
    question = text(f"SELECT {_COLUMNS} FROM audit{where} ORDER BY at DESC, id DESC LIMIT :limit")  # noqa: S608
    return [
        AuditLine(instant(row.at), row.actor, row.action, row.subject, row.reason, str(row.id))
        for row in connection.execute(question, values | {"limit": limit})
    ]


def _since(wanted: AuditFilter) -> datetime | None:
    """Return from when on there may be lines of the subject: what has an id of ours tells when it was made."""
    try:
        earliest = instant(made_at(wanted.subject or "")) - _CLOCKS_DIFFER
    except NotThere:
        return wanted.since
    return earliest if wanted.since is None else max(earliest, wanted.since)


def _where(connection: Connection, wanted: AuditFilter) -> tuple[str, dict[str, Any]]:
    values: dict[str, Any] = {
        name: value for name in ("actor", "subject") if (value := getattr(wanted, name)) is not None
    }
    clauses = [f"{name} = :{name}" for name in values]
    for name, clause in (("since", "at >= :since"), ("until", "at < :until")):
        if (at := getattr(wanted, name)) is not None:
            values[name] = microseconds(at)
            clauses.append(clause)
    if wanted.after is not None:
        values["after_at"], values["after_id"] = _place(connection, wanted.after)
        clauses.append("(at, id) < (:after_at, :after_id)")
    if wanted.edge is not None:
        values["edge_at"], values["edge_id"] = _place(connection, wanted.edge)
        clauses.append("(at, id) >= (:edge_at, :edge_id)")
    return (" WHERE " + " AND ".join(clauses) if clauses else ""), values


def _place(connection: Connection, after: str) -> tuple[int, int]:
    found = connection.execute(_PLACE, {"id": int(after)}).first() if NUMBER.fullmatch(after) else None
    if found is None:
        raise BadFilter("after must be the id of a line of the audit log")
    return found.at, found.id
