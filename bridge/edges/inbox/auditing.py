"""Statements on the audit log: append, and pages of it, newest first, by time and by person. Nothing removes a line."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from bridge.edges.inbox import replays
from bridge.edges.inbox.rows import instant, microseconds
from bridge.words.audit import MAPPING_ACTOR, MAPPING_LOADED, AuditLine
from bridge.words.errors import BadFilter

_COLUMNS = "id, at, actor, action, subject, reason"
_LAST_MAPPING = text("SELECT subject FROM audit WHERE actor = :actor ORDER BY at DESC, id DESC LIMIT 1")
_PLACE = text("SELECT at, id FROM audit WHERE id = :id")


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """What to show; None leaves a condition out. `since` is inclusive, `until` exclusive."""

    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after: str | None = None


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


def page(connection: Connection, *, wanted: AuditFilter, limit: int) -> list[AuditLine]:
    """Return a page of lines, newest first. Raises BadFilter for an `after` that is not there."""
    values: dict[str, Any] = {"limit": limit, "actor": wanted.actor}
    clauses = ["actor = :actor"] if wanted.actor is not None else []
    for name, clause in (("since", "at >= :since"), ("until", "at < :until")):
        if (at := getattr(wanted, name)) is not None:
            values[name] = microseconds(at)
            clauses.append(clause)
    if wanted.after is not None:
        values["after_at"], values["after_id"] = _place(connection, wanted.after)
        clauses.append("(at, id) < (:after_at, :after_id)")
    where = " WHERE " + " AND ".join(clauses) if clauses else ""
    question = text(f"SELECT {_COLUMNS} FROM audit{where} ORDER BY at DESC, id DESC LIMIT :limit")  # noqa: S608
    return [
        AuditLine(instant(row.at), row.actor, row.action, row.subject, row.reason, str(row.id))
        for row in connection.execute(question, values)
    ]


def _place(connection: Connection, after: str) -> tuple[int, int]:
    is_number = after.isascii() and after.isdecimal() and len(after) <= 18
    found = connection.execute(_PLACE, {"id": int(after)}).first() if is_number else None
    if found is None:
        raise BadFilter("after must be the id of a line of the audit log")
    return found.at, found.id
