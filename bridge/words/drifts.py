"""The words of drift: what has changed in how a source spells its bodies. Never a value of a body."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DriftKind(StrEnum):
    """What changed: an event type, a status word, a field; or there is too much to learn (`limit`)."""

    TYPE = "type"
    STATUS = "status"
    FIELD = "field"
    LIMIT = "limit"


class Change(StrEnum):
    """How it changed: never seen before, or always there and now gone."""

    NEW = "new"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Drift:
    """One change. `path` is the JSON pointer where it stands, or stood; `delivery_id` the first delivery that shows it.

    `of` is a digest: of a type or a status word itself, or of the events that a field is gone from.
    """

    kind: DriftKind
    change: Change
    of: str
    path: str
    delivery_id: str


@dataclass(frozen=True, slots=True)
class Drifted:
    """The changes of one kind at one source that were said in the last days; `path` and `delivery_id` of the last."""

    source: str
    kind: DriftKind
    change: Change
    path: str
    delivery_id: str
    count: int
    oldest_at: datetime
    newest_at: datetime
