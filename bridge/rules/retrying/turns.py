"""Whose turn it is among things that are asked for one by one, and may each fail by themselves.

What failed waits ever longer, and goes behind the others. One answer is one sample: only when three different things
have failed, and nothing went well between, do all of them rest. Pure: `now` is monotonic seconds.
"""

from collections.abc import Collection, Hashable
from dataclasses import dataclass

from bridge.rules.retrying import backoff

_DIFFERENT = 3
_FIRST_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Missed:
    times: int
    due_at: float


class Turns:
    """The turns of things by their keys. One thread."""

    def __init__(self) -> None:
        """Nothing has failed yet."""
        self._missed: dict[Hashable, _Missed] = {}
        self._failed: set[Hashable] = set()  # since something went well, or all rested
        self._rests = 0  # in a row
        self._rests_until = float("-inf")

    def is_resting(self, now: float) -> bool:
        """Whether nothing is to be asked for."""
        return now < self._rests_until

    def is_due(self, key: Hashable, now: float) -> bool:
        """Whether this one may be asked for."""
        missed = self._missed.get(key)
        return not self.is_resting(now) and (missed is None or now >= missed.due_at)

    def times(self, key: Hashable) -> int:
        """Return how often it has failed in a row: those with the fewest go first."""
        missed = self._missed.get(key)
        return 0 if missed is None else missed.times

    def went_well(self, key: Hashable) -> None:
        """Note that there was an answer."""
        self._missed.pop(key, None)
        self._failed.clear()
        self._rests = 0

    def failed(self, key: Hashable, now: float, *, at_least: float = 0.0) -> bool:
        """Note that there was none; True: from now on all rest, and did not before (worth a log line).

        `at_least`: it has its next turn no sooner than after so many seconds.
        """
        times = self.times(key) + 1
        pause = backoff.wait_blocked(times, 1.0, at_least=max(_FIRST_SECONDS, at_least))
        self._missed[key] = _Missed(times, now + pause)
        self._failed.add(key)
        if len(self._failed) < _DIFFERENT:
            return False
        self._failed.clear()
        self._rests += 1
        self._rests_until = now + backoff.wait(self._rests, 1.0, at_least=_FIRST_SECONDS)
        return self._rests == 1

    def keep(self, keys: Collection[Hashable]) -> None:
        """Forget all others: they are asked for no more."""
        self._missed = {key: missed for key, missed in self._missed.items() if key in keys}
