"""Statements on notices: what each target was sent about each cause, and which targets messages do not reach.

Written by whoever holds the duty of notifying, so by one replica at a time. A handful of rows.
"""

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from bridge.edges.inbox.rows import instant, instant_or_none, microseconds
from bridge.words.notices import Failing, Notice

_ALL = text("SELECT target, cause, seen_at, gone_at, sent_at, title, places FROM notices ORDER BY target, cause")
_PUT = text(
    "INSERT INTO notices (target, cause, seen_at, gone_at, sent_at, title, places)"
    " VALUES (:target, :cause, :seen_at, :gone_at, :sent_at, :title, :places)"
    " ON CONFLICT (target, cause) DO UPDATE SET seen_at = excluded.seen_at, gone_at = excluded.gone_at,"
    " sent_at = excluded.sent_at, title = excluded.title, places = excluded.places"
)
_FORGET = text("DELETE FROM notices WHERE target = :target AND cause = :cause")
_TARGETS = text("SELECT target FROM notices UNION SELECT target FROM notify_failing")
_FORGET_TARGET = [text(f"DELETE FROM {table} WHERE target = :target") for table in ("notices", "notify_failing")]  # noqa: S608
_FAILING = text("SELECT target, since, problem FROM notify_failing ORDER BY target")
_FAILED = text(
    "INSERT INTO notify_failing (target, since, problem) VALUES (:target, :since, :problem)"
    " ON CONFLICT (target) DO UPDATE SET problem = excluded.problem"
)
_WORKS = text("DELETE FROM notify_failing WHERE target = :target")


def read(connection: Connection) -> list[Notice]:
    """Return everything that is remembered."""
    return [_notice(row) for row in connection.execute(_ALL)]


def keep(connection: Connection, kept: Sequence[Notice], *, to: str, forgotten: Collection[str] = ()) -> None:
    """Remember these of a target, and forget its other causes that are named."""
    for cause in forgotten:
        connection.execute(_FORGET, {"target": to, "cause": cause})
    if kept:
        connection.execute(_PUT, [_values(notice) for notice in kept])


def keep_targets(connection: Connection, names: Collection[str]) -> None:
    """Forget every target that is not one of these: it is configured no more."""
    for (target,) in connection.execute(_TARGETS).all():
        if target not in names:
            for statement in _FORGET_TARGET:
                connection.execute(statement, {"target": target})


def failing(connection: Connection) -> list[Failing]:
    """Return the targets that the last message did not reach."""
    return [Failing(row.target, instant(row.since), row.problem) for row in connection.execute(_FAILING)]


def settle(connection: Connection, sent: Sequence[Notice], *, to: str, problem: str | None, now: datetime) -> None:
    """Remember what reached a target, and what kept the rest from it (`problem`).

    Since when messages do not reach it is kept from the first; one that was sent ends it.
    """
    keep(connection, sent, to=to)
    if problem is not None:
        connection.execute(_FAILED, {"target": to, "since": microseconds(now), "problem": problem})
    elif sent:
        works(connection, to)


def works(connection: Connection, to: str) -> None:
    """Remember that messages reach a target."""
    connection.execute(_WORKS, {"target": to})


def _notice(row: Any) -> Notice:
    places = {about: (count, newest) for about, (count, newest) in json.loads(row.places).items()}
    return Notice(
        row.target,
        row.cause,
        instant(row.seen_at),
        instant_or_none(row.gone_at),
        instant_or_none(row.sent_at),
        row.title,
        places,
    )


def _values(notice: Notice) -> dict[str, Any]:
    return {
        "target": notice.to,
        "cause": notice.cause,
        "seen_at": microseconds(notice.seen_at),
        "gone_at": None if notice.gone_at is None else microseconds(notice.gone_at),
        "sent_at": None if notice.sent_at is None else microseconds(notice.sent_at),
        "title": notice.title,
        "places": json.dumps(notice.places),
    }
