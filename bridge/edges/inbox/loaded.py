"""Which keys each replica has loaded: a duty for each, of which the name tells what, under a lease."""

import json
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, text

from bridge.edges.inbox import duties
from bridge.edges.inbox.rows import microseconds
from bridge.words.replicas import LoadedKey

PREFIX = "loaded:"
_LIVE = text(
    "SELECT name FROM duties WHERE name >= :begin AND name < :end AND token IS NOT NULL AND lease_until > :now"
    " ORDER BY name"
)


def say(
    connection: Connection, keys: Collection[LoadedKey], *, gone: Collection[LoadedKey], now: datetime, seconds: float
) -> None:
    """Store that these are loaded for so long, and those are not. Idempotent."""
    for each in keys:
        duties.take(connection, _name(each), token=each.replica, now=now, seconds=seconds)
    for each in gone:
        duties.end(connection, _name(each), token=each.replica)


def live(connection: Connection, *, now: datetime) -> list[LoadedKey]:
    """Return what the replicas that are alive have loaded. Read beside the writer."""
    begin, end = duties.between(PREFIX)
    found = connection.execute(_LIVE, {"begin": begin, "end": end, "now": microseconds(now)}).scalars()
    return [LoadedKey(*json.loads(name.removeprefix(PREFIX))) for name in found]


def _name(key: LoadedKey) -> str:
    return PREFIX + json.dumps([key.replica, key.source, key.key_id, key.fingerprint])
