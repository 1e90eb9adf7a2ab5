"""What a person, or the time, does to a pause: begin, prolong, end. Each with its line in the audit log."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from bridge.edges.inbox import pauses
from bridge.edges.inbox.engine.statements import announce
from bridge.edges.inbox.replays import audit
from bridge.edges.inbox.rows import instant, microseconds
from bridge.words.pauses import Pause, PauseKind

_SENT_AGAIN = timedelta(minutes=1)  # in which a caller whose answer got lost sends the same once more
BY_ITSELF = "bridge"  # the actor of a pause that ended when its time was up
# Whoever pauses what is paused prolongs it: it stays paused since when it was.
_PUT = text(
    "INSERT INTO pauses (kind, name, actor, reason, paused_at, ends_at)"
    " VALUES (:kind, :name, :actor, :reason, :paused_at, :ends_at)"
    " ON CONFLICT (kind, name) DO UPDATE SET actor = excluded.actor, reason = excluded.reason,"
    " ends_at = excluded.ends_at"
)
_REMOVE = text("DELETE FROM pauses WHERE kind = :kind AND name = :name")
# Of the newest lines of the actor only: who has just replayed thousands has as many.
_LAST_PUT = text(
    "SELECT at, reason FROM (SELECT id, at, action, subject, reason FROM audit WHERE actor = :actor AND at >= :since"
    " ORDER BY at DESC, id DESC LIMIT 1000) AS near WHERE action = 'paused' AND subject = :subject"
    " ORDER BY at DESC, id DESC LIMIT 1"
)
_REMOVE_OVER = text("DELETE FROM pauses WHERE kind = :kind AND name = :name AND ends_at <= :now")


def put(connection: Connection, pause: Pause) -> Pause:
    """Store a pause, or prolong the one of its name; returns it as it is stored.

    The same by the same caller within a minute is sent again: it changes nothing.
    """
    values = {
        "kind": pause.kind,
        "name": pause.name,
        "actor": pause.actor,
        "reason": pause.reason,
        "paused_at": microseconds(pause.paused_at),
        "ends_at": None if pause.ends_at is None else microseconds(pause.ends_at),
    }
    connection.execute(_REMOVE_OVER, values | {"now": values["paused_at"]})  # that one is another pause
    if (stored := pauses.read(connection).get(pause.kind, pause.name)) and _is_sent_again(connection, pause, stored):
        return stored
    connection.execute(_PUT, values)
    audit(
        connection,
        at=pause.paused_at,
        actor=pause.actor,
        action="paused",
        subject=f"{pause.kind} {pause.name}",
        reason=pause.reason,
    )
    announce(connection)
    return pauses.read(connection).get(pause.kind, pause.name) or pause


def _is_sent_again(connection: Connection, pause: Pause, stored: Pause) -> bool:
    """Say whether this caller has just asked for the same: the same words, and to end as long after asking."""
    if (pause.actor, pause.reason) != (stored.actor, stored.reason):
        return False
    since, subject = microseconds(pause.paused_at - _SENT_AGAIN), f"{pause.kind} {pause.name}"
    last = connection.execute(_LAST_PUT, {"actor": pause.actor, "since": since, "subject": subject}).first()
    if last is None or last.reason != pause.reason:
        return False
    return _seconds(pause, pause.paused_at) == _seconds(stored, instant(last.at))


def _seconds(pause: Pause, asked_at: datetime) -> float | None:
    return None if pause.ends_at is None else (pause.ends_at - asked_at).total_seconds()


def remove(
    connection: Connection, kind: PauseKind, name: str, *, actor: str, reason: str | None, now: datetime
) -> bool:
    """End a pause; False if there is none."""
    if not connection.execute(_REMOVE, {"kind": kind, "name": name}).rowcount:
        return False
    audit(connection, at=now, actor=actor, action="resumed", subject=f"{kind} {name}", reason=reason)
    announce(connection)
    return True


def end(connection: Connection, pause: Pause, *, now: datetime) -> bool:
    """End a pause whose time is up; False if somebody else did, or has prolonged it."""
    values = {"kind": pause.kind, "name": pause.name, "now": microseconds(now)}
    if not connection.execute(_REMOVE_OVER, values).rowcount:
        return False
    subject = f"{pause.kind} {pause.name}"
    audit(connection, at=now, actor=BY_ITSELF, action="resumed", subject=subject, reason="its time was up")
    return True
