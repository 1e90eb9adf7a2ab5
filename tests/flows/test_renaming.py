"""Two completions whose DAG runs have one name, when the store has forgotten the first and Airflow has not."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge.edges.inbox import Inbox, deliveries, replays, triggers
from bridge.edges.inbox.deliveries import settle_routing
from bridge.edges.inbox.pruning import old, prune
from bridge.edges.inbox.replays import Cancelled
from bridge.flows import attending
from bridge.flows.routing import drafts
from bridge.rules.mapping import Mapping
from bridge.rules.planning import Planned, Subject, plan
from bridge.rules.retrying.settling import Settlement, settle
from bridge.words.model import Claimed, TriggerState
from bridge.words.outcomes import AlreadyThere, Later, Never, Outcome, Renamed, Started, Taken
from bridge.words.reasons import Reason
from tests.support.firing import Firing, Make
from tests.support.standin import Standin
from tests.support.store import Store, add, attempt, claim, empty_store, stored, wait_for

USUAL = "planasonix__42__succeeded__orders"


class Twice:
    """A route over two pipelines that both have a run `42`."""

    def __init__(self, firing: Firing, mapping: Mapping, store: Store) -> None:
        self.firing, self.inbox = firing, firing.inbox
        self.mapping, self.store = mapping, store

    def route(self, pipeline: str, *, number: int = 1, source: str = "planasonix") -> Planned:
        """Take in and route the webhook of a pipeline's run 42."""
        event = f"evt_{pipeline}_{number}"
        body = {"id": event, "type": "pipeline.run.succeeded", "run_id": "42", "pipeline_id": pipeline}
        delivery_id = stored(self.inbox, event, source=source, body=json.dumps(body | {"status": "succeeded"}).encode())
        found = self.inbox.read(deliveries.get, delivery_id)
        assert found is not None
        made = plan(Subject.of(found), self.mapping, new_trigger_id=self.inbox.new_trigger_id, max_hops=3)
        now = datetime.now(UTC) - timedelta(seconds=1)
        self.inbox.write(settle_routing, [drafts.routing(found, made, None, {})], now=now)
        self.firing.dispatcher.wake()
        return made.triggers[0]

    def forget(self) -> None:
        """Let retention remove all that has ended."""
        wait_for(self.store.has_folded)
        self.store.rows("UPDATE triggers SET run_state = 'success', run_due_at = NULL WHERE state = 'fired'")
        ended, _ = self.inbox.read(old, before=datetime.now(UTC) + timedelta(days=1), after=0, limit=100)
        assert self.inbox.write(prune, ended) > 0


@pytest.fixture
def twice(make: Make, mapping: Callable[..., Mapping], store: Store) -> Twice:
    """Pipeline a's run 42 has its DAG run, and the store has forgotten it."""
    text = "routes:\n  - {name: orders, pipeline: '*', dag: load_orders}\n"
    found = Twice(make(), mapping(text), store)
    found.route("pl_a")
    assert isinstance(call(found.firing), Started)
    found.forget()
    return found


def names(standin: Standin) -> list[str]:
    """Return the ids of the DAG runs that were made."""
    return [run["dag_run_id"] for run in standin.runs()]


def call(firing: Firing, later: timedelta = timedelta()) -> Outcome:
    """Try the trigger that is due by then, and store what came of it."""
    now = datetime.now(UTC) + later
    (claimed,) = claim(firing.inbox, now=now)
    outcome = firing.airflow.fire(claimed.trigger)
    settlement = settle(claimed.trigger, outcome, now=now, jitter=0.0)
    assert firing.inbox.write(triggers.settle, claimed, settlement, attempt())
    return outcome


def test_two_bridges_that_call_a_source_differently_start_one_run(
    make: Make, mapping: Callable[..., Mapping], store: Store, tmp_path: Path, standin: Standin
) -> None:
    """Each has its own store, and both get the same webhook: the second one finds the run, and a person looks."""
    routes = mapping("routes:\n  - {name: orders, source: '*', pipeline: '*', dag: load_orders}\n", sources=["prod"])
    old = Twice(make().start(), mapping("routes:\n  - {name: orders, pipeline: '*', dag: load_orders}\n"), store)
    old.firing.wait(old.route("pl_a").id)
    inbox = Inbox(f"sqlite:///{empty_store(tmp_path / 'new.db')}")
    new = Twice(make(over=inbox).start(), routes, store)
    found = new.firing.wait(new.route("pl_a", source="prod").id, TriggerState.FAILED, TriggerState.FIRED)
    new.firing.stop()
    inbox.close()
    assert (found.state, found.reason) == (TriggerState.FAILED, Reason.RUN_ID_CONFLICT)
    assert names(standin) == [USUAL]


