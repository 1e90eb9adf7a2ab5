"""Which tasks of an Airflow wait: a list of what is new, all of them at first and every ten minutes.

    new     the newest requests; the next page only while a page shows nothing but new ones. One request, mostly
    all     page by page; also when Airflow counts others than we do, but that once a minute at most
    run     of a task in a later try it is asked for: Airflow keeps the subject of the first
    gone    a wait that the whole list lacks is asked for by itself, before it is forgotten: a page may move

Requests are made every five seconds while tasks wait, every minute otherwise, and sooner after a webhook, but never
closer than `_CLOSEST_SECONDS`: 25 a minute, however many webhooks come and tasks wait.

A task that Airflow does not tell of is left for a later list, and lets the others go first: only a page that is not
given is a verdict on the place.

Each request takes its turn in the pace of firing. Where that has no more room, what was found is stored, and a second
later the list goes on at the page where it stopped: a list that began anew would never end with more pages than turns.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from bridge.edges.airflow.waits import Problem
from bridge.edges.inbox import waits
from bridge.flows.waking.place import Place
from bridge.rules import waking
from bridge.rules.retrying.turns import Turns
from bridge.words.outcomes import TargetDown
from bridge.words.waits import Parked, ParkedPage, TaskKey, Wait

_CLOSEST_SECONDS = 2.4
_IDLE = 12.0  # steps
_ALL_SECONDS = 600.0
_MISCOUNTED_SECONDS = 60.0
_GO_ON_SECONDS = 1.0
_STALE_SECONDS = 30.0  # a list that nobody went on with for so long says nothing of the tasks that it showed
_FIRST, _PAGE = 20, 100
_MOST_ASKED = 20  # in one step: answers are not to wait for a long list
_MOST_GONE = 20
_OWN_TROUBLE = 2  # so often one task alone has failed: the place is well, and something about this one is not
_NEXT_STEP = (
    "`detail` has what came instead: the bridge's user may not read this task or its XCom, or a firewall blocks the"
    " call. If it is urgent, answer the task in Airflow, under Required actions"
)
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
        self._turns = Turns()  # of tasks and tries that are asked for by themselves
        self.forget()

    def forget(self) -> None:
        """Begin with the whole list next time: another process has kept the waits meanwhile."""
        self._listed_at = self._all_at = -math.inf
        self._list: _List | None = None  # that has not ended
        self._stepped_at = -math.inf
        self._asks = 0  # that may follow in this step
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
        if self._list is not None:
            due = self._stepped_at + min(_GO_ON_SECONDS, self._step_seconds)
        return max(0.0, min(due - time.monotonic(), self._step_seconds))

    def step(self) -> Problem | None:
        """Ask for the list, or go on with it, and store what changed. Raises InboxUnavailable."""
        self._stepped_at, self._asks = time.monotonic(), _MOST_ASKED
        known = self._inbox.read(waits.known, airflow=self._name)
        found = self._list = self._begun()
        problem = self._turn_pages(found, known)
        if problem is not None:
            self._list, self._asks = None, 0
        self._take_in(found, known)
        self._let_go(found, known)
        if problem is None and found.is_done:
            self._end(found)
        return problem

    def _begun(self) -> "_List":
        now = self._stepped_at
        if self._list is not None and now - self._list.turned_at < _STALE_SECONDS:
            return self._list
        pause = _MISCOUNTED_SECONDS if self._is_miscounted else _ALL_SECONDS
        return _List(is_all=now - self._all_at >= pause, turned_at=now)

    def _end(self, found: "_List") -> None:
        self._list, self._listed_at = None, time.monotonic()
        if found.is_whole:
            self._all_at, self._others = self._listed_at, found.total - len(found.tasks)
        self._amount = found.total - self._others
        stored = self._inbox.read(waits.known, airflow=self._name)
        if found.is_whole:
            self._turns.keep({*map(_key, found.tasks.values()), *map(_key, stored.values())})
        self._is_miscounted = len(stored) != self._amount

    def _may_ask(self) -> bool:
        """Take the turn of one request; False: not now, or not in this step."""
        if self._asks <= 0 or not self._go_on() or not self._take_turn():
            return False
        self._asks -= 1
        return True

    def _turn_pages(self, found: "_List", known: Mapping[TaskKey, Wait]) -> Problem | None:
        while not found.is_read and self._may_ask():
            limit = min(self._page, _PAGE if found.is_all or found.offset else _FIRST)
            page = self._airflow.page(waking.MARKER, offset=found.offset, limit=limit)
            self._count(is_answered=isinstance(page, ParkedPage))
            if not isinstance(page, ParkedPage):
                return page
            found.turned_at = time.monotonic()
            if page.is_cut:
                found.offset += limit == 1  # a request that is too long by itself is left to people
                self._page = max(1, limit // 2)
                continue
            found.add(page, known, limit=limit)
            if found.is_whole:
                found.gone = sorted(found.gone, key=self._times)[:_MOST_GONE][::-1]  # the last one is next
        return None

    def _take_in(self, found: "_List", known: Mapping[TaskKey, Wait]) -> None:
        """Store what is new, as far as it could be read."""
        new: list[Wait] = []
        # First what needs no question.
        for task in sorted(found.unread.values(), key=lambda each: (each.try_number > 1, self._times(each))):
            if task.try_number > 1 and not self._turns.is_due(_key(task), time.monotonic()):
                del found.unread[task.task]
                continue
            if task.try_number > 1 and not self._may_ask():
                break
            wait = self._read(task)
            found.turned_at = time.monotonic()
            del found.unread[task.task]
            if isinstance(wait, Wait):
                new.append(wait)
            if task.try_number > 1:
                self._note(task, wait if isinstance(wait, Problem) else None)
        if new:
            self._let_these_go([old for wait in new if (old := known.get(wait.task)) and old.run_id != wait.run_id])
            self._inbox.write(waits.add, new)
            _log.info("waits_found", airflow=self._name, amount=len(new))

    def _read(self, parked: Parked) -> Wait | Problem | None:
        """Return what a task waits for; the request of a later try has the subject of the first."""
        about = waking.read(parked.subject)
        if about is None:
            return None
        run_id: str | Problem | None = about.run_id
        started: str | Problem | None = about.run_id if about.is_own else None
        if parked.try_number > 1:
            run_id = self._run_of(parked.task, waking.RUN_ID_KEY)
            if self._is_own_asked:
                self._go_on()  # one question between two beats
                started = self._run_of(parked.task, waking.STARTED_KEY)
            else:
                started = None
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

    def _let_go(self, found: "_List", known: Mapping[TaskKey, Wait]) -> None:
        """Forget waits that have ended without us: answered by a person, timed out, cleared, marked."""
        ended: list[Wait] = []
        while found.gone:
            wait = found.gone[-1]
            # Else it was answered meanwhile, or a later list has it.
            if known.get(wait.task) == wait and self._turns.is_due(_key(wait), time.monotonic()):
                if not self._may_ask():
                    break
                seen = self._airflow.look(wait.task)
                problem = seen if isinstance(seen, Problem) else None
                self._count(is_answered=problem is None)
                self._note(wait, problem)
                found.turned_at = time.monotonic()
                if not isinstance(seen, Problem) and _has_ended(wait, seen):
                    ended.append(wait)
            found.gone.pop()
        if ended:
            self._let_these_go(ended)
            _log.info("waits_ended_elsewhere", airflow=self._name, amount=len(ended))

    def _times(self, task: Parked | Wait) -> int:
        return self._turns.times(_key(task))

    def _note(self, task: Parked | Wait, problem: Problem | None) -> None:
        """Note whether Airflow told of one task, and let the others go first if not."""
        if problem is None:
            self._turns.went_well(_key(task))
            return
        at_least = problem.wait_seconds if isinstance(problem, TargetDown) else 0.0
        why = {"airflow": self._name, "reason": str(problem.reason), "detail": problem.detail}
        if self._turns.failed(_key(task), time.monotonic(), at_least=at_least):
            _log.warning("waits_not_read", **why, next_step=problem.reason.next_step)
        elif self._times(task) == _OWN_TROUBLE:
            _log.warning("wait_not_read", **why, **task.task._asdict(), next_step=_NEXT_STEP)


@dataclass(slots=True)
class _List:
    """A list that is being read. `is_all`: to its end; else until a page shows a task that is known.

    `is_read`: no page is to follow. `is_whole`: nothing else waits. `unread`: tasks whose run is not known yet. `gone`:
    waits that it lacks.
    """

    is_all: bool
    turned_at: float
    offset: int = 0
    total: int = 0
    is_read: bool = False
    is_whole: bool = False
    tasks: dict[TaskKey, Parked] = field(default_factory=dict)
    unread: dict[TaskKey, Parked] = field(default_factory=dict)
    gone: list[Wait] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        """Whether nothing of it is to be asked any more."""
        return self.is_read and not self.unread and not self.gone

    def add(self, page: ParkedPage, known: Mapping[TaskKey, Wait], *, limit: int) -> None:
        """Take over a page; what an earlier page has shown was not known before."""
        is_met = any(_is_known(each, known) and each.task not in self.tasks for each in page.tasks)
        ours = {each.task: each for each in page.tasks if waking.read(each.subject) is not None}
        self.unread |= {task: each for task, each in ours.items() if not _is_known(each, known)}
        self.tasks |= ours
        self.offset, self.total = self.offset + page.listed, page.total
        self.is_whole = page.listed < limit or self.offset >= page.total
        self.is_read = self.is_whole or (is_met and not self.is_all)
        if self.is_whole:
            self.gone = [wait for task, wait in known.items() if task not in self.tasks]


def _is_known(parked: Parked, known: Mapping[TaskKey, Wait]) -> bool:
    wait = known.get(parked.task)
    return wait is not None and wait.try_number == parked.try_number


def _has_ended(wait: Wait, seen: Parked | None) -> bool:
    return seen is None or not seen.is_waiting or seen.is_answered or seen.try_number != wait.try_number


def _key(task: Parked | Wait) -> tuple[TaskKey, int]:
    return task.task, task.try_number
