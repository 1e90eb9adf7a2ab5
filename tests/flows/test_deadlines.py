"""Deadlines: nothing starts too late, and what may have started is found out before it is given up."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bridge.chores.deadlines import Deadlines
from bridge.edges.inbox import Inbox, browsing, replays, triggers
from bridge.edges.inbox.replays import Cancelled
from bridge.edges.metrics import Metrics
from bridge.flows.routing import Router
from bridge.rules.mapping import Mapping
from bridge.words.model import TriggerState
from bridge.words.reasons import Reason
from tests.edges.airflow.support import RawServer, over_tls, says
from tests.support.certificates import self_signed
from tests.support.firing import Firing, Make
from tests.support.jobs_api import body
from tests.support.standin import Answer, Broken, Standin
from tests.support.store import Store, accept, wait_for

MINUTE = timedelta(minutes=1)
ROUTES = "routes:\n  - {pipeline: pl_1, dag: load_orders, name: orders, deadline: 2h}\n"


def soon(firing: Firing) -> datetime:
    """Return a deadline that is half an hour ahead of the dispatcher's clock."""
    return datetime.now(UTC) + firing.clock_is_ahead + 30 * MINUTE


def sweep(firing: Firing, metrics: Metrics) -> None:
    """Do a round of the chore, at the dispatcher's clock."""
    Deadlines(inbox=firing.inbox, metrics=metrics, clock=lambda: datetime.now(UTC) + firing.clock_is_ahead).step()


def test_what_is_in_time_is_fired(make: Make) -> None:
    """A deadline that has not passed changes nothing."""
    firing = make().start()
    assert firing.wait(firing.add(late_at=soon(firing))).reason is None


def test_what_is_claimed_too_late_is_cancelled_without_a_call(make: Make, standin: Standin) -> None:
    """Nobody has swept yet."""
    firing = make()
    id_ = firing.add(late_at=soon(firing))
    firing.clock_is_ahead = 31 * MINUTE
    firing.start()
    assert firing.wait(id_, TriggerState.CANCELLED).reason is Reason.TOO_LATE
    assert standin.posts() == 0


def test_the_chore_gives_up_what_is_too_late(make: Make, metrics: Metrics) -> None:
    """It is counted for its route."""
    firing = make()
    metrics.observe_mapping(digest="d", routes=["orders"], loaded_at=datetime.now(UTC))
    id_ = firing.add(late_at=soon(firing))
    sweep(firing, metrics)
    assert firing.trigger(id_).state is TriggerState.PENDING
    firing.clock_is_ahead = 31 * MINUTE
    sweep(firing, metrics)
    assert firing.trigger(id_).reason is Reason.TOO_LATE
    assert 'bridge_triggers_total{route="orders",state="cancelled"} 1.0' in metrics.exposition().decode()


def test_a_call_that_has_begun_is_let_go_on(make: Make, metrics: Metrics, standin: Standin) -> None:
    """Its run is there, and the trigger is fired, although the deadline passed meanwhile."""
    gate, begun = threading.Event(), threading.Event()

    def wait(_: dict[str, Any]) -> None:
        begun.set()
        gate.wait(60)

    standin.before = wait
    firing = make(read_seconds=60, deadline_seconds=60, lease_seconds=4000)
    id_ = firing.add(late_at=soon(firing))
    firing.start()
    assert begun.wait(60)
    firing.clock_is_ahead = 31 * MINUTE
    sweep(firing, metrics)
    gate.set()
    assert firing.wait(id_).state is TriggerState.FIRED


@pytest.fixture
def in_doubt(make: Make, metrics: Metrics, standin: Standin) -> Callable[[bool], tuple[Firing, str]]:
    """Return a trigger whose call was lost, and whose deadline has passed; True: the call has made the DAG run."""

    def build(is_made: bool) -> tuple[Firing, str]:
        def lose(_: dict[str, Any]) -> Answer | None:
            raise Broken

        setattr(standin, "after" if is_made else "before", lose)
        standin.before_read = lambda _: (500, "who knows")
        firing = make()
        id_ = firing.add(late_at=soon(firing))
        firing.start()
        wait_for(lambda: firing.trigger(id_).doubted_at is not None)
        firing.clock_is_ahead = 31 * MINUTE
        sweep(firing, metrics)
        assert firing.trigger(id_).reason is not Reason.TOO_LATE
        wait_for(lambda: not firing.lane.is_busy)
        standin.before = standin.after = standin.before_read = lambda _: None
        return firing, id_

    return build


