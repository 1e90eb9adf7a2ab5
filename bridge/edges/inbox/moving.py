"""Statements that move due times and leases to an earlier instant, after the wall clock was set back.

What is to move is read beside the writer, and moved in slices that webhooks can pass. A row moves only if it still
waits for the instant that was seen: it moves once, however often its slice is written, and what was written meanwhile
stays as it is.

They wait for rows that another replica is working on: a row that was passed over would wait for an hour.

Rule: a due time is wrong only if it lies further ahead than its reason may set one (`backoff.longest_wait`). What waits
for a person is due at NEVER and stays so. A queue behind an hourly ceiling is as long as it is; only its first trigger
shows a wrong clock, since that one waits for at most an hour.
"""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, Text, text

from bridge.edges.inbox.claiming import AIRFLOWS, OPEN_AIRFLOWS
from bridge.edges.inbox.engine.statements import a_list
from bridge.edges.inbox.rows import microseconds
from bridge.edges.inbox.triggers import NEVER
from bridge.rules.ceiling import HOUR_SECONDS
from bridge.rules.following import LONGEST_PAUSE_SECONDS
from bridge.rules.retrying.backoff import longest_wait
from bridge.words.reasons import Reason

_WAITS = "state IN ('pending','held')"
_IN_A_QUEUE = "state = 'held' AND reason = 'hourly_ceiling'"
_IS_FOLLOWED = "state = 'fired' AND run_due_at IS NOT NULL"
# What moves with the clock. The literal states let the databases use the partial indexes; the ones that have due times
# of triggers begin with the Airflow. A place in the queue for look-ups stays: it is drawn before it is due.
_AHEAD = {
    "delivery": "SELECT id, due_at FROM deliveries WHERE state = 'received' AND due_at > :now AND due_at < :never"
    " AND COALESCE(reason, '') <> 'lookup_queued'",
    "trigger": f"{AIRFLOWS} SELECT id, due_at FROM airflows JOIN triggers ON airflow = airflows.name"  # noqa: S608
    f" AND {_WAITS}"
    " AND due_at > :now AND due_at < :never",
    "lease": "SELECT id, lease_until FROM triggers WHERE state = 'firing' AND lease_until > :now",
    "look": f"{OPEN_AIRFLOWS} SELECT id, run_due_at FROM airflows JOIN triggers ON airflow = airflows.name"  # noqa: S608
    f" AND {_IS_FOLLOWED} AND run_due_at > :now",
}
_MOVE = {
    kind: text(f"UPDATE {table} SET {at} = {at} - :by WHERE id = :id AND {at} = :seen AND {waits}")  # noqa: S608
    for kind, table, at, waits in (
        ("delivery", "deliveries", "due_at", "state = 'received'"),
        ("trigger", "triggers", "due_at", _WAITS),
        ("lease", "triggers", "lease_until", "state = 'firing'"),
        ("look", "triggers", "run_due_at", "state = 'fired'"),
        ("queue", "triggers", "due_at", _IN_A_QUEUE),
    )
}
# `reason` as text: NULL is no member of any list, nor of its opposite.
_IS_FAR = "due_at > :latest AND COALESCE(reason, '') IN :reasons"
_FAR_AHEAD = tuple(
    text(statement).bindparams(a_list("reasons", Text()))
    for statement in (
        f"SELECT id FROM deliveries WHERE state = 'received' AND due_at < :never AND {_IS_FAR} LIMIT :limit",  # noqa: S608
        f"{AIRFLOWS} SELECT id FROM airflows JOIN triggers ON airflow = airflows.name AND state IN ('pending','held')"  # noqa: S608
        f" AND due_at < :never AND {_IS_FAR} LIMIT :limit",
    )
)
# What is written is said again outside: PostgreSQL looks at a row once more after it has waited for it.
_LOOKS = text(
    f"UPDATE triggers SET run_due_at = :now WHERE id IN ({OPEN_AIRFLOWS} SELECT id FROM airflows JOIN triggers"  # noqa: S608
    f" ON airflow = airflows.name AND {_IS_FOLLOWED} AND run_due_at > :latest LIMIT :limit)"
    f" AND {_IS_FOLLOWED} AND run_due_at > :latest"
)
_PULLED_IN = tuple(
    text(f"UPDATE {table} SET due_at = :now WHERE id IN :ids AND {waits} AND {_IS_FAR}").bindparams(  # noqa: S608
        a_list("ids", BigInteger()), a_list("reasons", Text())
    )
    for table, waits in (("deliveries", "state = 'received'"), ("triggers", "state IN ('pending','held')"))
)
_AT_ONCE = 500
FarAhead = dict[float, list[list[int]]]
_ENDED = text("UPDATE triggers SET lease_until = :now WHERE state = 'firing' AND lease_until > :latest")
_AIRFLOWS = text(f"{AIRFLOWS} SELECT name FROM airflows WHERE name IS NOT NULL")  # noqa: S608
# The first place in a route's queue, among the few that are due first; 0 if all of those wait for other things.
_FIRST_PLACE = (
    "SELECT COALESCE(MIN(place_at), CASE COUNT(*) WHEN :few THEN 0 END) FROM"
    " (SELECT CASE reason WHEN 'hourly_ceiling' THEN due_at END AS place_at FROM triggers WHERE airflow = :airflow"
    " AND state = 'held' AND route = {route} ORDER BY due_at LIMIT :few) AS few"
)
# Of each route, and whether any place lies so far ahead; nothing else that is held may.
_FIRST_PLACES = text(
    "WITH RECURSIVE routes (name) AS (SELECT MIN(route) FROM triggers WHERE airflow = :airflow AND state = 'held'"  # noqa: S608
    " UNION ALL SELECT (SELECT MIN(route) FROM triggers WHERE airflow = :airflow AND state = 'held'"
    " AND route > routes.name) FROM routes WHERE routes.name IS NOT NULL)"
    f" SELECT name, ({_FIRST_PLACE.format(route='routes.name')}) AS first_at,"
    " EXISTS (SELECT 1 FROM (SELECT reason FROM triggers WHERE airflow = :airflow AND state = 'held'"
    " AND route = routes.name AND due_at > :latest AND due_at < :never ORDER BY due_at LIMIT :few) AS far"
    " WHERE reason = 'hourly_ceiling') AS is_far FROM routes WHERE name IS NOT NULL"
)
_FIRST_PLACE_OF = text(_FIRST_PLACE.format(route=":route"))
_FEW = 100
_MANY = 10_000
_QUEUE = text(
    f"{AIRFLOWS} SELECT id, due_at FROM airflows JOIN triggers ON airflow = airflows.name AND {_IN_A_QUEUE}"  # noqa: S608
    " AND route = :route ORDER BY due_at"
)
# By the longest wait that they may have: the reasons; the empty one is of what has none.
_BY_LONGEST: dict[float, list[str]] = {}
for _reason in (None, *Reason):
    _BY_LONGEST.setdefault(longest_wait(_reason), []).append(str(_reason or ""))


