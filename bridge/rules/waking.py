"""What a parked task says it waits for, what a completion says to it, and how often it may be told to look. Pure.

    an id of its own     a run, job or backfill under the id that the task was given: it is answered with the status
    named beside         a job whose event names the run: one job of it has ended, perhaps not the last. `look`
    the same pipeline    an event that names no run, since the task waits: it may be this run's. `look`

`look` makes the task ask Planasonix itself, once. It is said for each completion once, and to one task ever more
rarely: a pipeline that runs every minute would else wake a task that waits for another run every minute.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bridge.words.model import Event

MARKER = "Planasonix bridge: run "  # the provider's `parking` writes it; its tests hold the two together
RUN_ID_KEY, STARTED_KEY = "planasonix_run_id", "planasonix_started_run_id"  # the second: by the task itself
LOOK = "look"
_ASKED_FIRST = timedelta(minutes=30)  # after a task was parked, where no webhook came that is about its run
_MOST_DOUBLINGS = 3  # then every four hours
_FIRST_SECONDS = 30.0
_LONGEST_SECONDS = 3600.0
_MOST_TEXT = 300
_QUOTED = re.compile("(?:%[0-9A-Fa-f]{2})+")


@dataclass(frozen=True, slots=True)
class About:
    """What a task waits for; `is_own`: a run that it has started."""

    run_id: str
    pipeline_id: str | None = None
    source: str | None = None
    is_own: bool = False


def read(subject: str) -> About | None:
    """Read the subject of a request for input; None if it is not the provider's."""
    words = subject.removeprefix(MARKER).split(" ")
    if not subject.startswith(MARKER) or not words[0] or len(words) % 2 == 0:
        return None
    named = dict(zip(words[1::2], map(_unquoted, words[2::2]), strict=True))
    return About(_unquoted(words[0]), named.get("pipeline"), named.get("source"), named.get("started") == "yes")


@dataclass(frozen=True, slots=True)
class Hint:
    """The last time that a task was told to look: of which delivery, how often by then, and when at the soonest again.

    Instants are monotonic seconds.
    """

    delivery_id: str = ""
    times: int = 0
    not_before: float = float("-inf")

    def may_follow(self, delivery_id: str, now: float) -> bool:
        """Whether the task may be told to look because of this delivery."""
        return delivery_id > self.delivery_id and now >= self.not_before

    def next(self, delivery_id: str, now: float) -> "Hint":
        """Return the hint that was given now."""
        pause = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2.0 ** min(self.times, 10))
        return Hint(delivery_id, self.times + 1, now + pause)


@dataclass(frozen=True, slots=True)
class Look:
    """When the run of a task was looked at last (before the first time: when the task was parked), and how often."""

    at: datetime
    times: int = 0

    @property
    def due_at(self) -> datetime:
        """When it is to be looked at next."""
        return self.at + _ASKED_FIRST * (1 << min(self.times, _MOST_DOUBLINGS))

    def next(self, now: datetime) -> "Look":
        """Return the look that was taken now."""
        return Look(now, self.times + 1)


def facts(event: Event | None, *, run_id: str, delivery_id: str | None) -> dict[str, Any]:
    """Return what a task is told beside the status: ids, rows and instants, as far as the event has them.

    `event` is None where its payload cannot be read any more, `delivery_id` where no webhook told of the run.
    """
    found: dict[str, Any] = {"run_id": run_id} | ({} if delivery_id is None else {"delivery_id": delivery_id})
    if event is None:
        return found
    for name in ("job_id", "pipeline_id", "rows_loaded", "started_at", "finished_at", "duration_seconds"):
        if (value := getattr(event, name)) is not None:
            found[name] = value
    if (error := _error(event.error)) is not None:
        found["error"] = error
    return found


def _unquoted(text: str) -> str:
    """Undo what URLs do to letters; the standard library's own way would bring in what opens sockets."""
    return _QUOTED.sub(lambda found: bytes.fromhex(found[0].replace("%", "")).decode("utf-8", "replace"), text)


def _error(error: Any) -> str | None:
    if isinstance(error, Mapping):
        error = ": ".join(str(error[name]) for name in ("code", "message") if error.get(name))
    return error[:_MOST_TEXT] if isinstance(error, str) and error else None
