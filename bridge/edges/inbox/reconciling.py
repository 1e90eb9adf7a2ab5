"""Statements of reconciling: which types a source delivers, which jobs were told of, and what is made up for.

A delivery that no webhook brought has a dedup key of its own, a digest of its completion: however often it is added,
and by however many processes, it is stored once.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import BindParameter, Connection, Text, bindparam, text

from bridge.edges.inbox.engine.ids import delivery_text, first_id
from bridge.edges.inbox.engine.statements import Pair, a_list, announce, is_shared
from bridge.edges.inbox.rows import instant_or_none, microseconds
from bridge.edges.inbox.vault import place, ring_of
from bridge.rules.completion import Completion, Key, Kind, names_its_kind
from bridge.rules.reconciling import Ended, Seen
from bridge.words.via import RECONCILED_KEY

_SEEN = text("SELECT kind, type, status, last_seen_at FROM seen_types WHERE source = :source ORDER BY type, status")
_NOTE_SEEN = text(
    "INSERT INTO seen_types (source, kind, status, type, last_seen_at) VALUES (:source, :kind, :status, :type, :at)"
    " ON CONFLICT (source, kind, status, type) DO UPDATE SET last_seen_at = excluded.last_seen_at"
    " WHERE COALESCE(seen_types.last_seen_at, 0) < excluded.last_seen_at"
)
_NOTE_AGAIN = text(
    "UPDATE seen_types SET last_seen_at = :at WHERE source = :source AND kind = :kind AND status = :status"
    " AND type = :type AND COALESCE(last_seen_at, 0) < :at"
)
_KNOWN = text(
    "SELECT about_id, kind, source, status FROM completions WHERE about_id IN :names AND kind = :kind"
    " AND source = :source"
).bindparams(a_list("names", Text()))
# An event that names a run and a job tells of the run, unless its type begins with `job.`. Of a run of many jobs not
# every delivery keeps a row of completions: then its status is not known, and the name alone counts.
_KNOWN_BESIDE = text(
    "SELECT n.id, c.status FROM completion_ids AS n JOIN deliveries AS d ON d.id = n.delivery_id"
    " LEFT JOIN completions AS c ON c.delivery_id = n.delivery_id"
    " WHERE n.id IN :names AND d.source = :source AND COALESCE(c.kind, 'run') = 'run'"
).bindparams(a_list("names", Text()))
_ERASED = text("SELECT digest FROM erased_jobs WHERE digest IN :digests").bindparams(
    bindparam("digests", expanding=True)
)
_KEYS: BindParameter[bytes] = bindparam("keys", expanding=True)
_STORED = Pair(  # what was added and is not routed yet
    sqlite=text("SELECT dedup_key FROM dedup WHERE dedup_key IN :keys").bindparams(_KEYS),
    postgresql=text("SELECT dedup_key FROM deliveries WHERE dedup_key IN :keys").bindparams(_KEYS),
)
_ERASE = text("INSERT INTO erased_jobs (digest) VALUES (:digest) ON CONFLICT DO NOTHING")
# In the order of the partial index `deliveries_waiting`: else PostgreSQL may read past all history. What is being asked
# about has no reason, but was counted.
_WAITING = text(
    "SELECT 1 FROM deliveries WHERE state = 'received' AND source = :source AND id + 0 < :before AND id + 0 >= :since"
    " AND COALESCE(reason, '') NOT IN ('key_missing','internal_error')"
    " AND (id + 0 >= :asked_since OR (lookups = 0 AND COALESCE(reason, '') <> 'lookup_queued'))"
    " ORDER BY due_at LIMIT 1"
)
_COLUMNS = (
    "id, dedup_key, source, state, received_at, due_at, key_id, headers, body, sealed_with",
    ":id, :key, :source, 'received', :now, :now, :key_id, '{}', :body, :sealed_with",
)
_INSERT = f"INSERT INTO deliveries ({_COLUMNS[0]}) "
_ADD = Pair(
    sqlite=text(f"{_INSERT} SELECT {_COLUMNS[1]} WHERE NOT EXISTS (SELECT 1 FROM dedup WHERE dedup_key = :key)"),  # noqa: S608 - our own names
    postgresql=text(f"{_INSERT} VALUES ({_COLUMNS[1]}) ON CONFLICT DO NOTHING"),
)
_ADD_KEY = text("INSERT INTO dedup (dedup_key, delivery_id) VALUES (:key, :id)")


def seen(connection: Connection, source: str) -> list[Seen]:
    """Return the types that a source was seen to deliver."""
    return [
        Seen(Kind(row.kind), row.type, row.status, instant_or_none(row.last_seen_at))
        for row in connection.execute(_SEEN, {"source": source})
    ]


def note_seen(connection: Connection, found: Mapping[tuple[str, Seen], datetime]) -> None:
    """Keep which types sources deliver, each with its source and when that last was."""
    connection.execute(_NOTE_SEEN, _seen_values(found))


def note_again(connection: Connection, found: Mapping[tuple[str, Seen], datetime]) -> None:
    """Keep when types were last delivered, of those that are stored."""
    connection.execute(_NOTE_AGAIN, _seen_values(found))


def _seen_values(found: Mapping[tuple[str, Seen], datetime]) -> list[dict[str, object]]:
    """Return them in one order, as rows lock."""
    values: list[dict[str, object]] = [
        {"source": source, "kind": item.kind, "status": item.status, "type": item.type, "at": microseconds(at)}
        for (source, item), at in found.items()
    ]
    return sorted(values, key=lambda value: [str(each) for each in value.values()])


def is_behind(connection: Connection, source: str, *, since: datetime, before: datetime, asked_since: datetime) -> bool:
    """Whether a webhook of a source that came between two instants is about to be routed. Read beside the writer.

    One that may never be (its key is missing, the bridge fails on it), or that waits for a look-up since before
    `asked_since`, is not.
    """
    instants = {"since": since, "before": before, "asked_since": asked_since}
    values = {name: first_id(microseconds(at)) for name, at in instants.items()}
    return connection.execute(_WAITING, {"source": source, **values}).first() is not None


def untold(connection: Connection, ended: Sequence[Ended]) -> list[Ended]:
    """Return those of jobs that no delivery tells of, and that nobody has erased."""
    if not ended:
        return []
    known = {key for source in {each.completion.source for each in ended} for key in _known(connection, source, ended)}
    digests = {_digest(each.completion.source, each.completion.id) for each in ended}
    erased = set(map(bytes, connection.execute(_ERASED, {"digests": sorted(digests)}).scalars()))
    keys = {"keys": [dedup_key(each.completion) for each in ended]}
    stored = set(map(bytes, connection.execute(_STORED.on(connection), keys).scalars()))
    return [
        each
        for each in ended
        if each.completion.key not in known
        and dedup_key(each.completion) not in stored
        and _digest(each.completion.source, each.completion.id) not in erased
    ]


def _known(connection: Connection, source: str, ended: Sequence[Ended]) -> set[Key]:
    """Return the jobs that deliveries tell of, or name beside the run that they tell of.

    The second only where a webhook of the job's own type would do so: `job.*` and `pipeline.run.*` are two completions.
    """
    own = [each for each in ended if each.completion.source == source]
    found = connection.execute(_KNOWN, {"names": _names(own), "kind": Kind.JOB, "source": source})
    known = {(row.about_id, row.kind, row.source, row.status) for row in found}
    open_types = [each for each in own if not names_its_kind(each.type)]
    if open_types:
        named = connection.execute(_KNOWN_BESIDE, {"names": _names(open_types), "source": source})
        beside = {(row.id, row.status) for row in named}
        known |= {
            each.completion.key
            for each in open_types
            if beside & {(each.completion.id, each.completion.status), (each.completion.id, None)}
        }
    return known


def _names(ended: Iterable[Ended]) -> list[str]:
    return sorted({each.completion.id for each in ended})


def add(connection: Connection, ended: Sequence[Ended], *, new_id: Callable[[], int], now: datetime) -> list[str]:
    """Store a delivery for each job that still nobody tells of; returns their ids. Idempotent."""
    added: list[str] = []
    for each in untold(connection, ended):
        row, key = new_id(), dedup_key(each.completion)
        if _add(connection, row, key, each, now):
            added.append(delivery_text(row))
    if added:
        announce(connection)
    return added


def _add(connection: Connection, row: int, key: bytes, ended: Ended, now: datetime) -> bool:
    ring = ring_of(connection)
    values = {
        "id": row,
        "key": key,
        "source": ended.completion.source,
        "now": microseconds(now),
        "key_id": RECONCILED_KEY,
        "body": ring.seal(ended.body, place("deliveries", "body", row)),
        "sealed_with": ring.current,
    }
    if not connection.execute(_ADD.on(connection), values).rowcount:
        return False
    if not is_shared(connection):  # there the keys stand in a table of their own
        connection.execute(_ADD_KEY, {"key": key, "id": row})
    return True


def forget_jobs(connection: Connection, source: str, job_ids: Collection[str]) -> None:
    """Never make up for a webhook of these jobs again: a person has erased what is known of them."""
    if job_ids:
        connection.execute(_ERASE, [{"digest": _digest(source, each)} for each in sorted(job_ids)])


def dedup_key(completion: Completion) -> bytes:
    """Return the key of a delivery that no webhook brought; no webhook's begins so, since no source has a zero byte."""
    parts = (completion.source, "reconciled", completion.kind, completion.id, completion.status)
    return hashlib.sha256("\0".join(parts).encode()).digest()[:16]


def _digest(source: str, job_id: str) -> bytes:
    return hashlib.sha256(f"{source}\0job\0{job_id}".encode()).digest()[:16]
