"""One Airflow as firing sees it: whether it may be called now, how fast, and what is under way there.

Everything here belongs to the dispatcher's lock; nothing is thread-safe by itself, nothing does I/O.
"""

from dataclasses import dataclass, field
from datetime import datetime

from bridge.edges.airflow import Airflow
from bridge.rules.easing import Easing, Ended, strain_of
from bridge.rules.pacing import Pacer
from bridge.rules.pauses import NOTHING, Pauses
from bridge.rules.places import Places
from bridge.rules.retrying.breaker import Breaker
from bridge.words.model import Claimed
from bridge.words.outcomes import Later, Misconfigured, Outcome, Started, TargetDown
from bridge.words.reasons import Reason
from bridge.words.targets import AirflowTarget

# Reasons to try later that say nothing of whether the DAG takes calls: it may not have been called.
_UNANSWERED = frozenset({Reason.ANSWER_LOST, Reason.INTERNAL_ERROR, Reason.DAG_PAUSED})


@dataclass(frozen=True, slots=True)
class Offer:
    """What may be claimed now: how many, and of which routes not, or only if no others are due."""

    limit: int
    full: frozenset[str] = frozenset()
    after_others: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Turn:
    """The next turn of a claim that waits with its DAG: in so many seconds, and why."""

    claimed: Claimed
    seconds: float
    reason: Reason


@dataclass(frozen=True, slots=True)
class Begun:
    """What becomes of claims: which to fire, and which of the others have a turn later."""

    fire: list[Claimed] = field(default_factory=list)
    unused: list[Claimed] = field(default_factory=list)
    later: list[Turn] = field(default_factory=list)


@dataclass(slots=True)
class Recall:
    """What was put back for a DAG that is well again, on its way to be due: the routes to look through, and how far."""

    dag_id: str
    routes: list[str] = field(default_factory=list)
    after: dict[str, datetime] = field(default_factory=dict)  # by route


@dataclass(frozen=True, slots=True)
class Due:
    """What may be made due now: of which recall and which of its routes, and how many."""

    recall: Recall
    route: str
    limit: int


