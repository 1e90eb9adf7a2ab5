"""What is held for a DAG goes on when the DAG is back, on each database, against a stand-in for Airflow.

Firing and looking are real; the test moves the clock of both. `fire` claims what is due and calls for it, in order.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.edges.inbox import Inbox, holds, moving, pauses, prepare, triggers
from bridge.edges.inbox.deliveries import Routing, settle_routing
from bridge.edges.inbox.replays import Cancelled, cancel, replay
from bridge.edges.metrics import Metrics
from bridge.flows.firing import asking
from bridge.flows.firing.recording import record
from bridge.rules.mapping import Mapping
from bridge.rules.retrying.settling import settle
from bridge.words.holds import IfPaused
from bridge.words.model import DeliveryState, Limits, Spent, Trigger, TriggerState
from bridge.words.pauses import PauseKind
from bridge.words.reasons import Reason
from tests.support.airflow_server import PostgresServer
from tests.support.holding import START, Looking
from tests.support.standin import Answer, Broken, Standin
from tests.support.store import accept, add, claim, empty_store, new_trigger, stored

DAY = 86_400.0
PENDING, FIRING, FIRED, HELD, FAILED, CANCELLED = TriggerState
ROUTES = "routes:\n  - {name: orders, dag: load_orders, pipeline: p, if_paused: hold}\n"


class Bridge(Looking):
    """Looking and firing, with one clock."""

    events = 0

    def add(self, *, if_paused: IfPaused = IfPaused.HOLD, series: bytes | None = None, **limits: Any) -> str:
        """Let a webhook come and be routed."""
        self.events += 1
        name = f"evt_{self.events}"
        more = {"if_paused": if_paused, "series": series, "limits": Limits(**limits)}
        return add(self.inbox, stored(self.inbox, name), now=self.now, dag_run_id=name, **more)

    def add_many(self, count: int, **limits: Any) -> list[str]:
        """Let so many webhooks come at once."""
        names = [f"evt_{number}" for number in range(1, count + 1)]
        more: dict[str, Any] = {"if_paused": IfPaused.HOLD, "limits": Limits(**limits)}
        new = [
            new_trigger(self.inbox, each.delivery_id, dag_run_id=name, **more)
            for name, each in zip(names, accept(self.inbox, *names), strict=True)
        ]
        routings = [Routing(each.delivery_id, DeliveryState.ROUTED, None, None, None, [each]) for each in new]
        self.inbox.write(settle_routing, routings, now=self.now)
        return [each.id for each in new]

    def fire(self, *, later: float = 0.001, jitter: float = 0.0) -> None:
        """Fire what is due, the oldest first; the jitter of waits is the least unless it is given."""
        self.now += timedelta(seconds=later)
        due = claim(self.inbox, now=self.now, limit=500)  # those due at one instant come in any order
        for claimed in sorted(due, key=lambda each: each.trigger.id):
            outcome = asking.call(self.inbox, self.airflow, claimed.trigger, self.now)
            settlement = settle(claimed.trigger, outcome, now=self.now, jitter=jitter)
            self.inbox.write(triggers.settle, claimed, settlement, record(claimed, outcome, self.now, 0.0))

    def trigger(self, id_: str) -> Trigger:
        """Return a trigger as it stands."""
        found = self.inbox.read(triggers.get, id_)
        assert found is not None
        return found

    def stand(self, *ids: str) -> list[tuple[TriggerState, Reason | None]]:
        """Return where triggers stand."""
        return [(found.state, found.reason) for found in map(self.trigger, ids)]

    def pause(self, *, is_paused: bool = True) -> None:
        """Pause the DAG, or unpause it."""
        self.standin.dags["load_orders"] = {"is_paused": is_paused}

    def runs(self) -> list[str]:
        """Return the DAG runs in the order in which they were made."""
        return [run["dag_run_id"] for run in self.standin.runs()]

    def looks(self, *, seconds: float, count: int) -> None:
        """Look so often, with so long in between."""
        for _ in range(count):
            self.step(later=seconds)


@pytest.fixture(scope="session")
def held_template(postgres_server: PostgresServer) -> str:
    """A migrated database to copy."""
    prepare(postgres_server.create_database("held_template"))
    return "held_template"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty store on each database."""
    if request.param == "sqlite":
        yield f"sqlite:///{empty_store(tmp_path / 'held.db')}"
        return
    template, server = request.getfixturevalue("held_template"), request.getfixturevalue("postgres_server")
    with server.copied(template) as copy:
        yield copy


