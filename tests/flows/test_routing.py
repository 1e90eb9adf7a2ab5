"""From a stored delivery to its triggers, with and without a look-up at a real HTTP server."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.edges.inbox import Inbox, claiming, deliveries, prepare, replays
from bridge.edges.inbox.browsing import Filter
from bridge.edges.inbox.orders import NewOrder
from bridge.edges.metrics import Metrics
from bridge.edges.planasonix import PlanasonixClient
from bridge.edges.planasonix.gate import Gate
from bridge.flows import attending, ordering
from bridge.flows.routing import BATCH, Router
from bridge.rules.event import Redaction
from bridge.rules.mapping import Mapping
from bridge.rules.planning import Subject
from bridge.rules.sealing import Ring
from bridge.rules.signature import PRESETS, Key, make_verifier
from bridge.rules.sources import Source
from bridge.words.errors import InboxUnavailable, Locked
from bridge.words.model import Delivery, DeliveryState, Trigger, TriggerState
from bridge.words.orders import Action
from bridge.words.reasons import Reason
from bridge.words.targets import PlanasonixApi, Secret
from tests.support.jobs_api import JobsApi, body
from tests.support.store import Store, accept, stored, wait_for, whole

ROUTES = """
routes:
  - pipeline: pl_1
    dag: load_orders
    conf: {rows: "{{ event.rows_loaded }}"}
  - name: both
    pipeline: pl_1
    dag: [first, second]
  - pipeline: pl_capped
    dag: load_orders
    name: capped
    max_per_hour: 2
  - pipeline: pl_once
    dag: load_orders
    name: once
    max_per_hour: 1
  - pipeline: pl_bad
    dag: load_orders
    name: bad
    conf: {date: "{{ event.parameters.business_date }}"}
"""


class Routing:
    """A router whose clock the test sets."""

    def __init__(
        self, inbox: Inbox, mapping: Mapping, metrics: Metrics, apis: dict[str, JobsApi], gate: Gate | None = None
    ) -> None:
        self.inbox = inbox
        self.mapping: Mapping | None = mapping
        self.woken = 0
        self.plans = 0
        self.now = datetime.now(UTC) + timedelta(minutes=1)  # what is stored after this is due all the same
        self.clients = {
            source: PlanasonixClient(PlanasonixApi(api.url, Secret("k" * 30), timeout_seconds=2), gate)
            for source, api in apis.items()
        }
        self.router = Router(
            sources={},
            inbox=inbox,
            mapping=self._mapping,
            apis=self.clients,
            metrics=metrics,
            on_routed=self._wake,
            max_hops=3,
            lease_seconds=30,
            clock=lambda: self.now,
        )

    def _mapping(self) -> Mapping:
        self.plans += 1  # each plan asks for the mapping once
        return self.mapping  # type: ignore[return-value]

    def _wake(self) -> None:
        self.woken += 1

    def route(self, *, after: float = 0.0) -> int:
        """Let so many seconds pass, and route one batch of what is due."""
        self.now += timedelta(seconds=after)
        return self.router.route_due()

    def delivery(self, delivery_id: str) -> Delivery:
        """Return a delivery as it stands."""
        found = self.inbox.read(deliveries.get, delivery_id)
        assert found is not None
        return found

    def triggers(self, delivery_id: str) -> list[Trigger]:
        """Return the triggers of a delivery, oldest first."""
        return whole(self.inbox, delivery_id)

    def settled(self, delivery_id: str) -> Delivery:
        """Wait until a delivery does not wait for routing any more."""
        wait_for(lambda: self.delivery(delivery_id).state is not DeliveryState.RECEIVED)
        return self.delivery(delivery_id)

    def close(self) -> None:
        """End what it started."""
        self.end_lookups()
        for client in self.clients.values():
            client.close()

    def end_lookups(self) -> None:
        """Wait until those that were begun have ended; no other begins."""
        for threads in self.router._lookups._threads.values():
            threads.shutdown(wait=True)


@pytest.fixture
def api() -> Iterator[JobsApi]:
    """A Planasonix API."""
    with JobsApi() as api:
        yield api


@pytest.fixture
def make(inbox: Inbox, mapping: Callable[..., Mapping], metrics: Metrics) -> Iterator[Callable[..., Routing]]:
    """Make a router, with an API to ask or without one."""
    made: list[Routing] = []

    def build(
        text: str = ROUTES,
        *,
        api: JobsApi | None = None,
        store: Inbox | None = None,
        gate: Gate | None = None,
        **others: JobsApi,
    ) -> Routing:
        apis = others if api is None else {"planasonix": api} | others
        made.append(Routing(store or inbox, mapping(text), metrics, apis, gate))
        return made[-1]

    yield build
    for item in made:
        item.close()


Make = Callable[..., Routing]


def of_jobs(inbox: Inbox, amount: int, api: JobsApi, source: str = "planasonix") -> list[str]:
    """Store webhooks of so many jobs that the API knows, and return their delivery ids."""
    api.jobs |= {f"job_{number}": {"pipeline_id": "pl_1"} for number in range(amount)}
    bodies = [body(f"evt_{number}", job_id=f"job_{number}") for number in range(amount)]
    return [stored(inbox, f"evt_{number}", source=source, body=each) for number, each in enumerate(bodies)]


def test_every_matching_route_and_dag_is_a_trigger(inbox: Inbox, make: Make) -> None:
    """All matching routes fire, each DAG of a route by itself; firing is woken."""
    routing = make()
    id_ = stored(inbox, body=body(data={"pipeline_id": "pl_1", "metrics": {"rows_loaded": 7}}))
    assert routing.route() == 1
    assert routing.delivery(id_).state is DeliveryState.ROUTED
    found = {(item.call.route, item.call.dag_id): item for item in routing.triggers(id_)}
    assert set(found) == {("load_orders", "load_orders"), ("both", "first"), ("both", "second")}
    conf = found["load_orders", "load_orders"].call.conf
    assert conf["rows"] == 7
    assert conf["planasonix"]["trigger_id"] == found["load_orders", "load_orders"].id
    assert conf["planasonix"]["delivery_id"] == id_
    assert routing.woken == 1
    assert routing.route(after=3600) == 0


@pytest.mark.parametrize(
    ("content", "state", "reason"),
    [
        (body(data={"pipeline_id": "pl_other"}), DeliveryState.UNROUTED, Reason.NO_ROUTE),
        (body(data={"pipeline_id": "pl_1", "test": True}), DeliveryState.IGNORED, Reason.TEST_EVENT),
        (body(type="job.running", data={"status": "running"}), DeliveryState.IGNORED, Reason.STATUS_RUNNING),
        (body(type="x.y", data={"status": "odd"}), DeliveryState.IGNORED, Reason.STATUS_UNKNOWN),
        (b"not json", DeliveryState.INVALID, Reason.UNREADABLE_JSON),
        (b"", DeliveryState.INVALID, Reason.UNREADABLE_JSON),
        (b"[" * 100_000, DeliveryState.INVALID, Reason.UNREADABLE_JSON),
        (body(data={"pipeline_id": "two words"}), DeliveryState.INVALID, Reason.UNREADABLE_FIELD),
        (body(data={"status": "failed"}), DeliveryState.INVALID, Reason.CONTRADICTION),
    ],
)
def test_where_a_delivery_goes(inbox: Inbox, make: Make, content: bytes, state: DeliveryState, reason: Reason) -> None:
    """Whatever an authentic body says, it ends in a state with a reason."""
    routing = make()
    id_ = stored(inbox, body=content)
    routing.route()
    found = routing.delivery(id_)
    assert (found.state, found.reason) == (state, reason)
    assert routing.triggers(id_) == []


def test_ends_that_nobody_understands_are_counted(inbox: Inbox, make: Make, metrics: Metrics) -> None:
    """The alert BridgeStatusUnknown reads that; what is set aside for another reason does not count."""
    routing = make()
    for event, status in (("evt_1", "odd"), ("evt_2", "strange"), ("evt_3", "running")):
        stored(inbox, event, body=body(event, type="x.y", data={"status": status}))
    routing.route()
    assert 'bridge_status_unknown_total{source="planasonix"} 2.0' in metrics.exposition().decode()


def test_a_template_that_fails_is_a_failed_trigger(inbox: Inbox, make: Make) -> None:
    """The route matched, so a person must see that its run is missing."""
    routing = make()
    id_ = stored(inbox, body=body(data={"pipeline_id": "pl_bad"}))
    routing.route()
    (found,) = routing.triggers(id_)
    assert (found.state, found.reason) == (TriggerState.FAILED, Reason.TEMPLATE)
    assert "business_date" in (found.detail or "")


def test_a_circle_is_held(inbox: Inbox, make: Make) -> None:
    """An event that carries three hops starts nothing until a person says so."""
    routing = make()
    id_ = stored(inbox, body=body(data={"pipeline_id": "pl_1", "metadata": {"hops": 3}}))
    routing.route()
    assert {(item.state, item.reason) for item in routing.triggers(id_)} == {(TriggerState.HELD, Reason.LOOP_GUARD)}


@pytest.mark.parametrize(
    ("box", "redacted"),
    [("metadata", "metadata/email"), ("parameters", "parameters/email"), ("parameters", "parameters")],
)
def test_a_chain_that_comes_back_is_held_and_logged_as_it_is(inbox: Inbox, make: Make, box: str, redacted: str) -> None:
    """A DAG passes its conf on to the pipeline that it starts, and the pipeline's event comes back to the DAG."""
    routing = make()
    first = stored(inbox, "evt_1", body=body(id="evt_1", job_id="job_1", data={"pipeline_id": "pl_1"}))
    routing.route()
    cause = routing.triggers(first)[0]
    data = {"pipeline_id": "pl_1", box: {"planasonix": cause.call.conf["planasonix"], "email": "canary-7f3a"}}
    sent = body(id="evt_2", job_id="job_2", data=data)
    second = stored(inbox, "evt_2", body=Redaction.of([f"/data/{redacted}"]).body(sent))
    with capture_logs() as logs:
        routing.route(after=1)
    found = {item.call.dag_id: item for item in routing.triggers(second)}
    held = found.pop(cause.call.dag_id)
    assert (held.state, held.reason) == (TriggerState.HELD, Reason.LOOP_GUARD)
    assert {item.state for item in found.values()} == {TriggerState.PENDING}  # other DAGs are no circle
    assert routing.delivery(second).caused_by == cause.id
    (said,) = (item for item in logs if item["event"] == "trigger_not_fired")
    assert said["chain"] == held.detail
    assert held.detail == f"comes back to {cause.call.dag_id}: {first} -> {cause.id} ({cause.call.dag_id}) -> {second}"


