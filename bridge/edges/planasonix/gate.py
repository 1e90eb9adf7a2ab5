"""Whether the Planasonix API of one source may be called now: closed while it is down, or asks not to be called.

- What is surely about the whole API (no connection, 401, 429, 503) closes the gate at once.
- What looks like it, and may be about one question (403, 502, 504, HTML), closes it only if the API itself, asked for
  its list of jobs, does not answer either.
- What may well be about one question (500, no answer in time, a 404 that is not in JSON) is held against the API itself
  after three different questions without a good one.
- `X-RateLimit-Remaining: 0` closes it until `X-RateLimit-Reset`, before anything was refused.

What closes it is said to be about the whole (`is_whole`): no question is given up for it. What the API itself refutes
is the question's own; but not once three different questions got no good answer, and none did between: then the API
answers its list and nothing else, as with a key that may read no job. That is about the whole too, and closes nothing.
Each question counts once more after each good answer to another. What the API refuses (400, 410, 422) always counts.
While it is closed, one question at a time may pass as a probe, as at an Airflow that is down.
Whoever is stopped has asked nothing.
Thread-safe.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from bridge.rules.retrying.breaker import Breaker
from bridge.words.errors import LookupNotFound, LookupUnavailable
from bridge.words.reasons import Reason

_QUESTIONS = 3  # that failed, without a good one between: no verdict on the whole is taken from one
_MOST_WEIGHED = 10_000  # questions without a good answer that are remembered
LIST = "/api/v1/jobs"  # the API itself is asked for it; no question about one job or run
_log = structlog.get_logger("bridge.planasonix")


@dataclass(slots=True)
class Passed:
    """One call that was let through. `wait_seconds`: how long its answer asks not to be called."""

    is_probe: bool
    wait_seconds: float | None = None


class Gate:
    """The gate of one source."""

    def __init__(self, source: str, clock: Callable[[], float] = time.monotonic) -> None:
        """It is open at first; `clock` in monotonic seconds."""
        self._source, self._clock = source, clock
        self._breaker = Breaker()
        self._is_probing = False
        self._failed: set[str] = set()  # questions, since the last good answer
        self._unanswered: set[str] = set()  # the first of them, since the last good answer about a job or run
        self._good = 0  # such answers
        self._good_before: dict[str, int] = {}  # how many there were when a question failed last
        self._lock = threading.Lock()

    def room(self, limit: int) -> int:
        """Return how many calls may be under way now: `limit`, one for a probe, or none."""
        with self._lock:
            if not self._breaker.is_open:
                return limit
            return 1 if self._is_probing or self._breaker.may_probe(self._clock()) else 0

    def open_up(self) -> None:
        """Let everybody in: another key is in use."""
        with self._lock:
            self._breaker.close()
            self._failed.clear()
            self._unanswered.clear()
            self._good_before.clear()

    @contextmanager
    def passing(self, question: str, ask_itself: Callable[[], float | None]) -> Iterator[Passed]:
        """Let one call through, and learn from what it ends in; raises LookupUnavailable if it may not be made now.

        `ask_itself` asks the API for what hangs on no question, and returns how long it asks not to be called; raises
        LookupUnavailable.
        """
        passed = self._enter()
        try:
            yield passed
        except LookupNotFound:  # an answer like any other
            self._answered(passed, question)
            raise
        except LookupUnavailable as error:
            if error.is_refusal:
                self._answered(passed)
            else:
                if self._is_in_doubt(question, error, passed):
                    self._judge(error, passed, ask_itself)
                self._weigh(question, error)
            raise
        else:
            self._answered(passed, question)
        finally:
            if passed.is_probe:
                with self._lock:
                    self._is_probing = False

    def _enter(self) -> Passed:
        with self._lock:
            now = self._clock()
            if not self._breaker.is_open:
                return Passed(is_probe=False)
            if self._is_probing or not self._breaker.may_probe(now):
                wait = self._breaker.seconds_until_probe(now)
                raise LookupUnavailable(f"not asked now: {self._breaker.detail}", wait, is_whole=True)
            self._is_probing = True
            return Passed(is_probe=True)

    def _answered(self, passed: Passed, question: str = LIST) -> None:
        with self._lock:
            self._failed.clear()
            if question != LIST:
                self._good += 1
                self._unanswered.clear()
                self._good_before.pop(question, None)
            if passed.wait_seconds is not None:
                self._close("the Planasonix API allows no more calls for now", passed.wait_seconds)
            elif passed.is_probe:
                self._breaker.close()
                _log.info("planasonix_answers", source=self._source)

    def _is_in_doubt(self, question: str, error: LookupUnavailable, passed: Passed) -> bool:
        """Count a question without an answer, or close; tell whether the API itself has to be asked first."""
        with self._lock:
            self._failed.add(question)
            if error.is_sure or (self._breaker.is_open and not passed.is_probe):
                self._close_for(error)
                return False
            return error.is_whole or passed.is_probe or len(self._failed) >= _QUESTIONS

    def _judge(self, error: LookupUnavailable, passed: Passed, ask_itself: Callable[[], float | None]) -> None:
        """Close if the API itself does not answer either; else the question has failed for reasons of its own."""
        try:
            passed.wait_seconds = ask_itself()
        except LookupUnavailable as problem:
            with self._lock:
                self._close_for(error, problem.retry_after_seconds or 0.0)
        else:
            error.is_whole = False
            self._answered(passed)

    def _weigh(self, question: str, error: LookupUnavailable) -> None:
        """Hold it against the question alone only if others are answered."""
        if question == LIST:
            return
        with self._lock:
            if len(self._unanswered) < _QUESTIONS:
                self._unanswered.add(question)
            is_first_since = self._good > self._good_before.pop(question, self._good)
            self._good_before[question] = self._good
            if len(self._good_before) > _MOST_WEIGHED:
                del self._good_before[next(iter(self._good_before))]
            error.is_whole |= len(self._unanswered) >= _QUESTIONS and not is_first_since

    def _close_for(self, error: LookupUnavailable, wait_seconds: float = 0.0) -> None:
        error.is_whole = True
        self._close(str(error), max(error.retry_after_seconds or 0.0, wait_seconds))
        self._failed.clear()

    def _close(self, detail: str, wait_seconds: float) -> None:
        if detail != self._breaker.detail:
            _log.warning("planasonix_not_asked", source=self._source, detail=detail, next_step="run `doctor`")
        self._breaker.open(self._clock(), Reason.LOOKUP_FAILED, detail, wait_seconds=wait_seconds)
