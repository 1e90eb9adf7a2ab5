"""How fast something may happen: token buckets, for calls to an Airflow (which never asks callers to slow down), for
a source's webhooks and for a stranger's refusals.

Pure: `now` is monotonic seconds, and whoever holds one brings the lock.
"""

from collections import OrderedDict
from dataclasses import dataclass

# Refilling in floating point loses a little; without this a caller that slept `seconds_until` could find 0.999999.
_ROUNDING = 1e-6


class Pacer:
    """A bucket of `burst` calls, refilled at `rate` calls per second."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        """Start full. `rate` > 0, `burst` >= 1."""
        self._rate = rate
        self._burst = float(burst)
        self._level = float(burst)
        self._at = now

    def refill_at(self, rate: float, now: float) -> None:
        """Refill at another rate from now on."""
        self._refill(now)
        self._rate = rate

    def available(self, now: float) -> int:
        """Return how many calls may go now."""
        self._refill(now)
        return max(0, int(self._level + _ROUNDING))

    def take(self, amount: int, now: float) -> None:
        """Note that `amount` calls go now; more than available is a debt that the next ones wait for."""
        self._refill(now)
        self._level -= amount

    def seconds_until(self, now: float) -> float:
        """Return how long until one more call may go; 0 if it may go now."""
        self._refill(now)
        missing = 1.0 - self._level
        return missing / self._rate if missing > _ROUNDING else 0.0

    def _refill(self, now: float) -> None:
        self._level = min(self._burst, self._level + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)


@dataclass(frozen=True, slots=True)
class Quota:
    """What a source allows in a minute, of which all may come at once; 0 means any number."""

    deliveries_per_minute: int = 0
    refusals_per_minute: int = 0


NO_QUOTA = Quota()


class Quotas:
    """The buckets of one source: one for what is verified, one per address for what is refused.

    At most `limit` addresses are remembered, the latest ones: an attacker with more of them is bounded by nothing
    here, but costs no memory either.
    """

    def __init__(self, quota: Quota, *, limit: int = 4096) -> None:
        """Start full."""
        self._quota = quota
        self._limit = limit
        self._deliveries: Pacer | None = None
        self._refusals: OrderedDict[str, Pacer] = OrderedDict()

    def take_delivery(self, now: float) -> float:
        """Count one verified webhook; return 0, or how many seconds it has to wait (and is not counted)."""
        if not self._quota.deliveries_per_minute:
            return 0.0
        if self._deliveries is None:
            self._deliveries = _per_minute(self._quota.deliveries_per_minute, now)
        return _take(self._deliveries, now)

    def take_refusal(self, address: str, now: float) -> float:
        """Count one refusal; return 0, or how many seconds this address should stay away."""
        if not self._quota.refusals_per_minute:
            return 0.0
        pacer = self._refusals.pop(address, None) or _per_minute(self._quota.refusals_per_minute, now)
        self._refusals[address] = pacer
        if len(self._refusals) > self._limit:
            self._refusals.popitem(last=False)
        return _take(pacer, now)


def _per_minute(amount: int, now: float) -> Pacer:
    return Pacer(amount / 60.0, amount, now)


def _take(pacer: Pacer, now: float) -> float:
    seconds = pacer.seconds_until(now)
    if not seconds:
        pacer.take(1, now)
    return seconds