@pytest.fixture
def inbox(url: str) -> Iterator[Inbox]:
    """One inbox over the test's store."""
    item = Inbox(url)
    yield item
    item.close()


@pytest.fixture
def make(
    inbox: Inbox, metrics: Metrics, standin: Standin, mapping: Callable[..., Mapping]
) -> Iterator[Callable[[], Bridge]]:
    """Make a replica."""
    made: list[Bridge] = []
    metrics.observe_mapping(digest="d", routes=["orders"], loaded_at=START)

    def build() -> Bridge:
        made.append(Bridge(inbox, metrics, standin, mapping(ROUTES)))
        return made[-1]

    yield build
    for item in made:
        item.airflow.close()


@pytest.fixture
def bridge(make: Callable[[], Bridge]) -> Bridge:
    """A replica that has looked at its DAG."""
    item = make()
    item.step()
    return item


def test_a_paused_dag_is_triggered_held_or_failed_as_the_route_says(bridge: Bridge) -> None:
    """By default Airflow's own queue has the run, as before."""
    bridge.pause()
    ids = [bridge.add(if_paused=item) for item in IfPaused]
    bridge.fire()
    assert bridge.stand(*ids) == [(state, Reason.DAG_PAUSED) for state in (FIRED, HELD, FAILED)]
    assert bridge.runs() == ["evt_1"]


def test_a_route_that_leaves_paused_dags_to_airflow_costs_no_request_more(bridge: Bridge) -> None:
    """Paired: the same three triggers, with the default and with `hold`."""
    asked = {}
    for if_paused in (IfPaused.TRIGGER, IfPaused.HOLD):
        before = len(bridge.standin.asked)
        for _ in range(3):
            bridge.add(if_paused=if_paused)
        bridge.fire()
        asked[if_paused] = [each.partition("/dags/")[0] + each[-8:] for each in bridge.standin.asked[before:]]
    is_dag = "GET /api/v2"
    assert sum(each.startswith("POST /api/v2") for each in asked[IfPaused.TRIGGER]) == 3
    assert sum(each.startswith(is_dag) for each in asked[IfPaused.TRIGGER]) == 1  # colours the outcome, once in 30 s
    assert sum(each.startswith(is_dag) for each in asked[IfPaused.HOLD]) == 3


def test_what_is_held_goes_on_when_the_dag_is_unpaused(bridge: Bridge) -> None:
    """At the next look, oldest first, each once; a week of holding counts for no `max_age`."""
    bridge.pause()
    ids = []
    for _ in range(5):
        ids.append(bridge.add(max_age_seconds=3600.0))
        bridge.fire(later=1)
    bridge.step(later=10)
    bridge.fire(later=7 * DAY)
    assert {state for state, _ in bridge.stand(*ids)} == {HELD}
    bridge.pause(is_paused=False)
    bridge.step(later=10)
    bridge.fire()
    assert bridge.stand(*ids) == [(FIRED, None)] * 5
    assert bridge.runs() == [f"evt_{number}" for number in range(1, 6)]


@pytest.mark.parametrize("away", [None, {"is_stale": True}, {"has_import_errors": True}])
def test_what_is_held_for_a_dag_that_is_gone_goes_on_when_it_is_back(bridge: Bridge, away: Any) -> None:
    """Missing, stale or broken, whatever the route says of paused ones; its timer is a minute away or more."""
    bridge.standin.dags.pop("load_orders")
    ids = [bridge.add(if_paused=item) for item in IfPaused]
    if away is not None:
        bridge.standin.dags["load_orders"] = away
        bridge.standin.before = lambda _: (404, {"detail": "Dag with dag_id: 'load_orders' not found"})
    bridge.fire()
    bridge.step(later=10)
    assert {state for state, _ in bridge.stand(*ids)} == {HELD}
    bridge.pause(is_paused=False)
    bridge.standin.before = lambda _: None
    bridge.step(later=3)  # too early for a look
    bridge.step(later=7)
    assert [state for state, _ in bridge.stand(*ids)] == [PENDING] * 3
    bridge.fire()
    assert [state for state, _ in bridge.stand(*ids)] == [FIRED] * 3


