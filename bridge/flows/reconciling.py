"""Makes up for webhooks that never came: asks Planasonix which jobs have ended, and who was not told of. One a source.

    1. duty     take the source's lease, so that one replica looks; another one has it: nothing to do
    2. behind   webhooks of the source wait for routing (it is paused, or looked up): what they tell is not known yet.
                What may never be routed, came before the window or has been looked up for an hour stops nothing
    3. look     page by page through the jobs that ended between `since` and `grace` ago
    4. compare  with the completions that deliveries tell of, and with the jobs that a person has erased
    5. add      a delivery for each job that nobody tells of, in one commit a page; routing takes it like any other

It may be repeated, cut off and run twice at once: a job's delivery has a key of its own, and its runs are guarded as
those of every completion are, so a webhook that comes late starts only what was not started. An API that fails holds up
nothing but this; the look goes on at the page where it stopped, ever more rarely.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from bridge.chores.duty import Duty
from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox
from bridge.edges.inbox import reconciling as statements
from bridge.edges.metrics import Metrics
from bridge.edges.planasonix import PlanasonixClient, jobs
from bridge.rules import reconciling as rules
from bridge.rules.reconciling import Ended, Seen
from bridge.rules.retrying import backoff
from bridge.rules.sources import Source
from bridge.words.errors import LookupUnavailable
from bridge.words.targets import Reconcile

MOST_PAGES = 1000  # of one look
_LEASE_SECONDS = 120.0  # beyond the pause between two looks
_FRESH = timedelta(minutes=1)  # what has waited for less is about to be routed
_ASKED = timedelta(hours=1)  # one look-up that has no answer for so long does not stop the look at all other jobs
_BEHIND = timedelta(hours=1)  # then it is said
_TRIES = 5  # at one page, before the look begins anew: a cursor may have lapsed
_log = structlog.get_logger("bridge.reconciling")


@dataclass(frozen=True, slots=True)
class Position:
    """How far a look has come: jobs that ended between two instants, and the page to be read next."""

    begin: datetime
    end: datetime
    cursor: str | None = None
    pages: int = 0
    is_whole: bool = False


class Look:
    """Looks at the jobs of one source; keeps nothing."""

    def __init__(
        self, source: Source, api: PlanasonixClient, *, inbox: Inbox, setting: Reconcile, retention: timedelta
    ) -> None:
        """`retention`: what is older nobody knows any more."""
        self._source, self._api, self._inbox = source, api, inbox
        self._setting, self._retention = setting, retention

    def start(self, now: datetime) -> Position:
        """Return where a look begins."""
        since, grace = timedelta(seconds=self._setting.since_seconds), timedelta(seconds=self._setting.grace_seconds)
        return Position(*rules.window(now, since=since, grace=grace, retention=self._retention))

    def at(self, now: datetime, *, since: datetime, until: datetime | None, cursor: str | None) -> Position:
        """Return where a look goes on that a person has begun."""
        grace = timedelta(seconds=self._setting.grace_seconds)
        begin, end = rules.window(now, since=now - since, grace=grace, retention=self._retention)
        return Position(begin, end if until is None else min(end, until), cursor)

    def is_behind(self, now: datetime, at: Position) -> bool:
        """Whether webhooks are about to be routed that may tell of jobs of this look.

        One that came before the look's window tells of none: its job had ended by then.
        """
        since, asked_since = at.begin, now - _ASKED
        name, before = self._source.name, now - _FRESH
        return self._inbox.read(statements.is_behind, name, since=since, before=before, asked_since=asked_since)

    def types(self) -> list[Seen]:
        """Return the types in which this source would tell of its jobs; none: it was never seen to, or not any more."""
        if self._setting.types:
            return rules.named_types(self._setting.types, self._source.spelling)
        return rules.coming(self._inbox.read(statements.seen, self._source.name))

    def stopped_types(self) -> list[str]:
        """Return the types that the source delivers no more, while it goes on to tell of runs: not made up for."""
        seen = [] if self._setting.types else self._inbox.read(statements.seen, self._source.name)
        return sorted({each.type for each in rules.stopped(seen)})

    def page(self, at: Position, seen: list[Seen]) -> tuple[list[Ended], Position]:
        """Read one page; returns the jobs on it that nobody tells of, and where to go on.

        Raises LookupUnavailable, InboxUnavailable.
        """
        if at.pages >= MOST_PAGES:
            raise LookupUnavailable(f"the Planasonix API has more than {MOST_PAGES} pages of jobs; shorten `since`")
        found, cursor = jobs.page(self._api, since=at.begin - rules.LONGEST_JOB, cursor=at.cursor)
        if cursor is not None and cursor == at.cursor:
            raise LookupUnavailable("the Planasonix API's page of jobs leads to itself")
        ended = {
            each.completion.key: each
            for job in found
            if (each := self._ended(job, seen)) is not None and at.begin <= each.ended_at <= at.end
        }
        missed = self._inbox.read(statements.untold, list(ended.values())) if ended else []
        return missed, replace(at, cursor=cursor, pages=at.pages + 1, is_whole=cursor is None)

    def add(self, missed: list[Ended], now: datetime) -> list[str]:
        """Store a delivery for each; returns their ids. Idempotent. Raises InboxUnavailable."""
        if not missed:
            return []
        return self._inbox.write(statements.add, missed, new_id=self._inbox.new_delivery_number, now=now)

    def _ended(self, job: Mapping[str, Any], seen: list[Seen]) -> Ended | None:
        source = self._source
        kept = job if source.redaction is None else source.redaction.answer(job)
        found = rules.ended(kept, source=source.name, seen=seen, spelling=source.spelling)
        return None if found is None else replace(found, body=source.kept(found.body))


class Reconciling:
    """The loop of one source."""

    def __init__(
        self,
        source: Source,
        api: PlanasonixClient,
        *,
        inbox: Inbox,
        metrics: Metrics,
        setting: Reconcile,
        retention: timedelta,
        on_added: Callable[[], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`on_added` wakes routing."""
        self.name = source.name
        self._look = Look(source, api, inbox=inbox, setting=setting, retention=retention)
        self._clock, self._on_added = clock, on_added
        self._metrics = metrics.reconciling
        self._every_seconds = setting.every_seconds
        self._lease_seconds = setting.every_seconds + _LEASE_SECONDS
        self._duty = Duty(inbox, clock)
        self._position: Position | None = None  # of a look that was cut off
        self._failures, self._taken_at, self._not_before, self._problem = 0, 0.0, 0.0, ""
        self._behind_since: datetime | None = None
        self._is_said = False  # that it is behind
        self._stopped: list[str] = []  # types, as said last
        every = setting.every_seconds
        self.loop = Loop(
            "reconciling", self.step, every_seconds=every, metrics=metrics, on_stopped=self._duty.give_back
        )

    def step(self) -> float:
        """Look once; returns the pause. Raises InboxUnavailable."""
        if not self._is_ours():
            self._position = None
            self._metrics.looked_at.labels(self.name).set(0)
            return self._every_seconds
        if (remaining := self._not_before - time.monotonic()) > 0:  # meanwhile the lease is kept
            return min(remaining, self._every_seconds)
        now = self._clock()
        if self._is_behind(now):
            return self._every_seconds
        try:
            self._read(now)
        except LookupUnavailable as unavailable:
            self._wait(unavailable)
            return min(self._every_seconds, self._not_before - time.monotonic())
        self._failures, self._problem = 0, ""
        return self._every_seconds

    def _is_behind(self, now: datetime) -> bool:
        """Whether no look is possible yet; counted, and said once when it has been so for long."""
        if not self._look.is_behind(now, self._position or self._look.start(now)):
            self._behind_since, self._is_said = None, False
            return False
        self._metrics.looks.labels(self.name, "behind").inc()
        self._behind_since = self._behind_since or now
        if now - self._behind_since >= _BEHIND and not self._is_said:
            self._is_said = True
            step = f"look what they wait for: `planasonix-bridge deliveries --state received --source {self.name}`"
            _log.warning("reconciling_waits", source=self.name, since=self._behind_since.isoformat(), next_step=step)
        return True

    def _read(self, now: datetime) -> None:
        """Read page by page, and keep how far it has come."""
        seen = self._look.types()
        self._say_stopped(self._look.stopped_types())
        at = self._position or self._look.start(now)
        while not at.is_whole and self._go_on():
            missed, following = self._look.page(at, seen)
            self._add(missed)
            self._position = at = following
        if at.is_whole:
            self._position = None
            self._metrics.looks.labels(self.name, "done").inc()
            self._metrics.looked_at.labels(self.name).set(self._clock().timestamp())

    def _say_stopped(self, types: list[str]) -> None:
        if types and types != self._stopped:
            step = "if their webhooks should come: run `subscriptions`, and name them in `reconcile: {types: [...]}`"
            _log.warning("types_not_made_up_for", source=self.name, types=types, next_step=step)
        self._stopped = types

    def _add(self, missed: list[Ended]) -> None:
        added = self._look.add(missed, self._clock())
        if added:
            self._metrics.reconciled.labels(self.name).inc(len(added))
            step = "run `planasonix-bridge subscriptions`, then `doctor`"
            _log.warning("webhooks_never_came", source=self.name, amount=len(added), first=added[0], next_step=step)
            self._on_added()

    def _wait(self, unavailable: LookupUnavailable) -> None:
        """Say it once, and wait: no shorter than the API asks."""
        self._failures += 1
        if self._failures % _TRIES == 0:
            self._position = None
        self._metrics.looks.labels(self.name, "failed").inc()
        if str(unavailable) != self._problem:
            self._problem = str(unavailable)
            _log.warning("jobs_not_read", source=self.name, detail=self._problem, next_step="run `doctor`")
        asked = unavailable.retry_after_seconds
        rest = backoff.wait_held(self._failures, 0.5) if asked is None else asked
        self._not_before = time.monotonic() + max(1.0, rest)

    def _is_ours(self) -> bool:
        self._taken_at = time.monotonic()
        return self._duty.take(f"reconciling:{self.name}", self._lease_seconds)

    def _go_on(self) -> bool:
        """Beat, and keep the lease while a look takes long; False: the loop is ending, or another replica looks."""
        self.loop.beat()
        if self.loop.is_ending:
            return False
        return time.monotonic() - self._taken_at < _LEASE_SECONDS / 3 or self._is_ours()
