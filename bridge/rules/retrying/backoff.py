"""How long a trigger waits before its next attempt, and how that grows.

Exponential, and spread over the whole interval ("full jitter"), so that triggers that failed together do not come back
together. `jitter` is a number in [0, 1] that the caller drew; nothing here is random. What an answer of Airflow
asks for at least comes in (bridge.edges.airflow.answers); turns at a DAG that is asked to wait: bridge.rules.places.
"""

import math

from bridge.words.holds import FOR_A_DAG
from bridge.words.reasons import Reason

_BASE_SECONDS = 0.2
_CAP_SECONDS = 30.0
_HELD_SECONDS = 15.0
_HELD_CAP_SECONDS = 300.0
HELD_GROWS = 5  # tries over which the wait of `wait_held` grows
_AWAY_CAP_SECONDS = 3600.0
_MOST_DOUBLINGS = 60  # far beyond either cap; keeps the power small for attempts that count in thousands


def wait(attempt: int, jitter: float, *, at_least: float = 0.0) -> float:
    """Return the seconds after the `attempt`th try (from 1): up to 0.2 s, doubling, up to 30 s; never below at_least.

    `at_least` is what the other side asked for, so it wins over the cap.
    """
    return max(at_least, jitter * min(_CAP_SECONDS, _BASE_SECONDS * _doubled(attempt - 1)))


def wait_blocked(attempt: int, jitter: float, *, at_least: float) -> float:
    """Return the seconds after the `attempt`th try that only this trigger failed in: as `wait`, but up to 300 s."""
    return max(at_least, jitter * min(_HELD_CAP_SECONDS, _BASE_SECONDS * _doubled(attempt - 1)))


def wait_held(attempt: int, jitter: float, *, at_least: float = 0.0) -> float:
    """Return the seconds when something outside has to pass first: from 15 s, the range doubling up to 300 s."""
    upper = min(_HELD_CAP_SECONDS, _HELD_SECONDS * _doubled(attempt))
    return max(at_least, _HELD_SECONDS + jitter * (upper - _HELD_SECONDS))


def wait_away(times: int, jitter: float, *, at_least: float) -> float:
    """Return the seconds until a DAG that is not back is tried again: as `wait_held`, but up to an hour.

    Looks at the DAG itself end the wait sooner; this is the net below them, and a week of held triggers must not take
    the pace from the others.
    """
    upper = min(_AWAY_CAP_SECONDS, _HELD_SECONDS * _doubled(times))
    return max(at_least, _HELD_SECONDS + jitter * (upper - _HELD_SECONDS))


# A place in the queue for look-ups, which is drawn before that; so long does a release wait that knows no such queue.
QUEUED_SECONDS = 3600.0
# Who answered may have asked for so long (`Retry-After`).
_ASKED = (Reason.THROTTLED, Reason.LOOKUP_FAILED)
_ASKED_SECONDS = 3600.0
# Due times that are no wait of ours: a person's, or a place in a queue.
_UNBOUNDED = (Reason.LOOP_GUARD, Reason.HOURLY_CEILING, Reason.PAUSED_BY_PERSON)


def longest_wait(reason: Reason | None) -> float:
    """Return the longest wait that may be chosen for this reason; whoever sees a longer one looks at a wrong clock."""
    if reason in _UNBOUNDED:
        return math.inf
    if reason is Reason.LOOKUP_QUEUED:
        return QUEUED_SECONDS
    if reason in FOR_A_DAG:
        return _AWAY_CAP_SECONDS
    return _ASKED_SECONDS if reason in _ASKED else _HELD_CAP_SECONDS


def _doubled(times: int) -> float:
    return float(2 ** max(0, min(times, _MOST_DOUBLINGS)))
