"""The words of notifying: what one target was sent about one cause, and the messages that it is sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Notice:
    """What is known of one cause at one target (`to`).

    `seen_at`: since when the cause is there. `gone_at`: since when it is there no more. `sent_at`: when the last
    message about it was sent. `title`: the title of the message that stands; None while nothing was sent, or its end
    was. `places`: by place, how many there were and the newest of them (Unix milliseconds), as they were sent.
    """

    to: str
    cause: str
    seen_at: datetime
    gone_at: datetime | None = None
    sent_at: datetime | None = None
    title: str | None = None
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict)


class Kind(StrEnum):
    """What a message says of its cause: it is there, there is more of it, or it is over."""

    NEW = "new"
    MORE = "more"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent."""

    kind: Kind
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Failing:
    """A target that messages do not reach: since when, and why."""

    to: str
    since: datetime
    problem: str