class Lane:
    """The breaker, the pace and the calls under way of one Airflow."""

    def __init__(self, target: AirflowTarget, airflow: Airflow, *, now: float) -> None:
        """`now` in monotonic seconds."""
        self.name = target.name
        self.airflow = airflow
        self.wakes = target.wake
        self.breaker = Breaker()
        # By trigger and token: a trigger whose lease was lost may be under way twice.
        self.under_way: dict[tuple[str, str], Claimed] = {}
        self.is_probing = False
        self.is_failing = False  # the dispatcher itself fails here, which is said once
        self.easing = Easing(target.concurrency, target.rate, is_on=target.adaptive)
        self._at_once: dict[tuple[str, str], int] = {}  # how many calls were under way when one began
        self._pacer = Pacer(rate=target.rate, burst=target.concurrency, now=now)
        self._places = Places(target.concurrency)  # held until the call has ended
        self._recalls: dict[str, Recall] = {}  # by DAG

    @property
    def is_busy(self) -> bool:
        """Whether a thread is at work here."""
        return self.is_probing or bool(self.under_way)

    def room(self, now: float) -> int:
        """Return how many more calls may begin now."""
        self._places.open(self.easing.concurrency(now))
        self._pacer.refill_at(self.easing.rate(now), now)
        return max(0, min(self._places.room(now), self._pacer.available(now))) if not self.breaker.is_open else 0

    def take_turn(self, now: float, pauses: Pauses = NOTHING) -> bool:
        """Take one call's share of the pace, for a call that fires nothing; False: not now."""
        if not self.room(now) or self.name in pauses.airflows:
            return False
        self._pacer.take(1, now)
        return True

    def offer(self, now: float, pauses: Pauses = NOTHING) -> Offer:
        """Return what may be claimed now; nothing of what is paused."""
        room = self.room(now)
        if not room or self.name in pauses.airflows:
            return Offer(0)
        full, after_others = self._places.full_routes(now), self._places.routes_after_others(now)
        return Offer(room, pauses.routes | full, frozenset(after_others - full))

    def begin(self, claims: list[Claimed], now: float) -> Begun:
        """Take up claims; not those whose route or DAG is full (`unused`), or whose DAG takes no calls (`later`)."""
        begun = Begun()
        for claimed in claims:
            call = claimed.trigger.call
            if self._places.take(_key(claimed), call, now):
                self.under_way[_key(claimed)] = claimed
                begun.fire.append(claimed)
            elif (seconds := self._places.seconds_until_turn(call, now)) is not None:
                begun.later.append(Turn(claimed, seconds, self._places.reason_to_wait(call.dag_id)))
            else:
                begun.unused.append(claimed)
        self._pacer.take(len(begun.fire), now)
        self._at_once |= dict.fromkeys(map(_key, begun.fire), self._places.held)
        return begun

    def next_due(self, now: float, pauses: Pauses = NOTHING) -> Due | None:
        """Return the recall to go on with, None if all are done, or wait for a place or for what is paused.

        No more becomes due than may begin now: else all of it would come before the others, also if the next call is
        asked to wait once more.
        """
        self._recalls = {dag_id: recall for dag_id, recall in self._recalls.items() if recall.routes}
        for recall in self._recalls.values():
            for route in recall.routes:
                room = 0 if route in pauses.routes else self._places.room_of(recall.dag_id, route, now)
                if room:
                    return Due(recall, route, room)
        return None

    def is_under_way(self, claimed: Claimed) -> bool:
        """Tell whether a claim was taken up and has not ended."""
        return _key(claimed) in self.under_way

    def called(self, claimed: Claimed, outcome: Outcome, now: float, *, seconds: float) -> bool:
        """Note what a call ended in, so that the next one may begin while this one is settled.

        True if the pace was lowered for it (worth a log line).
        """
        dag_id = claimed.trigger.call.dag_id
        self._places.ended(claimed.trigger.call, now, seconds=seconds)
        if _is_held_for_itself(outcome):
            self._places.others_first(dag_id, now)
        if (reason := _refused_for_its_dag(outcome)) is not None:
            seconds_asked = outcome.wait_seconds if isinstance(outcome, Later) else 0.0
            self._places.asked_to_wait(dag_id, now, seconds=seconds_asked, reason=reason)
            self._recalls.pop(dag_id, None)
        elif _is_answer(outcome) and (routes := self._places.answered(dag_id)):
            self._recalls.setdefault(dag_id, Recall(dag_id)).routes.extend(routes)
        at_once = max(self._places.held, self._at_once.get(_key(claimed), 1), 1)
        self._places.free(_key(claimed))
        call = Ended(
            claimed.trigger.id,
            dag_id,
            seconds,
            at_once,
            strain=strain_of(outcome),
            is_start=isinstance(outcome, Started),
        )
        return self.easing.ended(call, now)

    def end(self, claimed: Claimed) -> None:
        """Note that a trigger is settled, or given up."""
        self._places.free(_key(claimed))
        self.under_way.pop(_key(claimed), None)
        self._at_once.pop(_key(claimed), None)

    def problem(self, outcome: TargetDown | Misconfigured, now: float) -> bool:
        """Open the breaker; True if it was closed before or opens for another reason (worth a log line)."""
        was = self.breaker.reason if self.breaker.is_open else None
        wait = outcome.wait_seconds if isinstance(outcome, TargetDown) else 0.0
        self.breaker.open(now, outcome.reason, outcome.detail, wait_seconds=wait)
        return was != outcome.reason

    def seconds_until_room(self, now: float) -> float:
        """Return how long the pace asks to wait; 0 if it does not."""
        return self._pacer.seconds_until(now)


def _refused_for_its_dag(outcome: Outcome) -> Reason | None:
    """Why the other calls of its DAG would be refused too; None: they may not be."""
    match outcome:
        case Later(reason=Reason.THROTTLED):
            return Reason.THROTTLED
        case Misconfigured(is_dag_forbidden=True):
            return Reason.AIRFLOW_FORBIDDEN
    return None


def _is_held_for_itself(outcome: Outcome) -> bool:
    """Whether the trigger is held, though its Airflow and its DAG may take other calls."""
    if isinstance(outcome, Misconfigured):
        return not (outcome.is_whole_target or outcome.is_dag_forbidden)
    return isinstance(outcome, Later) and outcome.is_hold


def _is_answer(outcome: Outcome) -> bool:
    """Whether Airflow has answered the call: not if it was not sent, or was cut off before, or nobody knows.

    That it may not be asked for the DAG or the run says nothing of whether it takes calls.
    """
    if isinstance(outcome, TargetDown | Misconfigured) or outcome.http_status is None:
        return False
    return not (isinstance(outcome, Later) and outcome.reason in _UNANSWERED)


def _key(claimed: Claimed) -> tuple[str, str]:
    return claimed.trigger.id, claimed.token
