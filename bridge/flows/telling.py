"""Tells whoever asks that a run of Planasonix has ended, as soon as a webhook says so.

Who waits for the answer holds no thread and no connection to the store. One loop looks for all of them: once a second,
and at once when something was routed here. Facts are in the store, so one that came before somebody asked, or at
another replica, is found as well. While nobody waits, nothing is read.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox, endings
from bridge.edges.metrics import Metrics
from bridge.rules.telling import Answer, Found, Question, Verdict, answer
from bridge.words.errors import TooMany

EVERY_SECONDS = 1.0
RETRY_SECONDS = 30.0  # for whom there is no room
_LEAST_SECONDS = 0.25  # between two looks, however fast webhooks come
_LIMIT = 500
_AT_ONCE = 500  # ids in one statement


@dataclass(eq=False, slots=True)
class Asker:
    """Somebody who waits; `hear` is called from the loop's thread, once, and never waits."""

    question: Question
    hear: Callable[[Answer], None]


class Telling:
    """Looks for everybody who waits, while there is anybody."""

    def __init__(self, *, inbox: Inbox, metrics: Metrics, limit: int = _LIMIT) -> None:
        """`limit`: how many may wait at once."""
        self._inbox = inbox
        self._limit = limit
        self._lock = threading.Lock()
        self._askers: list[Asker] = []
        self._looked_at = 0.0
        self.loop = Loop(
            "telling", self.step, every_seconds=EVERY_SECONDS, metrics=metrics, on_stopped=lambda _: self._end()
        )

    def look(self, question: Question) -> Answer:
        """Return what is known now. Raises InboxUnavailable."""
        return answer(question, self._found([question]))

    def join(self, asker: Asker) -> None:
        """Let somebody hear what comes. Raises TooMany."""
        with self._lock:
            if len(self._askers) >= self._limit or self.loop.is_ending:
                raise TooMany("who wait", RETRY_SECONDS)
            self._askers.append(asker)

    def leave(self, asker: Asker) -> None:
        """Let somebody hear nothing more. Idempotent."""
        with self._lock:
            self._askers = [each for each in self._askers if each is not asker]

    def tell(self) -> None:
        """Something was routed here: look at once, if anybody waits. Cheap, from any thread."""
        if self._askers:
            self.loop.wake()

    def step(self) -> float | None:
        """Look once for everybody; returns the pause. Raises InboxUnavailable."""
        now = time.monotonic()
        if now - self._looked_at < _LEAST_SECONDS:
            return _LEAST_SECONDS
        self._looked_at = now
        with self._lock:
            askers = list(self._askers)
        for begin in range(0, len(askers), _AT_ONCE):
            self.loop.beat()
            self._tell(askers[begin : begin + _AT_ONCE])
        return None

    def _tell(self, askers: Sequence[Asker]) -> None:
        found = self._found([each.question for each in askers])
        by_name: dict[str, list[Found]] = {}
        for each in found:
            by_name.setdefault(each.name, []).append(each)
        for asker in askers:
            names = {asker.question.run_id, asker.question.pipeline_id} - {None}
            said = answer(asker.question, [each for name in names for each in by_name.get(str(name), ())])
            if said.verdict is not Verdict.OPEN:
                self.leave(asker)
                asker.hear(said)

    def _found(self, questions: Sequence[Question]) -> list[Found]:
        runs = {each.run_id for each in questions if each.run_id is not None}
        pipelines = {each.pipeline_id for each in questions if each.pipeline_id is not None}
        since = min(each.since for each in questions)
        return self._inbox.read(endings.found, runs=runs, pipelines=pipelines, since=since)

    def _end(self) -> None:
        """Let everybody go: the service stops."""
        with self._lock:
            askers, self._askers = self._askers, []
        for each in askers:
            each.hear(Answer())
