"""Wakes the tasks of an Airflow that are parked until Planasonix tells how their run ended. One loop an Airflow.

    1. duty     take this Airflow's lease, so that one replica asks; another one has it: nothing to do
    2. list     which tasks wait (listing.py): all of them at first, then what is new
    3. answer   those of whose run the store knows something (answering.py): once, in the pace of firing
    4. let go   of those that wait no longer; perhaps nobody waits for their run now (abandoning.py)
    5. ask      Planasonix for the run of a task that has waited long, beside all this (inquiring.py)

A step is taken whenever something was routed, and every five seconds besides. Waits and facts are in the store, so a
webhook that came before its task was parked, or while the bridge was away, is found by a later step. What Airflow
answers may be lost: asking again is harmless, since a wait is answered once. What one task meets is no verdict on its
Airflow: the list is asked for next, which shows how the place is. An Airflow that does not give the list is asked more
and more rarely, and one that a person has paused, or at which nothing may be fired, not at all.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime

import structlog

from bridge.chores.duty import Duty
from bridge.chores.loop import Loop
from bridge.edges.airflow.waits import Problem, Waits
from bridge.edges.inbox import Inbox, waits
from bridge.edges.metrics import Metrics
from bridge.flows.waking.abandoning import Abandoning
from bridge.flows.waking.answering import Answering
from bridge.flows.waking.listing import Listing
from bridge.flows.waking.place import Place
from bridge.rules.retrying import backoff
from bridge.rules.sources import Source
from bridge.words.reasons import Reason
from bridge.words.waits import Wait

STEP_SECONDS = 5.0
_LEAST_SECONDS = 0.25  # between two looks at the facts, however fast webhooks come
_LEASE_SECONDS = 30.0
_log = structlog.get_logger("bridge.waking")


class Waking:
    """The waits of one Airflow."""

    def __init__(
        self,
        name: str,
        airflow: Waits,
        *,
        inbox: Inbox,
        sources: Mapping[str, Source],
        metrics: Metrics,
        take_turn: Callable[[], bool],
        abandoning: Abandoning | None = None,
        step_seconds: float = STEP_SECONDS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`take_turn` takes one call's share of the Airflow's pace; False: it may not be called now.

        `abandoning` cancels runs that nobody waits for; None: they are left alone.
        """
        self.name = name
        self._inbox = inbox
        self._step_seconds = step_seconds
        self._duty = Duty(inbox, clock)
        self._news = threading.Event()  # this process has routed something
        self._has_news = False  # some was seen, and the list was not asked for since
        self._failures = 0  # in a row
        self._not_before = self._stepped_at = self._taken_at = 0.0
        self._reason: Reason | None = None
        self._is_doubted = False  # a task met what may be the whole Airflow's trouble: the list comes first
        self._keeps_waits = False  # as of the last step
        self.loop = Loop(
            "waking", self.step, every_seconds=step_seconds, metrics=metrics, on_stopped=self._duty.give_back
        )
        let_go = self._forget if abandoning is None else abandoning.let_go
        parts = Place(name, airflow, inbox, metrics, take_turn, self._go_on, let_go)
        self._listing = Listing(parts, step_seconds=step_seconds, is_own_asked=abandoning is not None)
        self._answering = Answering(parts, sources=sources, clock=clock)

    def tell(self) -> None:
        """Something was routed here: look at once; cheap, from any thread."""
        self._news.set()
        self.loop.wake()

    def keeps_waits(self) -> bool:
        """Whether this process keeps the waits of its Airflow, and no other one does; from any thread."""
        return self._keeps_waits

    def tell_of(self, wait: Wait) -> None:
        """The run of a task was seen to have ended: let it look; from any thread."""
        self._answering.note_end(wait)
        self.tell()

    def step(self) -> float:
        """Look once; returns the pause. Raises InboxUnavailable."""
        now = time.monotonic()
        if now - self._stepped_at < _LEAST_SECONDS:
            return _LEAST_SECONDS
        self._stepped_at = now
        has_news, self._has_news = self._news.is_set() or self._has_news, False
        self._news.clear()
        if not self._is_ours():
            self._listing.forget()
            if has_news:
                self._inbox.write(waits.announce_news)
            return self._step_seconds
        if now < self._not_before:
            self._has_news = has_news
            return self._step_seconds
        problem = self._look(has_news=has_news)
        if problem is not None:
            self._wait(problem)
            return self._step_seconds
        self._failures, self._reason = 0, None
        if self._answering.overdue:  # the pace of firing had no more room
            self._has_news |= has_news
            return _LEAST_SECONDS
        return self._listing.pause_seconds(has_news=has_news or self._is_doubted)

    def _look(self, *, has_news: bool) -> Problem | None:
        self._is_doubted = self._is_doubted or self._answering.step()
        if not self._listing.is_due(has_news=has_news or self._is_doubted):
            self._has_news |= has_news
            return None
        problem = self._listing.step()
        if problem is not None:
            self._answering.observe()
        self._is_doubted = problem is not None or self._answering.step()
        return problem

    def _is_ours(self) -> bool:
        self._taken_at = time.monotonic()
        self._keeps_waits = self._duty.take(f"waking:{self.name}", _LEASE_SECONDS)
        return self._keeps_waits

    def _go_on(self) -> bool:
        """Beat, and keep the lease while a step takes long; False: the loop is ending."""
        self.loop.beat()
        if time.monotonic() - self._taken_at > _LEASE_SECONDS / 3:
            self._is_ours()
        return not self.loop.is_ending

    def _wait(self, problem: Problem) -> None:
        self._failures += 1
        self._not_before = time.monotonic() + backoff.wait(self._failures, 1.0, at_least=self._step_seconds)
        if problem.reason is not self._reason:
            self._reason = problem.reason
            _log.warning(
                "waits_not_read",
                airflow=self.name,
                reason=str(problem.reason),
                detail=problem.detail,
                next_step=problem.reason.next_step,
            )

    def _forget(self, ended: Collection[Wait]) -> None:
        self._inbox.write(waits.forget, airflow=self.name, tasks=[wait.task for wait in ended])
