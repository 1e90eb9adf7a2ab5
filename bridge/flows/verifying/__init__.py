"""Verify: compare what was asked for since an instant, what the store says, and what Airflow has. Changes nothing.

    1. read     the deliveries of the time with their triggers, in pages and without bodies: what routing asked for
    2. list     the runs that each Airflow has of the DAGs concerned, made since then, in pages
    3. match    each listed run with its trigger; keep those that have the bridge's marker and match none
    4. confirm  ask singly for what the lists should hold and do not
    5. settle   ask the store, as it is by now, whose the marked runs are

In this order, since the service goes on meanwhile: whatever starts after step 1 is found in step 5, and is no mistake.
An Airflow that asks to wait is waited for (`asking`). One that does not answer is told of; nothing is said of the runs
that it was not asked for. One run, or one DAG, that it does not tell of is told of, too, and stops nothing else.
"""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain

from bridge.edges.airflow import Airflow
from bridge.edges.inbox import Inbox, asked, browsing, runs, triggers
from bridge.flows.verifying.asking import Asking, Problem, Sleep, Tell
from bridge.rules import verifying
from bridge.rules.mapping import Mapping as RouteMap
from bridge.rules.verifying import Asked, Finding, Report, Result
from bridge.words.errors import NotThere
from bridge.words.model import DeliveryState, Trigger, TriggerEntry, TriggerState
from bridge.words.outcomes import Misconfigured, TargetDown, step_to_read
from bridge.words.reasons import Reason
from bridge.words.runs import RunPage, RunSeen

_PAGE = 100
_CLOCKS_APART = timedelta(minutes=15)  # Airflow's and ours
_SINGLES = 200
_IN_A_ROW = 3  # questions about single runs that Airflow does not answer: then it is no matter of a run
Key = tuple[str, str]  # DAG, DAG run id


def verify(
    inbox: Inbox,
    airflows: Mapping[str, Airflow],
    *,
    since: datetime,
    now: datetime,
    dags: Mapping[str, Collection[str]],
    tell: Tell = lambda *_: None,
    sleep: Sleep = time.sleep,
) -> Report:
    """Compare. `dags` by Airflow: those where runs may be although the store names none. Raises InboxUnavailable."""
    report = Report(since, now)
    places = {name: _Place(name, airflow, set(dags.get(name, ()))) for name, airflow in airflows.items()}
    _read(inbox, report, places, tell)
    for place in places.values():
        if place.airflow is None:
            _leave(report, place, place.everything(), "there is no such Airflow in the configuration")
        elif place.dags:
            asking = Asking(place.name, place.airflow, tell=tell, sleep=sleep)
            _Comparison(inbox, report, place, asking, tell).compare()
    report.findings.sort(key=lambda each: (each.result, each.airflow or "", each.dag_id or "", each.dag_run_id or ""))
    return report


def dags_of(mapping: RouteMap) -> dict[str, set[str]]:
    """Return the DAGs of a mapping by Airflow: one whose every row was lost has runs that nobody else names."""
    found: dict[str, set[str]] = {}
    for route in mapping.routes:
        found.setdefault(route.airflow, set()).update(route.dags)
    return found


class _Place:
    """What was asked for at one Airflow."""

    def __init__(self, name: str, airflow: Airflow | None, dags: set[str]) -> None:
        self.name = name
        self.airflow = airflow
        self.dags = dags
        self.asked: dict[Key, list[Asked]] = {}
        self.runless: list[Asked] = []  # their templates failed, so they have no DAG run id

    def add(self, ask: Asked) -> None:
        self.dags.add(ask.dag_id)
        if ask.dag_run_id:
            self.asked.setdefault((ask.dag_id, ask.dag_run_id), []).append(ask)
        else:
            self.runless.append(ask)

    def everything(self) -> Iterator[Asked]:
        """Return all that was asked for."""
        return chain(*self.asked.values(), self.runless)


def _read(inbox: Inbox, report: Report, places: dict[str, _Place], tell: Tell) -> None:
    after: str | None = None
    total = inbox.read(browsing.count, table="deliveries", wanted=browsing.Filter(since=report.since))
    while page := inbox.read(asked.page, since=report.since, after=after, limit=_PAGE):
        after = page[-1].delivery_id
        for item in page:
            report.deliveries[str(item.state)] += 1
            if item.state is DeliveryState.RECEIVED:
                report.add(Finding(Result.WAITING, "received", item.delivery_id))
            elif item.state is DeliveryState.ROUTED and not item.triggers:
                report.add(verifying.lost(item.delivery_id))
            for ask in _asked(item.triggers):
                places.setdefault(ask.airflow, _Place(ask.airflow, None, set())).add(ask)
        tell("reading the store", report.deliveries.total(), total)


