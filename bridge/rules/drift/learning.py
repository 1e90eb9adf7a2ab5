"""Take what one process saw of a source into what is known of it, and return what has changed. Pure.

Nothing is said before it is known what is usual, and no verdict is taken from one sample:

    learned        a source, once 200 of its deliveries were seen, and two days have passed since the first
    new type       or status word: never seen at a learned source
    new field      never seen at a learned source, in whatever type; its group (type and status) was seen 50 times
    gone field     it was in each of 200 deliveries of its group in a row, and in none of the last five
    gone type      seen 200 times, and now for three days not, while 200 deliveries came, and 20 times as many as
                   usually lie between two of it
    limit          1000 fields, types and words are known: nothing else is learned, and that is said once

What is back is gone no more (`over`), and may be said again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bridge.rules.drift.batches import Batch, Group, Presence, Sight
from bridge.words.drifts import Change, Drift, DriftKind

LEARNED = 200
LEARNED_AFTER = timedelta(days=2)
GROUP_LEARNED = 50
ALWAYS = 200
GONE = 5
MAX_KNOWN = 1000
_TYPE_AWAY = timedelta(days=3)
_TIMES_AWAY = 20
_VERSION = 1
Key = tuple[DriftKind, str, str]  # kind, of, path
Document = dict[str, Any]


@dataclass(slots=True)
class Learned:
    """What is known now, what has changed, and what is gone no more."""

    known: str
    drifts: list[Drift] = field(default_factory=list)
    over: list[Key] = field(default_factory=list)


def learn(known: str | None, batch: Batch, now: datetime) -> Learned:
    """Return what is known after a batch. `known` is what this returned before, None for a new source."""
    learning = _Learning(known, now)
    learning.take(batch)
    return Learned(learning.written(), learning.drifts, learning.over)


class _Learning:
    """One batch on its way into what is known."""

    def __init__(self, known: str | None, now: datetime) -> None:
        self._now = int(now.timestamp())
        self._known = _read(known, self._now)
        self.drifts: list[Drift] = []
        self.over: list[Key] = []
        is_old = self._now - self._known["since"] >= LEARNED_AFTER.total_seconds()
        self._is_learned = is_old and self._known["total"] >= LEARNED
        groups = self._known["groups"].values()
        self._paths = {path for group in groups for path in group["fields"]}
        fields = sum(len(group["fields"]) for group in groups)
        self._room = MAX_KNOWN - fields - len(groups) - len(self._known["types"]) - len(self._known["statuses"])

    def written(self) -> str:
        return json.dumps(self._known, separators=(",", ":"))

    def take(self, batch: Batch) -> None:
        base = self._known["total"]
        self._known["total"] = base + batch.total
        self._see(batch.types, "types", DriftKind.TYPE, base)
        self._see(batch.statuses, "statuses", DriftKind.STATUS, base)
        for name, group in batch.groups.items():
            self._take_group(name, group)
        self._look_for_gone_types()
        if (batch.is_full or self._room < 0) and not self._known.get("is_full"):
            self._known["is_full"] = True
            self._say(DriftKind.LIMIT, Change.NEW, "", "", batch.last_delivery)

    def _has_room(self) -> bool:
        self._room -= 1
        return self._room >= 0

    def _say(self, kind: DriftKind, change: Change, of: str, path: str, delivery_id: str) -> None:
        self.drifts.append(Drift(kind, change, of, path, delivery_id))

    def _see(self, sights: Mapping[str, Sight], part: str, kind: DriftKind, base: int) -> None:
        """Take in types or status words."""
        for name, sight in sights.items():
            entry = self._known[part].get(name)
            if entry is None:
                if not self._has_room():
                    continue
                entry = self._known[part][name] = {"total": 0}
                if self._is_learned:
                    self._say(kind, Change.NEW, name, sight.path, sight.first_delivery)
            if entry.pop("is_gone", False):
                self.over.append((kind, name, entry["path"]))
            entry |= {
                "total": entry["total"] + sight.total,
                "last": base + sight.last,
                "at": self._now,
                "path": sight.path,
                "delivery": sight.last_delivery,
            }

    def _look_for_gone_types(self) -> None:
        total = self._known["total"]
        for name, entry in self._known["types"].items():
            usual = entry["last"] / entry["total"]  # deliveries of the source from one of it to the next
            is_away = self._now - entry["at"] >= _TYPE_AWAY.total_seconds()
            is_gone = is_away and total - entry["last"] >= max(LEARNED, _TIMES_AWAY * usual)
            if is_gone and self._is_learned and entry["total"] >= ALWAYS and not entry.get("is_gone"):
                entry["is_gone"] = True
                self._say(DriftKind.TYPE, Change.GONE, name, entry["path"], entry["delivery"])

    def _take_group(self, name: str, group: Group) -> None:
        known = self._known["groups"].get(name)
        if known is None:
            if not self._has_room():
                return
            known = self._known["groups"][name] = {"total": 0, "fields": {}}
        base, fields = known["total"], known["fields"]
        known["total"] = base + group.total
        for path, entry in fields.items():
            if path not in group.fields and entry["absent"] is None:
                entry |= {"absent": base + 1, "in": group.first_delivery}
        self._take_fields(name, group, fields, base)
        for path in fields if self._is_learned else ():
            self._look_for_gone(name, path, fields, known["total"])

    def _take_fields(self, name: str, group: Group, fields: Document, base: int) -> None:
        may_say = self._is_learned and base >= GROUP_LEARNED
        new: set[str] = set()
        for path in sorted(group.fields):  # what an object holds comes behind it
            presence = group.fields[path]
            if path in fields:
                self._renew(name, path, fields[path], presence, base)
            elif self._has_room():
                fields[path] = _entry(presence, base)
                if path not in self._paths:
                    self._paths.add(path)
                    new.add(path)
                    if may_say and _parent(path) not in new:
                        self._say(DriftKind.FIELD, Change.NEW, "", path, presence.delivery_id)

    def _renew(self, name: str, path: str, entry: Document, presence: Presence, base: int) -> None:
        """Take in where a known field stood; a run that began before goes on if there is no gap."""
        goes_on = entry["absent"] is None and presence.run_from == 1
        since = entry["since"]
        if entry.pop("is_gone", False):
            self.over.append((DriftKind.FIELD, name, path))
        entry |= _entry(presence, base)
        if goes_on:
            entry["since"] = since

    def _look_for_gone(self, name: str, path: str, fields: Document, total: int) -> None:
        entry, above = fields[path], fields.get(_parent(path))
        absent = entry["absent"]
        if absent is None or entry.get("is_gone") or absent - entry["since"] < ALWAYS or total - absent + 1 < GONE:
            return
        entry["is_gone"] = True
        if above is None or above["absent"] is None:  # else the object that it stood in is gone, and that is said
            self._say(DriftKind.FIELD, Change.GONE, name, path, entry["in"])


def _read(known: str | None, now: int) -> Document:
    found = {} if known is None else json.loads(known)
    if found.get("version") == _VERSION:
        return dict(found)
    return {"version": _VERSION, "since": now, "total": 0, "types": {}, "statuses": {}, "groups": {}}


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _entry(presence: Presence, base: int) -> Document:
    absent = presence.absent_from
    found: Document = {"since": base + presence.run_from, "absent": None if absent is None else base + absent}
    return found if absent is None else found | {"in": presence.absent_in}
