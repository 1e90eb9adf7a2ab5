"""Pausing by a person: nothing starts for what is paused, nothing is lost, and it goes on in its order."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from bridge.edges.inbox import Inbox, browsing, claiming, deliveries, pauses, replays
from bridge.edges.inbox.engine.ids import number as number_of
from bridge.edges.metrics import Metrics
from bridge.flows import pausing
from bridge.flows.firing.claims import HourlyPlaces
from bridge.flows.pausing import Pausing
from bridge.flows.routing import Router
from bridge.flows.routing.starts import Starts
from bridge.rules.mapping import Mapping, read
from bridge.rules.pauses import Names
from bridge.words.errors import BadFilter, InboxUnavailable, NotThere
from bridge.words.model import DeliveryState, Limits, TriggerState
from bridge.words.pauses import PauseKind
from bridge.words.reasons import Reason
from tests.support.firing import Firing, Make
from tests.support.jobs_api import body
from tests.support.standin import Standin
from tests.support.store import Store, accept, add, stored, wait_for

NAMES: Names = {
    PauseKind.ROUTE: ["orders", "customers"],
    PauseKind.SOURCE: ["planasonix"],
    PauseKind.AIRFLOW: ["default"],
}
ROUTES = "routes:\n  - {pipeline: pl_1, dag: load_orders, name: orders}\n"
AUDIT = "SELECT action, actor, subject FROM audit ORDER BY id"


class Person:
    """Somebody who pauses, at a clock that the test sets; and a replica that knows of it."""

    def __init__(self, inbox: Inbox, metrics: Metrics) -> None:
        self.inbox = inbox
        self.ahead = timedelta()
        self.changes = 0
        self.pausing = Pausing(inbox=inbox, metrics=metrics, names=lambda: NAMES, clock=self.clock)
        self.pausing.call_on_change(self._count)

    def _count(self) -> None:
        self.changes += 1

    def clock(self) -> datetime:
        """Return the moment."""
        return datetime.now(UTC) + self.ahead

    def pause(self, kind: PauseKind = PauseKind.ROUTE, name: str = "orders", seconds: float | None = None) -> None:
        """Pause, and let the replica do its round."""
        self.pausing.pause(kind, name, actor="cli:anna", seconds=seconds, reason="a move")
        self.turn()

    def resume(self, kind: PauseKind = PauseKind.ROUTE, name: str = "orders") -> None:
        """Resume, and let the replica do its round."""
        self.pausing.resume(kind, name, actor="cli:anna", reason=None)
        self.turn()

    def turn(self) -> None:
        """Let the replica do all that there is to do."""
        while self.pausing.step() is not None:
            pass


@pytest.fixture
def person(inbox: Inbox, metrics: Metrics) -> Person:
    """Somebody."""
    return Person(inbox, metrics)


@pytest.fixture
def firing(make: Make, person: Person) -> Firing:
    """A dispatcher that knows what is paused; not begun."""
    return make(pauses=person.pausing.current)


@pytest.fixture
def router(inbox: Inbox, metrics: Metrics, mapping: Callable[..., Mapping], person: Person) -> Router:
    """A router that knows what is paused."""
    return Router(
        inbox=inbox,
        mapping=lambda: mapping(ROUTES),
        sources={},
        apis={},
        metrics=metrics,
        on_routed=lambda: None,
        max_hops=3,
        lease_seconds=30,
        pauses=person.pausing.current,
    )


def sent(event: str) -> bytes:
    """Return the body of a job of its own that ended."""
    return body(event, job_id=f"job_{event}", data={"pipeline_id": "pl_1"})


def asked(standin: Standin) -> list[str]:
    """Return the ids of the DAG runs, in the order in which they were made."""
    return [run["dag_run_id"] for run in standin.runs()]


def test_a_paused_route_starts_nothing_and_others_go_on(
    firing: Firing, person: Person, standin: Standin, inbox: Inbox
) -> None:
    """What waits is held and says why; resumed, it goes the oldest first, at its first attempt."""
    person.pause()
    now = datetime.now(UTC) - timedelta(hours=1)
    mine = [add(inbox, stored(inbox, f"evt_{n}"), now=now + timedelta(seconds=n), dag_run_id=f"r{n}") for n in range(5)]
    firing.start()
    assert firing.wait(firing.add("evt_other", route="customers")).attempts == 1
    person.turn()
    held = firing.trigger(mine[0])
    assert (held.state, held.reason, held.attempts) == (TriggerState.HELD, Reason.PAUSED_BY_PERSON, 0)
    assert held.detail is not None
    assert held.detail.startswith("route orders is paused by cli:anna since ")
    assert held.detail.endswith(" until somebody resumes it: a move")
    assert asked(standin) == ["run-evt_other"]
    person.resume()
    firing.dispatcher.wake()
    assert {firing.wait(id_).attempts for id_ in mine} == {1}
    assert sorted(asked(standin)[1:]) == [f"r{n}" for n in range(5)]
    assert standin.posts() == 6


def test_what_was_paused_goes_the_oldest_first(person: Person, make: Make, standin: Standin, inbox: Inbox) -> None:
    """One call at a time shows the order."""
    firing = make(pauses=person.pausing.current, concurrency=1)
    person.pause()
    now = datetime.now(UTC) - timedelta(hours=1)
    mine = [add(inbox, stored(inbox, f"evt_{n}"), now=now - timedelta(seconds=n), dag_run_id=f"r{n}") for n in range(5)]
    person.turn()
    person.resume()
    firing.start()
    for id_ in mine:
        firing.wait(id_)
    assert asked(standin) == ["r4", "r3", "r2", "r1", "r0"]


@pytest.fixture
def limited(make: Make, person: Person, inbox: Inbox, mapping: Callable[..., Mapping]) -> Firing:
    """A dispatcher that knows what is paused, and that `orders` may start two DAG runs an hour; not begun."""
    starts = Starts(inbox=inbox, mapping=lambda: mapping(ROUTES.replace("}", ", max_per_hour: 2}")))
    return make(pauses=person.pausing.current, hourly=HourlyPlaces(starts.take_place, starts.give_back))


def planned(inbox: Inbox, count: int, **more: Any) -> list[str]:
    """Plan triggers of the last ten hours, two an hour."""
    now = datetime.now(UTC) - timedelta(hours=10)
    return [
        add(inbox, stored(inbox, f"evt_{n}"), now=now + n * timedelta(minutes=30), dag_run_id=f"r{n}", **more)
        for n in range(count)
    ]


def behind(firing: Firing, ids: list[str]) -> list[str]:
    """Return which of these wait for their hour."""
    return [id_ for id_ in ids if firing.trigger(id_).reason is Reason.HOURLY_CEILING]


def test_much_that_is_held_for_another_cause_is_looked_through_once(person: Person, inbox: Inbox, store: Store) -> None:
    """Each step begins where the one before ended, and a minute passes before the next look."""
    first = number_of(add(inbox, stored(inbox), now=datetime.now(UTC)), "trg")
    columns = "delivery_id, route, airflow, dag_id, conf, max_age_seconds, created_at, age_from"
    numbers = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 2500) SELECT n FROM c"
    store.rows(
        f"INSERT INTO triggers ({columns}, id, dag_run_id, rerun, due_at, state) SELECT {columns}, id + n,"  # noqa: S608
        f" CAST(n AS TEXT), n, due_at + n, state FROM triggers CROSS JOIN ({numbers}) AS many WHERE id = {first}"
    )
    store.rows("UPDATE triggers SET state = 'held', reason = 'airflow_down'")
    person.ahead = timedelta(hours=1)
    person.pausing.pause(PauseKind.AIRFLOW, "default", actor="cli:anna", seconds=None, reason=None)
    steps = list(iter(person.pausing.step, None))
    assert store.rows("SELECT DISTINCT reason FROM triggers") == [("paused_by_person",)]
    assert len(steps) == 2
    store.rows("UPDATE triggers SET reason = 'airflow_down'")
    assert person.pausing.step() is None
    assert store.rows("SELECT DISTINCT reason FROM triggers") == [("airflow_down",)]


def test_a_ceiling_holds_for_what_a_pause_kept(limited: Firing, person: Person, standin: Standin, inbox: Inbox) -> None:
    """Two an hour from the end of the pause on, the oldest first; a route without a ceiling is fired at once."""
    person.pause()
    mine = planned(inbox, 6)
    person.turn()
    person.resume()
    limited.start()
    wait_for(lambda: len(behind(limited, mine)) == 4)
    assert behind(limited, mine) == mine[2:]
    assert {limited.wait(id_).attempts for id_ in mine[:2]} == {1}
    hours = [round((limited.trigger(id_).due_at - datetime.now(UTC)) / timedelta(hours=1)) for id_ in mine[2:]]
    assert hours == [1, 1, 2, 2]
    limited.wait(limited.add("evt_other", route="customers", due_at=datetime.now(UTC) - timedelta(hours=9)))
    limited.clock_is_ahead = timedelta(minutes=61)
    limited.dispatcher.wake()
    assert {limited.wait(id_).attempts for id_ in mine[2:4]} == {1}
    assert behind(limited, mine) == mine[4:]
    assert sorted(asked(standin)) == ["r0", "r1", "r2", "r3", "run-evt_other"]


def test_a_hiccup_of_the_store_costs_no_place(limited: Firing, store: Store, inbox: Inbox) -> None:
    """What could not be put back is claimed once more, and the hour has its two starts all the same."""
    mine = planned(inbox, 4)
    store.rows(
        "CREATE TRIGGER refuses BEFORE UPDATE ON triggers WHEN NEW.reason = 'hourly_ceiling'"
        " BEGIN SELECT RAISE(ABORT, 'refused'); END"
    )
    with pytest.raises(InboxUnavailable):
        limited.dispatcher.step()
    assert {limited.trigger(id_).state for id_ in mine} == {TriggerState.PENDING}
    store.rows("DROP TRIGGER refuses")
    limited.start()
    wait_for(lambda: behind(limited, mine) == mine[2:])
    assert {limited.wait(id_).attempts for id_ in mine[:2]} == {1}


def test_what_ran_before_a_restart_is_read_once_for_all_routes(inbox: Inbox) -> None:
    """A look reads all triggers of two days, while routing and firing wait; and it is taken anew for a new mapping."""
    now, hour, names = datetime.now(UTC), timedelta(hours=1), [f"route_{n}" for n in range(20)]
    for n, name in enumerate(names):
        add(inbox, stored(inbox, f"evt_{n}"), route=name, now=now, dag_run_id=f"r{n}", due_at=now - hour * n / 40)
    line = "  - {{pipeline: pl_1, dag: d, name: {}, max_per_hour: 1}}\n"
    mappings = [
        read("routes:\n" + "".join(map(line.format, names[:count])), file="m", airflows=["default"], sources=[])
        for count in (10, 20)
    ]
    used, asked = mappings[:1], []
    starts = Starts(inbox=inbox, mapping=lambda: used[-1])

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(inbox._store.reading, "before_cursor_execute", note)
    try:
        first = [starts.take_place(name, now) for name in names]
        used.append(mappings[1])
        second = [starts.take_place(name, now) for name in names[10:]]
    finally:
        event.remove(inbox._store.reading, "before_cursor_execute", note)
    assert first[10:] == [None] * 10
    ago = [(now - datetime.fromtimestamp(each.at, UTC) + hour) / hour for each in [*first[:10], *second] if each]
    assert ago == pytest.approx([n / 40 for n in range(20)], abs=1e-6)
    assert len([each for each in asked if "FROM triggers" in each]) == 2


def test_what_another_process_has_started_meanwhile_counts(inbox: Inbox) -> None:
    """A look of a while ago says nothing of the last hour of a route that has started nothing here yet."""
    now, minute = datetime.now(UTC), timedelta(minutes=1)
    lines = [f"  - {{pipeline: pl_1, dag: d, name: {name}, max_per_hour: 1}}\n" for name in ("busy", "quiet")]
    used = read("routes:\n" + "".join(lines), file="m", airflows=["default"], sources=[])
    starts = Starts(inbox=inbox, mapping=lambda: used)
    assert starts.take_place("busy", now - 2 * minute) is not None
    add(inbox, stored(inbox), route="quiet", now=now - minute, due_at=now - minute)
    start = starts.take_place("quiet", now)
    assert start is not None
    assert datetime.fromtimestamp(start.at, UTC) - now == pytest.approx(59 * minute, abs=timedelta(milliseconds=1))


def test_a_ceiling_holds_for_what_an_outage_kept(limited: Firing, standin: Standin, inbox: Inbox) -> None:
    """Airflow is back after ten hours; a place that is taken is used, also by a claim that is given back."""
    standin.is_healthy, standin.before = False, lambda _: (500, {"detail": {"reason": "Database error"}})
    mine = planned(inbox, 6, limits=Limits(concurrency=1))
    limited.start()
    wait_for(lambda: all(limited.trigger(id_).state is TriggerState.HELD for id_ in mine))
    standin.is_healthy, standin.before = True, lambda _: None
    wait_for(lambda: len(behind(limited, mine)) == 4)
    fired = [id_ for id_ in mine if id_ not in behind(limited, mine)]
    for id_ in fired:
        limited.wait(id_)
    assert len(asked(standin)) == 2
    assert behind(limited, mine) == [id_ for id_ in mine if id_ not in fired]


def test_after_an_outage_of_less_than_an_hour_up_to_twice_the_ceiling_starts(limited: Firing, inbox: Inbox) -> None:
    """What is 50 minutes late keeps its place beside those of the next hour; no other hour's go with them."""
    now = datetime.now(UTC)
    places = [now + timedelta(minutes=minutes) for minutes in (-50, -50, 10, 10, 70, 70)]
    mine = [add(inbox, stored(inbox, f"evt_{n}"), now=due_at, dag_run_id=f"r{n}") for n, due_at in enumerate(places)]
    limited.start()
    for ahead, expected in ((0, 2), (11, 4), (71, 6)):
        limited.clock_is_ahead = timedelta(minutes=ahead)
        limited.dispatcher.wake()
        for id_ in mine[:expected]:
            limited.wait(id_)
        assert {limited.trigger(id_).state for id_ in mine[expected:]} <= {TriggerState.PENDING}


