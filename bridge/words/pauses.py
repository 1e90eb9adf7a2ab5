"""The words of a pause: a person lets nothing start for one route, source or Airflow, for a while."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class PauseKind(StrEnum):
    """What a person can pause."""

    ROUTE = "route"
    SOURCE = "source"
    AIRFLOW = "airflow"


@dataclass(frozen=True, slots=True)
class Pause:
    """One pause: what of, who asked, since when, until when (None: until a person resumes it), and why."""

    kind: PauseKind
    name: str
    actor: str
    paused_at: datetime
    ends_at: datetime | None = None
    reason: str | None = None  # the person's own words

    def is_over(self, now: datetime) -> bool:
        """Whether its time is up."""
        return self.ends_at is not None and self.ends_at <= now
