"""One Airflow as holding sees it: when it may be asked about DAGs, and what it answers, in few requests.

    1. a few DAGs           each by itself
    2. more                 the list, page by page, if that takes no more requests
    3. what a list lacks    each by itself, a few at a time, before anybody says that it is missing

So a look is `_PAGES` and `_SINGLES` requests at most, however many DAGs there are; what had no turn has it next time.
"""

import math
import time
from collections.abc import Callable, Sequence

from bridge.edges.airflow import Airflow
from bridge.rules.retrying import backoff
from bridge.words.dags import DagFacts, DagPage
from bridge.words.outcomes import Misconfigured, TargetDown
from bridge.words.reasons import Reason

_FEW = 5
_SINGLES = 20
_PAGES = 50  # 5000 DAGs
_PAGE = 100
Problem = TargetDown | Misconfigured


class Place:
    """The pace of questions to one Airflow, and the DAGs that it refuses to tell of. One thread."""

    def __init__(self, name: str, airflow: Airflow, *, before_each: Callable[[], None]) -> None:
        """`before_each` runs before each request but the first."""
        self.name = name
        self.airflow = airflow
        self.problem: Problem | None = None  # of the last look, if it is about more than one DAG
        self._before_each = before_each
        self._refused: dict[str, float] = {}
        self._failures = 0  # in a row
        self._not_before = 0.0
        self._last_said: Reason | None = None

    def may_ask(self, now: float) -> bool:
        """Whether it may be asked now; `now` in monotonic seconds."""
        return now >= self._not_before

    def open(self, names: Sequence[str], now: float) -> list[str]:
        """Return those of the DAGs that it did not lately refuse to tell of."""
        self._refused = {name: until for name, until in self._refused.items() if until > now}
        return [name for name in names if name not in self._refused]

    def ask(self, names: Sequence[str], *, pause_seconds: float) -> dict[str, DagFacts]:
        """Return what Airflow says of these DAGs, as far as it does; the first ones first.

        `pause_seconds`: what it refuses to tell of is left alone for so long.
        """
        self.problem = None
        found = self._listed(names) if len(names) > _FEW else {}
        if self.problem is None:
            unseen = [name for name in names if name not in found]
            found |= self._singly(unseen[:_SINGLES], pause_seconds)
        return found

    def failed(self, reason: Reason, now: float, pause_seconds: float) -> bool:
        """Note that there was no answer, and wait; True if the reason is worth a log line."""
        self._failures += 1
        self._not_before = now + backoff.wait(self._failures, 1.0, at_least=pause_seconds)
        is_news, self._last_said = reason is not self._last_said, reason
        return is_news

    def answered(self) -> None:
        """Note that it answers."""
        self._failures, self._last_said = 0, None

    def _listed(self, names: Sequence[str]) -> dict[str, DagFacts]:
        """Turn the pages; one that is the first of too many is the only one."""
        wanted, found, offset = set(names), dict[str, DagFacts](), 0
        max_pages = min(len(names), _PAGES)
        for _ in range(max_pages):
            if offset:
                self._before_each()
            page = self.airflow.list_dags(offset)
            if not isinstance(page, DagPage):
                self.problem = page
                break
            found |= {name: facts for name, facts in page.dags.items() if name in wanted}
            offset += len(page.dags)
            if not page.dags or offset >= page.total or math.ceil(page.total / _PAGE) > max_pages:
                break
        return found

    def _singly(self, names: Sequence[str], pause_seconds: float) -> dict[str, DagFacts]:
        found: dict[str, DagFacts] = {}
        for name in names:
            self._before_each()
            facts = self.airflow.look_at_dag(name)
            if isinstance(facts, DagFacts):
                found[name] = facts
                continue
            self._refused[name] = time.monotonic() + pause_seconds
            if isinstance(facts, TargetDown) or facts.is_whole_target:
                self.problem = facts
                break
        return found
