"""The one hot statement: insert webhooks, leave out those already stored, and say which were which.

A unique index over random ids is what durable intake spends most on: every row dirties another page of it, and
each page is logged and checkpointed (measured: 0.45 of a bare handler with it, 0.58 without). So SQLite, which has
one writing process anyway, keeps the newest keys in memory and folds them into the table `dedup` when nothing
waits. The memory is derived: every row carries its key, and `folded` says how far the table reaches, so
a restart reads back exactly what had not been folded.

Bound by hand through the driver; SQLAlchemy's way to the same insert cost a third of the throughput
(measured on 2026-11-23, not since).
"""

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Any, NamedTuple

from bridge.words.model import Verified

Stored = tuple[int, bool]  # delivery id, whether this row made it
Seal = Callable[[int, bytes], tuple[bytes, str]]  # (delivery id, body) -> stored body, id of the key


class Row(NamedTuple):
    """One webhook as it is inserted, but for its id. A tuple, as the driver binds it; instants in Unix microseconds."""

    dedup_key: bytes
    source: str
    event_id: str | None
    state: str
    reason: str | None
    received_at: int
    due_at: int
    key_id: str
    signed_at: int | None
    path_pipeline_id: str | None
    headers: str
    body: bytes
    # From here on not stored.
    akin: tuple[bytes, ...] = ()  # other keys under which a copy of it may stand
    after: int = 0  # deliveries up to this id are no copies of it, although they have its key


_EVENT_BYTES = 8
WIDTH = Row._fields.index("akin")
FOLD = 1024  # keys folded in one transaction: a few milliseconds, whatever the size of the table
MOST_IN_MEMORY = 65_536  # keys, about 12 MB; beyond them, folding no longer waits for a quiet moment
COLUMNS = (
    "id, dedup_key, source, event_id, state, reason, received_at, due_at, key_id, signed_at, path_pipeline_id,"
    " headers, body"
)
SEALED = COLUMNS + ", sealed_with"
_UNFOLDED = "SELECT dedup_key, id FROM deliveries WHERE id > (SELECT upto FROM folded) ORDER BY id"


@lru_cache(maxsize=256)
def _insert(rows: int, columns: str) -> str:
    """Return the statement for a batch of this size.

    One statement for all rows: the driver lets go of the interpreter once per statement, and the event loop takes
    it each time; with a statement per row the batch waited for the loop as often as it had rows.
    """
    values = ",".join(["(" + ",".join("?" * (columns.count(",") + 1)) + ")"] * rows)
    return f"INSERT INTO deliveries ({columns}) VALUES {values}"  # noqa: S608


@lru_cache(maxsize=256)
def _find(keys: int) -> str:
    marks = ",".join("?" * keys)
    return f"SELECT dedup_key, delivery_id FROM dedup WHERE dedup_key IN ({marks})"  # noqa: S608


def dedup_key(source: str, event_id: str | None, body: bytes, message_id: str | None = None) -> bytes:
    """Return the 16 bytes that are unique per event of a source.

    From the event id inside the signed body; else from the message id that is signed with it; else a body is its own
    identity. Only signed values take part, never an unsigned header or the signature itself
    (docs/security.md, "Signed values only").
    """
    if event_id:
        name = b"\0event\0" + event_id.encode()
    else:
        name = b"\0body\0" + body if message_id is None else b"\0message\0" + message_id.encode()
    return hashlib.sha256(source.encode() + name).digest()[:16]


def key_beside(key: bytes, body: bytes) -> bytes:
    """Return the key of a delivery whose event id is taken by another body; it begins as `key_ranges` promises."""
    return key[:_EVENT_BYTES] + hashlib.sha256(body).digest()[:_EVENT_BYTES]


def stale_key(key: bytes) -> bytes:
    """Swap an event's dedup key and the key of its stale copies (an involution).

    They differ, since a stale copy starts nothing: under one key, somebody who replays an old webhook could make the
    sender's fresh one count as a duplicate.
    """
    return bytes(byte ^ 0xFF for byte in key)


