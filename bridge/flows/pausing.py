"""Pausing by a person: nothing starts for one route, source or Airflow, until it is resumed or its time is up.

    pause, resume    what a person asks for; the command line and the API share them. Stored, so it holds for every
                     replica and over restarts, and audited.
    current          what is paused, from memory: firing and routing ask it at each turn, and the store is not asked

`Pausing` keeps the memory fresh in each replica, once a second:

    1. read     the few pauses; those whose time is up are ended, each once, and audited
    2. publish  what is left; firing and routing are woken if it changed
    3. hold     what waits for a paused route or Airflow is shown as `held`; it keeps its place
    4. go on    what a pause held that is over is shown as `pending`, and what a source sent is routed: slice by slice,
                with a rest three times as long as the slice took, the oldest first

So every replica knows of a pause about a second after it was stored; a call that has begun is let go on. What is paused
is only passed over when claiming, its due time stays: resuming starts it in the order in which it came, at the usual
pace. It uses no attempt and no `max_age`.
"""

import math
import threading
import time
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta

import structlog

from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox, claiming, pauses, pausing
from bridge.edges.metrics import Metrics
from bridge.rules.pauses import Names, Pauses, check_name, is_gone, sentence
from bridge.words.errors import BadFilter, NotThere
from bridge.words.pauses import Pause, PauseKind
from bridge.words.reasons import Reason

_EVERY_SECONDS = 1.0
_SLICE = 200  # rows in one transaction: a few ms in which webhooks wait
_STRETCH = 1000  # rows that are looked at in one step: a few ms in which nothing waits
_REST = 3.0
_LOOK_SECONDS = 60.0  # between two looks at what is held for other causes
_LONGEST_TEXT = 1000
_log = structlog.get_logger("bridge.pausing")
Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


def pause(
    inbox: Inbox,
    kind: PauseKind,
    name: str,
    *,
    names: Names,
    unnamed: Collection[str] = (),
    actor: str,
    seconds: float | None = None,
    reason: str | None = None,
    clock: Clock = _now,
) -> Pause:
    """Pause one route, source or Airflow, for so many seconds or until it is resumed; returns the pause as it stands.

    What is paused already is prolonged; the same once more within a minute changes nothing. `names`: the configured
    ones, None where nobody knows; `unnamed`: what routes without a name are called. Raises BadFilter for
    a name that cannot be paused, or words that cannot be stored.
    """
    check_name(kind, name, names, unnamed)
    _check_text("name", name)
    _check_text("reason", reason)
    now = clock()
    ends_at = None if seconds is None else now + timedelta(seconds=seconds)
    return inbox.write(pausing.put, Pause(kind, name, actor, now, ends_at, reason))


def resume(
    inbox: Inbox, kind: PauseKind, name: str, *, actor: str, reason: str | None = None, clock: Clock = _now
) -> None:
    """End a pause. Raises NotThere if there is none, BadFilter for words that cannot be stored."""
    _check_text("name", name)
    _check_text("reason", reason)
    if not inbox.write(pausing.remove, kind, name, actor=actor, reason=reason, now=clock()):
        paused = [f"{each.kind} {each.name}" for each in look(inbox, clock=clock).all]
        raise NotThere(f"{kind} {name[:100]} is not paused; paused is {', '.join(paused) or 'nothing'}")


def look(inbox: Inbox, *, clock: Clock = _now) -> Pauses:
    """Return what is paused, as the store says."""
    return inbox.read(pauses.read).at(clock())


def _check_text(what: str, text: str | None) -> None:
    if text is None:
        return
    is_storable = text == text.encode("utf-8", "replace").decode() and "\0" not in text
    if not is_storable or not 0 < len(text.strip()) <= len(text) <= _LONGEST_TEXT:
        raise BadFilter(f"{what} must be text of 1 to {_LONGEST_TEXT} characters")