def _asked(mine: Collection[Trigger]) -> Iterator[Asked]:
    """Return what a delivery's triggers ask for; of those for one place, the newest counts."""
    newest: dict[tuple[str, str, str], int] = {}
    for item in mine:
        place = (item.call.route, item.call.airflow, item.call.dag_id)
        newest[place] = max(item.rerun, newest.get(place, 0))
    for item in mine:
        is_replaced = item.rerun < newest[item.call.route, item.call.airflow, item.call.dag_id]
        yield verifying.asked(item, is_replaced=is_replaced)


def _leave(report: Report, place: _Place, asks: Iterable[Asked], why: str) -> None:
    """Say that an Airflow could not be asked; what waits, or was given up, needs no word of it."""
    for ask in asks:
        if ask.state not in (TriggerState.FIRED, TriggerState.FAILED):
            report.add(verifying.judge(ask, None))
    report.unasked[place.name] = why


class _Comparison:
    """One Airflow's runs against what was asked for there."""

    def __init__(self, inbox: Inbox, report: Report, place: _Place, asking: Asking, tell: Tell) -> None:
        self._inbox = inbox
        self._report = report
        self._place = place
        self._asking = asking
        self._tell = tell
        self._seen: set[Key] = set()
        self._unseeable: set[str] = set()  # triggers whose runs could not be looked at
        self._strays: list[RunSeen] = []
        self._absent: dict[str, Asked] = {}  # fired, and without its run; by trigger
        self._renamed: set[str] = set()  # triggers whose run has another id

    def compare(self) -> None:
        """Do steps 2 to 5, as far as this Airflow answers."""
        unlisted = self._list()
        problem = unlisted or self._confirm()
        self._report.requests += self._asking.requests
        for run in self._strays:
            self._settle(run)
        if unlisted is None:
            self._judge_unseen()
        if problem is not None:
            unseen = chain(self._unseen(), self._place.runless) if unlisted else ()
            _leave(self._report, self._place, unseen, _why(problem))

    def _list(self) -> Problem | None:
        """Take in all pages; one that is too long to be read is asked for in smaller ones."""
        since, until = self._report.since - _CLOCKS_APART, self._report.until + _CLOCKS_APART
        offset, limit = 0, _PAGE
        while True:
            page = self._asking.list_runs(self._place.dags, since, until, limit=limit, offset=offset)
            if not isinstance(page, RunPage):
                return page
            if page.is_cut:
                offset, limit = (offset, limit // 2) if limit > 1 else (offset + 1, limit)
                continue
            for run in page.runs:
                self._match(run)
            offset += page.listed
            self._tell(f"listing the runs of {self._place.name}", offset, page.total or offset)
            if not page.listed or (page.listed < limit and offset >= (page.total or 0)):
                return None
            limit = min(_PAGE, limit * 2)

    def _match(self, run: RunSeen) -> None:
        """Judge the triggers that have this run's id; a marked run that is none of theirs is a stray."""
        key = run.dag_id, run.dag_run_id
        if key in self._seen:
            return
        self._seen.add(key)
        mine = self._place.asked.get(key, ())
        is_accounted_for = False
        for ask in mine:
            is_owned = any(other.is_live for other in mine if other is not ask)
            finding = verifying.judge(ask, run, is_owned=is_owned)
            is_accounted_for |= ask.is_live or (ask.state is TriggerState.FAILED and finding.result is Result.OK)
            self._report.add(finding)
        if not is_accounted_for and verifying.is_marked(run):
            self._strays.append(run)

    def _confirm(self) -> Problem | None:
        """Ask for the runs that the lists should hold and do not. As long as these are gone, the lists are believed.

        Returns what keeps Airflow from telling of any run.
        """
        unseen = [ask for ask in self._unseen() if ask.state is TriggerState.FIRED and not ask.is_replaced]
        closed: dict[str, str] = {}  # DAGs that we may not read, and why
        is_reliable, in_a_row = True, 0
        for number, ask in enumerate(unseen):
            if ask.dag_id in closed:
                self._leave(ask, closed[ask.dag_id])
                continue
            if len(self._absent) >= _SINGLES and is_reliable:
                self._absent[ask.id] = ask
                continue
            self._tell(f"looking for runs of {self._place.name}", number + 1, len(unseen))
            run = self._look_at(ask)
            is_reliable &= not isinstance(run, RunSeen)
            if not isinstance(run, TargetDown | Misconfigured):
                in_a_row = 0
                continue
            is_closed = run.reason is Reason.AIRFLOW_FORBIDDEN  # this DAG, however many others are, too
            in_a_row += not is_closed
            if in_a_row >= _IN_A_ROW or not _is_of_one_run(run):
                self._unseeable |= {each.id for each in unseen[number:]}
                return run
            why = run.detail or run.reason.why
            self._leave(ask, why)
            if is_closed:
                closed[ask.dag_id] = why
        return None

    def _look_at(self, ask: Asked) -> RunSeen | Problem | None:
        run = self._asking.look_at_run(ask.dag_id, ask.dag_run_id)
        if run is None:
            self._absent[ask.id] = ask
        elif isinstance(run, RunSeen):
            self._match(run)
        return run

    def _leave(self, ask: Asked, why: str) -> None:
        self._unseeable.add(ask.id)
        self._report.leave(self._place.name, ask, why)

    def _unseen(self) -> Iterator[Asked]:
        """Return what asked for runs that Airflow has not shown."""
        return (ask for key, mine in self._place.asked.items() if key not in self._seen for ask in mine)

    def _judge_unseen(self) -> None:
        for ask in chain(self._unseen(), self._place.runless):
            if ask.id not in self._renamed and ask.id not in self._unseeable:
                is_owned = ask.state is TriggerState.FAILED and self._owner(ask.dag_id, ask.dag_run_id) is not None
                self._report.add(verifying.judge(ask, None, is_owned=is_owned))

    def _settle(self, run: RunSeen) -> None:
        """Find out whose a marked run is, by what the store has now; what belongs to nobody is off."""
        owner = self._owner(run.dag_id, run.dag_run_id)
        if owner is not None:
            if not self._inbox.read(asked.is_there, owner.delivery_id):
                self._add_extra(run, f"its trigger {owner.id} is stored, and {owner.delivery_id} is not")
            return
        named = self._named(run)
        if named is None:
            if not self._is_of_another_time(run):
                self._add_extra(run, "the store has no trigger of it")
        elif named.state is TriggerState.FAILED and _key(named) == (run.dag_id, run.dag_run_id):
            return  # the answer to its call was lost, and the run is there
        elif named.id in self._absent and named.call.dag_id == run.dag_id:
            self._renamed.add(named.id)
            self._report.add(verifying.renamed(self._absent.pop(named.id), run))
        else:
            what = "is cancelled" if named.state is TriggerState.CANCELLED else f"asked for {named.call.dag_run_id}"
            self._add_extra(run, f"trigger {named.id} {what}")

    def _add_extra(self, run: RunSeen, why: str) -> None:
        self._report.add(verifying.ownerless(run, self._place.name, why))

    def _owner(self, dag_id: str, dag_run_id: str) -> TriggerEntry | None:
        return self._inbox.read(runs.standing, airflow=self._place.name, dag_id=dag_id, dag_run_id=dag_run_id)

    def _named(self, run: RunSeen) -> Trigger | None:
        """Return the trigger that a run's conf names."""
        name = verifying.marker_of(run).get("trigger_id")
        try:
            return self._inbox.read(triggers.get, str(name))
        except NotThere:
            return None

    def _is_of_another_time(self, run: RunSeen) -> bool:
        """Whether its conf names a delivery from before the time that is compared: the store may have forgotten it."""
        name = verifying.marker_of(run).get("delivery_id")
        try:
            return asked.received_at(str(name)) < self._report.since
        except NotThere:
            return False


def _why(problem: Problem) -> str:
    why = problem.detail or problem.reason.why
    return f"{why}. {step_to_read(problem)}" if problem.reason is Reason.AIRFLOW_FORBIDDEN else why


def _is_of_one_run(problem: Problem) -> bool:
    """Whether an answer may well be about this run, or its DAG, alone."""
    if isinstance(problem, Misconfigured):
        return not problem.is_whole_target
    return problem.reason is Reason.AIRFLOW_DOWN and problem.http_status is not None


def _key(trigger: Trigger) -> Key:
    return trigger.call.dag_id, trigger.call.dag_run_id
