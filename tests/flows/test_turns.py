"""What one trigger or one DAG meets is its own: it stops no other, and has its turn after them.

Rule: a verdict on a whole Airflow is never taken from one sample. Only what the place says of itself stops it.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, browsing, triggers
from bridge.flows.firing import asking
from bridge.flows.firing.claims import call_again
from bridge.flows.firing.doubt import unless_started
from bridge.flows.firing.lane import Due, Recall
from bridge.rules.pauses import NOTHING, Pauses
from bridge.rules.retrying.settling import Settlement
from bridge.words.holds import IfPaused
from bridge.words.model import Limits, Trigger, TriggerState
from bridge.words.outcomes import Later, Misconfigured, Never, Outcome, Started, Superseded, TargetDown, TooLate
from bridge.words.pauses import Pause, PauseKind
from bridge.words.reasons import Reason
from tests.support.firing import Firing, Make
from tests.support.standin import Answer, Broken, Standin
from tests.support.store import Store, attempt, claim, wait_for

_PAGE = (200, "<html><body>Request blocked</body></html>")
POISONS: dict[str, tuple[Answer, Reason]] = {
    "a firewall's page": (_PAGE, Reason.CALL_BLOCKED),
    "a firewall's 403": ((403, "<html>"), Reason.CALL_BLOCKED),
    "a gateway's 429": ((429, {"detail": "slow down"}), Reason.THROTTLED),
    "a redirect": ((302, ""), Reason.CALL_BLOCKED),
    "a gateway's 401": ((401, {"detail": "Unauthorized"}), Reason.CALL_BLOCKED),
    "a path that is cut off": ((404, "<html>"), Reason.CALL_BLOCKED),
    "a method that is cut off": ((405, {"detail": "Method Not Allowed"}), Reason.CALL_BLOCKED),
}


@pytest.mark.parametrize("concurrency", [4, 1])
@pytest.mark.parametrize("poison", POISONS)
def test_what_the_place_refutes_stops_no_other_trigger(
    make: Make, standin: Standin, concurrency: int, poison: str
) -> None:
    """As many poisoned events as there are places, and 60 good ones behind them: all good ones are fired."""
    answer, reason = POISONS[poison]
    standin.dags["search"] = {"is_paused": False}
    standin.before = lambda body: answer if "UNION SELECT" in json.dumps(body["conf"]) else None
    firing = make(concurrency=concurrency)
    conf = {"query": "1 UNION SELECT 2"}
    bad = [firing.add(f"evt_bad_{number}", conf=conf, dag_id="search") for number in range(concurrency)]
    good = [firing.add(f"evt_{number}") for number in range(60)]
    firing.start()
    for id_ in good:
        assert firing.wait(id_).attempts == 1
    assert not firing.lane.breaker.is_open
    for id_ in bad:
        found = firing.wait(id_, TriggerState.HELD)
        assert found.reason is reason
        assert found.attempts >= 1  # it uses up attempts and age
        assert found.spent.causes[reason] >= 1
    standin.before = lambda _: None
    for id_ in bad:
        firing.wait(id_)


def test_a_poisoned_trigger_is_tried_ever_more_rarely(make: Make, standin: Standin, store: Store) -> None:
    """It uses up the attempts that its route allows, and then it fails; its due time lies behind what is due."""
    standin.before = lambda _: _PAGE
    firing = make(concurrency=1)
    id_ = firing.add(limits=Limits(max_attempts=3))
    firing.start()
    found = firing.wait(id_, TriggerState.FAILED)
    assert (found.reason, found.attempts) == (Reason.TOO_MANY_ATTEMPTS, 3)
    assert [item.reason for item in firing.attempts(id_)] == [Reason.CALL_BLOCKED] * 3
    assert found.detail == "last: call_blocked 200 (text/plain), which is not the DAG run: a login page or a proxy?"


def test_a_trigger_that_takes_the_place_down_has_its_turn_after_the_others(make: Make, standin: Standin) -> None:
    """Airflow dies of one call, again and again: whenever it is back, the others come first."""

    def die(body: dict[str, Any]) -> Answer | None:
        if body["dag_run_id"] == "run-evt_deadly":
            standin.is_healthy = False
            raise Broken
        return None

    standin.before = die
    firing = make(concurrency=1)
    deadly = firing.add("evt_deadly")
    good = [firing.add(f"evt_{number}") for number in range(5)]
    firing.start()
    wait_for(lambda: not standin.is_healthy)
    assert firing.wait(deadly, TriggerState.HELD).attempts == 0
    standin.is_healthy = True
    for id_ in good:
        firing.wait(id_)


# --- one DAG of many -------------------------------------------------------------------------------


def test_a_dag_that_is_asked_to_wait_stops_no_other_dag_of_its_route(make: Make, standin: Standin) -> None:
    """One route starts two DAGs, and a gateway says 429 for the one: all of the other's go, however many wait."""
    standin.dags |= {"refresh": {"is_paused": False}, "publish": {"is_paused": False}}
    standin.before = lambda body: (429, "slow down") if body["dag_run_id"].startswith("run-refresh") else None
    firing = make(concurrency=4)
    pairs = [[firing.add(f"{dag}_{number}", dag_id=dag) for dag in ("refresh", "publish")] for number in range(20)]
    firing.start()
    for _, publish in pairs:
        assert firing.wait(publish).attempts == 1
    for refresh, _ in pairs:
        found = firing.wait(refresh, TriggerState.HELD)
        assert found.reason is Reason.THROTTLED
    standin.before = lambda _: None
    for refresh, _ in pairs:
        found = firing.wait(refresh)
        assert found.attempts == len(firing.attempts(refresh))  # a turn that was put off counts as no attempt
    assert len(standin.runs("refresh")) == len(standin.runs("publish")) == 20


