"""What Airflow is asked about a task that waits no longer, and about the others that wait for its run."""

from collections.abc import Callable
from urllib.parse import quote

from bridge.edges.airflow.waits import Problem, Waits
from bridge.edges.metrics import Metrics
from bridge.rules import abandoning, waking
from bridge.rules.abandoning import Verdict
from bridge.words.waits import Abandoned, Parked, ParkedPage

_PAGE = 100


class Asking:
    """One Airflow. One thread. None for an answer: it may not be called now."""

    def __init__(self, name: str, airflow: Waits, metrics: Metrics, take_turn: Callable[[], bool]) -> None:
        """Nothing is asked yet."""
        self._name, self._airflow, self._metrics, self._take_turn = name, airflow, metrics, take_turn

    def judge(self, run: Abandoned) -> Verdict | Problem | None:
        """Ask what became of the task, by one request; of one that has a new try, by three."""
        if not self._take_turn():
            return None
        now = self._airflow.look(run.task)
        self._count(is_answered=now is None or isinstance(now, Parked))
        if not (now is None or isinstance(now, Parked)):
            return now
        if now is None or now.try_number <= run.try_number:
            return abandoning.judge(run, now=now, before=None, run_now=None)
        return self._judge_new_try(run, now) if self._take_turn() else None

    def _judge_new_try(self, run: Abandoned, now: Parked) -> Verdict | Problem:
        before = self._airflow.look(run.task, try_number=run.try_number)
        self._count(is_answered=before is None or isinstance(before, Parked))
        if not (before is None or isinstance(before, Parked)):
            return before
        run_now = self._airflow.run_of(run.task, waking.RUN_ID_KEY)
        self._count(is_answered=run_now is None or isinstance(run_now, str))
        if not (run_now is None or isinstance(run_now, str)):
            return run_now
        return abandoning.judge(run, now=now, before=before, run_now=run_now)

    def is_listed(self, run: Abandoned) -> bool | Problem | None:
        """Whether another task that is parked for this very run is listed; also when the list cannot be read."""
        if not self._take_turn():
            return None
        marker = f"{waking.MARKER}{quote(run.run_id, safe='')} "  # other words follow, so no longer id is found
        page = self._airflow.page(marker, offset=0, limit=_PAGE)
        self._count(is_answered=isinstance(page, ParkedPage))
        if not isinstance(page, ParkedPage):
            return page
        others = (waking.read(each.subject) for each in page.tasks if each.task != run.task)
        return page.is_cut or any(about is not None and about.run_id == run.run_id for about in others)

    def _count(self, *, is_answered: bool) -> None:
        self._metrics.waits.count_request(self._name, is_answered=is_answered)
