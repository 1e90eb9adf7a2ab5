"""One Airflow as following sees it: whether it may be asked now, and how much at once.

    batch   halved when no answer comes, so that a run that makes every list fail is alone in the end; doubled else.
            Being asked to wait says nothing of the size, unless that goes on; nor does a missing right
    pace    after each failure a longer wait, and never a shorter one than the answer asks for (`Retry-After`)
    page    halved when an answer is too long to be read (it echoes every conf); larger again little by little
    span    halved when a list has no room for all runs of the time asked for, or is mostly about others; doubled else

No I/O; one thread.
"""

from datetime import timedelta

from bridge.edges.airflow import Airflow
from bridge.rules.retrying import backoff
from bridge.words.outcomes import Misconfigured, TargetDown
from bridge.words.reasons import Reason
from bridge.words.runs import RunPage

BATCH = 500
_MAX_PAGE = 4 * BATCH  # runs in one list: those asked for, and others of the same DAGs and time
_ENOUGH = 2 * BATCH
_LEAST = 2
_THROTTLED_IN_A_ROW = 3  # by then it may as well be one run that makes every list fail
_LONGEST_SPAN = timedelta(hours=6)
_SHORTEST_SPAN = timedelta(seconds=2)


class Watch:
    """The pace and the size of questions to one Airflow."""

    def __init__(self, name: str, airflow: Airflow) -> None:
        """Nothing was asked yet."""
        self.name = name
        self.airflow = airflow
        self.page = _MAX_PAGE
        self.span = _LONGEST_SPAN
        self._batch = BATCH
        self._failures = 0  # in a row
        self._not_before = 0.0
        self._reason: Reason | None = None
        self._said: dict[str, Reason] = {}  # by DAG, why a run of it was last not read

    @property
    def batch(self) -> int:
        """How many runs to ask for at once."""
        return min(self._batch, self.page // 2)

    def may_ask(self, now: float) -> bool:
        """Whether it may be asked now; `now` in monotonic seconds."""
        return now >= self._not_before

    def answered(self, page: RunPage) -> None:
        """Note an answer."""
        self._failures, self._reason = 0, None
        self._batch = min(BATCH, self._batch * 2)
        if page.is_cut:
            self.page = max(_LEAST, self.page // 2)
            return
        self.page = min(_MAX_PAGE, self.page + 1 + self.page // 16)
        is_wide = not page.is_whole or len(page.runs) > _ENOUGH
        self.span = max(_SHORTEST_SPAN, self.span / 2) if is_wide else min(_LONGEST_SPAN, self.span * 2)

    def heard(self) -> None:
        """Note that it tells of runs, although there is no list."""
        self._failures = 0

    def failed(self, problem: TargetDown | Misconfigured, now: float, interval_seconds: float, *, asked: int) -> bool:
        """Note that there is no answer, and wait; True if the reason is worth a log line.

        `asked`: how many runs the list was to show; 0: its size is not why.
        """
        self._failures += 1
        if asked and (problem.reason is not Reason.THROTTLED or self._failures > _THROTTLED_IN_A_ROW):
            self._batch = max(1, asked // 2)
        wish = problem.wait_seconds if isinstance(problem, TargetDown) else 0.0
        self._not_before = now + backoff.wait(self._failures, 1.0, at_least=max(interval_seconds, wish))
        return self.is_news(problem.reason)

    def is_news(self, reason: Reason) -> bool:
        """Note why there is no list; True if that is worth a log line."""
        is_news, self._reason = reason is not self._reason, reason
        return is_news

    def is_news_of(self, dag_id: str, reason: Reason) -> bool:
        """Note why a run of a DAG is not read; True if that is worth a log line."""
        is_news, self._said[dag_id] = self._said.get(dag_id) is not reason, reason
        return is_news