def test_what_waited_with_its_dag_goes_once_that_is_well(make: Make, standin: Standin) -> None:
    """However late its turn is, and the oldest first."""
    standin.dags |= {"refresh": {"is_paused": False}, "publish": {"is_paused": False}}
    standin.before = lambda body: (429, "slow down") if body["dag_run_id"].startswith("run-refresh") else None
    firing = make(concurrency=4)
    firing.add("publish_0", dag_id="publish")
    ids = [firing.add(f"refresh_{number}", dag_id="refresh") for number in range(160)]
    firing.start()
    turns = [firing.wait(id_, TriggerState.HELD).due_at for id_ in ids]
    standin.before = lambda _: None
    fired = [firing.wait(id_) for id_ in ids]
    assert max(found.settled_at or found.due_at for found in fired) < max(turns)
    places = {run["dag_run_id"]: place for place, run in enumerate(standin.runs("refresh"))}
    asked_once = [places[found.call.dag_run_id] for found in fired if found.attempts == 1]
    assert len(asked_once) > 100
    assert sum(abs(place - other) > 12 for place, other in zip(asked_once, sorted(asked_once), strict=True)) <= 4


def _forbid(gate: threading.Event, asked: list[str]) -> Callable[[dict[str, Any]], Answer | None]:
    def forbid(body: dict[str, Any]) -> Answer | None:
        if gate.is_set() or not body["dag_run_id"].startswith("run-refresh"):
            return None
        asked.append(body["dag_run_id"])
        return 403, {"detail": "Forbidden"}

    return forbid


@pytest.mark.parametrize("replicas", [1, 2])
def test_a_dag_that_is_forbidden_takes_no_pace_from_the_others(make: Make, standin: Standin, replicas: int) -> None:
    """However many of its triggers are due first: a few calls ask, and all are held and say why.

    Once the right is given, what was not refused itself goes at once.
    """
    granted, asked = threading.Event(), list[str]()
    standin.dags |= {"refresh": {"is_paused": False}, "publish": {"is_paused": False}}
    standin.before = _forbid(granted, asked)
    firings = [make(concurrency=4) for _ in range(replicas)]
    firing = firings[0]
    ids = [firing.add(f"refresh_{number}", route="refresh", dag_id="refresh") for number in range(400)]
    good = [firing.add(f"publish_{number}", route="publish", dag_id="publish") for number in range(20)]
    for each in firings:
        each.start()
    for id_ in good:
        assert firing.wait(id_).attempts == 1
    held = [firing.wait(id_, TriggerState.HELD) for id_ in ids]
    assert {found.reason for found in held} == {Reason.AIRFLOW_FORBIDDEN}
    assert sum(found.attempts for found in held) == 0
    assert len(asked) < 40
    granted.set()
    refused = {name.removeprefix("run-") for name in asked}
    for number, id_ in enumerate(ids):
        if f"refresh_{number}" not in refused:
            assert firing.wait(id_).attempts == 1
    for each in firings:
        each.clock_is_ahead = timedelta(minutes=5)
        each.dispatcher.wake()
    for id_ in ids:
        firing.wait(id_)
    assert len(standin.runs("refresh")) == len(ids)