def test_a_dag_that_appears_paused_frees_what_does_not_wait_for_more(bridge: Bridge) -> None:
    """New DAGs are paused at first: what is to be held for that stays, the rest goes on."""
    bridge.standin.dags.pop("load_orders")
    left, held = bridge.add(if_paused=IfPaused.TRIGGER), bridge.add()
    bridge.fire()
    bridge.step(later=10)
    bridge.pause()
    bridge.step(later=10)
    bridge.fire()
    assert [state for state, _ in bridge.stand(left, held)] == [FIRED, HELD]
    bridge.pause(is_paused=False)
    bridge.step(later=10)
    assert bridge.stand(held) == [(PENDING, None)]


def test_the_timer_is_the_net(bridge: Bridge) -> None:
    """A DAG that was away between two looks, or that nobody may look at, is tried again all the same."""
    bridge.pause()
    id_ = bridge.add()
    bridge.fire()
    bridge.pause(is_paused=False)
    bridge.fire(later=14)
    assert bridge.stand(id_) == [(HELD, Reason.DAG_PAUSED)]
    bridge.fire(later=2)
    assert bridge.stand(id_) == [(FIRED, None)]


def test_a_hold_after_a_long_one_waits_as_briefly_as_the_first(bridge: Bridge) -> None:
    """Set free, then claimed while the DAG is paused for a moment between two looks: nobody sees it be back."""
    bridge.pause()
    id_ = bridge.add()
    for _ in range(10):
        bridge.fire(later=3600, jitter=1.0)
    bridge.step(later=10)
    bridge.pause(is_paused=False)
    bridge.step(later=10)
    assert bridge.stand(id_) == [(PENDING, None)]
    bridge.pause()
    bridge.fire(jitter=1.0)
    assert bridge.stand(id_) == [(HELD, Reason.DAG_PAUSED)]
    assert bridge.trigger(id_).was_held
    bridge.pause(is_paused=False)
    bridge.looks(seconds=10, count=3)
    bridge.fire()
    assert bridge.stand(id_) == [(FIRED, None)]


def test_a_dag_that_refuses_although_it_is_well_is_not_tried_at_each_look(bridge: Bridge) -> None:
    """It allows no manual runs, say: what is held for it is not set free again and again."""
    bridge.standin.before = lambda _: (400, {"detail": "Dag with dag_id: 'x' does not allow manual runs"})
    id_ = bridge.add(if_paused=IfPaused.TRIGGER)
    bridge.fire()
    bridge.looks(seconds=10, count=5)
    assert bridge.stand(id_) == [(HELD, Reason.DAG_REFUSES_RUNS)]
    assert bridge.trigger(id_).attempts == 0


def test_the_latest_alone_is_fired_and_the_older_ones_are_superseded(bridge: Bridge) -> None:
    """Of each series by itself; one without a series is fired. None is superseded before the newer one is fired."""
    bridge.pause()
    first = [bridge.add(series=b"a") for _ in range(3)]
    second = [bridge.add(series=b"b") for _ in range(2)]
    alone = bridge.add()
    bridge.fire()
    bridge.step(later=10)
    assert {state for state, _ in bridge.stand(*first, *second, alone)} == {HELD}
    bridge.pause(is_paused=False)
    bridge.step(later=10)
    older = [*first[:2], second[0]]
    assert bridge.stand(*older) == [(HELD, Reason.DAG_PAUSED)] * 3
    assert bridge.trigger(first[0]).detail == f"the DAG is back; {first[2]} is newer and goes first"
    bridge.fire()
    assert bridge.runs() == ["evt_3", "evt_5", "evt_6"]
    bridge.step(later=1)
    assert bridge.stand(*older) == [(CANCELLED, Reason.SUPERSEDED)] * 3
    assert bridge.trigger(first[0]).detail == f"{first[2]} is newer"