@dataclass(frozen=True, slots=True)
class Slice:
    """What moves in one transaction: ids of one kind, each with the instant at which it was seen to wait for."""

    kind: str
    rows: list[tuple[int, int]]


def ahead(connection: Connection, *, now: datetime) -> list[Slice]:
    """Return everything that is due, or whose lease ends, after `now`. To be read beside the writer."""
    values = {"now": microseconds(now), "never": microseconds(NEVER)}
    return [part for kind, rows in _AHEAD.items() for part in _sliced(kind, connection.execute(text(rows), values))]


def queue(connection: Connection, route: str, *, latest: datetime) -> tuple[list[Slice], timedelta]:
    """Return a route's queue behind its hourly ceiling, and by how much it begins later than at `latest`.

    The first place comes first. To be read beside the writer; what another replica has moved is late no longer.
    """
    slices = _sliced("queue", connection.execute(_QUEUE, {"route": route}))
    late = slices[0].rows[0][1] - microseconds(latest) if slices else 0
    return (slices, timedelta(microseconds=late)) if late > 0 else ([], timedelta())


def _sliced(kind: str, found: Iterable[Any]) -> list[Slice]:
    rows = [(row[0], row[1]) for row in found]
    return [Slice(kind, rows[begin : begin + _AT_ONCE]) for begin in range(0, len(rows), _AT_ONCE)]