def test_a_paused_airflow_is_not_called(firing: Firing, person: Person, standin: Standin) -> None:
    """Its triggers are held, whatever their route."""
    person.pause(PauseKind.AIRFLOW, "default")
    first, second = firing.add("evt_1"), firing.add("evt_2", route="customers")
    firing.start()
    person.turn()
    assert {firing.wait(id_, TriggerState.HELD).reason for id_ in (first, second)} == {Reason.PAUSED_BY_PERSON}
    assert standin.posts() == 0
    person.resume(PauseKind.AIRFLOW, "default")
    firing.dispatcher.wake()
    for id_ in (first, second):
        firing.wait(id_)
    assert standin.posts() == 2


def test_a_call_that_has_begun_is_let_go_on(firing: Firing, person: Person, standin: Standin) -> None:
    """It is settled as always; only the next one waits."""
    gate, begun = threading.Event(), threading.Event()

    def wait(_: dict[str, Any]) -> None:
        begun.set()
        gate.wait(60)

    standin.before = wait
    firing.start()
    first = firing.add("evt_1")
    firing.dispatcher.wake()
    assert begun.wait(60)
    person.pause()
    second = firing.add("evt_2")
    person.turn()
    gate.set()
    firing.wait(first)
    assert firing.trigger(second).reason is Reason.PAUSED_BY_PERSON
    assert standin.posts() == 1