def test_if_the_latest_cannot_run_the_one_before_it_does(bridge: Bridge) -> None:
    """It fails, or a person cancels it: at least the newest that can run does run."""
    bridge.pause()
    ids = [bridge.add(series=b"a") for _ in range(4)]
    bridge.fire()
    bridge.step(later=10)
    bridge.pause(is_paused=False)
    bridge.step(later=10)
    bridge.standin.before = lambda _: (422, {"detail": "no such conf"})
    bridge.fire()
    bridge.standin.before = lambda _: None
    bridge.step(later=1)
    bridge.inbox.write(cancel, ids[2], actor="test", reason=None, now=bridge.now)
    bridge.step(later=1)
    bridge.fire()
    bridge.step(later=1)
    assert [state for state, _ in bridge.stand(*ids)] == [CANCELLED, FIRED, CANCELLED, FAILED]
    assert bridge.runs() == ["evt_2"]


def test_what_waits_behind_a_newer_one_is_no_longer_held_for_the_dag(bridge: Bridge) -> None:
    """However long the newer one takes: it is neither warned of nor failed for that."""
    bridge.pause()
    old, new = bridge.add(series=b"a", hold_seconds=300.0), bridge.add(series=b"a", hold_seconds=3000.0)
    bridge.fire()
    bridge.step(later=10)
    bridge.pause(is_paused=False)
    bridge.step(later=10)
    bridge.standin.before = lambda _: (500, "who knows")
    for _ in range(3):
        bridge.step(later=200)
        bridge.fire()
    assert [state for state, _ in bridge.stand(old, new)] == [HELD, PENDING]
    assert bridge.inbox.read(holds.ending) == {}


def test_an_older_one_that_its_timer_wakes_waits_for_the_newer_one(bridge: Bridge) -> None:
    """Before a look finds the DAG back; while the DAG is paused nothing is superseded."""
    bridge.pause()
    old, new = bridge.add(series=b"a"), bridge.add(series=b"a")
    bridge.fire()
    bridge.fire(later=20)
    assert [state for state, _ in bridge.stand(old, new)] == [HELD, HELD]
    bridge.pause(is_paused=False)
    bridge.fire(later=40)
    assert bridge.stand(old, new) == [(HELD, Reason.DAG_PAUSED), (FIRED, None)]
    bridge.fire(later=40)
    assert bridge.stand(old, new) == [(CANCELLED, Reason.SUPERSEDED), (FIRED, None)]
    assert bridge.runs() == ["evt_2"]


def test_the_latest_is_the_newest_webhook_that_stands(bridge: Bridge) -> None:
    """One that a person cancelled takes nobody's place."""
    bridge.pause()
    old, new = bridge.add(series=b"a"), bridge.add(series=b"a")
    bridge.fire()
    bridge.step(later=10)
    bridge.inbox.write(cancel, new, actor="test", reason=None, now=bridge.now)
    bridge.pause(is_paused=False)
    bridge.step(later=10)
    bridge.fire()
    assert [state for state, _ in bridge.stand(old, new)] == [FIRED, CANCELLED]


def test_what_a_person_replays_is_fired_whatever_is_newer(bridge: Bridge) -> None:
    """A person asked for this very one."""
    bridge.pause()
    old, new = bridge.add(series=b"a"), bridge.add(series=b"a")
    bridge.fire()
    bridge.step(later=10)
    bridge.pause(is_paused=False)
    bridge.step(later=10)
    bridge.fire()
    bridge.inbox.write(replay, old, actor="test", reason=None, new_id=None, now=bridge.now)
    bridge.fire()
    assert [state for state, _ in bridge.stand(old, new)] == [FIRED, FIRED]


def held_for_hours(bridge: Bridge, count: int) -> list[str]:
    """Hold so many for two hours, and let the DAG be back."""
    bridge.pause()
    ids = [bridge.add() for _ in range(count)]
    bridge.fire()
    bridge.step(later=7200)
    bridge.pause(is_paused=False)
    return ids


def test_a_ceiling_holds_for_what_is_set_free(bridge: Bridge) -> None:
    """Two an hour: the others wait for their time, in their order."""
    bridge.limit = 2
    ids = held_for_hours(bridge, 5)
    bridge.step(later=10)
    assert bridge.stand(*ids) == [(PENDING, None)] * 2 + [(HELD, Reason.HOURLY_CEILING)] * 3
    bridge.fire()
    bridge.fire(later=3601)
    bridge.fire(later=3601)
    assert bridge.runs() == [f"evt_{number}" for number in range(1, 6)]


