"""How long to wait before the next look at a run, and when to stop looking.

Pure: instants and the random share are parameters. Tasks that started together look at different instants, so that they
do not all meet a rate limit at once.
"""

from dataclasses import dataclass
from enum import StrEnum

from planasonix_provider.errors import NotThere, PlanasonixError, Unavailable

_SPREAD = 0.25  # a wait is between 75 % and 125 % of the interval
_MAX_BACK_OFF_SECONDS = 300.0
_MAX_DOUBLINGS = 8
_MAX_MISSING = 5  # a run that was just started may not be visible yet


class Over(StrEnum):
    """Why nobody looks any more."""

    TIMEOUT = "timeout"  # the task's own `timeout`: the run goes on
    DEADLINE = "deadline"  # its `execution_timeout`: the run is cancelled


def next_wait(interval_seconds: float, *, failures: int, wish: float | None, share: float) -> float:
    """Return the seconds until the next call.

    `failures` are the calls that failed in a row, `wish` is `Retry-After`, which is never undercut, and `share` is a
    random number from 0 to 1.
    """
    doubled = interval_seconds * 2.0 ** min(failures, _MAX_DOUBLINGS)
    paced = min(doubled, max(_MAX_BACK_OFF_SECONDS, interval_seconds)) * (1 - _SPREAD + 2 * _SPREAD * share)
    return paced if wish is None else max(paced, wish * (1 + _SPREAD * share))


@dataclass(slots=True)
class Patience:
    """One wait: its pace, its two ends (Unix seconds, or None for never), and what went wrong lately."""

    interval_seconds: float
    timeout_at: float | None = None
    deadline_at: float | None = None
    failures: int = 0
    missing: int = 0
    wish: float | None = None

    def looked(self) -> None:
        """A look succeeded."""
        self.failures, self.missing, self.wish = 0, 0, None

    def failed(self, error: PlanasonixError) -> None:
        """A look failed. Raises the error if looking again cannot help."""
        self.missing += isinstance(error, NotThere)
        if not isinstance(error, Unavailable) and not 0 < self.missing <= _MAX_MISSING:
            raise error
        self.failures += 1
        self.wish = error.retry_after_seconds if isinstance(error, Unavailable) else None

    def over(self, now: float) -> Over | None:
        """Return whether the time is up; the deadline goes first."""
        if self.deadline_at is not None and now >= self.deadline_at:
            return Over.DEADLINE
        return Over.TIMEOUT if self.timeout_at is not None and now >= self.timeout_at else None

    def wait(self, now: float, share: float) -> float:
        """Return the seconds until the next look; no longer than until the next end."""
        seconds = next_wait(self.interval_seconds, failures=self.failures, wish=self.wish, share=share)
        ends = [at - now for at in (self.timeout_at, self.deadline_at) if at is not None]
        return max(0.0, min([seconds, *ends]))
