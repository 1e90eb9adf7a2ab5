"""What each replica has loaded: a duty for its mapping and one for each key, under a lease; the name tells what.

A process that serves tells it all the time, so where nobody tells anything, nobody serves.
"""

import json
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from bridge.edges.inbox import duties
from bridge.edges.inbox.rows import instant, microseconds
from bridge.words.replicas import LoadedKey, LoadedMapping

_KEY = "loaded:"
_MAPPING = "mapping:"
PREFIXES = (_KEY, _MAPPING)
_LIVE = text(
    f"SELECT name FROM duties WHERE {duties.BEGINS} AND token IS NOT NULL AND lease_until > :now ORDER BY name"  # noqa: S608
)
What = LoadedKey | LoadedMapping


def say(
    connection: Connection, found: Collection[What], *, gone: Collection[What], now: datetime, seconds: float
) -> None:
    """Store that these are loaded for so long, and those are not. Idempotent."""
    for each in found:
        duties.take(connection, _name(each), token=each.replica, now=now, seconds=seconds)
    for each in gone:
        duties.end(connection, _name(each), token=each.replica)


def live(connection: Connection, *, now: datetime) -> list[LoadedKey]:
    """Return the keys that the replicas that are alive have loaded. Read beside the writer."""
    return [LoadedKey(*each) for each in _read(connection, _KEY, now)]


def mappings(connection: Connection, *, now: datetime) -> list[LoadedMapping]:
    """Return the mapping of each replica that is alive; a release before tells of its keys alone."""
    found = _read(connection, _MAPPING, now)
    return [LoadedMapping(replica, host, digest, instant(at)) for replica, host, digest, at in found]


def is_served(connection: Connection, *, now: datetime) -> bool:
    """Tell whether a process that serves has told of itself within the last minute."""
    return any(next(_read(connection, prefix, now), None) is not None for prefix in PREFIXES)


def _read(connection: Connection, prefix: str, now: datetime) -> Iterator[list[Any]]:
    for name in connection.execute(_LIVE, {"prefix": prefix, "now": microseconds(now)}).scalars():
        yield json.loads(name.removeprefix(prefix))


def _name(each: What) -> str:
    if isinstance(each, LoadedMapping):
        return _MAPPING + json.dumps([each.replica, each.host, each.digest, microseconds(each.loaded_at)])
    return _KEY + json.dumps([each.replica, each.source, each.key_id, each.fingerprint])