def key_ranges(key: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return the ranges of keys that an event can stand under, whatever its dedup key was: first and last of each.

    The rule that search and erase rely on: all keys of one event begin with the same eight bytes, and those of its
    stale copies with the same eight, swapped. Whatever else makes a key its own goes into the other eight.
    """
    begins = (key[:_EVENT_BYTES], stale_key(key)[:_EVENT_BYTES])
    return tuple((begin.ljust(16, b"\x00"), begin.ljust(16, b"\xff")) for begin in begins)


def keys(source: str, event_id: str | None, verified: Verified, *, is_beside: bool) -> tuple[bytes, tuple[bytes, ...]]:
    """Return the key of a webhook, and those under which a copy of it may stand besides.

    The release before took no notice of message ids: there the body was the identity.
    """
    key = dedup_key(source, event_id, verified.body, verified.message_id)
    former = () if event_id or verified.message_id is None else (dedup_key(source, None, verified.body),)
    if is_beside:
        key, former = key_beside(key, verified.body), ()
    return (stale_key(key), (key, *former)) if verified.is_stale else (key, former)


def sealed_row(seal: Seal, number: int, row: Row) -> tuple[Any, ...]:
    """Return the values of SEALED for a row whose id is known by now: the body is bound to it."""
    return number, *row[: WIDTH - 1], *seal(number, row.body)


class Intake:
    """Inserts webhooks exactly once; belongs to the writer's thread and its connection."""

    def __init__(self, driver: Any, new_id: Callable[[], int], seal: Seal | None = None) -> None:
        """`new_id` must grow with every call; `seal` makes the stored body of a row, None keeps it.

        The keys that are not folded yet are read back at the first insert: a command beside a running service inserts
        nothing, so it must fold nothing either.
        """
        self._driver = driver
        self._new_id = new_id
        self._seal = seal
        self._has_read_back = False
        self._recent: dict[bytes, int] = {}
        self._uncommitted: dict[bytes, int] = {}

    def insert(self, rows: Sequence[Row]) -> list[Stored]:
        """Insert the rows inside the open transaction; return what is stored for each, in order.

        `committed` must follow the COMMIT, `rolled_back` anything else.
        """
        known = self._known([row.dedup_key for row in rows] + [key for row in rows for key in row.akin])
        outcome: list[Stored] = []
        fresh: list[tuple[Any, ...]] = []
        for row in rows:
            key = row.dedup_key
            stored = known.get(key)
            if row.akin and stored is None:
                stored = next((known[other] for other in row.akin if known.get(other, 0) > row.after), None)
            if stored is not None and stored > row.after:
                outcome.append((stored, False))
                continue
            number = known[key] = self._uncommitted[key] = self._new_id()
            fresh.append((number, *row[:WIDTH]) if self._seal is None else sealed_row(self._seal, number, row))
            outcome.append((number, True))
        if fresh:
            columns = COLUMNS if self._seal is None else SEALED
            self._driver.execute(_insert(len(fresh), columns), tuple(chain.from_iterable(fresh)))
        return outcome

    def committed(self) -> None:
        """Remember what was inserted; last, as its ids are the greatest, also under a key that was there already."""
        for key in self._uncommitted.keys() & self._recent.keys():
            del self._recent[key]
        self._recent.update(self._uncommitted)
        self._uncommitted.clear()

    def rolled_back(self) -> None:
        """Forget what was not stored after all."""
        self._uncommitted.clear()

    def forget(self, row: Row) -> None:
        """Forget one row that was undone alone."""
        self._uncommitted.pop(row.dedup_key, None)

    def waits(self) -> int:
        """Return how many keys are in memory only."""
        return len(self._recent)

    def fold(self) -> None:
        """Move the oldest keys into the table, in the table's order, in a transaction of its own."""
        chunk = list(islice(self._recent.items(), FOLD))  # a dict keeps the order of insertion, which is that of ids
        self._driver.execute("BEGIN IMMEDIATE")
        try:
            # A key that is there already belongs to a delivery that retention has removed: the new one takes it.
            self._driver.executemany("INSERT OR REPLACE INTO dedup VALUES (?,?)", sorted(chunk))
            self._driver.execute("UPDATE folded SET upto = ?", (chunk[-1][1],))
            self._driver.execute("COMMIT")
        except Exception:
            if self._driver.in_transaction:
                self._driver.execute("ROLLBACK")
            raise
        for key, _ in chunk:
            del self._recent[key]

    def _known(self, keys: Sequence[bytes]) -> dict[bytes, int]:
        """Return those of the keys that are stored or about to be, with their delivery's id."""
        if not self._has_read_back:
            self._recent = dict(self._driver.execute(_UNFOLDED).fetchall())
            self._has_read_back = True
        known: dict[bytes, int] = dict(self._driver.execute(_find(len(keys)), keys).fetchall())
        for newer in (self._recent, self._uncommitted):
            known |= {key: newer[key] for key in keys if key in newer}
        return known
