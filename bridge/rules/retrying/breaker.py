"""Whether an Airflow or an API may be called at all: open while the place, and not one question, is the trouble.

Pure: `now` is monotonic seconds, and whoever holds one brings the lock. Only a probe that went well closes it.
"""

from bridge.words.reasons import Reason

_FIRST_SECONDS = 1.0
_CAP_SECONDS = 30.0


class Breaker:
    """Closed at first; open with a reason, and then a probe may pass now and then."""

    def __init__(self) -> None:
        """Start closed."""
        self.is_open = False
        self.reason: Reason | None = None
        self.detail: str | None = None
        self._interval = _FIRST_SECONDS
        self._probe_at = 0.0

    def open(self, now: float, reason: Reason, detail: str | None, *, wait_seconds: float = 0.0) -> None:
        """Open it, or note that it is still needed: the next probe is due after 1 s, then 2 s ... 30 s.

        Calls that were under way fail together, so only trouble after the probe was due makes the interval grow.
        `wait_seconds` is what the other side asked for: no probe before it, even above 30 s.
        """
        if not self.is_open:
            self._interval = _FIRST_SECONDS
            self._probe_at = now + self._interval
        elif now >= self._probe_at:
            self._interval = min(_CAP_SECONDS, self._interval * 2)
            self._probe_at = now + self._interval
        self._probe_at = max(self._probe_at, now + wait_seconds)
        self.is_open, self.reason, self.detail = True, reason, detail

    def may_probe(self, now: float) -> bool:
        """Tell whether it is open and the next probe is due."""
        return self.is_open and now >= self._probe_at

    def seconds_until_probe(self, now: float) -> float:
        """Return how long to wait for the next probe; 0 if it is due."""
        return max(0.0, self._probe_at - now)

    def close(self) -> None:
        """Close it: the place answers again."""
        self.is_open, self.reason, self.detail = False, None, None
