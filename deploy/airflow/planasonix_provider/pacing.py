"""How long to wait before the next call: a pace with jitter, Planasonix's own wish, and back-off after failures.

Pure: the random share is a parameter. Tasks that started together ask at different instants, so that they do not all
meet a rate limit at once.
"""

_SPREAD = 0.25  # a wait is between 75 % and 125 % of the interval
_MAX_BACK_OFF_SECONDS = 300.0
_MAX_DOUBLINGS = 8


def next_wait(interval_seconds: float, *, failures: int, wish: float | None, share: float) -> float:
    """Return the seconds until the next call.

    `failures` are the calls that failed in a row, `wish` is `Retry-After`, which is never undercut, and `share` is a
    random number from 0 to 1.
    """
    doubled = interval_seconds * 2.0 ** min(failures, _MAX_DOUBLINGS)
    paced = min(doubled, max(_MAX_BACK_OFF_SECONDS, interval_seconds)) * (1 - _SPREAD + 2 * _SPREAD * share)
    return paced if wish is None else max(paced, wish * (1 + _SPREAD * share))