def test_a_paused_source_waits_and_is_routed_oldest_first(
    router: Router, person: Person, inbox: Inbox, store: Store
) -> None:
    """Intake goes on; another source is routed meanwhile; nothing is planned before it is resumed."""
    person.pause(PauseKind.SOURCE, "planasonix")
    mine = [accept(inbox, f"evt_{n}", body=sent(f"evt_{n}"))[0].delivery_id for n in range(4)]
    other = accept(inbox, "evt_x", body=sent("evt_x"), source="other")[0].delivery_id
    assert router.route_due() == 5
    assert router.route_due() == 0
    found = inbox.read(deliveries.get, mine[0])
    assert found is not None
    assert (found.state, found.reason) == (DeliveryState.RECEIVED, Reason.PAUSED_BY_PERSON)
    assert found.detail is not None
    assert found.detail.startswith("source planasonix is paused by cli:anna since ")
    assert store.rows("SELECT delivery_id FROM triggers") != []
    assert inbox.read(browsing.triggers, wanted=browsing.Filter(delivery_id=other), limit=9) != []
    person.resume(PauseKind.SOURCE, "planasonix")
    assert person.changes == 3  # paused, resumed, and something to route
    router.route_due()
    assert [item for (item,) in store.rows("SELECT id FROM deliveries WHERE state <> 'routed'")] == []
    assert store.one("SELECT COUNT(*) FROM triggers") == 5


