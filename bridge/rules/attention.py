"""What needs a person: one list for the API, the command line, the pages and whoever is notified. Pure.

In the order of how much stands still: the configuration in use, a place outside, intake, triggers, DAG runs, DAGs.

    mapping_broken, secrets_broken, key_set   a file or a key set is not what is in use
    mapping_differs                           replicas have used different mappings for five minutes
    key_expires                               a key of a source has ended, or ends within two weeks
    not_notified                              somebody who is to be notified is not reached
    airflow_down                              nothing is fired at an Airflow
    source_silent                             a source has sent nothing for longer than its `silent_after`
    refused                                   requests with a wrong signature in the last hour
    waiting                                   a delivery or a trigger that should be gone by now
    invalid, stale, same_event                deliveries of the last day that start nothing, and no mapping can help it
    status_unknown                            ends of the last day that start nothing: nobody knows their status
    same_body, url_conflict                   copies of the last day that may have been another event
    lookup_failed                             deliveries given up after a day without an answer of the Planasonix API
    lookup_not_found                          deliveries given up because that API does not know their job or run
    drift                                     bodies of a source that have been spelled otherwise since yesterday
    failed, held                              triggers: each group is one line (standing)
    too_late                                  triggers of the last day that their `deadline` has cancelled
    duplicate_run                             triggers of the last day for which another completion's run stands
    run_failed                                DAG runs of the last day that failed, were deleted, or are unknown
    dag                                       a DAG that the mapping names and that cannot start a run of each route
    paused                                    a pause that nobody ends, or of what is no more

What passes by itself (a ceiling, an Airflow that asked to wait) needs nobody for the first hour. What waits because a
person paused it is never listed: the pause itself is a note, and a need after a day if it has no end, or when what it
names is gone.
What is meant, or what a stranger can cause, is a note (see notes): said, and no reason to call a person.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bridge.rules import causes, drift, notes, odd, standing, views
from bridge.rules.need import Need, view
from bridge.rules.pauses import summary
from bridge.rules.troubles import Trouble
from bridge.words.backlog import Waiting
from bridge.words.causes import LOOKUPS_GIVEN_UP, Group, Odd, Refused
from bridge.words.dags import GONE, DagState, KnownDag
from bridge.words.drifts import Drifted
from bridge.words.model import TriggerState
from bridge.words.pauses import Pause
from bridge.words.reasons import Reason

__all__ = [
    "HELD_TOO_LONG",
    "REFUSALS_FOR",
    "WHATS",
    "Facts",
    "Need",
    "everything",
    "is_of_deliveries",
    "needs",
    "place",
    "view",
]
REFUSALS_FOR = timedelta(hours=1)
_SLOW = timedelta(minutes=15)  # as the alert BridgeBacklogTooOld
_FORGOTTEN = timedelta(days=1)
WHATS = (
    "mapping_broken",
    "secrets_broken",
    "key_set",
    "mapping_differs",
    "key_expires",
    "not_notified",
    "airflow_down",
    "source_silent",
    "refused",
    "waiting",
    "invalid",
    "stale",
    "same_event",
    "status_unknown",
    "same_body",
    "url_conflict",
    "lookup_failed",
    "lookup_not_found",
    "drift",
    "failed",
    "held",
    "too_late",
    "duplicate_run",
    "run_failed",
    "dag",
    "paused",
)
HELD_TOO_LONG = "held_too_long"  # what is `held` for four hours, for whoever is to be notified of no less
_OF_ROUTES = frozenset({"mapping_broken", "mapping_differs", "secrets_broken", "key_set", "dag", "paused"})
_JUDGED = frozenset({"invalid", "stale", "same_event", "status_unknown", *map(str, LOOKUPS_GIVEN_UP)})
_LISTED = _JUDGED | {"drift", "waiting", "too_late", "duplicate_run", "same_body", "url_conflict"}
_HELD_FOR_GONE = (Reason.DAG_NOT_FOUND, Reason.DAG_REFUSES_RUNS)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the list is made of, as the store and the service have it at `now`.

    `late`: what was cancelled as too late. `repeated`: for what another completion's run stands. `is_whole`: the groups
    count all that is stored, not the newest of it alone.
    `heard`: when each source last sent something right. `ending`: how many holds are over within a day, by Airflow.
    `expected`: the DAGs whose being paused is provided for (`notes.expected_pauses`). `lacking`: what routes leave out
    of the params that a DAG requires (`conforming.lacking`).
    """

    now: datetime
    groups: Sequence[Group] = ()
    late: Sequence[Group] = ()
    repeated: Sequence[Group] = ()
    is_whole: bool = True
    odd: Sequence[Odd] = ()
    drifts: Sequence[Drifted] = ()
    waiting: Sequence[Waiting] = ()
    refused: Sequence[Refused] = ()
    copies: Sequence[Refused] = ()  # of the last day, that may have been another event
    dags: Sequence[KnownDag] = ()
    pauses: Sequence[tuple[Pause, bool]] = ()  # and whether what it names is configured no more
    troubles: Sequence[Trouble] = ()
    heard: Mapping[str, datetime] = field(default_factory=dict)
    ending: Mapping[str, int] = field(default_factory=dict)
    expected: Collection[tuple[str, str]] = ()
    lacking: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)


