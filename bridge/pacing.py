"""How fast an Airflow may be called: a token bucket, since Airflow itself never asks callers to slow down.

Pure: `now` is monotonic seconds, and whoever holds one brings the lock.
"""

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
