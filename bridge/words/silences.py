"""The words of silence: a source that should have sent a webhook by now."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Silence:
    """How long a source may be silent, and when it was heard last; `since`: from when on it has been expected to send.

    `looked_at`: up to when the stored deliveries were searched.
    """

    source: str
    after: timedelta
    since: datetime
    heard_at: datetime | None
    looked_at: datetime

    @property
    def counted_from(self) -> datetime:
        """The last webhook, or from when on one has been expected, if that is later."""
        return self.since if self.heard_at is None else max(self.heard_at, self.since)

    def is_silent(self, now: datetime) -> bool:
        """Tell whether the source should have sent something by now."""
        return now - self.counted_from > self.after