def test_replaying_what_is_paused_waits_too(router: Router, firing: Firing, person: Person, standin: Standin) -> None:
    """A delivery of a paused source, and a trigger of a paused route."""
    inbox = person.inbox
    (delivery,) = accept(inbox, "evt_1", body=sent("evt_1"))
    router.route_due()
    (trigger,) = inbox.read(browsing.triggers, wanted=browsing.Filter(), limit=9)
    person.pause()
    person.pause(PauseKind.SOURCE, "planasonix")
    again: dict[str, Any] = {"actor": "a", "reason": None, "now": datetime.now(UTC)}
    inbox.write(replays.replay, trigger.id, new_id=None, **again)
    inbox.write(replays.replay, trigger.id, new_id=inbox.new_trigger_id(), **again)
    inbox.write(replays.replay, delivery.delivery_id, new_id=None, **again)
    router.route_due()
    person.turn()
    firing.start()
    assert firing.wait(firing.add("evt_2", route="customers")).attempts == 1
    found = inbox.read(deliveries.get, delivery.delivery_id)
    assert found is not None
    assert found.reason is Reason.PAUSED_BY_PERSON
    assert asked(standin) == ["run-evt_2"]


def test_a_pause_for_a_time_ends_by_itself_and_once(
    firing: Firing, person: Person, inbox: Inbox, metrics: Metrics, store: Store
) -> None:
    """Two replicas notice its end; the audit log has one line, and what waited is fired."""
    other = Person(inbox, metrics)
    person.pause(seconds=7200)
    other.turn()
    id_ = firing.add()
    firing.start()
    person.turn()
    assert firing.trigger(id_).reason is Reason.PAUSED_BY_PERSON
    person.ahead = other.ahead = timedelta(seconds=7201)
    assert person.pausing.current().all == ()  # to the moment, before anybody has read anything
    for item in (person, other):
        item.turn()
    firing.dispatcher.wake()
    assert firing.wait(id_).attempts == 1
    assert store.rows(AUDIT) == [("paused", "cli:anna", "route orders"), ("resumed", "bridge", "route orders")]