def test_a_dag_that_is_forbidden_stops_no_other_dag_of_its_route(make: Make, standin: Standin) -> None:
    """What is older and waits for the one is put back behind the other's."""
    asked = list[str]()
    standin.dags |= {"refresh": {"is_paused": False}, "publish": {"is_paused": False}}
    standin.before = _forbid(threading.Event(), asked)
    firing = make(concurrency=4)
    for number in range(200):
        firing.add(f"refresh_{number}", dag_id="refresh")
    good = [firing.add(f"publish_{number}", dag_id="publish") for number in range(5)]
    firing.start()
    for id_ in good:
        assert firing.wait(id_).attempts == 1
    assert len(asked) < 20


def _ask_for_the_dag(firing: Firing, trigger: Trigger) -> Outcome:
    held = replace(trigger, call=replace(trigger.call, if_paused=IfPaused.HOLD))
    return asking.call(firing.inbox, firing.airflow, held, datetime.now(UTC))


def _ask_for_the_run(firing: Firing, trigger: Trigger) -> Outcome:
    now = datetime.now(UTC)
    return unless_started(firing.airflow, replace(trigger, doubted_at=now - timedelta(minutes=2)), now, TooLate())


@pytest.mark.parametrize("ask", [_ask_for_the_dag, _ask_for_the_run])
def test_a_dag_that_may_not_be_read_is_started_all_the_same(
    make: Make, standin: Standin, ask: Callable[[Firing, Trigger], Outcome]
) -> None:
    """What had to be read first is held for want of that right; the others of the DAG start."""
    standin.front = lambda method, path: (
        (403, {"detail": "Forbidden"}) if method == "GET" and path.startswith("/api/v2/dags/") else None
    )
    firing, now = make(concurrency=8), time.monotonic()
    firing.add("evt_read")
    (first,) = claim(firing.inbox)
    firing.lane.begin([first], now)
    outcome = ask(firing, first.trigger)
    assert outcome.reason is Reason.AIRFLOW_FORBIDDEN
    firing.lane.called(first, outcome, now, seconds=0.1)
    firing.lane.end(first)
    for number in range(5):
        firing.add(f"evt_{number}")
    claims = claim(firing.inbox)
    assert (firing.lane.begin(claims, now).fire, len(claims)) == (claims, 5)
    assert [type(firing.airflow.fire(each.trigger)) for each in claims] == [Started] * 5


def test_what_may_not_be_read_first_holds_up_no_other_route_of_its_dag(make: Make, standin: Standin) -> None:
    """However many of them are due, and older."""
    standin.front = lambda method, path: (
        (403, {"detail": "Forbidden"}) if (method, path) == ("GET", "/api/v2/dags/load_orders") else None
    )
    firing = make(concurrency=4)
    held = [firing.add(f"evt_hold_{number}", route="holds", if_paused=IfPaused.HOLD) for number in range(20)]
    started = [firing.add(f"evt_{number}") for number in range(5)]
    firing.start()
    for id_ in started:
        assert firing.wait(id_).attempts == 1
    for id_ in held:
        assert firing.wait(id_, TriggerState.HELD).reason is Reason.AIRFLOW_FORBIDDEN
        assert len(firing.attempts(id_)) == 1  # was not put back for its DAG


_FORBIDDEN = Misconfigured(Reason.AIRFLOW_FORBIDDEN, is_whole_target=False, http_status=403, is_look=True)
_HELD_FOR_ITSELF: dict[str, Outcome] = {
    "blocked": Later(Reason.CALL_BLOCKED, is_hold=True, http_status=404),
    "no such DAG": Later(Reason.DAG_NOT_FOUND, is_hold=True, http_status=404),
    "cannot be decrypted": Misconfigured(Reason.KEY_MISSING, is_whole_target=False, is_look=True),
    "may not be read": _FORBIDDEN,
}


@pytest.mark.parametrize("outcome", _HELD_FOR_ITSELF.values(), ids=_HELD_FOR_ITSELF)
def test_a_dag_at_which_a_call_was_held_has_its_turn_after_the_others(make: Make, outcome: Outcome) -> None:
    """It may be one conf alone, so its routes stay open; that ends by itself."""
    firing = make(concurrency=4)
    firing.add()
    (claimed,) = claim(firing.inbox)
    lane = firing.lane
    now = time.monotonic()
    lane.begin([claimed], now)
    lane.called(claimed, outcome, now, seconds=0.1)
    assert (lane.offer(now + 4.9).full, lane.offer(now + 4.9).after_others) == (frozenset(), {"orders"})
    assert lane.offer(now + 5.0).after_others == frozenset()


