"""One Airflow as holding sees it: when it may be asked about DAGs, and what it answers, in few requests.

    1. a few DAGs           each by itself
    2. more                 the list, page by page, if that takes no more requests; smaller pages if one is too long
    3. what a list lacks    each by itself, a few at a time, before anybody says that it is missing

So a look is `_PAGES` and `_SINGLES` requests at most, however many DAGs there are; what had no turn has it next time.

Rule: one answer is one sample, so it never ends the look at a whole Airflow. When a question fails as if the whole
place were down, the place itself is asked (`Airflow.probe`). If it is well, that DAG (or the list) is left alone for a
while, and the DAG comes after all others then. The look goes on, until `_STRAYS` questions have failed so. If the list
and every DAG that was asked for failed, the whole look has.

Whatever is left alone is so for as long as the answer asks for (`Retry-After`), if that is longer.
"""

import math
import time
from collections.abc import Callable, Sequence

import structlog

from bridge.edges.airflow import Airflow
from bridge.rules.retrying import backoff
from bridge.words.dags import DagFacts, DagPage
from bridge.words.outcomes import Misconfigured, TargetDown
from bridge.words.reasons import Reason

_FEW = 5
_SINGLES = 20
_PAGES = 50  # 5000 DAGs
_PAGE = 100
_STRAYS = 3  # each may take its whole deadline, and two more requests for the place
_REMEMBERED_SECONDS = 3600.0
_LIST = ""  # beside the names of DAGs
_STRAY_STEP = (
    "Airflow itself is well: look for the time of this line in its log, and in the log of what stands in front of it."
    " The other DAGs are looked at all the same."
)
_log = structlog.get_logger("bridge.holding")
Problem = TargetDown | Misconfigured