def test_a_short_hold_takes_no_second_place_of_the_ceiling(bridge: Bridge) -> None:
    """It has one of this hour, since it was made."""
    bridge.limit = 1
    bridge.pause()
    ids = [bridge.add() for _ in range(2)]
    bridge.fire()
    bridge.step(later=10)
    bridge.pause(is_paused=False)
    bridge.step(later=10)
    assert bridge.stand(*ids) == [(PENDING, None)] * 2


def test_a_place_that_was_not_used_is_given_back(bridge: Bridge) -> None:
    """A person cancels it at the very moment at which it would be set free."""
    bridge.limit = 1
    (id_,) = held_for_hours(bridge, 1)
    bridge.when_placed = lambda: bridge.inbox.write(cancel, id_, actor="test", reason=None, now=bridge.now)
    bridge.step(later=10)
    assert bridge.stand(id_) == [(CANCELLED, Reason.BY_OPERATOR)]
    start = bridge.take_place("orders", bridge.now)
    assert start is not None
    assert not start.is_later


def test_setting_free_leaves_others_their_turn(bridge: Bridge) -> None:
    """In pages, and none while a hundred wait for their turn; a restart goes on in between."""
    bridge.pause()
    ids = bridge.add_many(130)
    bridge.fire(later=10)
    bridge.step()
    bridge.pause(is_paused=False)
    bridge.step(later=10)
    for _ in range(4):
        bridge.step(later=0.01)
    assert sum(state is PENDING for state, _ in bridge.stand(*ids)) == 100
    bridge.fire()
    bridge.step(later=0.01)
    bridge.fire()
    assert {state for state, _ in bridge.stand(*ids)} == {FIRED}
    assert bridge.runs() == [f"evt_{number}" for number in range(1, 131)]


def test_what_a_person_paused_does_not_stop_the_rest(bridge: Bridge) -> None:
    """A route that a person paused keeps what was set free, and is no reason to wait for it."""
    bridge.pause()
    ids = bridge.add_many(130)
    bridge.fire(later=10)
    bridge.step()
    bridge.pause(is_paused=False)
    for _ in range(4):
        bridge.step(later=10)
        bridge.inbox.write(pauses.hold_route, ("default", "orders"), limit=500)
    assert bridge.stand(*ids) == [(HELD, Reason.PAUSED_BY_PERSON)] * 130


def test_two_replicas_set_free_once(bridge: Bridge, make: Callable[[], Bridge]) -> None:
    """A page that another process has taken is left to it, and what it has changed is not changed again."""
    bridge.pause()
    id_ = bridge.add()
    bridge.fire()
    bridge.step(later=10)
    rows = [holds.Change(holds.HeldRow(id_, "orders", bridge.now), bridge.now)]
    page = {"airflow": "default", "dag_id": "load_orders", "after": 0, "upto": None, "now": bridge.now}
    assert bridge.inbox.write(holds.free, rows, **page) is None
    bridge.pause(is_paused=False)
    other = make()
    other.now = bridge.now + timedelta(seconds=100)
    other.step()
    assert bridge.stand(id_) == [(PENDING, None)]
    bridge.step(later=101)
    assert bridge.inbox.write(holds.free, rows, **page) is None
    assert bridge.inbox.write(holds.change, rows, now=bridge.now) == []
    bridge.fire()
    assert bridge.runs() == ["evt_1"]


def test_a_dag_that_something_is_held_for_is_looked_at_six_times_as_often(bridge: Bridge) -> None:
    """Once a minute otherwise, and again once nothing is held."""
    assert not bridge.step(later=15)
    bridge.pause()
    id_ = bridge.add()
    bridge.fire()
    assert all(bridge.step(later=10) for _ in range(3))
    bridge.inbox.write(cancel, id_, actor="test", reason=None, now=bridge.now)
    assert not bridge.step(later=10)


@pytest.fixture
def in_doubt(bridge: Bridge) -> Callable[..., str]:
    """Return a trigger whose call was lost; `is_made`: it has made the DAG run."""

    def build(*, is_made: bool, **more: Any) -> str:
        def lose(_: dict[str, Any]) -> Answer | None:
            raise Broken

        setattr(bridge.standin, "after" if is_made else "before", lose)
        bridge.standin.before_read = lambda _: (500, "who knows")
        id_ = bridge.add(**more)
        bridge.fire()
        assert bridge.trigger(id_).doubted_at is not None
        bridge.standin.before = bridge.standin.after = bridge.standin.before_read = lambda _: None
        bridge.pause()
        return id_

    return build


