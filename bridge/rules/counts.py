"""What came in the last day as plain JSON values: hours, and what each route started in them. Pure."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime

from bridge.rules import views
from bridge.words.history import Hour

UNKNOWN: views.Json = dict.fromkeys(("fired", "failed", "others", "last_at", "has_none"))  # of a route, as `started`


def hour(value: Hour) -> views.Json:
    """Return an hour in numbers."""
    shown = asdict(value) | {"begin_at": views.instant(value.begin_at)}
    del shown["by_route"], shown["may_change"]
    return shown


def started(name: str, hours: Iterable[Hour], *, before: datetime | None, is_all: bool) -> views.Json:
    """Return what a route has started in these hours, and when it last did.

    `before`: its newest trigger that is known of older ones. `is_all`: all that is stored was looked at, so a route
    without one has matched nothing that is stored.
    """
    mine = [hour.by_route[name] for hour in hours if name in hour.by_route]
    last_at = max([each.last_at for each in mine] + ([] if before is None else [before]), default=None)
    return {
        "fired": sum(each.fired for each in mine),
        "failed": sum(each.failed for each in mine),
        "others": sum(each.others for each in mine),
        "last_at": views.instant(last_at),
        "has_none": last_at is None and is_all,
    }
