"""One Airflow as a comparison asks it: if it asks to wait (429, 503 with `Retry-After`), it is asked again after that.

Never before that. It is given up when it asks so five times in a row, or for more than five minutes. Meanwhile `tell`
is called once a second, so that a comparison ends when nobody waits for it any more.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from bridge.edges.airflow import Airflow
from bridge.words.outcomes import Misconfigured, TargetDown
from bridge.words.reasons import Reason
from bridge.words.runs import RunPage, RunSeen

_ECHO_BYTES = 8 * 1_048_576  # a hundred large confs, and Airflow 2 spells them up to 30 times as long
_TRIES = 5
_LONGEST_WAIT_SECONDS = 300.0
Problem = TargetDown | Misconfigured
Tell = Callable[[str, int, int], None]  # what is being done, how much of it, of how many
Sleep = Callable[[float], object]
_Answer = TypeVar("_Answer")


class Asking:
    """The questions to one Airflow, and how many there were."""

    def __init__(self, name: str, airflow: Airflow, *, tell: Tell, sleep: Sleep) -> None:
        """Nothing was asked yet."""
        self.name = name
        self.requests = 0
        self._airflow = airflow
        self._tell = tell
        self._sleep = sleep

    def list_runs(
        self, dag_ids: Collection[str], since: datetime, until: datetime, *, limit: int, offset: int
    ) -> RunPage | Problem:
        """Return a page of the runs made in a stretch of time, or what keeps Airflow from telling."""
        return self._ask(
            lambda: self._airflow.list_runs(dag_ids, since, until, limit=limit, offset=offset, echo_bytes=_ECHO_BYTES)
        )

    def look_at_run(self, dag_id: str, dag_run_id: str) -> RunSeen | Problem | None:
        """Return one run, None if Airflow says that there is none, or what keeps it from telling."""
        return self._ask(lambda: self._airflow.look_at_run(dag_id, dag_run_id))

    def _ask(self, question: Callable[[], _Answer]) -> _Answer | TargetDown:
        tries = 0
        while True:
            self.requests += 1
            answer = question()
            if not isinstance(answer, TargetDown) or answer.reason is not Reason.THROTTLED:
                return answer
            tries += 1
            if answer.wait_seconds > _LONGEST_WAIT_SECONDS:
                return _given_up(answer, f"it asks to wait for {answer.wait_seconds:g} s; compare again after that")
            if tries == _TRIES:
                return _given_up(answer, f"it asked to wait {tries} times in a row; compare again when it is less busy")
            self._wait(max(answer.wait_seconds, 2.0 ** (tries - 1)))

    def _wait(self, seconds: float) -> None:
        """Wait, and say so; ends early if `tell` raises."""
        step, slices = f"waiting, as {self.name} asks for it", math.ceil(seconds)
        for done in range(slices):
            self._tell(step, done, slices)
            self._sleep(min(1.0, seconds - done))
        self._tell(step, slices, slices)


def _given_up(problem: TargetDown, why: str) -> TargetDown:
    return replace(problem, detail=f"{problem.detail or problem.reason.why}; {why}")