@pytest.mark.parametrize("is_made", [True, False])
def test_what_may_have_started_is_looked_for_before_it_fails_for_a_paused_dag(
    bridge: Bridge, in_doubt: Callable[..., str], is_made: bool
) -> None:
    """Not before a request that is on its way has arrived. The run is there: fired. It is not: failed. No call."""
    id_ = in_doubt(is_made=is_made, if_paused=IfPaused.FAIL)
    posts = bridge.standin.posts()
    bridge.fire(later=45)
    assert bridge.stand(id_) == [(PENDING, Reason.ANSWER_LOST)]
    bridge.fire(later=61)
    ended = (FIRED, Reason.ALREADY_THERE) if is_made else (FAILED, Reason.DAG_PAUSED)
    assert bridge.stand(id_) == [ended]
    assert bridge.standin.posts() == posts
    assert bridge.trigger(id_).doubted_at is None


@pytest.mark.parametrize("is_made", [True, False])
def test_what_may_have_started_is_looked_for_before_it_is_superseded(
    bridge: Bridge, in_doubt: Callable[..., str], is_made: bool
) -> None:
    """Its run may be there: it is shown as what it is."""
    old = in_doubt(is_made=is_made, series=b"a")
    new = bridge.add(series=b"a")
    bridge.fire(later=61)
    bridge.step(later=10)
    assert bridge.stand(old, new) == [(HELD, Reason.DAG_PAUSED)] * 2
    bridge.pause(is_paused=False)
    for _ in range(3):
        bridge.step(later=10)
        bridge.fire()
    ended = (FIRED, Reason.ALREADY_THERE) if is_made else (CANCELLED, Reason.SUPERSEDED)
    assert bridge.stand(old, new) == [ended, (FIRED, None)]


@pytest.mark.parametrize("is_made", [True, False])
def test_what_may_have_started_is_looked_for_before_its_hold_ends(
    bridge: Bridge, in_doubt: Callable[..., str], is_made: bool
) -> None:
    """It was held for too long; the DAG run may wait in Airflow's queue all the while."""
    id_ = in_doubt(is_made=is_made, hold_seconds=1000.0)
    bridge.fire(later=61)
    assert bridge.stand(id_) == [(HELD, Reason.DAG_PAUSED)]
    bridge.looks(seconds=100, count=12)
    assert bridge.trigger(id_).is_hold_over
    bridge.fire()
    ended = (FIRED, Reason.ALREADY_THERE) if is_made else (FAILED, Reason.HELD_TOO_LONG)
    assert bridge.stand(id_) == [ended]
    # Airflow was asked: a cancelling has nothing to warn of.
    said = bridge.inbox.write(cancel, id_, actor="test", reason=None, now=bridge.now)
    assert said is (Cancelled.ENDED if is_made else Cancelled.CANCELLED)


def test_a_pause_by_a_person_goes_first_and_its_time_does_not_count(bridge: Bridge) -> None:
    """The hold for the DAG begins anew after it. What was held keeps its place."""
    bridge.pause()
    ids = [bridge.add(hold_seconds=1000.0) for _ in range(2)]
    bridge.fire()
    bridge.looks(seconds=100, count=4)
    where: dict[str, Any] = {"kind": PauseKind.ROUTE, "airflow": "default", "route": "orders", "now": bridge.now}
    bridge.inbox.write(pauses.hold_rows, bridge.inbox.read(pauses.held_else, **where, limit=9)[0])
    assert bridge.stand(*ids) == [(HELD, Reason.PAUSED_BY_PERSON)] * 2
    bridge.looks(seconds=100, count=20)
    bridge.inbox.write(pauses.let_go, ("default", "orders"), limit=9)
    bridge.fire()
    assert bridge.stand(*ids) == [(HELD, Reason.DAG_PAUSED)] * 2
    bridge.looks(seconds=100, count=4)
    assert bridge.inbox.read(holds.ending) == {}
    bridge.pause(is_paused=False)
    bridge.step(later=10)
    bridge.fire()
    assert bridge.runs() == ["evt_1", "evt_2"]