def test_paused_time_uses_no_age(firing: Firing, person: Person) -> None:
    """A trigger that may be tried for a minute is fired after a week's pause."""
    person.pause()
    id_ = firing.add(limits=Limits(max_age_seconds=60))
    person.turn()
    person.ahead = firing.clock_is_ahead = timedelta(days=7)
    person.resume()
    firing.start()
    assert firing.wait(id_).state is TriggerState.FIRED


def test_another_replica_knows_of_it_by_its_next_round(person: Person, inbox: Inbox, metrics: Metrics) -> None:
    """And one that starts knows it before its first round."""
    other = Person(inbox, metrics)
    person.pause()
    assert other.pausing.current().routes == set()
    other.turn()
    assert other.pausing.current().routes == {"orders"}
    fresh = Person(inbox, metrics)
    fresh.pausing.refresh()
    assert fresh.pausing.current().routes == {"orders"}


def test_replicas_that_know_of_different_pauses_double_nothing(
    firing: Firing, person: Person, inbox: Inbox, metrics: Metrics, standin: Standin
) -> None:
    """One holds what the other lets go, until both know; each trigger is fired once."""
    late = Person(inbox, metrics)
    person.pause()
    late.turn()
    mine = [firing.add(f"evt_{n}") for n in range(10)]
    person.resume()
    firing.start()
    for _ in range(5):
        late.inbox.write(pauses.hold_route, ("default", "orders"), limit=100)  # what it knew a second ago
        person.turn()
    firing.dispatcher.wake()
    for id_ in mine:
        firing.wait(id_)
    assert standin.posts() == len(standin.runs()) == 10