def test_the_second_run_42_runs_also_once_the_first_is_forgotten(twice: Twice, standin: Standin) -> None:
    """Under the name that routing would have chosen beside the first; the attempt says why."""
    twice.firing.start()
    planned = twice.route("pl_b")
    found = twice.firing.wait(planned.id, TriggerState.FIRED, TriggerState.FAILED)
    assert (found.state, found.call.dag_run_id) == (TriggerState.FIRED, planned.spare_run_id)
    assert names(standin) == [USUAL, planned.spare_run_id]
    first, second = twice.firing.attempts(planned.id)
    assert (first.outcome, first.reason, second.outcome) == ("renamed", Reason.RUN_ID_CONFLICT, "started")
    assert str(planned.spare_run_id) in str(first.detail)


def test_what_comes_again_after_it_was_forgotten_too_finds_its_run(twice: Twice, standin: Standin) -> None:
    """The spare name is the same each time: no second DAG run of the second completion."""
    twice.firing.start()
    twice.firing.wait(twice.route("pl_b").id)
    twice.forget()
    found = twice.firing.wait(twice.route("pl_b", number=2).id, TriggerState.FIRED, TriggerState.FAILED)
    assert (found.state, found.reason) == (TriggerState.FIRED, Reason.SAME_COMPLETION)
    assert len(names(standin)) == 2


def test_the_refused_name_uses_no_attempt(twice: Twice, standin: Standin, store: Store) -> None:
    """An answer that is lost afterwards counts as the first, as it does for a trigger that was never renamed."""
    planned = twice.route("pl_b")
    store.rows("UPDATE triggers SET max_attempts = 2 WHERE state = 'pending'")
    claimed, settlement = _renaming(twice)
    assert twice.inbox.write(triggers.settle, claimed, settlement, attempt(outcome="renamed"))
    standin.before = lambda _: (504, {"detail": "gateway"})
    assert isinstance(call(twice.firing), Later)
    found = twice.firing.trigger(planned.id)
    assert (found.state, found.attempts, found.call.dag_run_id) == (TriggerState.PENDING, 1, planned.spare_run_id)


def _renaming(twice: Twice) -> tuple[Claimed, Settlement]:
    """Claim what is due, and return where its call, which is refused, leaves it."""
    (claimed,) = claim(twice.inbox, now=datetime.now(UTC))
    outcome = twice.firing.airflow.fire(claimed.trigger)
    assert isinstance(outcome, Renamed)
    return claimed, settle(claimed.trigger, outcome, now=datetime.now(UTC), jitter=0.0)


def test_the_new_name_is_stored_with_the_settlement_and_by_the_owner_of_the_lease_alone(twice: Twice) -> None:
    """Whoever had the lease before hits nothing, neither name nor state."""
    planned = twice.route("pl_b")
    claimed, settlement = _renaming(twice)
    twice.inbox.write(triggers.take_over_all)
    assert not twice.inbox.write(triggers.settle, claimed, settlement, attempt(outcome="renamed"))
    found = twice.firing.trigger(planned.id)
    assert (found.state, found.call.dag_run_id) == (TriggerState.PENDING, USUAL)
    assert twice.firing.attempts(planned.id) == []


def test_a_name_that_another_live_trigger_has_is_not_taken(twice: Twice) -> None:
    """Nothing of it is written: the lease lapses, and a person looks."""
    planned = twice.route("pl_b")
    claimed, settlement = _renaming(twice)
    add(twice.inbox, stored(twice.inbox, "evt_other"), dag_run_id=planned.spare_run_id)
    assert not twice.inbox.write(triggers.settle, claimed, settlement, attempt(outcome="renamed"))
    assert twice.firing.trigger(planned.id).state is TriggerState.FIRING


def test_after_a_call_of_which_nobody_knows_the_name_stays(twice: Twice, standin: Standin) -> None:
    """It may have started a DAG run under it: a person looks. Airflow has told that it has not, so a replay goes on."""
    planned = twice.route("pl_b")
    claim(twice.inbox, now=datetime.now(UTC))  # killed before the end of its call was stored
    twice.inbox.write(triggers.take_over_all)
    twice.firing.start()
    found = twice.firing.wait(planned.id, TriggerState.FAILED, TriggerState.FIRED)
    assert (found.state, found.reason, found.call.dag_run_id) == (TriggerState.FAILED, Reason.RUN_ID_CONFLICT, USUAL)
    assert names(standin) == [USUAL]
    twice.inbox.write(replays.replay, planned.id, actor="test", reason=None, new_id=None, now=datetime.now(UTC))
    twice.firing.dispatcher.wake()
    twice.firing.wait(planned.id)
    assert names(standin) == [USUAL, planned.spare_run_id]


