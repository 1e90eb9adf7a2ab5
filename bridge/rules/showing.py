"""How instants, durations, numbers and ids are written for people on the pages. Pure; `now` comes in."""

from datetime import datetime

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))
_SHORT = 24  # an id of at most so many characters is shown whole
_ENDS = (12, 8)
_JUST_NOW_SECONDS = 2


def utc(instant: str) -> str:
    """Spell an instant of the API for people, in UTC."""
    return instant.replace("T", " ").removesuffix("Z").partition(".")[0] + " UTC"


def ago(instant: datetime, now: datetime) -> str:
    """Say how long ago an instant was, or in how long it is: `3 min ago`, `in 2 h`."""
    seconds = (now - instant).total_seconds()
    if abs(seconds) < _JUST_NOW_SECONDS:
        return "just now"
    return f"{duration(seconds)} ago" if seconds > 0 else f"in {duration(-seconds)}"


def gap(instant: datetime, before: datetime) -> str:
    """Return how long after another an instant was; nothing if its clock, which may be another, says before."""
    seconds = (instant - before).total_seconds()
    return duration(seconds) if seconds >= 0 else ""


def duration(seconds: float) -> str:
    """Return a duration in the unit that fits: `35 ms`, `1.2 s`, `4 min`, `3 h`, `5 d`."""
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    for size, unit in _UNITS:
        if seconds >= 2 * size or (unit == "min" and seconds >= size):
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def number(value: int) -> str:
    """Return a count with thin gaps between thousands."""
    return f"{value:,}".replace(",", "\u2009")


def short(text: str) -> str:
    """Shorten a long id in the middle; both ends tell ids apart."""
    if len(text) <= _SHORT:
        return text
    return f"{text[: _ENDS[0]]}\u2026{text[-_ENDS[1] :]}"