def needs(facts: Facts) -> list[Need]:
    """Return what needs a person; nothing: all is well."""
    return [each for each in everything(facts) if not each.is_note]


def everything(facts: Facts) -> list[Need]:
    """Return what needs a person, and what is worth a note."""
    return [
        *_troubles(facts),
        *_refused(facts),
        *_waiting(facts),
        *odd.needs(facts.odd, facts.now),
        *odd.copies(facts.copies),
        *drift.needs(facts.drifts, facts.now),
        *_groups(facts),
        *_dags(facts),
        *_pauses(facts),
    ]


def is_of_deliveries(what: str) -> bool:
    """Whether it is about deliveries, or about triggers that are in no group of `grouping.causes`."""
    return what in _LISTED


def place(what: str, chosen: views.Json | None) -> tuple[str, views.Json]:
    """Return the page where a person does the next step, and the filter that it takes."""
    if what in ("refused", "same_body", "url_conflict", "source_silent"):
        return "/refusals", chosen or {}
    if is_of_deliveries(what):
        return "/deliveries", chosen or {}
    if what in ("not_notified", "key_expires"):
        return "/", {}
    return ("/routes" if what in _OF_ROUTES else "/attention"), {}


def _troubles(facts: Facts) -> Iterator[Need]:
    """An Airflow that is down counts what waits for it: those are no troubles of their own."""
    for problem in facts.troubles:
        mine = [group for group in facts.groups if _is_of(group, problem)]
        yield Need(
            what=problem.what,
            about=problem.about,
            says=problem.says,
            next_step=problem.next_step,
            since=problem.since or min((group.first_at for group in mine), default=None),
            count=sum(group.count for group in mine) or 1,
            reason=None if problem.reason is None else str(problem.reason),
            filter=_filter_of(problem, has_triggers=bool(mine)),
        )


def _filter_of(problem: Trouble, *, has_triggers: bool) -> dict[str, str] | None:
    if problem.what == "source_silent":
        return {"source": problem.about}
    return {"state": "held", "airflow": problem.about} if has_triggers else None


def _is_of(group: Group, problem: Trouble) -> bool:
    is_place = problem.what == "airflow_down" and group.airflow == problem.about
    return is_place and group.state is TriggerState.HELD and group.reason is problem.reason


def _refused(facts: Facts) -> Iterator[Need]:
    for each in facts.refused:
        known = Reason.of(each.reason)
        if (
            each.newest_at >= facts.now - REFUSALS_FOR
            and known is not Reason.UNKNOWN_REASON
            and known not in notes.SCANS
        ):
            is_note = notes.is_anybodys(each, heard=facts.heard.get(each.source))
            yield Need(
                what="refused",
                about=each.source,
                says=f"requests to source {each.source} were refused: {known.why}",
                next_step=(notes.BY_STRANGERS if is_note else "") + known.next_step,
                since=each.oldest_at,
                count=each.count,
                reason=each.reason,
                filter={"source": each.source, "reason": each.reason},
                is_note=is_note,
                newest=each.newest_at,
            )


