"""Counting: the last 24 hours, hour by hour, without counting what was counted before.

An hour is counted again for two hours from its beginning, at most every `_FRESH_SECONDS`; and then at most every ten
minutes, as long as something in it may change: a trigger that waits or was given up, a DAG run that goes on. Of these
older hours a question counts two at most, the longest uncounted first; all of them, if nobody asked for an hour. So a
page costs little, however many look at it, and however much is stored; and it does not matter when somebody last
looked.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from bridge.edges.inbox import Inbox, history
from bridge.edges.inbox.walking import STRETCH
from bridge.rules import counts, views
from bridge.rules.mapping import Route
from bridge.words.history import Hour

HOURS = 24
_MOVING = timedelta(hours=2)  # from its beginning on, an hour is counted whenever it is asked for
_AGAIN = timedelta(minutes=10)
_OLD_AT_ONCE = 2
_AWAY_SECONDS = 3600.0  # after so long without a question, all that may have changed is counted
_STRETCHES = 2  # of older triggers, that a question for routes looks at
_FRESH_SECONDS = 15.0


class Counting:
    """What was counted so far; any thread may ask."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is counted yet."""
        self._inbox = inbox
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._hours: dict[datetime, tuple[Hour, datetime]] = {}  # and when it was counted
        self._counted_at = -_FRESH_SECONDS
        self._newest: dict[str, datetime] = {}  # when each route's newest trigger was made, of what was looked at
        self._before: str | None = None  # from where to look back further
        self._is_all = False
        self._begun_at = self._asked_upto = datetime.min.replace(tzinfo=UTC)

    def routes(self, routes: Sequence[Route]) -> dict[str, views.Json]:
        """Return what each route has started in the last 24 hours, and when it last did. Raises InboxUnavailable."""
        hours = self.day()
        with self._lock:
            self._look_back(hours, {route.name for route in routes})
            newest, is_all = dict(self._newest), self._is_all
        return {
            route.name: counts.started(route.name, hours, before=newest.get(route.name), is_all=is_all)
            for route in routes
        }

    def _look_back(self, hours: Sequence[Hour], names: set[str]) -> None:
        """Look for the newest triggers of routes of which none is known: some stretches, and then at the next question.

        Where nobody asked for a day, nothing is known of what came meanwhile: then it begins anew. So it does once a
        day, since the oldest are pruned.
        """
        first, last = hours[0].begin_at, hours[-1].begin_at
        if self._asked_upto < first or self._begun_at < first:
            self._newest, self._before, self._is_all, self._begun_at = {}, None, False, last
        self._asked_upto = last
        for hour in hours:
            self._newest |= {name: each.last_at for name, each in hour.by_route.items()}
        for _ in range(_STRETCHES):
            if self._is_all or names <= self._newest.keys():
                return
            found, self._before = self._inbox.read(history.newest, before=self._before, limit=STRETCH)
            self._newest = found | {name: max(at, found.get(name, at)) for name, at in self._newest.items()}
            self._is_all = self._before is None

    def day(self) -> list[Hour]:
        """Return the last 24 hours, the oldest first; the last one is under way. Raises InboxUnavailable."""
        with self._lock:
            now = self._clock()
            begin = now.replace(minute=0, second=0, microsecond=0)
            wanted = [begin - timedelta(hours=back) for back in reversed(range(HOURS))]
            since = self._monotonic() - self._counted_at
            is_fresh, at_once = since < _FRESH_SECONDS, _OLD_AT_ONCE if since < _AWAY_SECONDS else HOURS
            known = {hour: self._hours[hour] for hour in wanted if hour in self._hours}
            again = set() if is_fresh else _to_count_again(known, now, at_once=at_once)
            self._hours = {
                hour: known[hour]
                if hour in known and hour not in again
                else (self._inbox.read(history.hour, begin=hour), now)
                for hour in wanted
            }
            if not is_fresh:
                self._counted_at = self._monotonic()
            return [hour for hour, _ in self._hours.values()]


def _to_count_again(known: Mapping[datetime, tuple[Hour, datetime]], now: datetime, *, at_once: int) -> set[datetime]:
    """Return the hours whose numbers may have changed: all that were counted too early, and some of the others."""
    early = {begin for begin, (_, counted_at) in known.items() if not begin + _MOVING <= counted_at <= now}
    old = [(counted_at, begin) for begin, (hour, counted_at) in known.items() if hour.may_change and begin not in early]
    late = sorted(each for each in old if now - each[0] >= _AGAIN)
    return early | {begin for _, begin in late[:at_once]}