def test_what_cannot_be_decrypted_takes_its_share_of_the_pace(make: Make) -> None:
    """It makes no call, but each look at it writes to the store."""
    firing = make(concurrency=4, rate=0.1)
    for number in range(3):
        firing.add(f"evt_{number}")
    now = time.monotonic()
    claims = [replace(each, trigger=replace(each.trigger, locked="no key")) for each in claim(firing.inbox)]
    assert len(firing.lane.begin(claims, now).fire) == 3
    for each in claims:
        firing.lane.end(each)
    assert firing.lane.room(now) == 1


def test_what_another_process_put_back_goes_once_its_dag_is_well(make: Make, inbox: Inbox) -> None:
    """It was put back for minutes by a process that is gone. What was refused itself keeps its own wait."""
    firing = make()
    ids = [firing.add(f"evt_{number}") for number in range(450)]
    in_time, refused = ids[:-1], ids[-1]
    now = datetime.now(UTC)
    claims = claim(inbox, now=now, limit=500)
    late = now + timedelta(minutes=5)
    inbox.write(triggers.put_back, [(each, late) for each in claims[:-1]], reason=Reason.THROTTLED)
    waits = Settlement(TriggerState.HELD, Reason.THROTTLED, "429: slow down", late)
    inbox.write(triggers.settle, claims[-1], waits, attempt())
    firing.add("evt_new")
    firing.start()
    for id_ in in_time:
        firing.wait(id_)
    assert firing.trigger(refused).state is TriggerState.HELD


def test_another_route_of_a_dag_that_is_well_goes_too(make: Make, inbox: Inbox) -> None:
    """What was put back of it by a process that is gone goes once it is seen to call the DAG."""
    firing = make()
    ids = [firing.add(f"evt_{number}", route="other") for number in range(20)]
    now = datetime.now(UTC)
    late = now + timedelta(minutes=5)
    claims = claim(inbox, now=now, limit=50)
    inbox.write(triggers.put_back, [(each, late) for each in claims], reason=Reason.THROTTLED)
    first = firing.add("evt_first")
    firing.start()
    firing.wait(first)
    firing.add("evt_other", route="other")
    firing.dispatcher.wake()
    for id_ in ids:
        firing.wait(id_)


def test_a_dag_that_is_asked_to_wait_again_and_again_is_not_ahead_of_the_others(make: Make, inbox: Inbox) -> None:
    """One of its calls is answered now and then: no more of what waits for it becomes due than may begin."""
    firing = make(concurrency=4)
    for number in range(600):
        firing.add(f"refresh_{number}", dag_id="refresh")
    now = datetime.now(UTC)
    claims = claim(inbox, now=now, limit=600)
    later = [(each, now + timedelta(minutes=4)) for each in claims]
    inbox.write(triggers.put_back, later, reason=Reason.THROTTLED)
    lane, seen = firing.lane, list[int]()
    recall = Recall("refresh", ["orders"])
    for _ in range(3):
        seen.append(call_again(inbox, Due(recall, "orders", 3), airflow=lane.name, now=now))
    due = inbox.read(browsing.ids, table="triggers", wanted=browsing.Filter(state="pending"), limit=600)
    assert (seen, len(due), recall.routes) == ([True] * 3, 9, ["orders"])
    oldest = [each.trigger.id for each in claims[:9]]
    assert sorted(due) == sorted(oldest)


@pytest.mark.parametrize(
    ("outcome", "is_answer"),
    [
        (Started(), True),
        (Later(Reason.AIRFLOW_ERROR, http_status=500), True),
        (Never(Reason.CONF_REFUSED, http_status=422), True),
        (Never(Reason.CONF_TOO_LARGE), False),
        (Misconfigured(Reason.KEY_MISSING, is_whole_target=False, is_look=True), False),
        (_FORBIDDEN, False),
        (replace(_FORBIDDEN, is_look=False), False),  # its run may not be read, after a lost answer
        (replace(_FORBIDDEN, is_dag_forbidden=True), False),
        (Later(Reason.ANSWER_LOST), False),
        (Later(Reason.INTERNAL_ERROR), False),
        (Later(Reason.DAG_PAUSED, http_status=200), False),
        (TargetDown(), False),
        (TooLate(), False),
        (Superseded("a newer one"), False),
    ],
)
def test_only_an_answer_ends_the_wait_that_was_asked_for(
    make: Make, inbox: Inbox, outcome: Outcome, is_answer: bool
) -> None:
    """What was not sent, or was not answered, says nothing of whether the DAG takes calls again."""
    firing = make(concurrency=4)
    for number in range(2):
        firing.add(f"evt_{number}")
    first, second = claim(inbox)
    firing.lane.begin([first, second], 0.0)
    firing.lane.called(first, Later(Reason.THROTTLED, wait_seconds=60.0), 1.0, seconds=0.1)
    assert firing.lane.next_due(1.0) is None
    firing.lane.called(second, outcome, 2.0, seconds=0.1)
    assert (firing.lane.next_due(2.0) is not None) is is_answer