class Place:
    """The pace of questions to one Airflow, and the DAGs that it refuses to tell of. One thread."""

    def __init__(
        self,
        name: str,
        airflow: Airflow,
        *,
        before_each: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`before_each` runs before each request but the first."""
        self.name = name
        self.airflow = airflow
        self.params_from = 0.0  # not to be read before that: steps are quick while much is set free
        self.params_last = ""  # the DAG whose params are read after all others: it had no answer
        self.problem: Problem | None = None  # of the last look, if it is about more than one DAG
        self._before_each = before_each
        self._monotonic = monotonic
        self._refused: dict[str, float] = {}  # until when a DAG, or the list, is left alone; kept for longer
        self._said: dict[str, Reason] = {}  # why it is, so that this is logged once
        self._strays = 0  # questions of this look that failed although the place is well
        self._unlisted: Problem | None = None  # what this look's list said instead, about nothing but itself
        self._failures = 0  # in a row
        self._not_before = 0.0
        self._last_said: Reason | None = None

    def may_ask(self, now: float) -> bool:
        """Whether it may be asked now; `now` in monotonic seconds."""
        return now >= self._not_before

    def open(self, names: Sequence[str], now: float) -> list[str]:
        """Return those of the DAGs that it did not just refuse to tell of; those that it lately did come last."""
        self._refused = {name: at for name, at in self._refused.items() if at > now - _REMEMBERED_SECONDS}
        self._said = {name: reason for name, reason in self._said.items() if name in self._refused}
        open_ = [name for name in names if self._refused.get(name, now) <= now]
        return sorted(open_, key=lambda name: self._refused.get(name, 0.0))

    def ask(self, names: Sequence[str], *, pause_seconds: float) -> dict[str, DagFacts]:
        """Return what Airflow says of these DAGs, as far as it does; the first ones first.

        `pause_seconds`: what it refuses to tell of is left alone for so long.
        """
        self.problem, self._strays, self._unlisted = None, 0, None
        may_list = len(names) > _FEW and self._refused.get(_LIST, 0.0) <= self._monotonic()
        found = self._listed(names, pause_seconds) if may_list else {}
        if self.problem is None:
            unseen = [name for name in names if name not in found]
            found |= self._singly(unseen[:_SINGLES], pause_seconds)
        if self.problem is None and not found:
            self.problem = self._unlisted
        return found

    def read_params(self, dag_id: str) -> DagFacts | Problem | None:
        """Return a DAG with its params, None if this DAG alone has no answer, or what keeps all from having one.

        If Airflow asks to wait, no params are read before that.
        """
        found = self.airflow.look_at(dag_id)
        if isinstance(found, DagFacts):
            return found
        if not _is_whole(found):
            return None
        self._before_each()
        problem = found if _wish(found) else self.airflow.probe()
        if problem is not None:
            self.params_from = max(self.params_from, self._monotonic() + _wish(problem))
            self.params_last = dag_id
        return problem

    def failed(self, problem: Problem, now: float, pause_seconds: float) -> bool:
        """Note that there was no answer, and wait; True if the reason is worth a log line."""
        self._failures += 1
        at_least = max(pause_seconds, _wish(problem))
        self._not_before = now + backoff.wait(self._failures, 1.0, at_least=at_least)
        is_news, self._last_said = problem.reason not in (self._last_said, self._said.get(_LIST)), problem.reason
        return is_news

    def answered(self) -> None:
        """Note that it answers."""
        self._failures, self._last_said = 0, None

    def _listed(self, names: Sequence[str], pause_seconds: float) -> dict[str, DagFacts]:
        """Turn the pages; one that is the first of too many is the only one."""
        wanted, found, offset, limit = set(names), dict[str, DagFacts](), 0, _PAGE
        max_pages = min(len(names), _PAGES)
        for number in range(max_pages):
            if number:
                self._before_each()
            page = self.airflow.list_dags(offset, limit)
            if not isinstance(page, DagPage):
                self._unlisted = None if _is_whole(page) else page
                self.problem = self._left_alone(_LIST, page, pause_seconds)
                return found
            if page.is_cut:  # one that is too long by itself is asked for as what a list lacks
                offset, limit = (offset, limit // 2) if limit > 1 else (offset + 1, limit)
                continue
            found |= {name: facts for name, facts in page.dags.items() if name in wanted}
            offset += len(page.dags)
            if not page.dags or offset >= page.total or math.ceil(page.total / limit) > max_pages:
                break
        self._tells(_LIST)
        return found

    def _singly(self, names: Sequence[str], pause_seconds: float) -> dict[str, DagFacts]:
        found: dict[str, DagFacts] = {}
        for name in names:
            self._before_each()
            facts = self.airflow.look_at_dag(name)
            if isinstance(facts, DagFacts):
                found[name] = facts
                self._tells(name)
                continue
            self.problem = self._left_alone(name, facts, pause_seconds)
            if self.problem is not None or self._strays >= _STRAYS:
                break
        return found

    def _tells(self, what: str) -> None:
        self._refused.pop(what, None)
        self._said.pop(what, None)

    def _left_alone(self, what: str, problem: Problem, pause_seconds: float) -> Problem | None:
        """Leave alone what had no answer, unless the whole place has none: return what is wrong with that."""
        if _is_whole(problem):
            self._before_each()
            confirmed = self.airflow.probe()
            if confirmed is not None:
                return confirmed
            self._strays += 1
        self._refused[what] = self._monotonic() + max(pause_seconds, _wish(problem))
        if problem.reason not in (self._said.get(what), self._said.get(_LIST)):
            self._said[what] = problem.reason
            self._say(what, problem)
        return None

    def _say(self, what: str, problem: Problem) -> None:
        _log.warning(
            "dag_not_read" if what else "dags_not_read",
            airflow=self.name,
            dag_id=what or None,
            detail=problem.detail,
            next_step=_STRAY_STEP if _is_whole(problem) else problem.reason.next_step,
        )


def _is_whole(problem: Problem) -> bool:
    """Whether an answer looks as if the whole place had the trouble."""
    return isinstance(problem, TargetDown) or problem.is_whole_target


def _wish(problem: Problem) -> float:
    """Return for how many seconds an answer asks not to be asked again."""
    return problem.wait_seconds if isinstance(problem, TargetDown) else 0.0
