"""What came in the last day as plain JSON values: hours, and what each route started in them. Pure."""

from collections.abc import Iterable
from dataclasses import asdict

from bridge.rules import views
from bridge.words.history import Hour


def hour(value: Hour) -> views.Json:
    """Return an hour in numbers."""
    shown = asdict(value) | {"begin_at": views.instant(value.begin_at)}
    del shown["by_route"], shown["may_change"]
    return shown


def started(name: str, hours: Iterable[Hour], *, is_known: bool) -> views.Json:
    """Return what a route has started in these hours; `is_known`: before them it may have started something, too."""
    mine = [hour.by_route[name] for hour in hours if name in hour.by_route]
    return {
        "fired": sum(each.fired for each in mine),
        "failed": sum(each.failed for each in mine),
        "others": sum(each.others for each in mine),
        "last_at": views.instant(max((each.last_at for each in mine), default=None)),
        "has_matched": bool(mine) or is_known,
    }
