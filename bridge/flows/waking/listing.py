"""Which tasks of an Airflow wait: a list of what is new, all of them at first and every ten minutes.

    new     the newest requests; the next page only while a page shows nothing but new ones. One request, mostly
    all     page by page; also when Airflow counts others than we do, but that once a minute at most
    gone    a wait that the whole list lacks is asked for by itself, before it is forgotten: a page may move

Requests are made every five seconds while tasks wait, every minute otherwise, and sooner after a webhook, but never
closer than `_CLOSEST_SECONDS`: 25 a minute, however many webhooks come and tasks wait.
"""

import math
import time
from collections.abc import Mapping

import structlog

from bridge.edges.airflow.waits import Problem
from bridge.edges.inbox import waits
from bridge.flows.waking.place import Place
from bridge.rules import waking
from bridge.words.waits import Parked, ParkedPage, TaskKey, Wait

_CLOSEST_SECONDS = 2.4
_IDLE = 12.0  # steps
_ALL_SECONDS = 600.0
_MISCOUNTED_SECONDS = 60.0
_FIRST, _PAGE, _LEAST = 20, 100, 5
_MOST_PAGES = 100
_MOST_GONE = 20
_log = structlog.get_logger("bridge.waking")


class Listing:
    """Keeps the waits of one Airflow in the store. One thread."""

    def __init__(self, place: Place, *, step_seconds: float, is_own_asked: bool = False) -> None:
        """`step_seconds`: the usual pause between two requests while tasks wait.

        `is_own_asked`: also ask whether a task's later try has started the run that it waits for.
        """
        self._name, self._airflow, self._inbox, self._metrics = place.name, place.airflow, place.inbox, place.metrics
        self._take_turn, self._go_on = place.take_turn, place.go_on
        self._let_these_go = place.let_go
        self._step_seconds, self._is_own_asked = step_seconds, is_own_asked
        self._page = _PAGE  # smaller where an answer was too long to be read
        self.forget()

    def forget(self) -> None:
        """Begin with the whole list next time: another process has kept the waits meanwhile."""
        self._listed_at = self._all_at = -math.inf
        self._is_miscounted = False
        self._others = 0  # what Airflow counts and is no wait of ours
        self._amount = 0

    def is_due(self, *, has_news: bool) -> bool:
        """Whether the list is to be asked for now."""
        return self.pause_seconds(has_news=has_news) <= 0

    def pause_seconds(self, *, has_news: bool) -> float:
        """Return how long there is nothing to ask for."""
        closest = min(_CLOSEST_SECONDS, self._step_seconds)
        usual = self._step_seconds if self._amount else self._step_seconds * _IDLE
        due = self._listed_at + (closest if has_news else usual)
        return max(0.0, min(due - time.monotonic(), self._step_seconds))

    def step(self) -> Problem | None:
        """Ask for the list once, and store what changed. Raises InboxUnavailable."""
        now = time.monotonic()
        known = self._inbox.read(waits.known, airflow=self._name)
        pause = _MISCOUNTED_SECONDS if self._is_miscounted else _ALL_SECONDS
        is_all = now - self._all_at >= pause
        found = self._turn_pages(known, is_all=is_all)
        if found is None:
            return None
        if not isinstance(found, _Found):
            return found
        self._listed_at = time.monotonic()
        problem = self._take_in(found.tasks, known)
        if found.is_whole:
            self._all_at, self._others = self._listed_at, found.total - len(found.tasks)
            gone = [wait for task, wait in known.items() if task not in found.tasks]
            problem = problem or self._let_go(gone)
        self._amount = found.total - self._others
        stored = self._inbox.read(waits.known, airflow=self._name)
        self._is_miscounted = len(stored) != self._amount
        return problem

    def _turn_pages(self, known: Mapping[TaskKey, Wait], *, is_all: bool) -> "_Found | Problem | None":
        """Return what the list shows; None when it may not be asked for now."""
        tasks: dict[TaskKey, Parked] = {}
        offset, limit = 0, min(self._page, _PAGE if is_all else _FIRST)
        for _ in range(_MOST_PAGES):
            if not self._go_on() or not self._take_turn():
                return None
            page = self._airflow.page(waking.MARKER, offset=offset, limit=limit)
            self._count(is_answered=isinstance(page, ParkedPage))
            if not isinstance(page, ParkedPage):
                return page
            if page.is_cut:
                limit = self._page = max(_LEAST, limit // 2)
                continue
            offset += page.listed
            tasks |= {each.task: each for each in page.tasks if waking.read(each.subject) is not None}
            is_end = page.listed < limit or offset >= page.total
            if is_end or (not is_all and any(_is_known(each, known) for each in page.tasks)):
                return _Found(tasks, page.total, is_whole=is_end)
            limit = self._page
        return _Found(tasks, page.total if isinstance(page, ParkedPage) else 0, is_whole=False)

    def _take_in(self, tasks: Mapping[TaskKey, Parked], known: Mapping[TaskKey, Wait]) -> Problem | None:
        new: list[Wait] = []
        problem: Problem | None = None
        for task in (each for each in tasks.values() if not _is_known(each, known)):
            wait = self._read(task)
            if isinstance(wait, Wait):
                new.append(wait)
            elif wait is not None:
                problem = wait
                break
        if new:
            self._let_these_go([old for wait in new if (old := known.get(wait.task)) and old.run_id != wait.run_id])
            self._inbox.write(waits.add, new)
            _log.info("waits_found", airflow=self._name, amount=len(new))
        return problem

    def _read(self, parked: Parked) -> Wait | Problem | None:
        """Return what a task waits for; the request of a later try has the subject of the first."""
        about = waking.read(parked.subject)
        if about is None:
            return None
        run_id: str | Problem | None = about.run_id
        started: str | Problem | None = about.run_id if about.is_own else None
        if parked.try_number > 1:
            run_id = self._run_of(parked.task, waking.RUN_ID_KEY)
            started = self._run_of(parked.task, waking.STARTED_KEY) if self._is_own_asked else None
        if not isinstance(run_id, str):
            return run_id
        if not (started is None or isinstance(started, str)):
            return started
        place = (about.pipeline_id, about.source, parked.since)
        return Wait(self._name, parked.task, parked.try_number, run_id, *place, is_own=started == run_id)

    def _run_of(self, task: TaskKey, key: str) -> str | Problem | None:
        run_id = self._airflow.run_of(task, key)
        self._count(is_answered=run_id is None or isinstance(run_id, str))
        return run_id

    def _count(self, *, is_answered: bool) -> None:
        self._metrics.waits.count_request(self._name, is_answered=is_answered)

    def _let_go(self, gone: list[Wait]) -> Problem | None:
        """Forget waits that have ended without us: answered by a person, timed out, cleared, marked."""
        ended: list[Wait] = []
        problem: Problem | None = None
        for wait in gone[:_MOST_GONE]:
            if not self._go_on():
                break
            seen = self._airflow.look(wait.task)
            self._count(is_answered=seen is None or isinstance(seen, Parked))
            if not (seen is None or isinstance(seen, Parked)):
                problem = seen
                break
            if seen is None or not seen.is_waiting or seen.is_answered or seen.try_number != wait.try_number:
                ended.append(wait)
        if ended:
            self._let_these_go(ended)
            _log.info("waits_ended_elsewhere", airflow=self._name, amount=len(ended))
        return problem


class _Found:
    """What a list showed; `is_whole`: nothing else waits."""

    def __init__(self, tasks: Mapping[TaskKey, Parked], total: int, *, is_whole: bool) -> None:
        self.tasks, self.total, self.is_whole = tasks, total, is_whole


def _is_known(parked: Parked, known: Mapping[TaskKey, Wait]) -> bool:
    wait = known.get(parked.task)
    return wait is not None and wait.try_number == parked.try_number