@pytest.mark.parametrize("is_made", [True, False])
def test_what_may_have_started_is_found_out_first(
    in_doubt: Callable[[bool], tuple[Firing, str]], standin: Standin, is_made: bool
) -> None:
    """The run is there: it is fired. It is not: it is cancelled. No call is made that could start one."""
    firing, id_ = in_doubt(is_made)
    posts = standin.posts()
    firing.clock_is_ahead = 60 * MINUTE
    firing.dispatcher.wake()
    found = firing.wait(id_, TriggerState.FIRED, TriggerState.CANCELLED)
    assert found.reason is (Reason.ALREADY_THERE if is_made else Reason.TOO_LATE)
    assert (standin.posts(), len(standin.runs())) == (posts, int(is_made))


def test_a_read_back_that_is_refused_leaves_doubt(make: Make, standin: Standin) -> None:
    """The call was lost, and this user may not read runs: the refusal is about the question and not about the call."""

    def lose(_: dict[str, Any]) -> Answer | None:
        raise Broken

    standin.after = lose
    standin.before_read = lambda _: (403, {"detail": "Forbidden"})
    firing = make().start()
    id_ = firing.add()
    wait_for(lambda: firing.trigger(id_).reason is Reason.AIRFLOW_FORBIDDEN)
    assert firing.trigger(id_).doubted_at is not None
    assert len(standin.runs()) == 1


@pytest.mark.parametrize(("status", "reason"), [(401, Reason.AIRFLOW_UNAUTHORIZED), (403, Reason.AIRFLOW_FORBIDDEN)])
def test_a_call_that_airflow_refused_leaves_none(make: Make, standin: Standin, status: int, reason: Reason) -> None:
    """It started nothing, whatever comes of the next one."""
    standin.before = lambda _: (status, {"detail": "no"})
    firing = make().start()
    id_ = firing.add()
    wait_for(lambda: firing.attempts(id_))
    assert firing.attempts(id_)[0].reason in (reason, Reason.CALL_BLOCKED)
    assert firing.trigger(id_).doubted_at is None


def test_a_call_whose_connection_is_not_secure_leaves_none(make: Make, tmp_path: Path) -> None:
    """Airflow's certificate is of no known authority: nothing was sent, so a cancelling warns of no DAG run."""
    behaviour = over_tls(says(b""), self_signed(tmp_path / "both.pem"))
    with RawServer(behaviour) as server:
        firing = make(server.url.replace("http:", "https:"), version="2").start()  # so that the first call is the POST
        id_ = firing.add()
        wait_for(lambda: firing.attempts(id_))
        firing.stop()
    assert firing.trigger(id_).reason is Reason.AIRFLOW_MISCONFIGURED
    assert firing.trigger(id_).doubted_at is None
    said = firing.inbox.write(replays.cancel, id_, actor="test", reason=None, now=datetime.now(UTC))
    assert said is Cancelled.CANCELLED


def test_it_is_looked_for_only_when_a_request_on_its_way_has_arrived(
    make: Make, standin: Standin, store: Store
) -> None:
    """A minute after the call; until then it is left alone, and Airflow is not asked."""
    firing = make()
    id_ = firing.add(late_at=soon(firing))
    firing.clock_is_ahead = 31 * MINUTE
    now = datetime.now(UTC) + firing.clock_is_ahead
    store.rows("UPDATE triggers SET doubted_at = ?", int(now.timestamp() * 1_000_000))
    firing.start()
    wait_for(lambda: firing.trigger(id_).reason is Reason.ANSWER_LOST)
    assert not [item for item in standin.asked if "dagRuns" in item]
    firing.clock_is_ahead = 33 * MINUTE
    firing.dispatcher.wake()
    assert firing.wait(id_, TriggerState.CANCELLED).reason is Reason.TOO_LATE


def test_the_deadline_counts_from_the_webhook_on(
    inbox: Inbox, metrics: Metrics, mapping: Callable[..., Mapping]
) -> None:
    """However long it waited for routing."""
    router = Router(
        inbox=inbox,
        mapping=lambda: mapping(ROUTES),
        sources={},
        apis={},
        metrics=metrics,
        on_routed=lambda: None,
        max_hops=3,
        lease_seconds=30,
        clock=lambda: datetime.now(UTC) + 90 * MINUTE,
    )
    before = datetime.now(UTC)
    accept(inbox, "evt_1", body=body("evt_1", data={"pipeline_id": "pl_1"}))
    router.route_due()
    (entry,) = inbox.read(browsing.triggers, wanted=browsing.Filter(), limit=9)
    found = inbox.read(triggers.get, entry.id)
    assert found is not None
    assert found.late_at is not None
    assert before + 120 * MINUTE <= found.late_at <= datetime.now(UTC) + 120 * MINUTE
