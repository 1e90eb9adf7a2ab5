"""How long a thing lasts, as people write it: 90s, 15m, 24h, 7d. Pure."""

import re

_SPELLED = re.compile(r"([0-9]{1,9})(s|m|h|d)")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST_SECONDS = 31_536_000


def seconds(text: str) -> int:
    """Return a duration in seconds. Raises ValueError, in words for whoever wrote it."""
    found = _SPELLED.fullmatch(text)
    if found is None:
        raise ValueError(f'"{text[:40]}" is not a duration; write seconds, or 90s, 15m, 24h, 7d')
    return int(found[1]) * _UNIT_SECONDS[found[2]]