def test_a_strangers_run_gives_nobody_another_name(make: Make, standin: Standin) -> None:
    """A stranger's DAG run under the usual name is nobody's completion: a person looks, as before."""
    standin.make_run("load_orders", {"dag_run_id": USUAL, "logical_date": None, "conf": {"planasonix": {}}})
    firing = make().start()
    found = firing.wait(firing.add(dag_run_id=USUAL), TriggerState.FAILED, TriggerState.FIRED)
    assert found.reason is Reason.RUN_ID_CONFLICT


def test_a_strangers_run_ends_the_doubt(make: Make, standin: Standin) -> None:
    """The trigger's own run is not under that name, so a cancelling warns of none, and a replay may take another."""
    firing = make()
    id_ = firing.add(dag_run_id=USUAL)
    standin.before = lambda _: (504, {"detail": "gateway"})
    assert isinstance(call(firing), Later)
    assert firing.trigger(id_).doubted_at is not None
    standin.before = lambda _: None
    standin.make_run("load_orders", {"dag_run_id": USUAL, "logical_date": None, "conf": {}})
    assert isinstance(call(firing, timedelta(hours=1)), Never)
    found = firing.trigger(id_)
    assert (found.state, found.reason, found.doubted_at) == (TriggerState.FAILED, Reason.RUN_ID_CONFLICT, None)
    cancelled = firing.inbox.write(replays.cancel, id_, actor="test", reason=None, now=datetime.now(UTC))
    assert cancelled is Cancelled.CANCELLED


OWN = "orders-2025-03-27"


@pytest.fixture
def daily(make: Make, mapping: Callable[..., Mapping], store: Store) -> Twice:
    """A route with a `dag_run_id` of its own, whatever tells of that day."""
    return Twice(
        make(), mapping(f"routes:\n  - {{name: orders, pipeline: '*', dag: load_orders, dag_run_id: {OWN}}}\n"), store
    )


@pytest.mark.parametrize("is_doubted", [False, True])
def test_a_second_trigger_under_a_routes_own_name_is_a_duplicate_also_once_the_first_is_forgotten(
    daily: Twice, standin: Standin, is_doubted: bool
) -> None:
    """It names the one that Airflow still has; so it does after a call of which nobody knows, and the doubt is over."""
    first = daily.route("pl_a")
    assert isinstance(call(daily.firing), Started)
    daily.forget()
    second = daily.route("pl_b")
    if is_doubted:
        claim(daily.inbox, now=datetime.now(UTC))  # killed before the end of its call was stored
        daily.inbox.write(triggers.take_over_all)
    assert isinstance(call(daily.firing), Taken)
    found = daily.firing.trigger(second.id)
    assert (found.state, found.reason) == (TriggerState.CANCELLED, Reason.DUPLICATE_RUN)
    assert (first.id in str(found.detail), found.doubted_at) == (True, None)
    assert names(standin) == [OWN]


def test_a_run_in_doubt_under_a_routes_own_name_is_found(daily: Twice, standin: Standin) -> None:
    """An earlier call of the trigger made it: it is no duplicate of itself."""
    planned = daily.route("pl_a")
    (claimed,) = claim(daily.inbox, now=datetime.now(UTC))
    assert isinstance(daily.firing.airflow.fire(claimed.trigger), Started)  # killed before that was stored
    daily.inbox.write(triggers.take_over_all)
    assert isinstance(call(daily.firing), AlreadyThere)
    assert daily.firing.trigger(planned.id).state is TriggerState.FIRED
    assert names(standin) == [OWN]


def test_a_duplicate_under_a_routes_own_name_is_said(daily: Twice) -> None:
    """As a warning: it starts nothing."""
    daily.route("pl_a")
    assert isinstance(call(daily.firing), Started)
    daily.forget()
    planned = daily.route("pl_b")
    with capture_logs() as logs:
        daily.firing.start().wait(planned.id, TriggerState.CANCELLED)
        daily.firing.stop()
    (line,) = [line for line in logs if line.get("trigger_id") == planned.id]
    assert (line["log_level"], line["reason"], line["outcome"]) == ("warning", "duplicate_run", "taken")
    needs = attending.needs(daily.inbox, now=datetime.now(UTC))
    assert [need.what for need in needs if need.what == "duplicate_run"] == ["duplicate_run"]