_PAUSED = Pauses([Pause(PauseKind.ROUTE, "orders", "anna", datetime(2026, 1, 1, tzinfo=UTC))])


@pytest.mark.parametrize("pauses", [NOTHING, _PAUSED], ids=["full", "paused"])
def test_what_was_put_back_waits_while_its_route_may_begin_nothing(make: Make, inbox: Inbox, pauses: Pauses) -> None:
    """Else all of it would be due before the others, a few at a time, while nothing of it can go."""
    firing = make(concurrency=4)
    limits = Limits(concurrency=1 if pauses is NOTHING else None)
    for number in range(3):
        firing.add(f"evt_{number}", dag_id="refresh" if number < 2 else "publish", limits=limits)
    first, second, other = claim(inbox)
    lane = firing.lane
    lane.begin([first], 0.0)
    lane.called(first, Later(Reason.THROTTLED, wait_seconds=1.0), 1.0, seconds=0.1)
    lane.end(first)
    assert len(lane.begin([second], 60.0).fire) == 1
    lane.called(second, Started(), 61.0, seconds=0.1)
    lane.end(second)
    assert len(lane.begin([other], 61.0).fire) == 1
    assert lane.next_due(61.0, pauses) is None
    if pauses is not NOTHING:  # another route to the same DAG goes on meanwhile
        firing.add("evt_beside", dag_id="refresh", route="beside")
        (beside,) = claim(inbox)
        assert len(lane.begin([beside], 61.0).fire) == 1
        lane.called(beside, Started(), 61.0, seconds=0.1)
        lane.end(beside)
        due = lane.next_due(61.0, pauses)
        assert due is not None
        assert due.route == "beside"
    lane.end(other)
    assert lane.next_due(61.0) is not None


def _hanging(gate: threading.Event, entered: list[str]) -> Callable[[dict[str, Any]], Answer | None]:
    def hang(body: dict[str, Any]) -> Answer | None:
        if body["dag_run_id"].startswith("run-slow"):
            entered.append(body["dag_run_id"])
            gate.wait(60)
        return None

    return hang


@pytest.mark.parametrize("was_quick", [False, True], ids=["unknown", "quick before"])
def test_a_dag_that_hangs_leaves_a_place_to_the_others(make: Make, standin: Standin, was_quick: bool) -> None:
    """Its triggers are older and more than there are places: the other DAG's are fired meanwhile.

    One that was quick may hold all four, and then there is one more for the others.
    """
    gate, entered = threading.Event(), list[str]()
    standin.dags["slow"] = {"is_paused": False}
    firing = make(concurrency=4, read_seconds=60.0, deadline_seconds=60.0)
    if was_quick:
        firing.start()
        firing.wait(firing.add("slow_first", route="slow", dag_id="slow"))
    standin.before = _hanging(gate, entered)
    slow = [firing.add(f"slow_{number}", route="slow", dag_id="slow") for number in range(10)]
    if was_quick:
        firing.dispatcher.wake()
        wait_for(lambda: len(entered) == 4)
    quick = [firing.add(f"evt_{number}") for number in range(5)]
    if not was_quick:
        firing.start()
    try:
        for id_ in quick:
            firing.wait(id_)
        assert len(entered) == (4 if was_quick else 3)
        later = firing.add("evt_later")
        firing.dispatcher.wake()
        firing.wait(later)
    finally:
        gate.set()
    for id_ in slow:
        firing.wait(id_)


def test_a_dag_that_hangs_takes_turns_at_the_only_place(make: Make, standin: Standin) -> None:
    """With one call at a time, a DAG whose call took long waits until the others had their turn."""
    gate, entered = threading.Event(), list[str]()
    standin.dags["slow"] = {"is_paused": False}
    standin.before = _hanging(gate, entered)
    firing = make(concurrency=1, read_seconds=2.0, deadline_seconds=2.0)
    for number in range(9):
        firing.add(f"slow_{number}", route="slow", dag_id="slow")
    quick = [firing.add(f"evt_{number}") for number in range(3)]
    firing.start()
    try:
        for id_ in quick:
            firing.wait(id_)
        assert len(set(entered)) <= 4  # one before them, and at the very worst one after each
    finally:
        gate.set()