def test_what_waited_for_another_cause_is_shown_as_paused_once_that_has_passed(
    firing: Firing, person: Person, inbox: Inbox
) -> None:
    """Airflow was down when it was paused, and is back."""
    id_ = firing.add()
    inbox.write(claiming.hold, airflow="default", reason=Reason.AIRFLOW_DOWN, limit=9)
    person.pause()
    assert firing.trigger(id_).reason is Reason.PAUSED_BY_PERSON


def test_a_name_that_is_not_configured_is_refused(person: Person, store: Store) -> None:
    """With the nearest; nothing is stored."""
    with pytest.raises(BadFilter, match='did you mean "orders"'):
        person.pause(name="order")
    assert store.rows(AUDIT) == []


@pytest.mark.parametrize("reason", ["", " ", "x" * 1001, "a\0b", "\ud800"])
def test_a_reason_that_cannot_be_stored_is_refused(person: Person, reason: str) -> None:
    """It is what people will read."""
    with pytest.raises(BadFilter, match="reason must be text"):
        person.pausing.pause(PauseKind.ROUTE, "orders", actor="a", seconds=None, reason=reason)


def test_resuming_what_is_not_paused_says_what_is(person: Person) -> None:
    """A typing mistake is no success."""
    person.pause()
    with pytest.raises(NotThere, match="route customers is not paused; paused is route orders"):
        person.resume(name="customers")


def test_a_pause_whose_name_has_gone_is_shown_and_can_be_resumed(inbox: Inbox, person: Person) -> None:
    """The route was renamed meanwhile."""
    nobody_knows: Names = dict.fromkeys(PauseKind)
    pausing.pause(inbox, PauseKind.ROUTE, "renamed", names=nobody_knows, actor="a")
    person.turn()
    assert [(each.name, is_gone) for each, is_gone in person.pausing.shown()] == [("renamed", True)]
    person.resume(name="renamed")
    assert person.pausing.shown() == []


def test_the_gauge_says_since_when_and_ends_with_the_pause(person: Person, metrics: Metrics) -> None:
    """By kind and name; until when as well."""
    person.pause(seconds=60)
    person.pause(PauseKind.AIRFLOW, "default")
    shown = metrics.exposition().decode()
    assert 'bridge_paused_timestamp_seconds{kind="route",name="orders"} ' in shown
    assert 'bridge_paused_until_timestamp_seconds{kind="airflow",name="default"} +Inf' in shown
    person.resume()
    assert 'bridge_paused_timestamp_seconds{kind="route"' not in metrics.exposition().decode()


def test_what_is_paused_does_not_grow_old(person: Person, firing: Firing, metrics: Metrics, inbox: Inbox) -> None:
    """It waits, and is counted; but the alert on what waits too long is for what nobody wanted to wait."""
    firing.add()
    person.pause()
    metrics.store.observe_backlog(inbox.read(browsing.backlog), datetime.now(UTC) + timedelta(days=1))
    shown = metrics.exposition().decode()
    assert 'bridge_held{reason="paused_by_person"} 1.0' in shown
    assert 'bridge_oldest_waiting_seconds{airflow="default",source="",state="held"} 0.0' in shown
