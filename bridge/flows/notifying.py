"""Notifying: sends what needs a person to whoever bridge.yaml names, without holding up anything.

    1. harvest   what has been sent meanwhile is stored, each message as it ended
    2. duty      take the lease of notifying, so that one replica sends; another one has it: nothing to do
    3. judge     what needs a person now, against what was sent before (rules/notifying)
    4. store     what is to be remembered without a message
    5. send      a few messages to each target that is free, in a process of their own; nobody waits for it

What was sent is in the store, so a restart or another replica goes on where this one stopped. A message is stored as
sent after the service took it: whoever dies in between sends it once more. A target that hangs or fails is tried again
after one minute, then ever more rarely; what it missed is judged anew by then. It is counted, `status` shows it, and
the other targets are sent that too. Perhaps only one message is refused: what failed goes behind the others, and what
is new waits a minute after the last try at most.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from bridge.chores.duty import Duty
from bridge.chores.loop import FINISHED, Loop
from bridge.edges import notifier
from bridge.edges.inbox import Inbox, notices
from bridge.edges.metrics import Metrics
from bridge.edges.notifier import Sending
from bridge.rules.attention import Need
from bridge.rules.notifying import Around, Due, judge
from bridge.words.errors import InboxUnavailable
from bridge.words.notices import Notice
from bridge.words.targets import NotifyTarget, Secret

DUTY = "notifying"
_EVERY_SECONDS = 15.0
_POLL_SECONDS = 0.25  # while something is under way
_LEASE_SECONDS = 120.0  # eight looks; longer than a sending may take
_FIRST_REST_SECONDS, _LONGEST_REST_SECONDS = 60.0, 900.0
_STOP_SECONDS = 3.0  # for what is under way when the bridge stops
_log = structlog.get_logger("bridge.notifying")


class _Desk:
    """One target: what is under way to it, and how it went lately."""

    def __init__(self, target: NotifyTarget) -> None:
        self.target = target
        self.sending: Sending | None = None
        self.due: Sequence[Due] = ()
        self.outcome: list[str | None] | None = None  # of what has ended, until it is stored
        self.is_tried = False  # whether its URL was looked at
        self.problem: str | None = None
        self._behind: list[str] = []  # causes whose message failed, in the order of their next turn
        self._failures = 0  # in a row
        self._rests_until = 0.0  # what failed before
        self._new_from = 0.0  # what is new
        self._is_early = False  # what is under way is new, and the rest is not over

    def is_unknown(self, now: float) -> bool:
        """Whether it is to be tried if the URL is understood."""
        return not self.is_tried and self.sending is None and now >= self._rests_until

    def begin(self, due: Sequence[Due], seconds: float) -> None:
        """Send these; without any, it is tried whether the URL is understood."""
        self.due, self.outcome, self.is_tried = due, None, True
        self.sending = Sending(self.target.url, [each.message for each in due], seconds=seconds)

    def has_ended(self) -> bool:
        """Whether what was under way has ended, and is to be stored."""
        if self.sending is None or not self.sending.poll():
            return False
        if self.outcome is None:
            self.outcome = self.sending.outcome()
        return True

    def in_turn(self, due: Sequence[Due], now: float) -> list[Due]:
        """Return what may be sent by now of what is due: what is new soon, behind it what failed before."""
        causes = {each.after.cause for each in due}
        self._behind = [cause for cause in self._behind if cause in causes]
        if self.sending is not None or now < min(self._new_from, self._rests_until):
            return []
        self._is_early = now < self._rests_until
        places = {cause: place for place, cause in enumerate(self._behind, start=1)}
        free = due if now >= self._rests_until else [each for each in due if each.after.cause not in places]
        return sorted(free, key=lambda each: places.get(each.after.cause, 0))

    def put_behind(self, failed: Sequence[Due]) -> None:
        """Put these behind all others, the first of them last: if it hung, those after it were not even tried."""
        causes = [each.after.cause for each in reversed(failed)]
        self._behind = [cause for cause in self._behind if cause not in causes] + causes

    def note(self, problem: str | None, now: float, *, has_sent: bool) -> None:
        """Take over how the last messages ended. A try of new causes alone does not lengthen the rest of the others."""
        self.problem = problem
        if problem is not None and self._is_early:
            self._new_from = now + _FIRST_REST_SECONDS
            return
        self._failures = 0 if problem is None else 1 if has_sent else self._failures + 1
        rest = _FIRST_REST_SECONDS * 2.0 ** min(self._failures - 1, 10)
        self._rests_until = 0.0 if problem is None else now + min(rest, _LONGEST_REST_SECONDS)
        self._new_from = 0.0 if problem is None else now + _FIRST_REST_SECONDS

    def take_over(self, url: Secret) -> None:
        """Send to another URL from now on; it is looked at first."""
        if url.reveal() != self.target.url.reveal():
            self.target = NotifyTarget(self.target.name, url, self.target.on, self.target.after_seconds)
            self.is_tried, self._is_early, self._rests_until, self._new_from = False, False, 0.0, 0.0


class Notifying:
    """One loop for all targets."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        metrics: Metrics,
        targets: Sequence[NotifyTarget],
        needs: Callable[[], Sequence[Need]],
        around: Around = Around(),  # noqa: B008 - frozen
        every_seconds: float = _EVERY_SECONDS,
        deadline_seconds: float = notifier.DEADLINE_SECONDS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`needs` returns what needs a person; `around` makes links and knows owners. `clock` gives aware UTC."""
        self._inbox = inbox
        self._metrics = metrics.notifying
        self._metrics.expect([target.name for target in targets])
        self._needs = needs
        self._around = around
        self._deadline_seconds = deadline_seconds
        self._clock = clock
        self._monotonic = monotonic
        self._duty = Duty(inbox, clock)
        self._desks = [_Desk(target) for target in targets]
        self._is_clean = False
        self._looked_at = -every_seconds
        self._every_seconds = every_seconds
        self.loop = Loop("notifying", self.step, every_seconds=every_seconds, metrics=metrics, on_stopped=self._end)

    def take_over(self, targets: Sequence[NotifyTarget]) -> None:
        """Put other URLs to use."""
        urls = {target.name: target.url for target in targets}
        for desk in self._desks:
            desk.take_over(urls[desk.target.name])

    def step(self) -> float | None:
        """Look once, and return the pause: short while something is under way. Raises InboxUnavailable."""
        if not self._is_clean:
            self._inbox.write(notices.keep_targets, [desk.target.name for desk in self._desks])
            self._is_clean = True
        if not self._desks:
            return FINISHED
        has_news = self._harvest()
        if has_news or self._monotonic() - self._looked_at >= self._every_seconds:
            self._looked_at = self._monotonic()
            self._look()
        return _POLL_SECONDS if any(desk.sending is not None for desk in self._desks) else None

    def _look(self) -> None:
        now = self._clock()
        if not self._duty.take(DUTY, _LEASE_SECONDS):
            for desk in self._desks:
                self._metrics.failing.labels(desk.target.name).set(0)
            return
        needs, known = self._needs(), self._inbox.read(notices.read)
        failing = {each.to for each in self._inbox.read(notices.failing)}
        for desk in self._desks:
            self._metrics.failing.labels(desk.target.name).set(desk.target.name in failing)
            self._serve(desk, needs, [notice for notice in known if notice.to == desk.target.name], now)

    def _serve(self, desk: _Desk, needs: Sequence[Need], known: Sequence[Notice], now: datetime) -> None:
        """Store what follows for one target, and send to it what may be sent by now."""
        others = [need for need in needs if need.what != "not_notified" or need.about != desk.target.name]
        by_cause = {notice.cause: notice for notice in known}
        verdict = judge(desk.target, others, by_cause, now=now, around=self._around)
        if verdict.kept or verdict.forgotten:
            self._inbox.write(notices.keep, verdict.kept, to=desk.target.name, forgotten=verdict.forgotten)
        due = desk.in_turn(verdict.due, self._monotonic())
        if due or desk.is_unknown(self._monotonic()):
            desk.begin(due[: notifier.MAX_AT_ONCE], self._deadline_seconds)

    def _harvest(self) -> bool:
        """Store how it ended, of what has ended; returns whether anything did. Raises InboxUnavailable: then later."""
        ended = [desk for desk in self._desks if desk.has_ended()]
        for desk in ended:
            self._settle(desk)
        return bool(ended)

    def _settle(self, desk: _Desk) -> None:
        name, outcome, due = desk.target.name, desk.outcome or [], desk.due
        sent = [each.after for each, problem in zip(due, outcome, strict=False) if problem is None]
        failed = [each for each, problem in zip(due, outcome, strict=False) if problem is not None]
        problem = next((each for each in outcome if each is not None), None)
        self._inbox.write(notices.settle, sent, to=name, problem=problem, now=self._clock())
        desk.put_behind(failed)
        desk.sending, desk.due = None, ()
        self._count(desk, len(sent), problem)

    def _count(self, desk: _Desk, sent: int, problem: str | None) -> None:
        name = desk.target.name
        if problem is not None and problem != desk.problem:
            step = "run `planasonix-bridge notify --test`"
            _log.error("not_notified", target=name, detail=problem, next_step=step)
        elif problem is None and desk.problem is not None:
            _log.info("notified_again", target=name)
        desk.note(problem, self._monotonic(), has_sent=sent > 0)
        self._metrics.messages.labels(name, "sent").inc(sent)
        self._metrics.messages.labels(name, "failed").inc(problem is not None)

    def _end(self, limit_seconds: float) -> None:
        """Wait a little for what is under way, end the rest, and let another replica have the duty."""
        until = self._monotonic() + min(limit_seconds, _STOP_SECONDS)
        for desk in self._desks:
            if desk.sending is not None:
                desk.sending.wait(max(0.0, until - self._monotonic()))
                desk.sending.kill()
                with suppress(InboxUnavailable):
                    self._harvest()
        self._duty.give_back()