class Pausing:
    """What is paused, as this replica knows it; and its loop."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        metrics: Metrics,
        names: Callable[[], Names],
        unnamed: Callable[[], Collection[str]] = tuple,
        clock: Clock = _now,
    ) -> None:
        """`names` returns the configured ones of this moment, `unnamed` what routes without a name are called."""
        self._inbox = inbox
        self._metrics = metrics
        self._names, self._unnamed = names, unnamed
        self._clock = clock
        self._on_changed: Callable[[], None] = lambda: None
        self._current = Pauses()
        self._lock = threading.Lock()  # so that an older look never replaces a newer one
        self._looked_at = -math.inf  # at what is held for other causes, to the end
        self._looked_for = self._current  # what was paused then
        self._behind: dict[tuple[PauseKind, str, str | None], pauses.Row | None] = {}  # where that look goes on
        self.loop = Loop("pausing", self.step, every_seconds=_EVERY_SECONDS, metrics=metrics)

    def call_on_change(self, on_changed: Callable[[], None]) -> None:
        """Have it called when something was paused or resumed; it wakes routing and firing."""
        self._on_changed = on_changed

    def current(self) -> Pauses:
        """Return what is paused, from memory. A pause ends by this replica's clock, to the moment."""
        known = self._current
        return known.at(self._clock()) if known.all else known

    def pause(self, kind: PauseKind, name: str, *, actor: str, seconds: float | None, reason: str | None) -> Pause:
        """Pause as `pause` does; this replica knows of it when it returns."""
        asked = pause(
            self._inbox,
            kind,
            name,
            names=self._names(),
            unnamed=self._unnamed(),
            actor=actor,
            seconds=seconds,
            reason=reason,
            clock=self._clock,
        )
        self.refresh()
        return asked

    def resume(self, kind: PauseKind, name: str, *, actor: str, reason: str | None) -> None:
        """Resume as `resume` does; this replica knows of it when it returns."""
        resume(self._inbox, kind, name, actor=actor, reason=reason, clock=self._clock)
        self.refresh()
        self.loop.wake()

    def shown(self) -> list[tuple[Pause, bool]]:
        """Return what is paused, each with whether its name is gone."""
        names = self._names()
        return [(each, is_gone(each, names)) for each in self.current().all]

    def refresh(self) -> None:
        """Read what is paused. Raises InboxUnavailable; then what was known stays. Call it before anything starts."""
        with self._lock:
            now = self._clock()
            found = self._inbox.read(pauses.read)
            for each in found.all:
                if each.is_over(now) and self._inbox.write(pausing.end, each, now=now):
                    _log.info("resumed", kind=str(each.kind), name=each.name, actor=pausing.BY_ITSELF)
            self._publish(found.at(now))

    def _publish(self, found: Pauses) -> None:
        before, self._current = self._current, found
        self._metrics.pauses.observe(found.all)
        if before.all == found.all:
            return
        for each in found.all:
            if each not in before.all:
                _log.warning("paused", kind=str(each.kind), name=each.name, detail=sentence(each))
        self._on_changed()

    def step(self) -> float | None:
        """Do one round; returns how long to rest, None with nothing more to do. Raises InboxUnavailable."""
        self.refresh()
        began = time.monotonic()
        held, gone_on = self._hold(), self._let_go()
        is_looking = self._look_at_what_is_held()
        if gone_on:
            self._on_changed()
        if not (held or gone_on or is_looking):
            return None
        return _REST * (time.monotonic() - began)

    def _hold(self) -> int:
        """Show what waits for what is paused as held; returns how much was moved."""
        current, inbox = self.current(), self._inbox
        moved = 0
        for airflow in current.airflows & inbox.read(claiming.airflows_with_pending) if current.airflows else ():
            moved += inbox.write(claiming.hold, airflow=airflow, reason=Reason.PAUSED_BY_PERSON, limit=_SLICE)
        others = self._others(current)
        if current.routes and others:
            for place in inbox.read(pauses.pending_places, airflows=others, routes=current.routes):
                moved += inbox.write(pauses.hold_route, place, limit=_SLICE)
        return moved

    def _look_at_what_is_held(self) -> bool:
        """Give what was held for another cause, which has passed, the word of the pause; returns whether more follows.

        A stretch of each place in a step, behind the one before.
        """
        current = self.current()
        if current.all != self._looked_for.all:
            self._looked_for, self._looked_at, self._behind = current, -math.inf, {}
        if time.monotonic() - self._looked_at < _LOOK_SECONDS:
            return False
        places = list(self._places(current))
        for place in places:
            after = self._behind.get(place, pauses.START)
            if after is not None:
                self._behind[place] = self._hold_a_stretch(place, after)
        is_more = any(self._behind[place] is not None for place in places)
        if not is_more:
            self._behind, self._looked_at = {}, time.monotonic()
        return is_more

    def _hold_a_stretch(self, place: tuple[PauseKind, str, str | None], after: pauses.Row) -> pauses.Row | None:
        kind, airflow, route = place
        rows, end = self._inbox.read(
            pauses.held_else,
            kind=kind,
            airflow=airflow,
            route=route,
            now=self._clock(),
            limit=_STRETCH,
            after=after,
        )
        for begin in range(0, len(rows), _SLICE):
            self._inbox.write(pauses.hold_rows, rows[begin : begin + _SLICE])
            self.loop.beat()
        return end

    def _places(self, current: Pauses) -> Iterator[tuple[PauseKind, str, str | None]]:
        for airflow in current.airflows:
            yield PauseKind.AIRFLOW, airflow, None
        for airflow in self._others(current):
            for route in current.routes:
                yield PauseKind.ROUTE, airflow, route

    def _others(self, current: Pauses) -> set[str]:
        return set(self._names()[PauseKind.AIRFLOW] or ()) - current.airflows

    def _let_go(self) -> int:
        """Let one slice of each place and source go on whose pause is over; returns how much was moved."""
        current, inbox = self.current(), self._inbox
        moved = 0
        places, sources = inbox.read(pauses.held)
        for place in places:
            if current.of_trigger(airflow=place[0], route=place[1]) is None:
                moved += inbox.write(pauses.let_go, place, limit=_SLICE)
        for source in sources:
            if source not in current.sources:
                moved += inbox.write(pauses.release, source, limit=_SLICE)
        return moved


class PausingBeside:
    """Pausing by a command beside the service, or without one: each replica knows of it within a second."""

    def __init__(self, *, inbox: Inbox, names: Callable[[], Names], unnamed: Callable[[], Collection[str]]) -> None:
        """`names` returns what is configured here, `unnamed` what routes without a name are called."""
        self._inbox = inbox
        self._names, self._unnamed = names, unnamed

    def pause(self, kind: PauseKind, name: str, *, actor: str, seconds: float | None, reason: str | None) -> Pause:
        """Pause as `pause` does."""
        names, unnamed = self._names(), self._unnamed()
        return pause(self._inbox, kind, name, names=names, unnamed=unnamed, actor=actor, seconds=seconds, reason=reason)

    def resume(self, kind: PauseKind, name: str, *, actor: str, reason: str | None) -> None:
        """Resume as `resume` does."""
        resume(self._inbox, kind, name, actor=actor, reason=reason)

    def shown(self) -> list[tuple[Pause, bool]]:
        """Return what is paused, each with whether its name is gone."""
        names = self._names()
        return [(each, is_gone(each, names)) for each in look(self._inbox).all]