def _waiting(facts: Facts) -> Iterator[Need]:
    """What is held has groups of its own."""
    for each in facts.waiting:
        is_slow = each.oldest_at <= facts.now - _SLOW and not each.is_meant
        if each.state is not TriggerState.HELD and is_slow:
            where = f"source {each.source}" if each.source else f"Airflow {each.airflow}"
            step = "Look whether the bridge keeps up: its log, and `bridge_oldest_waiting_seconds`."
            place = {"source": each.source} if each.source else {"airflow": each.airflow}
            yield Need(
                what="waiting",
                about=each.source or each.airflow,
                says=f"what is {each.state} waits too long at {where}{_why(each.reason)}",
                next_step=step if each.reason is None else each.reason.next_step,
                since=each.oldest_at,
                count=each.amount,
                reason=None if each.reason is None else str(each.reason),
                filter={"state": str(each.state), **place},
            )


def _why(reason: Reason | None) -> str:
    return "" if reason is None else f": {reason.why}"


def _groups(facts: Facts) -> Iterator[Need]:
    mine = [group for group in facts.groups if not any(_is_of(group, problem) for problem in facts.troubles)]
    yield from standing.needs(mine, facts.now, ending=facts.ending)
    yield from standing.needs(facts.late, facts.now, ending={})
    yield from standing.needs(facts.repeated, facts.now, ending={})
    if facts.groups and not facts.is_whole:
        yield standing.uncounted(facts.groups)


def _dags(facts: Facts) -> Iterator[Need]:
    """A DAG has no line where what is held for it has a line that says the same, and needs a person as much."""
    held = {(each.airflow, each.dag_id, each.reason) for each in facts.groups if each.state is TriggerState.HELD}
    for dag in facts.dags:
        place = (dag.airflow, dag.dag_id)
        is_meant = dag.state is DagState.PAUSED and place in facts.expected
        alike = _HELD_FOR_GONE if dag.state in GONE else (Reason.DAG_PAUSED,) if is_meant else ()
        is_said = any((*place, reason) in held for reason in alike)
        if (words := causes.DAGS.get(dag.state)) is not None and not is_said:
            yield Need(
                what="dag",
                about=f"{dag.dag_id} at {dag.airflow}",
                says=f"DAG {dag.dag_id}: {words[0]}",
                next_step=words[1],
                since=dag.since,
                reason=str(dag.state),
                is_note=is_meant,
            )
        if dag.state not in GONE:
            yield from _lacking(place, facts.lacking.get(place, {}))


def _lacking(place: tuple[str, str], sentences: Mapping[str, str]) -> Iterator[Need]:
    """A run of this DAG would be refused: known before the first event, so said before it."""
    for route, says in sentences.items():
        yield Need(
            what="dag",
            about=f"{route} -> {place[1]} at {place[0]}",
            says=f"DAG {place[1]}: {says}",
            next_step="Add them to the `conf` of the route, or give them a default in the DAG.",
            reason="lacks_params",
            filter={"route": route},
        )


def _pauses(facts: Facts) -> Iterator[Need]:
    """Each pause is said: nobody should take what a person holds back for what is started."""
    for pause, is_gone in facts.pauses:
        is_forgotten = pause.ends_at is None and pause.paused_at <= facts.now - _FORGOTTEN
        is_note = not (is_gone or is_forgotten)
        what = "is configured no more" if is_gone else "has no end"
        says = f"{pause.kind} {pause.name} is paused by {pause.actor}, and {what}"
        step = f"Run `planasonix-bridge resume {pause.kind} {pause.name}` if it may go on."
        yield Need(
            what="paused",
            about=f"{pause.kind} {pause.name}",
            says=summary(pause) if is_note else says,
            next_step=f"Nothing, while it is meant. {step}" if is_note else step,
            since=pause.paused_at,
            ends_at=pause.ends_at,
            is_note=is_note,
        )
