"""How much slower than its settings an Airflow is called while it is under strain, and how it comes back up.

Airflow asks nobody to slow down, so strain is read from how calls end:

    1. an answer that asks to wait (429, or 503 with Retry-After)        lowers the calls a second
    2. a server error or a lost answer while the place says it is well   lowers the calls at once; at one, the calls a
                                                                         second
    3. calls that get in each other's way: fewer than half as many end   lowers the calls at once
       in a second as were seen to end at any pace

Rules:
- One sample is no verdict. Of the last ten calls, two must have been asked to wait, or three have met an error, or half
  have been slow. The first two must be of different triggers, and all of more than half of the DAGs that were called
  (slow ones: of those that started a run). What one trigger or one DAG meets is its own.
- What was judged is not judged twice: calls that began before the last step down say nothing any more.
- Only a call that started a run tells what calls cost. One that was refused, held or found its run there costs less or
  more, and says nothing of the pace.
- A place that is as quick as its settings need is never slow, nor is one that takes four times as long for four calls
  at once: a single worker does, and loses nothing by it. So what lowers the calls at once costs no throughput.

A value is halved, and then follows the curve of CUBIC (RFC 9438, 4.2; botocore's adaptive retries do the same): quickly
up at first, slowly near the value at which the strain began, faster again beyond it, never above the setting. Strain
that comes back at the same value doubles the time that this takes, so that a limit is tried ever more rarely.

Pure: `now` is monotonic seconds, and whoever holds one brings the lock.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from bridge.words.outcomes import Later, Outcome, TargetDown
from bridge.words.reasons import Reason

_LAST_CALLS = 10
_LAST_SECONDS = 60.0
_QUICK_SECONDS = 0.25  # a busy Airflow on PostgreSQL takes this for 8 calls at once (measured: 0.15 to 0.25)
_TOLERATED = 2.0
_LEAST_RATE = 0.5
_BACK_SECONDS = 30.0  # from half of a value to the whole
_BACK_SECONDS_MOST = 480.0
_NEAR = 0.9
_SLOWER = 1 / 50  # what a DAG's call takes follows a place that is slower for good, half way in 35 calls
_FASTER = 1 / 4


class Strain(StrEnum):
    """What shows that an Airflow is called faster than it can bear."""

    THROTTLED = "throttled"
    ERRORS = "errors"
    SLOW = "slow"


_ENOUGH = {Strain.THROTTLED: 2, Strain.ERRORS: 3}  # triggers that met it, of the last calls


@dataclass(frozen=True, slots=True)
class Ended:
    """One call as it ended: how long it took, and how many were under way with it, itself included.

    `is_start`: it started a DAG run, so it is a measure for others of its DAG.
    """

    trigger_id: str
    dag_id: str
    seconds: float
    at_once: int
    strain: Strain | None
    is_start: bool


def strain_of(outcome: Outcome) -> Strain | None:
    """Return what an outcome shows of strain; a place that nobody can connect to is not strained but gone."""
    match outcome:
        case Later(reason=Reason.THROTTLED) | TargetDown(reason=Reason.THROTTLED):
            return Strain.THROTTLED
        case Later(reason=Reason.AIRFLOW_ERROR | Reason.ANSWER_LOST):
            return Strain.ERRORS
        case TargetDown(http_status=int()):
            return Strain.ERRORS
        case _:
            return None


class Dial:
    """A value that is halved under strain and comes back by itself, between a least value and a limit."""

    def __init__(self, limit: float, least: float) -> None:
        """Start at the limit."""
        self._limit, self._least = limit, least
        self._strained_at: float | None = None  # the value, not the time
        self._since = 0.0
        self._back_seconds = _BACK_SECONDS

    def value(self, now: float) -> float:
        """Return the value now."""
        if self._strained_at is None:
            return self._limit
        remaining = 1.0 - (now - self._since) / self._back_seconds
        return min(self._limit, max(self._least, self._strained_at * (1.0 - 0.5 * remaining**3)))

    def is_least(self, now: float) -> bool:
        """Whether it cannot be lowered any more."""
        return self.value(now) <= self._least

    def lower(self, now: float) -> None:
        """Halve it."""
        value = self.value(now)
        is_known = self._strained_at is not None and _NEAR <= value / self._strained_at <= 1 / _NEAR
        self._back_seconds = min(_BACK_SECONDS_MOST, self._back_seconds * 2) if is_known else _BACK_SECONDS
        self._strained_at, self._since = value, now


class Easing:
    """The pace of one Airflow, at most what its settings allow."""

    def __init__(self, concurrency: int, rate: float, *, is_on: bool = True) -> None:
        """Start at the settings; without `is_on` it stays there."""
        self.strain: Strain | None = None  # the last that lowered anything
        self._is_on = is_on
        self._settings = (concurrency, rate)
        self._concurrency = Dial(concurrency, 1.0)
        self._rate = Dial(rate, min(rate, _LEAST_RATE))
        self._quick_seconds = max(_QUICK_SECONDS, concurrency / rate)
        self._last: deque[tuple[float, Ended, bool]] = deque(maxlen=_LAST_CALLS)  # when, what, and whether it was slow
        self._costs: dict[str, float] = {}  # seconds a call at the best pace seen, by DAG
        self._lowered_at = float("-inf")

    def concurrency(self, now: float) -> int:
        """Return how many calls may be under way at once now."""
        return int(self._concurrency.value(now) + 1e-6)

    def rate(self, now: float) -> float:
        """Return how many calls may begin in a second now."""
        return self._rate.value(now)

    def is_eased(self, now: float) -> bool:
        """Whether the pace is lower than the settings."""
        concurrency, rate = self._settings
        return self.concurrency(now) < concurrency or self.rate(now) < rate

    def facts(self, now: float) -> dict[str, object]:
        """Return the pace as people are shown it."""
        is_eased = self.is_eased(now)
        return {
            "concurrency": self.concurrency(now),
            "rate": round(self.rate(now), 2),
            "is_eased": is_eased,
            "strain": str(self.strain) if is_eased else None,
        }

    def ended(self, call: Ended, now: float) -> bool:
        """Take over how a call ended; True if the pace was lowered for it."""
        if not self._is_on:
            return False
        is_slow = self._is_slow(call)
        if now - call.seconds < self._lowered_at:
            return False
        self._last.append((now, call, is_slow))
        while now - self._last[0][0] > _LAST_SECONDS:
            self._last.popleft()
        strain = self._verdict()
        if strain is None or not self._lower(strain, now):
            return False
        self.strain, self._lowered_at = strain, now
        self._last.clear()
        return True

    def _is_slow(self, call: Ended) -> bool:
        """Compare a call with what the best pace gave, and remember what it cost."""
        if call.strain is not None or not call.is_start:
            return False
        cost = call.seconds / call.at_once
        best = self._costs.setdefault(call.dag_id, cost)
        self._costs[call.dag_id] = best + (cost - best) * (_FASTER if cost < best else _SLOWER)
        return call.seconds > self._quick_seconds and cost > _TOLERATED * best

    def _verdict(self) -> Strain | None:
        """Return what the last calls show, if they agree."""
        calls = [call for _, call, _ in self._last]
        for strain, enough in _ENOUGH.items():
            met = [call for call in calls if call.strain is strain]
            if len({call.trigger_id for call in met}) >= enough and _is_shared(met, calls):
                return strain
        slow = [call for _, call, is_slow in self._last if is_slow]
        starts = [call for call in calls if call.is_start]
        return Strain.SLOW if 2 * len(slow) >= _LAST_CALLS and _is_shared(slow, starts) else None

    def _lower(self, strain: Strain, now: float) -> bool:
        """Lower what the strain is about; False if there is nothing more to lower."""
        is_one = self.concurrency(now) == 1
        if strain is Strain.SLOW and is_one:
            return False
        is_of_rate = strain is Strain.THROTTLED or is_one
        dial = self._rate if is_of_rate else self._concurrency
        if is_of_rate and dial.is_least(now):
            return False
        dial.lower(now)
        return True


def _is_shared(met: list[Ended], calls: list[Ended]) -> bool:
    """Whether more than half of the DAGs that were called met it."""
    return 2 * len({call.dag_id for call in met}) > len({call.dag_id for call in calls})