def move_up(connection: Connection, part: Slice, *, by: timedelta) -> int:
    """Move to an earlier instant what still waits for the one that was seen; returns how much was moved."""
    values = {"by": by // timedelta(microseconds=1)}
    rows = [{"id": id_, "seen": seen} | values for id_, seen in sorted(part.rows)]  # replicas lock them in one order
    return connection.execute(_MOVE[part.kind], rows).rowcount


def far_ahead(
    connection: Connection, *, now: datetime, slack: timedelta, waits: Collection[float] = frozenset(_BY_LONGEST)
) -> FarAhead:
    """Return some of what would wait longer than its reason allows: ids of deliveries and triggers by longest wait.

    To be read beside the writer, since a queue (behind a ceiling, or for a look-up) has to be looked through. `slack`
    is by how much the clocks of replicas may differ; `waits`: look for these longest waits only.
    """
    found: FarAhead = {}
    for longest, reasons in _BY_LONGEST.items():
        if longest in waits and longest < math.inf:
            latest = microseconds(now + slack + timedelta(seconds=longest))
            values = {"latest": latest, "reasons": reasons, "never": microseconds(NEVER), "limit": _AT_ONCE}
            rows = [list(connection.execute(statement, values).scalars()) for statement in _FAR_AHEAD]
            if any(rows):
                found[longest] = rows
    return found


def end_leases(connection: Connection, *, now: datetime, latest: datetime) -> int:
    """End leases that reach beyond `latest`: no process can hold them; returns how many."""
    return connection.execute(_ENDED, {"now": microseconds(now), "latest": microseconds(latest)}).rowcount


def pull_in_looks(connection: Connection, *, now: datetime, slack: timedelta) -> int:
    """Look now at DAG runs whose next look is further ahead than any may be, some of them; returns how many."""
    latest = microseconds(now + slack + timedelta(seconds=LONGEST_PAUSE_SECONDS))
    return connection.execute(_LOOKS, {"now": microseconds(now), "latest": latest, "limit": _AT_ONCE}).rowcount


def pull_in(connection: Connection, *, now: datetime, slack: timedelta, found: FarAhead) -> int:
    """Make due what was found and is still too far ahead; returns how much."""
    values, moved = {"now": microseconds(now)}, 0
    for longest, rows in found.items():
        latest = microseconds(now + slack + timedelta(seconds=longest))
        for statement, ids in zip(_PULLED_IN, rows, strict=True):
            parameters = values | {"latest": latest, "reasons": _BY_LONGEST[longest], "ids": ids}
            moved += connection.execute(statement, parameters).rowcount
    return moved


def latest_start(now: datetime, slack: timedelta) -> datetime:
    """Return when a queue behind an hourly ceiling begins at the latest."""
    return now + slack + timedelta(seconds=HOUR_SECONDS)


def late_queues(connection: Connection, *, latest: datetime) -> list[str]:
    """Return the routes whose queue behind an hourly ceiling begins later than it may.

    A queue that begins behind very much else that is held (10,000 triggers) is judged once that has gone.
    """
    values: dict[str, Any] = {"latest": microseconds(latest), "never": microseconds(NEVER), "few": _FEW}
    firsts: dict[str, dict[str, int]] = {}  # by route and Airflow
    far = set()
    for airflow in connection.execute(_AIRFLOWS).scalars().all():
        for route, first_at, is_far in connection.execute(_FIRST_PLACES, values | {"airflow": airflow}):
            if first_at is not None:
                firsts.setdefault(route, {})[airflow] = first_at
            if is_far:
                far.add(route)
    return [route for route in sorted(far) if _first_place(connection, route, firsts.get(route, {})) > values["latest"]]


def _first_place(connection: Connection, route: str, firsts: dict[str, int]) -> int:
    """Return the first place of a queue, looking further where nobody knows; 0 if that does not tell either."""
    places = []
    for airflow, first_at in firsts.items():
        values = {"airflow": airflow, "route": route, "few": _MANY}
        places.append(first_at or connection.execute(_FIRST_PLACE_OF, values).scalar_one())
    return min((place for place in places if place is not None), default=0)
