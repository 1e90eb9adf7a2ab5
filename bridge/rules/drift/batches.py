"""What one process saw of one source since it last looked. Pure; not thread-safe: whoever holds one brings the lock.

Events of one type and one status are a group: a failed job has other fields than one that succeeded. Within a group
positions count from 1, in the order in which its deliveries were routed. A body with the outline of the one before it
costs a comparison; another one costs as much as it differs.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from bridge.rules.drift.outlines import outline
from bridge.words.model import Event

_MOST_GROUPS = 200  # between two looks
_MOST_FIELDS = 1000  # of one group, between two looks
_NOWHERE = "/"  # of what is read out of something else


@dataclass(slots=True)
class Presence:
    """Where a field stood: `run_from` without a gap, in `delivery_id` first; `absent_from`: missing from there on."""

    run_from: int
    delivery_id: str
    absent_from: int | None = None
    absent_in: str = ""


@dataclass(slots=True)
class Group:
    """The deliveries of one group: how many there were, and the fields that they had."""

    first_delivery: str
    total: int = 0
    fields: dict[str, Presence] = field(default_factory=dict)
    outline: tuple[str, ...] = ()


@dataclass(slots=True)
class Sight:
    """A type or a status word: how often it was seen, at which delivery of the source last, and where it stands."""

    path: str
    first_delivery: str
    total: int = 0
    last: int = 0
    last_delivery: str = ""


@dataclass(slots=True)
class Batch:
    """All of it. `is_full`: there were too many groups or fields to keep."""

    total: int = 0
    is_full: bool = False
    last_delivery: str = ""
    types: dict[str, Sight] = field(default_factory=dict)
    statuses: dict[str, Sight] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)

    def add(self, event: Event, delivery_id: str) -> None:
        """Take in one delivery. Never raises."""
        self.total += 1
        self.last_delivery = delivery_id
        type_ = digest(event.type or "")
        self._see(self.types, type_, event.origins.get("type", _NOWHERE), delivery_id)
        if event.status_word is not None:
            word = digest(event.status_word.lower())
            self._see(self.statuses, word, event.origins.get("status", _NOWHERE), delivery_id)
        self._add_fields(type_, str(event.status or ""), event.whole, delivery_id)

    def _see(self, sights: dict[str, Sight], name: str, path: str, delivery_id: str) -> None:
        sight = sights.get(name)
        if sight is None:
            if len(sights) >= _MOST_GROUPS:
                self.is_full = True
                return
            sight = sights[name] = Sight(path, delivery_id)
        sight.total, sight.last, sight.last_delivery = sight.total + 1, self.total, delivery_id

    def _add_fields(self, type_: str, status: str, whole: Any, delivery_id: str) -> None:
        paths = outline(whole)
        if paths is None:
            self.is_full = True
            return
        name = f"{type_} {status}"
        group = self.groups.get(name)
        if group is None:
            if len(self.groups) >= _MOST_GROUPS:
                self.is_full = True
                return
            group = self.groups[name] = Group(delivery_id)
        group.total += 1
        if paths != group.outline:
            self._turn(group, paths, delivery_id)

    def _turn(self, group: Group, paths: tuple[str, ...], delivery_id: str) -> None:
        """Note what this body has that the one before it had not, and the other way round."""
        now, before = set(paths), set(group.outline)
        group.outline = paths
        for path in now - before:
            presence = group.fields.get(path)
            if presence is not None:
                presence.run_from, presence.absent_from = group.total, None
            elif len(group.fields) < _MOST_FIELDS:
                group.fields[path] = Presence(group.total, delivery_id)
            else:
                self.is_full = True
        for path in before - now:
            if (gone := group.fields.get(path)) is not None:
                gone.absent_from, gone.absent_in = group.total, delivery_id


def digest(word: str) -> str:
    """Return what stands for a type or a word, which are the sender's own."""
    return hashlib.sha256(word.encode("utf-8", "replace")).hexdigest()[:16]