def capped(number: int) -> bytes:
    """Return the completion of a job whose route has a ceiling of two."""
    return body(id=f"evt_{number}", job_id=f"job_{number}", data={"pipeline_id": "pl_capped"})


def test_what_exceeds_a_routes_ceiling_is_held_and_goes_later(inbox: Inbox, make: Make) -> None:
    """A per-route hourly ceiling limits what a stolen secret can do; nothing is lost, and a restart opens nothing."""
    routing = make()
    ids = [stored(inbox, f"evt_{n}", body=capped(n)) for n in range(5)]
    while routing.route():
        pass
    found = [routing.triggers(id_)[0] for id_ in ids]
    assert [item.state for item in found] == [TriggerState.PENDING] * 2 + [TriggerState.HELD] * 3
    assert [item.reason for item in found] == [None] * 2 + [Reason.HOURLY_CEILING] * 3
    hours = [round((item.due_at - found[0].due_at) / timedelta(hours=1)) for item in found]
    assert hours == [0, 0, 1, 1, 2]

    again = make()
    last = stored(inbox, "evt_last", body=capped(5))
    again.route(after=5)
    (after_a_restart,) = again.triggers(last)
    assert after_a_restart.due_at == found[4].due_at


def test_a_store_that_is_away_uses_no_ceiling_up(inbox: Inbox, make: Make, store: Store) -> None:
    """What could not be stored is routed anew, and counts once."""
    routing = make()
    id_ = stored(inbox, body=body(data={"pipeline_id": "pl_once"}))
    store.rows("BEGIN IMMEDIATE")
    with pytest.raises(InboxUnavailable):
        routing.route()
    store.rows("ROLLBACK")
    routing.route()
    (found,) = routing.triggers(id_)
    assert found.state is TriggerState.PENDING


def test_one_that_the_bridge_fails_on_blocks_no_other(inbox: Inbox, make: Make, metrics: Metrics) -> None:
    """An error of the bridge itself puts the delivery off; when it is mended it goes on by itself."""
    routing = make()
    good_mapping = routing.mapping
    id_ = stored(inbox, body=body(data={"pipeline_id": "pl_1"}))
    routing.mapping = None  # whatever the bug is, planning raises something unexpected
    assert routing.route() == 1
    found = routing.delivery(id_)
    assert (found.state, found.reason) == (DeliveryState.RECEIVED, Reason.INTERNAL_ERROR)
    assert 'bridge_internal_errors_total{part="planning"} 1.0' in metrics.exposition().decode()
    routing.mapping = good_mapping
    assert routing.route(after=1) == 0
    assert routing.route(after=60) == 1
    assert routing.delivery(id_).state is DeliveryState.ROUTED


def test_a_backlog_is_routed_batch_by_batch(inbox: Inbox, make: Make) -> None:
    """Not more than a batch at once, and nothing is left over."""
    routing = make()
    accept(inbox, *[f"evt_{number}" for number in range(BATCH + 5)], body=body(data={"pipeline_id": "pl_x"}))
    assert [routing.route() for _ in range(3)] == [BATCH, 5, 0]


# --- look-ups --------------------------------------------------------------------------------------


def test_the_pipeline_of_a_job_is_looked_up(inbox: Inbox, make: Make, api: JobsApi, store: Store) -> None:
    """The documented body names a job only; the API tells its pipeline, and what it told is kept."""
    api.jobs["job_1"] = {"id": "job_1", "pipeline_id": "pl_1", "status": "succeeded", "metrics": {"rows_loaded": 9}}
    routing = make(api=api)
    id_ = stored(inbox, body=body())
    routing.route()
    found = routing.settled(id_)
    assert found.state is DeliveryState.ROUTED
    assert found.lookup == api.jobs["job_1"]
    assert routing.triggers(id_)[0].call.conf["rows"] == 9
    assert api.asked == ["job_1"]