def test_the_clock_chore_leaves_holds_alone(bridge: Bridge) -> None:
    """They wait for up to an hour, which no wrong clock is needed for."""
    bridge.pause()
    id_ = bridge.add()
    (claimed,) = claim(bridge.inbox, now=bridge.now)
    outcome = asking.call(bridge.inbox, bridge.airflow, claimed.trigger, bridge.now)
    tried = replace(claimed.trigger, spent=Spent(0.0, {Reason.DAG_PAUSED: 99}))
    settlement = settle(tried, outcome, now=bridge.now, jitter=1.0)
    bridge.inbox.write(triggers.settle, claimed, settlement, record(claimed, outcome, bridge.now, 0.0))
    assert bridge.trigger(id_).due_at == bridge.now + timedelta(hours=1)
    assert bridge.inbox.read(moving.far_ahead, now=bridge.now, slack=timedelta(0)) == {}


def test_a_hold_that_is_too_long_fails_some_time_after_a_warning(bridge: Bridge, metrics: Metrics) -> None:
    """Loudly, both times, by the time in which Airflow said that the DAG is away."""
    bridge.pause()
    id_ = bridge.add(hold_seconds=1200.0)
    long = bridge.add(hold_seconds=30 * DAY)
    bridge.fire()
    with capture_logs() as logs:
        bridge.looks(seconds=100, count=5)
        assert [line for line in logs if line["event"] == "hold_ends"] == []
        bridge.looks(seconds=100, count=2)
    (warned,) = [line for line in logs if line["event"] == "hold_ends"]
    assert (warned["log_level"], warned["first"], warned["fail_in_hours"]) == ("warning", [id_], 0.2)
    metrics.dags.observe_ending(bridge.inbox.read(holds.ending))
    assert b'bridge_holds_ending{airflow="default"} 1.0' in metrics.exposition()
    bridge.step(later=30 * DAY)  # Airflow was down for a month: it counts for two minutes
    assert bridge.stand(id_) == [(HELD, Reason.DAG_PAUSED)]
    with capture_logs() as logs:
        bridge.looks(seconds=100, count=7)
    (failed,) = [line for line in logs if line["event"] == "held_too_long"]
    assert (failed["log_level"], failed["first"]) == ("error", [id_])
    assert bridge.stand(id_, long) == [(FAILED, Reason.HELD_TOO_LONG), (HELD, Reason.DAG_PAUSED)]
    assert b'bridge_trigger_failures_total{reason="held_too_long"} 1.0' in metrics.exposition()
    metrics.dags.observe_ending(bridge.inbox.read(holds.ending))
    assert b'bridge_holds_ending{airflow="default"} 0.0' in metrics.exposition()


def test_a_hold_ends_although_the_dag_was_back_for_a_moment(bridge: Bridge) -> None:
    """It went while its first page was set free: the rest is held by its clock as before."""
    bridge.pause()
    ids = bridge.add_many(60, hold_seconds=1000.0)
    bridge.fire(later=10)
    bridge.step()
    bridge.pause(is_paused=False)
    bridge.step(later=10)
    assert [state for state, _ in bridge.stand(*ids)] == [PENDING] * 50 + [HELD] * 10
    bridge.standin.dags.pop("load_orders")
    bridge.looks(seconds=100, count=12)
    assert bridge.stand(*ids[50:]) == [(FAILED, Reason.HELD_TOO_LONG)] * 10


def test_a_hold_begins_anew_when_a_person_replays(bridge: Bridge) -> None:
    """Its warning is forgotten as well."""
    bridge.pause()
    id_ = bridge.add(hold_seconds=1000.0)
    bridge.fire()
    bridge.looks(seconds=100, count=7)
    assert bridge.inbox.read(holds.ending) == {"default": 1}
    bridge.inbox.write(replay, id_, actor="test", reason=None, new_id=None, now=bridge.now)
    bridge.fire()
    assert bridge.inbox.read(holds.ending) == {}
    bridge.looks(seconds=100, count=4)
    assert bridge.stand(id_) == [(HELD, Reason.DAG_PAUSED)]


def test_a_trigger_keeps_what_its_route_said(bridge: Bridge) -> None:
    """It comes back from the store as it was made."""
    id_ = bridge.add(if_paused=IfPaused.FAIL, series=b"\x00\xff", hold_seconds=90.0)
    found = bridge.trigger(id_)
    assert (found.call.if_paused, found.call.series, found.call.limits.hold_seconds) == (IfPaused.FAIL, b"\x00\xff", 90)