def test_without_an_api_the_reason_says_what_to_do(inbox: Inbox, make: Make) -> None:
    """Unrouted, and the detail names the two ways out."""
    routing = make()
    id_ = stored(inbox, body=body())
    routing.route()
    found = routing.delivery(id_)
    assert (found.state, found.reason) == (DeliveryState.UNROUTED, Reason.NO_ROUTE)
    assert "/hooks/SOURCE/PIPELINE_ID" in (found.detail or "")


def test_a_job_that_nobody_knows_is_asked_for_a_few_times(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """It may be new at the API. Then it is not asked again; the reason is the look-up's and not the mapping's."""
    routing = make(api=api)
    id_ = stored(inbox, body=body())
    for asked in (1, 2):
        _ask_again(routing, api, asked)
        found = routing.delivery(id_)
        assert (found.state, found.reason) == (DeliveryState.RECEIVED, Reason.LOOKUP_NOT_FOUND)
        assert "404" in str(found.detail)
    _ask_again(routing, api, 3)
    found = routing.settled(id_)
    assert (found.state, found.reason) == (DeliveryState.UNROUTED, Reason.LOOKUP_NOT_FOUND)
    assert routing.route(after=7200) == 0
    assert api.asked == ["job_1"] * 3


def test_a_job_that_the_api_knows_a_moment_later_is_routed(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """The webhook was quicker than the API's own store."""
    routing = make(api=api)
    id_ = stored(inbox, body=body())
    _ask_again(routing, api, 1)
    api.jobs["job_1"] = {"id": "job_1", "pipeline_id": "pl_1", "status": "succeeded"}
    _ask_again(routing, api, 2)
    assert routing.settled(id_).state is DeliveryState.ROUTED


@pytest.mark.parametrize("reason", ["lookup_failed", "lookup_queued", None])
def test_only_404s_count_towards_a_job_that_nobody_knows(
    inbox: Inbox, make: Make, api: JobsApi, store: Store, reason: str | None
) -> None:
    """Not an outage before, nor what failed between; also of what waited in the queue, or for which a process died."""
    routing = make(api=api)
    id_ = stored(inbox, body=body())
    store.rows("UPDATE deliveries SET lookups = 5, reason = ?", reason)
    for asked, status in enumerate((500, 404, 500, 404), 1):
        api.status = status
        _ask_again(routing, api, asked)
        assert routing.delivery(id_).state is DeliveryState.RECEIVED
    store.rows("UPDATE deliveries SET reason = ?", reason)
    _ask_again(routing, api, 5)
    assert routing.settled(id_).reason is Reason.LOOKUP_NOT_FOUND
    assert inbox.write(deliveries.reopen, id_, now=routing.now)
    _ask_again(routing, api, 6)
    assert (routing.delivery(id_).state, routing.delivery(id_).not_found) == (DeliveryState.RECEIVED, 1)


def test_a_404_that_is_not_the_apis_is_asked_again(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """A proxy's, during a rollout of the API: however often, the webhook waits, and is routed once the API is back."""
    api.headers = {"Content-Type": "text/plain"}
    routing = make(api=api)
    id_ = stored(inbox, body=body())
    for asked in range(1, 6):
        _ask_again(routing, api, asked)
        found = routing.delivery(id_)
        assert (found.state, found.reason) == (DeliveryState.RECEIVED, Reason.LOOKUP_FAILED)
    api.headers, api.jobs["job_1"] = {}, {"id": "job_1", "pipeline_id": "pl_1", "status": "succeeded"}
    _ask_again(routing, api, 6)
    assert routing.settled(id_).state is DeliveryState.ROUTED


@pytest.mark.parametrize("content", ["ended", "open"])
def test_a_job_that_nobody_knows_is_said(
    inbox: Inbox, make: Make, api: JobsApi, metrics: Metrics, content: str
) -> None:
    """Never a silent no: a warning with the next step, counted for the alert, whether `unrouted` or `ignored`."""
    routing = make(api=api)
    id_ = stored(inbox, body=body() if content == "ended" else COMPLETED)
    with capture_logs() as logs:
        for asked in (1, 2, 3):
            _ask_again(routing, api, asked)
        assert routing.settled(id_).reason is Reason.LOOKUP_NOT_FOUND
        routing.end_lookups()
    (line,) = [log for log in logs if log["event"] == "delivery_routed"]
    assert (line["log_level"], line["reason"], line["next_step"]) == (
        "warning",
        "lookup_not_found",
        Reason.LOOKUP_NOT_FOUND.next_step,
    )
    assert metrics.lookups_given_up.labels("planasonix")._value.get() == 1
    assert [(need.what, need.example) for need in attending.needs(inbox)] == [("lookup_not_found", id_)]


def test_routes_that_need_no_pipeline_fire_all_the_same(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """A job that the API does not know can still match by what the event itself says."""
    routing = make("routes:\n  - event: job.*\n    dag: any\n", api=api)
    id_ = stored(inbox, body=body())
    for asked in (1, 2, 3):
        _ask_again(routing, api, asked)
    assert routing.settled(id_).state is DeliveryState.ROUTED


@pytest.mark.parametrize("status", [500, 503, 429, 401, 302])
def test_an_api_that_cannot_answer_is_asked_later(inbox: Inbox, make: Make, api: JobsApi, status: int) -> None:
    """The delivery waits with the reason, then is asked about again and routed; nothing is lost."""
    api.jobs["job_1"] = {"pipeline_id": "pl_1"}
    api.status = status
    routing = make(api=api)
    id_ = stored(inbox, body=body())
    routing.route()
    wait_for(lambda: routing.delivery(id_).reason is Reason.LOOKUP_FAILED and not routing.router._lookups._asked)
    found = routing.delivery(id_)
    assert (found.state, found.lookups) == (DeliveryState.RECEIVED, 1)
    assert str(status) in (found.detail or "")
    assert routing.route(after=1) == 0
    api.status = 200
    assert routing.route(after=300) == 1
    assert routing.settled(id_).state is DeliveryState.ROUTED


def test_what_the_api_asks_for_is_obeyed(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """Retry-After is the least that is waited."""
    api.status, api.headers = 429, {"Retry-After": "900"}
    routing = make(api=api)
    stored(inbox, body=body())
    routing.route()
    wait_for(lambda: len(api.asked) == 1)
    routing.end_lookups()
    assert routing.route(after=899) == 0
    assert len(inbox.read(deliveries.due, now=routing.now + timedelta(seconds=2), limit=9)) == 1


def _until_asked(routing: Routing, api: JobsApi, times: int) -> None:
    """Wait until the API was asked so often, and what follows is stored."""
    wait_for(lambda: len(api.asked) >= times and not routing.router._lookups._asked)


def _ask_again(routing: Routing, api: JobsApi, times: int) -> None:
    """Let the longest wait pass; returns when the API was asked so often, and what follows is stored."""
    routing.route(after=300)
    _until_asked(routing, api, times)


COMPLETED = b'{"id": "evt_1", "type": "job.completed", "job_id": "job_1"}'  # does not say how the job ended


def test_an_api_that_is_gone_for_a_day_is_given_up(inbox: Inbox, make: Make, api: JobsApi, store: Store) -> None:
    """A job that it fails on, as often as a day has look-ups: unrouted with that reason, and a person is told."""
    api.status = 500
    routing = make(api=api)
    id_ = stored(inbox, body=body())
    store.rows("UPDATE deliveries SET lookups = 550")
    routing.route()
    found = routing.settled(id_)
    assert (found.state, found.reason) == (DeliveryState.UNROUTED, Reason.LOOKUP_FAILED)
    assert [need.what for need in attending.needs(inbox)] == ["lookup_failed"]


@pytest.mark.parametrize("content", [body(), COMPLETED], ids=["ended", "open"])
@pytest.mark.parametrize("status", [401, 403, 429, 502, 503, 504])
def test_an_api_that_refuses_the_key_for_a_week_gives_up_nothing(
    inbox: Inbox, make: Make, api: JobsApi, store: Store, *, status: int, content: bytes
) -> None:
    """Nor one that is down or asks to wait: that says nothing of this job. It is routed once the API answers."""
    api.jobs["job_1"] = {"id": "job_1", "pipeline_id": "pl_1", "status": "succeeded"}
    api.status = status
    routing = make(api=api)
    id_ = stored(inbox, body=content)
    store.rows("UPDATE deliveries SET lookups = 549")  # as after a day
    for asked in (1, 2, 3):
        routing.route(after=300)
        _until_asked(routing, api, asked)
        found = routing.delivery(id_)
        assert (found.state, found.reason, found.lookups) == (DeliveryState.RECEIVED, Reason.LOOKUP_FAILED, 549)
    api.status = 200
    routing.route(after=300)
    assert routing.settled(id_).state is DeliveryState.ROUTED


def test_the_longer_an_api_is_away_the_more_rarely_it_is_asked(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """What is not counted towards giving up is counted until the waits have grown."""
    api.status = 503
    routing = make(api=api)
    id_ = stored(inbox, body=body())
    counted = []
    for asked in range(1, 9):
        routing.route(after=300)
        _until_asked(routing, api, asked)
        counted.append(routing.delivery(id_).lookups)
    assert counted == [1, 2, 3, 4, 5, 5, 5, 5]


@pytest.mark.parametrize("status", [500, 503])
def test_while_the_gate_is_closed_no_look_up_is_given_up(
    inbox: Inbox, make: Make, api: JobsApi, store: Store, status: int
) -> None:
    """Whether a question was let through as the probe, or came too late and was not asked."""
    now = [0.0]
    routing = make(api=api, gate=Gate("planasonix", lambda: now[0]))
    api.status = status
    ids = of_jobs(inbox, 16, api)
    routing.route()
    _until_asked(routing, api, 1)
    assert routing.clients["planasonix"].room(16) == 0
    store.rows("UPDATE deliveries SET lookups = 550")
    for _ in range(3):
        now[0] += 40
        asked = len(api.asked)
        routing.route(after=3600)
        _until_asked(routing, api, asked + 1)
    assert {routing.delivery(id_).state for id_ in ids} == {DeliveryState.RECEIVED}


def test_what_the_gate_stops_on_its_way_is_not_given_up(inbox: Inbox, make: Make, api: JobsApi, store: Store) -> None:
    """Sixteen begin, the first four find the API down, and the others are not asked at all."""
    routing = make(api=api, gate=Gate("planasonix", lambda: 0.0))
    api.status = 503
    ids = of_jobs(inbox, 16, api)
    store.rows("UPDATE deliveries SET lookups = 550")
    routing.route()
    _until_asked(routing, api, 1)
    assert len(api.asked) < len(ids)
    found = [routing.delivery(id_) for id_ in ids]
    assert {(each.state, each.lookups) for each in found} == {(DeliveryState.RECEIVED, 550)}
    assert any("not asked now" in str(each.detail) for each in found)


@pytest.mark.parametrize("status", [403, 502, 504])
def test_one_job_that_the_api_refuses_holds_up_no_other(
    inbox: Inbox, make: Make, api: JobsApi, store: Store, status: int
) -> None:
    """As of a connection that the key may not read: the others are routed, and it is given up after its limit."""
    routing = make(api=api, gate=Gate("planasonix", lambda: 0.0))  # a gate that is closed stays so
    api.statuses = {"job_bad": status}
    bad = stored(inbox, "evt_bad", body=body("evt_bad", job_id="job_bad"))
    ids = of_jobs(inbox, 60, api)

    def all_routed() -> bool:
        routing.route()
        return all(routing.delivery(id_).state is DeliveryState.ROUTED for id_ in ids)

    wait_for(all_routed)
    assert routing.delivery(bad).state is DeliveryState.RECEIVED
    store.rows("UPDATE deliveries SET lookups = 549 WHERE state = 'received'")
    for _ in range(2):
        asked = len(api.asked)
        routing.route(after=300)
        _until_asked(routing, api, asked + 1)
    found = routing.settled(bad)
    assert (found.state, found.reason) == (DeliveryState.UNROUTED, Reason.LOOKUP_FAILED)


def test_what_was_asked_about_in_vain_goes_after_what_was_not(
    inbox: Inbox, make: Make, api: JobsApi, store: Store
) -> None:
    """Of what waits for a place; but not for ever."""
    routing = make(api=api)
    api.gate.clear()
    of_jobs(inbox, 16, api)  # they take all places
    routing.route()
    for event in ("again", "first"):
        stored(inbox, event, body=body(event, job_id=event))
    store.rows("UPDATE deliveries SET lookups = 3 WHERE event_id = 'again'")
    routing.route()
    order = "SELECT event_id FROM deliveries WHERE reason = 'lookup_queued' ORDER BY due_at"
    assert [event for (event,) in store.rows(order)] == ["first", "again"]
    store.rows("UPDATE deliveries SET reason = NULL, due_at = received_at WHERE event_id = 'first'")
    routing.route(after=2000)
    assert [event for (event,) in store.rows(order)] == ["again", "first"]
    api.gate.set()


@pytest.mark.parametrize(("content", "state"), [(body(), "unrouted"), (COMPLETED, "ignored")], ids=["ended", "open"])
def test_a_look_up_that_was_given_up_needs_a_person(
    inbox: Inbox, make: Make, api: JobsApi, store: Store, *, metrics: Metrics, content: bytes, state: str
) -> None:
    """Until it is replayed, or a week old; it is counted, and a warning with the next step."""
    api.status = 500
    routing = make(api=api)
    id_ = stored(inbox, body=content)
    store.rows("UPDATE deliveries SET lookups = 550")
    with capture_logs() as logs:
        routing.route()
        routing.settled(id_)
        routing.end_lookups()
    (line,) = [log for log in logs if log["event"] == "delivery_routed"]
    assert (line["log_level"], line["reason"], line["next_step"]) == (
        "warning",
        "lookup_failed",
        Reason.LOOKUP_FAILED.next_step,
    )
    assert metrics.lookups_given_up.labels("planasonix")._value.get() == 1
    (need,) = attending.needs(inbox, now=routing.now + timedelta(days=6))
    assert (need.what, need.example, need.count) == ("lookup_failed", id_, 1)
    assert need.filter == {"state": state, "source": "planasonix", "reason": "lookup_failed"}
    assert attending.needs(inbox, now=routing.now + timedelta(days=8)) == []
    assert inbox.write(deliveries.reopen, id_, now=routing.now)
    assert [need.what for need in attending.needs(inbox)] == []


ALL = "routes:\n  - {name: all, source: planasonix, dag: log}\n"


@pytest.mark.parametrize(
    ("route", "is_given_up"),
    [
        ("{name: orders, pipeline: pl_1, dag: load}", True),
        ("{name: orders, pipeline_name: Orders, dag: load}", True),
        ("{name: orders, pipeline: pl_1, dag: load, enabled: false}", False),
        ("{name: orders, pipeline: pl_1, dag: load, on: failed}", False),  # it does not fit, whatever the pipeline
        ("{name: orders, environment: prod, dag: load}", False),  # the API does not know it
        ("{name: orders, event: job.*, dag: load}", False),
    ],
)
@pytest.mark.parametrize(("status", "reason"), [(500, Reason.LOOKUP_FAILED), (404, Reason.LOOKUP_NOT_FOUND)])
def test_routes_that_nobody_could_judge_are_said_though_another_one_matched(
    inbox: Inbox,
    make: Make,
    api: JobsApi,
    store: Store,
    *,
    metrics: Metrics,
    status: int,
    reason: Reason,
    route: str,
    is_given_up: bool,
) -> None:
    """The one that matches runs; the reason, the names of the others, a count, a warning and a need until a replay."""
    api.status = status
    routing = make(f"{ALL}  - {route}\n", api=api)
    id_ = stored(inbox, body=body())
    store.rows("UPDATE deliveries SET lookups = 550")
    with capture_logs() as logs:
        routing.route()
        found = routing.settled(id_)
        routing.end_lookups()
    (line,) = [log for log in logs if log["event"] == "delivery_routed"]
    assert (found.state, routing.triggers(id_)[0].call.route) == (DeliveryState.ROUTED, "all")
    assert found.reason is (reason if is_given_up else None)
    assert metrics.lookups_given_up.labels("planasonix")._value.get() == is_given_up
    if not is_given_up:
        assert (line["log_level"], attending.needs(inbox)) == ("info", [])
        return
    assert "nobody knows whether it is for these routes too: orders" in str(found.detail)
    assert (line["log_level"], line["next_step"]) == ("warning", reason.next_step)
    (need,) = attending.needs(inbox)
    assert (need.what, need.example, need.filter["state"] if need.filter else "") == (str(reason), id_, "routed")
    assert "may start fewer DAG runs than they should" in need.says
    assert inbox.write(deliveries.reopen, id_, now=routing.now)
    assert attending.needs(inbox) == []


def test_a_bridge_that_was_stopped_for_a_day_gives_no_lookup_up(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """Nobody asked meanwhile, so the first look-up that fails is the first."""
    api.jobs["job_1"] = {"pipeline_id": "pl_1"}
    api.status = 500
    routing = make(api=api)
    id_ = stored(inbox, body=body())
    routing.route(after=25 * 3600)
    wait_for(lambda: routing.delivery(id_).reason is Reason.LOOKUP_FAILED and not routing.router._lookups._asked)
    assert routing.delivery(id_).state is DeliveryState.RECEIVED
    api.status = 200
    routing.route(after=300)
    assert routing.settled(id_).state is DeliveryState.ROUTED


def test_a_slow_api_does_not_hold_up_what_needs_none(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """Fifty events wait for their look-up; the one that carries its pipeline is routed at once."""
    routing = make(api=api)
    api.gate.clear()
    waiting = of_jobs(inbox, 50, api)
    whole = stored(inbox, "evt_whole", body=body(data={"pipeline_id": "pl_1"}))
    routing.route()
    assert routing.delivery(whole).state is DeliveryState.ROUTED
    api.gate.set()
    for _ in range(20):
        wait_for(lambda: not routing.router._lookups._asked)
        routing.route(after=2)
    assert {routing.settled(item).state for item in waiting} == {DeliveryState.ROUTED}


def test_what_waits_for_a_look_up_is_planned_once_and_again_with_the_answer(
    inbox: Inbox, make: Make, api: JobsApi
) -> None:
    """However long the API hangs and however often its time comes, no other plan is made; all are looked up at last."""
    api.gate.clear()
    routing = make(api=api)
    ids = of_jobs(inbox, BATCH + 20, api)
    for seconds in (1, 1, 1, 60, 3700, 3700):
        routing.route(after=seconds)
        routing.route()
    assert routing.plans == len(ids)
    assert {routing.delivery(id_).state for id_ in ids} == {DeliveryState.RECEIVED}
    api.gate.set()
    _until_routed(routing, ids)
    assert routing.plans == 2 * len(ids)


def _until_routed(routing: Routing, ids: list[str]) -> None:
    """Route until nothing waits; never beside a look-up that is just ending, so that plans can be counted."""
    for _ in ids:
        wait_for(lambda: not routing.router._lookups._asked)
        routing.route(after=20)
    wait_for(lambda: not routing.router._lookups._asked)
    assert {routing.delivery(id_).state for id_ in ids} == {DeliveryState.ROUTED}


def test_an_api_that_refuses_costs_no_plan_either(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """Each failed look-up is followed by the next one, without a plan between them."""
    api.jobs["job_1"] = {"pipeline_id": "pl_1"}
    api.status = 503
    routing = make(api=api)
    id_ = stored(inbox, body=body())
    for _ in range(5):
        routing.route(after=300)
        wait_for(lambda: not routing.router._lookups._asked)
    assert (routing.delivery(id_).lookups, routing.plans) == (5, 1)
    api.status = 200
    routing.route(after=300)
    assert routing.settled(id_).state is DeliveryState.ROUTED


def test_what_waits_for_a_place_is_drawn_by_whoever_has_one(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """A crash loses none: the next process draws them at once, those that waited longest first, and plans none anew."""
    api.gate.clear()
    first, second = make(api=api), make(api=api)
    ids = of_jobs(inbox, 40, api)
    first.route()
    queued = [id_ for id_ in ids if first.delivery(id_).reason is Reason.LOOKUP_QUEUED]
    assert len(queued) == 24
    assert second.route() == 16
    assert [id_ for id_ in queued if second.delivery(id_).reason is None] == queued[:16]
    assert second.plans == 0
    api.gate.set()
    _until_routed(second, ids)


def test_a_slow_api_of_one_source_holds_up_no_look_up_of_another(
    inbox: Inbox, store: Store, make: Make, api: JobsApi
) -> None:
    """However many wait for the one that hangs, and since when: each source has threads, places and a queue."""
    with JobsApi() as quick:
        api.gate.clear()
        routing = make(api=api, other=quick)
        slow = of_jobs(inbox, 40, api)
        routing.route()
        others = of_jobs(inbox, 20, quick, source="other")
        for _ in range(3):
            wait_for(lambda: {item.source for item, _ in routing.router._lookups._asked.values()} <= {"planasonix"})
            routing.route(after=1)
        assert {routing.settled(id_).state for id_ in others} == {DeliveryState.ROUTED}
        assert {routing.delivery(id_).state for id_ in slow} == {DeliveryState.RECEIVED}
        # 16 have a place each; some may have had theirs and were given up by now.
        assert 0 < store.one("SELECT COUNT(*) FROM deliveries WHERE reason = 'lookup_queued'") <= 24
        api.gate.set()
        _until_routed(routing, slow)


def test_a_free_place_wakes_the_router(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """What waits for a place does not wait for the next look of the clock."""
    routing = make(api=api)
    stored(inbox, body=body())
    routing.route()
    wait_for(routing.router.loop._wake.is_set)


def test_without_its_api_a_delivery_waits_for_no_look_up(inbox: Inbox, store: Store, make: Make) -> None:
    """A source that has lost its `api` while it waited is routed by what the bodies say."""
    id_ = stored(inbox, body=body())
    store.rows("UPDATE deliveries SET reason = 'lookup_queued', due_at = 9000000000000000")
    routing = make()
    assert routing.route() == 1
    assert routing.delivery(id_).state is DeliveryState.UNROUTED


def test_lookups_that_did_not_begin_are_due_when_the_router_has_stopped(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """The next process, or another replica, does not wait for their lease."""
    routing = make(api=api)
    ids = of_jobs(inbox, 8, api)
    api.gate.clear()
    routing.route()
    wait_for(lambda: len(api.asked) == 4)
    routing.router.loop.start()
    stopping = threading.Thread(target=routing.router.loop.stop, args=(10,))
    stopping.start()
    wait_for(lambda: routing.router._lookups._threads["planasonix"]._work_queue.qsize() == 0 or not stopping.is_alive())
    api.gate.set()
    stopping.join()
    waiting = inbox.read(deliveries.due, now=routing.now, limit=9)
    assert sorted(item.id for item in waiting) == sorted(ids[4:])


def test_a_look_up_under_way_is_nobody_elses_and_a_dead_ones_is_due_after_a_lease(
    inbox: Inbox, make: Make, api: JobsApi
) -> None:
    """Its lease of 30 s is renewed for as long as the process that asks is alive."""
    api.gate.clear()
    routing = make(api=api)
    id_ = stored(inbox, body=body())
    routing.route()
    routing.route(after=20)
    assert inbox.read(deliveries.due, now=routing.now + timedelta(seconds=29), limit=9) == []
    assert [item.id for item in inbox.read(deliveries.due, now=routing.now + timedelta(seconds=31), limit=9)] == [id_]
    api.gate.set()


def test_a_lease_that_lapsed_under_way_asks_nothing_twice(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """As when the store was away for longer than a lease: the one that is asking goes on."""
    api.jobs["job_1"] = {"pipeline_id": "pl_1"}
    api.gate.clear()
    routing = make(api=api)
    id_ = stored(inbox, body=body())
    routing.route()
    wait_for(lambda: len(api.asked) == 1)
    routing.router._lookups._renew_at = float("inf")
    assert routing.route(after=40) == 1
    assert routing.route(after=20) == 0
    api.gate.set()
    assert routing.settled(id_).state is DeliveryState.ROUTED
    assert len(api.asked) == 1


def test_an_answer_that_contradicts_the_event(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """An API that names another job is not believed, and that is said."""
    api.jobs["job_1"] = {"id": "job_2", "pipeline_id": "pl_1"}
    routing = make(api=api)
    id_ = stored(inbox, body=body())
    routing.route()
    found = routing.settled(id_)
    assert (found.state, found.reason) == (DeliveryState.UNROUTED, Reason.NO_ROUTE)
    assert "lookup adds nothing: the Planasonix API answered for another job" in str(found.detail)


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ({"pipeline_id": "two words"}, (DeliveryState.INVALID, "pipeline_id is not an id")),
        ({"pipeline_id": "pl_1", "environment": ""}, (DeliveryState.ROUTED, "")),
        ({"pipeline_id": "pl_1", "parameters": "x"}, (DeliveryState.ROUTED, "parameters is not an object")),
    ],
)
def test_an_answer_that_cannot_be_read(
    inbox: Inbox, make: Make, api: JobsApi, job: dict[str, Any], expected: tuple[DeliveryState, str]
) -> None:
    """It ends in a state with a reason instead of a look-up that repeats forever; only what a route needs stops it."""
    state, note = expected
    api.jobs["job_1"] = job
    routing = make(api=api)
    id_ = stored(inbox, body=body())
    routing.route()
    found = routing.settled(id_)
    assert found.state is state
    assert note in str(found.detail)


def test_a_job_whose_end_the_api_does_not_know_yet_is_asked_for_again(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """`job.completed` says that it ended and not how; an answer from before the end loses nothing."""
    api.jobs["job_1"] = {"id": "job_1", "pipeline_id": "pl_1", "status": "running"}
    routing = make(api=api)
    id_ = stored(inbox, body=b'{"id": "evt_1", "type": "job.completed", "job_id": "job_1"}')
    routing.route()
    wait_for(lambda: routing.delivery(id_).reason is Reason.LOOKUP_FAILED and not routing.router._lookups._asked)
    assert routing.delivery(id_).state is DeliveryState.RECEIVED
    api.jobs["job_1"]["status"] = "succeeded"
    routing.route(after=3600)
    assert routing.settled(id_).state is DeliveryState.ROUTED


def test_the_thread_routes_what_comes(inbox: Inbox, make: Make) -> None:
    """Woken by an accepted webhook it routes it; stopped it ends."""
    routing = make()
    routing.router.loop.start()
    try:
        id_ = stored(inbox, body=body(data={"pipeline_id": "pl_1"}))
        routing.router.wake()
        routing.settled(id_)
    finally:
        routing.router.loop.stop(10)


def test_look_ups_that_do_not_end_are_given_back(inbox: Inbox, store: Store, make: Make, api: JobsApi) -> None:
    """Stopped while the API does not answer: it takes no longer than the limit, and whoever is next asks at once."""
    api.gate.clear()
    routing = make(api=api)
    ids = of_jobs(inbox, 8, api)
    routing.router.loop.start()
    wait_for(lambda: len(routing.router._lookups._asked) == 8)
    began = time.monotonic()
    routing.router.loop.stop(0.3)
    assert time.monotonic() - began < 45  # the API would take 60 s
    now = int(routing.now.timestamp() * 1_000_000)
    assert store.one("SELECT COUNT(*) FROM deliveries WHERE state = 'received' AND due_at <= ?", now) == len(ids)
    api.gate.set()


def test_what_cannot_be_decrypted_waits_and_stops_nobody(path: Path, inbox: Inbox, make: Make) -> None:
    """It is put off with the reason, others are routed; with its key back it goes the usual way."""
    sealed = Inbox(f"sqlite:///{path}", ring=Ring({"lost": bytes(range(32))}, os.urandom))
    waiting = stored(sealed, "evt_1", body=body("evt_1", data={"pipeline_id": "pl_1"}))
    other = stored(inbox, "evt_2", body=body("evt_2", data={"pipeline_id": "pl_1"}))
    routing = make()
    assert routing.route(after=3) == 2
    assert routing.delivery(other).state is not DeliveryState.RECEIVED
    found = routing.delivery(waiting)
    assert (found.state, found.reason) == (DeliveryState.RECEIVED, Reason.KEY_MISSING)
    assert "'lost' is not configured" in str(found.detail)
    assert routing.route(after=1) == 0
    with pytest.raises(Locked, match="'lost' is not configured"):
        Subject.of(found)
    routing.inbox = routing.router._inbox = sealed
    assert routing.route(after=60) == 1
    assert routing.delivery(waiting).state is routing.delivery(other).state
    sealed.close()


def test_what_the_api_tells_is_redacted(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """The answer is stored without the value that the source's redaction names, and templates do not see it."""
    api.jobs["job_1"] = {"id": "job_1", "pipeline_id": "pl_1", "parameters": {"email": "canary-7f3a"}}
    routing = make(api=api)
    redaction = Redaction.of(["/data/parameters/email"])
    verifier = make_verifier(PRESETS["planasonix"], [Key("a", b"whsec_4f7d1c0b9a8e7d6c5b4a39281706f5e4")])
    routing.router._sources = {"planasonix": Source("planasonix", verifier, redaction=redaction)}
    delivery_id = stored(inbox, "evt_1", body=body("evt_1"))
    routing.route(after=3)
    found = routing.settled(delivery_id)
    assert found.lookup == api.jobs["job_1"] | {"parameters": {"email": "[redacted]"}}
    assert "canary-7f3a" not in repr(routing.triggers(delivery_id))


# --- one call a job, and none while the API is down -------------------------------------------------

_RUN = {"id": "run_1", "pipelineId": "pl_1", "pipelineName": "orders", "status": "succeeded", "durationSeconds": 7}


def test_the_pipeline_of_a_run_is_looked_up(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """An event with a run and no job: the run is asked for, and its answer is kept as looked up."""
    api.runs["run_1"] = _RUN
    routing = make(api=api)
    content = b'{"id": "evt_1", "type": "load.finished", "run_id": "run_1", "status": "success"}'
    id_ = stored(inbox, body=content)
    routing.route()
    found = routing.settled(id_)
    assert (found.state, found.lookup, api.asked) == (DeliveryState.ROUTED, _RUN, ["run_1"])
    assert found.body == content
    assert routing.triggers(id_)[0].call.conf["planasonix"]["pipeline_id"] == "pl_1"


def test_a_run_is_asked_for_if_nobody_knows_the_job(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """By whatever the event has."""
    api.runs["run_1"] = _RUN
    routing = make(api=api)
    id_ = stored(inbox, body=body(run_id="run_1"))
    routing.route()
    assert routing.settled(id_).state is DeliveryState.ROUTED
    assert api.asked == ["job_1", "run_1"]


def test_a_run_that_nobody_knows_either_is_said(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """After a few times it is not asked again."""
    routing = make(api=api)
    id_ = stored(inbox, body=body(run_id="run_1"))
    for asked in (2, 4, 6):
        _ask_again(routing, api, asked)
    assert routing.settled(id_).reason is Reason.LOOKUP_NOT_FOUND
    assert routing.route(after=7200) == 0


_JOB = {"id": "job_1", "pipeline_id": "pl_1", "status": "succeeded"}


def test_a_job_is_asked_for_once_however_many_events_tell_of_it(inbox: Inbox, make: Make, api: JobsApi) -> None:
    """At the same time and later: the others take what was answered. Another end of the job is asked for."""
    api.jobs["job_1"] = _JOB
    api.gate.clear()
    routing = make(api=api)
    ids = [stored(inbox, f"evt_{number}", body=body(f"evt_{number}")) for number in range(4)]
    routing.route()
    wait_for(lambda: len(routing.router._lookups._asked) == 1)  # the others have found it claimed
    api.gate.set()
    for _ in range(5):
        wait_for(lambda: not routing.router._lookups._asked)
        routing.route(after=2)
    ids.append(stored(inbox, "evt_later", body=body("evt_later", type="job.completed", data={"status": "completed"})))
    routing.route()
    assert {(routing.settled(id_).state, routing.delivery(id_).lookup == _JOB) for id_ in ids} == {
        (DeliveryState.ROUTED, True)
    }
    assert api.asked == ["job_1"]

    again = stored(inbox, "evt_failed", body=body("evt_failed", type="job.failed", data={"status": "failed"}))
    routing.route()
    routing.settled(again)
    assert api.asked == ["job_1", "job_1"]


def test_a_job_is_asked_for_once_by_all_replicas(make: Make, api: JobsApi, postgres: str) -> None:
    """Two events of one job at two replicas on one PostgreSQL: who comes second waits for the answer of the first."""
    api.jobs["job_1"] = _JOB
    api.gate.clear()
    prepare(postgres)
    with closing(Inbox(postgres)) as item, closing(Inbox(postgres)) as other:
        first, second = make(api=api, store=item), make(api=api, store=other)
        ids = [stored(inbox, f"evt_{n}", body=body(f"evt_{n}")) for n, inbox in enumerate((item, other))]
        first.route()
        wait_for(lambda: len(api.asked) == 1)
        second.route()
        wait_for(lambda: not second.router._lookups._asked)
        assert {second.delivery(id_).state for id_ in ids} == {DeliveryState.RECEIVED}
        api.gate.set()
        wait_for(lambda: any(first.delivery(id_).state is DeliveryState.ROUTED for id_ in ids))  # ids of one instant
        wait_for(lambda: not first.router._lookups._asked)
        assert not item.write(lambda connection: connection.exec_driver_sql("SELECT name FROM duties").all())
        second.route(after=2)
        assert [second.settled(id_).lookup for id_ in ids] == [_JOB, _JOB]
        assert api.asked == ["job_1"]
        for each in (first, second):
            each.end_lookups()


def test_while_the_api_is_down_one_delivery_at_a_time_asks_and_the_rest_waits(
    inbox: Inbox, make: Make, api: JobsApi
) -> None:
    """The others wait in the queue and cost no call; once a probe is answered all are routed."""
    now = [0.0]
    routing = make(api=api, gate=Gate("planasonix", lambda: now[0]))
    api.status = 503
    ids = of_jobs(inbox, 30, api)
    routing.route()
    wait_for(lambda: not routing.router._lookups._asked)
    asked = len(api.asked)
    assert 1 <= asked <= 4  # those that were under way together
    for _ in range(3):
        routing.route(after=300)
        wait_for(lambda: not routing.router._lookups._asked)
    assert len(api.asked) == asked
    now[0] += 5
    routing.route(after=300)
    wait_for(lambda: not routing.router._lookups._asked)
    assert len(api.asked) == asked + 1
    api.status = 200
    for _ in range(20):
        now[0] += 40
        routing.route(after=300)
        wait_for(lambda: not routing.router._lookups._asked)
    assert {routing.delivery(id_).state for id_ in ids} == {DeliveryState.ROUTED}


# --- a replay of a delivery takes back what waits for the old call ---------------------------------


def _replay(routing: Routing, delivery_id: str) -> str:
    return routing.inbox.write(replays.replay, delivery_id, actor="test", reason=None, new_id=None, now=routing.now)


@pytest.mark.parametrize("state", ["pending", "held", "failed"])
def test_after_a_mended_dag_name_nothing_waits_for_the_old_one(
    inbox: Inbox, store: Store, make: Make, mapping: Callable[..., Mapping], state: str
) -> None:
    """The trigger for the wrong DAG is `superseded`, so it neither waits a day nor asks for a person any more."""
    routing = make("routes: [{name: r, pipeline: pl_1, dag: wrong}]")
    id_ = stored(inbox, body=body(data={"pipeline_id": "pl_1"}))
    routing.route()
    store.rows("UPDATE triggers SET state = ?, reason = 'dag_not_found'", state)
    routing.mapping = mapping("routes: [{name: r, pipeline: pl_1, dag: right}]")
    assert _replay(routing, id_) == "routed_again"
    routing.route(after=1)
    old, new = routing.triggers(id_)
    assert (old.call.dag_id, old.state, old.reason) == ("wrong", TriggerState.CANCELLED, Reason.SUPERSEDED)
    assert (new.call.dag_id, new.state) == ("right", TriggerState.PENDING)


def test_what_is_held_for_a_misnamed_dag_goes_to_the_right_one_when_replayed(
    inbox: Inbox, store: Store, make: Make, mapping: Callable[..., Mapping]
) -> None:
    """By an order for all that is held so; what the mapping still asks for keeps its trigger and DAG run id."""
    routing = make("routes: [{name: r, pipeline: pl_1, dag: [wrong, late]}]")
    id_ = stored(inbox, body=body(data={"pipeline_id": "pl_1"}))
    routing.route()
    wrong, late = routing.triggers(id_)
    store.rows("UPDATE triggers SET state = 'held', reason = 'dag_not_found', awaits = 'there'")
    routing.mapping = mapping("routes: [{name: r, pipeline: pl_1, dag: [right, late]}]")
    held = ordering.select(inbox, Filter(state="held", reason="dag_not_found"))
    order = ordering.place(inbox, NewOrder(Action.REPLAY, "cli:ada", "these"), held)
    assert ordering.carry_out(inbox, order, clock=lambda: routing.now).outcomes == {"routed_again": 2}
    routing.route(after=1)
    found = {item.call.dag_id: item for item in routing.triggers(id_)}
    stand = {dag_id: (str(item.state), item.reason) for dag_id, item in found.items()}
    assert stand == {"wrong": ("cancelled", Reason.SUPERSEDED), "late": ("pending", None), "right": ("pending", None)}
    assert (found["late"].id, found["late"].call.dag_run_id) == (late.id, late.call.dag_run_id)
    assert found["wrong"].id == wrong.id


@pytest.mark.parametrize("change", ["UPDATE triggers SET doubted_at = 1", "UPDATE triggers SET rerun = 1"])
def test_what_may_have_started_or_was_asked_for_is_replayed_under_its_own_name(
    inbox: Inbox, store: Store, make: Make, mapping: Callable[..., Mapping], change: str
) -> None:
    """A call of it may have made its DAG run, or routing knows nothing of it: the same call again."""
    routing = make("routes: [{name: r, pipeline: pl_1, dag: wrong}]")
    id_ = stored(inbox, body=body(data={"pipeline_id": "pl_1"}))
    routing.route()
    store.rows("UPDATE triggers SET state = 'held', reason = 'dag_not_found', awaits = 'there'")
    store.rows(change)
    routing.mapping = mapping("routes: [{name: r, pipeline: pl_1, dag: right}]")
    (old,) = routing.triggers(id_)
    assert _replay(routing, old.id) == "queued"
    (again,) = routing.triggers(id_)
    assert (again.call, again.state) == (old.call, TriggerState.PENDING)


def test_after_a_route_was_renamed_a_replay_starts_one_run(
    inbox: Inbox, store: Store, make: Make, mapping: Callable[..., Mapping]
) -> None:
    """What is taken back stands in nobody's way, whatever its route is called now."""
    routing = make("routes: [{name: old, pipeline: pl_1, dag: load}]")
    id_ = stored(inbox, body=body(data={"pipeline_id": "pl_1"}))
    routing.route()
    store.rows("UPDATE triggers SET state = 'held', reason = 'dag_refuses_runs'")
    routing.mapping = mapping("routes: [{name: new, pipeline: pl_1, dag: load}]")
    _replay(routing, id_)
    routing.route(after=1)
    assert [(item.call.route, str(item.state)) for item in routing.triggers(id_)] == [
        ("old", "cancelled"),
        ("new", "pending"),
    ]


def test_a_replay_renews_the_call_that_the_mapping_still_asks_for(
    inbox: Inbox, store: Store, make: Make, mapping: Callable[..., Mapping]
) -> None:
    """Under the same trigger and DAG run id, with today's conf; what was fired stays, and so does a new run."""
    routing = make("routes: [{pipeline: pl_1, dag: [waits, ran], name: r, conf: {size: 1}}]")
    id_ = stored(inbox, body=body(data={"pipeline_id": "pl_1"}))
    routing.route()
    waits, ran = routing.triggers(id_)
    store.rows("UPDATE triggers SET state = 'fired' WHERE dag_id = 'ran'")
    store.rows("UPDATE triggers SET state = 'held', reason = 'loop_guard', attempts = 7 WHERE dag_id = 'waits'")
    inbox.write(replays.replay, ran.id, actor="test", reason=None, new_id=inbox.new_trigger_id(), now=routing.now)
    routing.mapping = mapping("routes: [{pipeline: pl_1, dag: [waits, ran], name: r, conf: {size: 2}}]")
    _replay(routing, id_)
    routing.route(after=1)
    found = {(item.call.dag_id, item.rerun): item for item in routing.triggers(id_)}
    renewed = found["waits", 0]
    assert (renewed.id, renewed.state, renewed.reason, renewed.attempts) == (waits.id, TriggerState.PENDING, None, 0)
    assert (renewed.call.conf["size"], renewed.call.dag_run_id) == (2, waits.call.dag_run_id)
    assert (found["ran", 0].state, found["ran", 0].call.conf["size"]) == (TriggerState.FIRED, 1)
    assert found["ran", 1].state is TriggerState.PENDING


def test_a_delivery_that_is_being_fired_is_left_alone(inbox: Inbox, store: Store, make: Make) -> None:
    """Its call could come back and wait for what is asked for no more; nothing else of it is touched."""
    routing = make()
    id_ = stored(inbox, body=body(data={"pipeline_id": "pl_1"}))
    routing.route()
    claimed = inbox.write(
        claiming.claim,
        airflow="default",
        now=routing.now,
        until=routing.now + timedelta(seconds=9),
        token="t",
        limit=1,
        routes=None,
    )
    before = store.rows("SELECT id, state, reason FROM triggers ORDER BY id")
    assert (len(claimed), len(before)) == (1, 3)
    assert _replay(routing, id_) == "busy"
    assert store.rows("SELECT id, state, reason FROM triggers ORDER BY id") == before
    assert routing.delivery(id_).state is DeliveryState.ROUTED


def test_a_trigger_whose_conf_was_refused_takes_back_no_other(inbox: Inbox, store: Store, make: Make) -> None:
    """Whoever replays one trigger says nothing about those beside it."""
    routing = make()
    id_ = stored(inbox, body=body(data={"pipeline_id": "pl_1"}))
    routing.route()
    refused, *others = routing.triggers(id_)
    store.rows("UPDATE triggers SET state = 'held', reason = 'loop_guard'")
    store.rows("UPDATE triggers SET state = 'failed', reason = 'conf_refused' WHERE dag_id = ?", refused.call.dag_id)
    assert _replay(routing, refused.id) == "routed_again"
    routing.route(after=1)
    assert [item.state for item in routing.triggers(id_)] == [TriggerState.PENDING] + [TriggerState.HELD] * len(others)
