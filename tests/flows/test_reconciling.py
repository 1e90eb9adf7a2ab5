"""Webhooks that never came are made up for, each once, on both stores and against a Planasonix API on loopback."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.edges.inbox import Inbox
from bridge.edges.inbox.engine.ids import delivery_text
from bridge.edges.inbox.engine.ids import number as row_of
from bridge.edges.metrics import Metrics
from bridge.edges.planasonix import PlanasonixClient
from bridge.flows.erasing import Erasure, erase
from bridge.flows.reconciling import Reconciling
from bridge.flows.routing import Router
from bridge.rules.event.spelling import Spelling, read_fields
from bridge.rules.mapping import Mapping
from bridge.rules.signature import PRESETS, Key, make_verifier
from bridge.rules.sources import Source
from bridge.words.targets import PlanasonixApi, Reconcile, Secret
from tests.support import service
from tests.support.jobs_api import JobsApi, body, inside, wrapped
from tests.support.store import Store, accept, stored

ROUTES = """
routes:
  - {name: orders, pipeline: pl_1, dag: load_orders}
  - {name: report, pipeline: pl_1, dag: report}
  - {name: alarm, pipeline: pl_1, on: failed, dag: alarm}
"""
LIVE = (
    "SELECT c.about_id, t.route, COUNT(*) FROM triggers t JOIN completions c ON c.delivery_id = t.delivery_id"
    " WHERE t.state = 'pending' GROUP BY c.about_id, t.route"
)
SETTING = Reconcile(types=("job.succeeded", "job.failed"))
Make = Callable[..., "Bridge"]


def job(name: str = "job_1", *, minutes: float = 30, status: str = "succeeded", **more: Any) -> dict[str, Any]:
    """Return a job as the API tells of it, that ended so many minutes ago."""
    ended = datetime.now(UTC) - timedelta(minutes=minutes)
    at = {"started_at": (ended - timedelta(minutes=5)).isoformat(), "finished_at": ended.isoformat()}
    return {"id": name, "type": "connection_sync", "status": status, "pipeline_id": "pl_1", **at, **more}


class Bridge:
    """Routing and reconciling over one store. The clock is the test's."""

    def __init__(self, url: str, mapping: Mapping, api: JobsApi, setting: Reconcile = SETTING) -> None:
        self.inbox, self.store, self.api = Inbox(url), Store(url), api
        self.metrics = Metrics(keys_by_source={"planasonix": ["current"]}, airflows=["default"])
        self.client = PlanasonixClient(PlanasonixApi(api.url, Secret("k" * 30), timeout_seconds=60))
        self.ahead = timedelta(seconds=1)
        verifier = make_verifier(PRESETS["planasonix"], [Key("current", b"s" * 32)])
        self.source = Source("planasonix", verifier, True)
        self.setting = setting
        self.router = Router(
            inbox=self.inbox,
            mapping=lambda: mapping,
            sources={"planasonix": self.source},
            apis={"planasonix": self.client},
            metrics=self.metrics,
            on_routed=lambda: None,
            max_hops=3,
            lease_seconds=30,
            clock=self.now,
        )
        self.reconciling = self.another()

    def now(self) -> datetime:
        """Return the test's time."""
        return datetime.now(UTC) + self.ahead

    def another(self, **setting: Any) -> Reconciling:
        """Return what this process would have after a restart."""
        return Reconciling(
            self.source,
            self.client,
            inbox=self.inbox,
            metrics=self.metrics,
            setting=replace(self.setting, **setting),
            retention=timedelta(days=30),
            on_added=lambda: None,
            clock=self.now,
        )

    def look(self) -> None:
        """Look once, and route what follows."""
        self.reconciling.step()
        self.router.route_due()

    def amount(self) -> int:
        """Return how many deliveries no webhook brought."""
        return int(self.store.one("SELECT COUNT(*) FROM deliveries WHERE key_id = ':reconciled'"))

    def runs(self) -> dict[tuple[str, str], int]:
        """Return how many DAG runs are to be started, by job and route."""
        return {(about, route): amount for about, route, amount in self.store.rows(LIVE)}

    def metric(self, text: str) -> bool:
        """Whether a scrape has this line."""
        return text in self.metrics.exposition().decode().splitlines()

    def close(self) -> None:
        """Let go of everything."""
        self.reconciling.loop.stop(1)
        self.router.loop.stop(1)
        self.client.close()
        self.store.close()
        self.inbox.close()


@pytest.fixture
def api() -> Iterator[JobsApi]:
    """A Planasonix API."""
    with JobsApi() as api:
        yield api


@pytest.fixture
def make(url: str, mapping: Callable[..., Mapping], api: JobsApi) -> Iterator[Make]:
    """Make a bridge over the test's store."""
    built: list[Bridge] = []

    def build(setting: Reconcile = SETTING) -> Bridge:
        built.append(Bridge(url, mapping(ROUTES), api, setting))
        return built[-1]

    yield build
    for each in built:
        each.close()


ON_SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
BOTH_ROUTES = {("job_1", "orders"): 1, ("job_1", "report"): 1}


def test_a_job_whose_webhook_never_came_fires_its_runs_once(make: Make, api: JobsApi) -> None:
    """However often it is looked at, also after a restart; the delivery says how it came to be."""
    bridge = make()
    api.jobs = {"job_1": job(), "new": job("new", minutes=1), "old": job("old", minutes=60 * 30)}
    api.jobs |= {"running": job("running", status="running"), "other": job("other", status="odd")}
    with capture_logs() as logs:
        bridge.look()
    assert bridge.runs() == BOTH_ROUTES
    assert [(log["amount"], log["source"]) for log in logs if log["event"] == "webhooks_never_came"] == [
        (1, "planasonix")
    ]
    bridge.look()
    bridge.reconciling = bridge.another()
    bridge.ahead += timedelta(hours=1)  # the lease of the one before is over
    bridge.look()
    assert bridge.runs() == BOTH_ROUTES | {("new", "orders"): 1, ("new", "report"): 1}
    assert bridge.amount() == 2
    assert bridge.metric('bridge_reconciled_total{source="planasonix"} 2.0')


def test_the_body_is_a_webhook_with_the_apis_answer(make: Make, api: JobsApi) -> None:
    """Typed as the source types its own."""
    bridge = make()
    api.jobs = {"job_1": job()}
    bridge.look()
    stored_body = json.loads(bytes(bridge.store.one("SELECT body FROM deliveries")))
    assert stored_body == {
        "type": "job.succeeded",
        "job_id": "job_1",
        "timestamp": stored_body["timestamp"],
        "data": api.jobs["job_1"],
    }


def test_a_crash_between_adding_and_routing_doubles_nothing(make: Make, api: JobsApi) -> None:
    """What was added and not routed is found by its key."""
    bridge = make()
    api.jobs = {"job_1": job()}
    bridge.reconciling.step()
    bridge.reconciling.step()
    assert bridge.amount() == 1
    bridge.router.route_due()
    assert bridge.runs() == BOTH_ROUTES


def test_a_late_webhook_starts_only_what_was_not_started(make: Make, api: JobsApi) -> None:
    """It tells of the same completion, whether it names the pipeline or not."""
    bridge = make()
    api.jobs = {"job_1": job()}
    bridge.look()
    bridge.store.rows("UPDATE triggers SET state = 'failed' WHERE route = 'report'")
    stored(bridge.inbox, "evt_1", body=body(data={"pipeline_id": "pl_1"}))
    bridge.router.route_due()
    assert bridge.runs() == BOTH_ROUTES
    stored(bridge.inbox, "evt_2", body=body("evt_2", data={"pipeline_id": "pl_1"}))
    bridge.router.route_due()
    assert bridge.runs() == BOTH_ROUTES


def test_what_a_webhook_told_is_not_made_up_for(make: Make, api: JobsApi) -> None:
    """Nor is another end of the same job forgotten."""
    bridge = make()
    stored(bridge.inbox, "evt_1", body=body(data={"pipeline_id": "pl_1"}))
    bridge.router.route_due()
    api.jobs = {"job_1": job()}
    bridge.look()
    assert bridge.amount() == 0
    api.jobs = {"job_1": job(status="failed")}
    bridge.look()
    assert bridge.runs() == BOTH_ROUTES | {("job_1", "alarm"): 1}


@pytest.mark.parametrize(
    ("named", "sent", "status", "runs"),
    [
        ("load.finished", "load.finished", "succeeded", 1),
        ("load.finished", "load.finished", "failed", 2),  # another end of the job
        ("job.succeeded", "pipeline.run.completed", "succeeded", 2),  # a job and a run: both are completions
    ],
)
def test_a_job_that_is_named_beside_its_run_is_known(
    make: Make, api: JobsApi, *, named: str, sent: str, status: str, runs: int
) -> None:
    """A type that leaves the kind open tells of the run if it names one, and the job is told of all the same."""
    bridge = make(replace(SETTING, types=(named,)))
    more = {"job_id": "job_1", "run_id": "run_1", "pipeline_id": "pl_1", "status": status}
    stored(bridge.inbox, "evt_1", body=json.dumps({"event": sent, **more}).encode())
    bridge.router.route_due()
    api.jobs = {"job_1": job()}
    bridge.look()
    assert bridge.amount() == runs - 1
    assert sum(amount for (_, route), amount in bridge.runs().items() if route != "report") == runs


def test_many_jobs_that_are_named_beside_one_run_are_known(make: Make, api: JobsApi) -> None:
    """Also those whose deliveries keep no row of completions, however they ended; a job that nobody names is not."""
    bridge = make(replace(SETTING, types=("load.finished",)))
    names = [f"job_{number}" for number in range(18)]
    for name in names:
        more = {"job_id": name, "run_id": "run_1", "pipeline_id": "pl_1", "status": "succeeded"}
        stored(bridge.inbox, f"evt_{name}", body=json.dumps({"event": "load.finished", **more}).encode())
    bridge.router.route_due()
    assert bridge.store.one("SELECT COUNT(*) FROM completions") < len(names)
    api.jobs = {name: job(name) for name in names}
    bridge.look()
    assert bridge.amount() == 0
    api.jobs |= {"job_18": job("job_18")}
    bridge.look()
    assert bridge.amount() == 1


def test_a_name_at_another_source_tells_of_nothing(make: Make, api: JobsApi) -> None:
    """Two tenants may have a job of one id."""
    bridge = make(replace(SETTING, types=("load.finished",)))
    more = {"job_id": "job_1", "run_id": "run_1", "pipeline_id": "pl_1", "status": "succeeded"}
    stored(bridge.inbox, "evt_1", body=json.dumps({"event": "load.finished", **more}).encode())
    bridge.router.route_due()
    bridge.store.rows("DELETE FROM completions")
    bridge.store.rows("UPDATE deliveries SET source = 'other'")
    api.jobs = {"job_1": job()}
    bridge.look()
    assert bridge.amount() == 1


def test_a_stale_webhook_tells_of_nothing(make: Make, api: JobsApi) -> None:
    """It started nothing, so its job counts as missed."""
    bridge = make()
    accept(bridge.inbox, "evt_1", body=body(data={"pipeline_id": "pl_1"}), is_stale=True)
    api.jobs = {"job_1": job()}
    bridge.look()
    assert bridge.runs() == BOTH_ROUTES


@pytest.mark.parametrize("is_routed", [True, False])
def test_what_was_erased_does_not_come_back(make: Make, api: JobsApi, *, is_routed: bool) -> None:
    """Whether it was routed before or not, and whatever else of it retention has removed since."""
    bridge = make()
    stored(bridge.inbox, "evt_1", body=body(data={"pipeline_id": "pl_1"}))
    if is_routed:
        bridge.router.route_due()
    erase(bridge.inbox, source="planasonix", event_id="evt_1", erasure=Erasure("me", "asked to", is_cancelling=True))
    bridge.store.rows("DELETE FROM completions")
    api.jobs = {"job_1": job(), "job_2": job("job_2")}
    bridge.look()
    assert {about for about, _ in bridge.runs()} == {"job_2"}


@ON_SQLITE
def test_erasing_reads_a_body_as_its_source_spells_it(make: Make, api: JobsApi) -> None:
    """What was never routed names its job nowhere else."""
    bridge = make()
    stored(bridge.inbox, "evt_1", body=b'{"id": "evt_1", "load": {"nr": "job_1"}, "status": "succeeded"}')
    spellings = {"planasonix": Spelling(fields=read_fields({"job_id": ["/load/nr"]}))}
    erasure = Erasure("me", "asked to", is_cancelling=True)
    erase(bridge.inbox, source="planasonix", event_id="evt_1", erasure=erasure, spellings=spellings)
    api.jobs = {"job_1": job(), "job_2": job("job_2")}
    bridge.look()
    assert {about for about, _ in bridge.runs()} == {"job_2"}


def test_what_was_made_up_for_can_be_erased(make: Make, api: JobsApi) -> None:
    """It goes by the delivery's id, and stays away."""
    bridge = make()
    api.jobs = {"job_1": job()}
    bridge.look()
    (entry,) = bridge.store.rows("SELECT id FROM deliveries")
    name = delivery_text(entry[0])
    erase(bridge.inbox, source="planasonix", event_id=name, erasure=Erasure("me", "asked to", is_cancelling=True))
    bridge.store.rows("DELETE FROM completions")
    bridge.look()
    assert bridge.amount() == 1
    assert bridge.runs() == {}


@ON_SQLITE
def test_a_source_that_waits_for_routing_is_not_reconciled_yet(make: Make, api: JobsApi) -> None:
    """Nobody knows yet what its webhooks tell."""
    bridge = make()
    stored(bridge.inbox, "evt_1", body=body(data={"pipeline_id": "pl_1"}))
    api.jobs = {"job_1": job()}
    bridge.ahead = timedelta(minutes=2)
    bridge.reconciling.step()
    assert bridge.amount() == 0
    assert bridge.metric('bridge_reconcile_looks_total{outcome="behind",source="planasonix"} 1.0')
    bridge.router.route_due()
    bridge.look()
    assert bridge.amount() == 0
    assert bridge.runs() == BOTH_ROUTES


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("waits_for", "ahead"),
    [
        ("reason = 'key_missing'", HOUR / 30),
        ("reason = 'internal_error'", HOUR / 30),
        ("reason = 'lookup_failed', lookups = 9", 2 * HOUR),
        ("reason = 'lookup_queued'", 2 * HOUR),
        ("lookups = 9", 2 * HOUR),  # it is being asked about
        ("lookups = 0", 25 * HOUR),  # it came before the window
    ],
)
def test_one_delivery_that_is_never_routed_does_not_stop_the_look(
    make: Make, api: JobsApi, waits_for: str, ahead: timedelta
) -> None:
    """Else the jobs whose webhooks never came would be out of reach in the end, in silence."""
    bridge = make()
    stored(bridge.inbox, "evt_1", body=body())
    bridge.store.rows(f"UPDATE deliveries SET {waits_for}")  # noqa: S608
    bridge.ahead = ahead
    ended = datetime.now(UTC) + ahead - HOUR
    api.jobs = {"job_2": job("job_2") | {"started_at": ended.isoformat(), "finished_at": ended.isoformat()}}
    bridge.reconciling.step()
    assert bridge.amount() == 1
    bridge.reconciling.step()
    assert bridge.amount() == 1


@ON_SQLITE
@pytest.mark.parametrize(
    "waits_for", ["reason = 'lookup_failed', lookups = 9", "reason = 'lookup_queued'", "lookups = 9", "lookups = 0"]
)
def test_what_is_about_to_be_routed_is_waited_for(make: Make, api: JobsApi, waits_for: str) -> None:
    """A look-up of less than an hour; what waits for routing itself, for as long as it takes."""
    bridge = make()
    stored(bridge.inbox, "evt_1", body=body())
    bridge.store.rows(f"UPDATE deliveries SET {waits_for}")  # noqa: S608
    api.jobs = {"job_2": job("job_2")}
    bridge.ahead = 20 * HOUR if waits_for == "lookups = 0" else HOUR / 2
    bridge.reconciling.step()
    assert bridge.amount() == 0
    assert bridge.metric('bridge_reconcile_looks_total{outcome="behind",source="planasonix"} 1.0')


@ON_SQLITE
def test_a_source_that_is_not_reconciled_for_long_is_said_once(make: Make) -> None:
    """An hour after it began; it is said again when it begins anew."""
    bridge = make()

    def said() -> int:
        with capture_logs() as logs:
            bridge.reconciling.step()
        found = [log for log in logs if log["event"] == "reconciling_waits"]
        assert all(log["log_level"] == "warning" and "deliveries --state received" in log["next_step"] for log in found)
        return len(found)

    stored(bridge.inbox, "evt_1", body=body(data={"pipeline_id": "pl_1"}))
    steps = []
    for minutes in (2, 61, 63, 65):
        bridge.ahead = timedelta(minutes=minutes)
        steps.append(said())
    bridge.router.route_due()
    steps.append(said())
    stored(bridge.inbox, "evt_2", body=body("evt_2", data={"pipeline_id": "pl_1"}))
    for minutes in (66, 127):
        bridge.ahead = timedelta(minutes=minutes)
        steps.append(said())
    assert steps == [0, 0, 1, 0, 0, 0, 1]


@ON_SQLITE
def test_only_types_that_the_source_was_seen_to_deliver_are_made_up_for(make: Make, api: JobsApi) -> None:
    """In its own spelling; a type for one end says nothing of another."""
    bridge = make(replace(SETTING, types=()))
    api.jobs = {"job_2": job("job_2"), "job_3": job("job_3", status="failed")}
    bridge.look()
    assert bridge.amount() == 0
    stored(bridge.inbox, "evt_1", body=body(data={"pipeline_id": "pl_1"}))
    bridge.router.route_due()
    bridge.look()
    assert {about for about, _ in bridge.runs()} == {"job_1", "job_2"}
    assert bridge.store.rows("SELECT source, kind, status, type FROM seen_types") == [
        ("planasonix", "job", "succeeded", "job.succeeded")
    ]


def of_run(event: str, *, status: str = "succeeded") -> bytes:
    """Return a documented body about a run."""
    run = {"pipeline_id": "pl_1", "run_id": f"run_{event}", "status": status}
    return json.dumps({"id": event, "type": f"pipeline.run.{status}", **run}).encode()


def test_a_type_that_stopped_while_runs_go_on_is_not_made_up_for(make: Make, api: JobsApi) -> None:
    """As after one try, or with another subscription: else every load would run twice. Said once, until it is back."""
    bridge = make(replace(SETTING, types=()))
    api.jobs = {"job_2": job("job_2")}
    for event, content in (("evt_1", body(data={"pipeline_id": "pl_1"})), ("evt_2", of_run("evt_2"))):
        stored(bridge.inbox, event, body=content)
    bridge.router.route_due()
    bridge.store.rows("UPDATE seen_types SET last_seen_at = last_seen_at - 259200000000 WHERE kind = 'job'")
    with capture_logs() as logs:
        bridge.look()
        bridge.look()
    assert bridge.amount() == 0
    (line,) = [log for log in logs if log["event"] == "types_not_made_up_for"]
    assert (line["log_level"], line["source"], line["types"]) == ("warning", "planasonix", ["job.succeeded"])
    bridge.close()
    another = make(replace(SETTING, types=()))
    stored(another.inbox, "evt_3", body=body("evt_3", job_id="job_3", data={"pipeline_id": "pl_1"}))
    another.router.route_due()
    another.ahead += timedelta(hours=1)
    another.look()
    assert another.amount() == 1


@ON_SQLITE
@pytest.mark.parametrize(
    ("days", "run_type", "run_status", "is_dated", "amount"),
    [
        (1, "pipeline.run.succeeded", "succeeded", True, 1),  # one webhook of a daily load was lost
        (3, "pipeline.run.failed", "failed", True, 1),  # says nothing of what succeeds
        (3, "job.succeeded", "succeeded", True, 1),  # the same type, and now and then it names no job
        (3, "pipeline.run.succeeded", "succeeded", False, 1),  # only the release before has seen it
        (3, "pipeline.run.succeeded", "succeeded", True, 0),
    ],
)
def test_what_is_no_sign_of_a_type_that_stopped(
    make: Make, api: JobsApi, *, days: int, run_type: str, run_status: str, is_dated: bool, amount: int
) -> None:
    """Only runs that end so without it, for two days."""
    bridge = make(replace(SETTING, types=()))
    api.jobs = {"job_2": job("job_2")}
    now = 1_800_000_000_000_000
    for kind, event_type, status, at in (
        ("job", "job.succeeded", "succeeded", now - days * 86_400_000_000),
        ("run", run_type, run_status, now),
    ):
        bridge.store.rows("INSERT INTO seen_types VALUES ('planasonix', ?, ?, ?, ?)", kind, status, event_type, at)
    if not is_dated:
        bridge.store.rows("UPDATE seen_types SET last_seen_at = NULL WHERE kind = 'job'")
    bridge.look()
    assert bridge.amount() == amount


DAY = 86_400_000_000


@ON_SQLITE
@pytest.mark.parametrize(("status", "amount"), [("succeeded", 0), ("failed", 1)])
def test_a_type_of_any_end_that_stopped_for_one_is_made_up_for_at_the_others(
    make: Make, api: JobsApi, *, status: str, amount: int
) -> None:
    """Only runs that succeed go on: nothing is known of those that fail."""
    bridge = make(replace(SETTING, types=()))
    now = 1_800_000_000_000_000
    for kind, event_type, end, at in (
        ("job", "job.completed", "succeeded", now - 3 * DAY),
        ("job", "job.completed", "failed", now - 3 * DAY),
        ("run", "pipeline.run.succeeded", "succeeded", now),
    ):
        bridge.store.rows("INSERT INTO seen_types VALUES ('planasonix', ?, ?, ?, ?)", kind, end, event_type, at)
    api.jobs = {"job_2": job("job_2", status=status)}
    bridge.look()
    assert bridge.amount() == amount


@ON_SQLITE
def test_a_sender_that_makes_up_types_stops_no_other_type(make: Make) -> None:
    """What is stored is noted again when it comes; what is made up beyond a thousand is not stored."""
    bridge = make()
    old = int(datetime.now(UTC).timestamp() * 1_000_000) - 3 * DAY
    bridge.store.rows("INSERT INTO seen_types VALUES ('planasonix', 'job', 'succeeded', 'job.succeeded', ?)", old)
    for number in range(1001):
        content = {"type": f"made.{number}", "pipeline_id": "pl_2", "run_id": f"run_{number}", "status": "succeeded"}
        stored(bridge.inbox, f"evt_{number}", body=json.dumps(content).encode())
    while bridge.router.route_due():
        pass
    assert bridge.store.one("SELECT COUNT(*) FROM seen_types") <= 1001
    stored(bridge.inbox, "evt_job", body=body("evt_job", data={"pipeline_id": "pl_1"}))
    bridge.router.route_due()
    assert bridge.store.one("SELECT last_seen_at FROM seen_types WHERE type = 'job.succeeded'") > old + 2 * DAY


@ON_SQLITE
def test_a_type_that_goes_on_is_noted_about_once_an_hour(make: Make) -> None:
    """Each note is a write; an older webhook takes nothing back."""
    bridge = make()
    instants = [datetime(2026, 8, 1, hour, minute, tzinfo=UTC) for hour, minute in ((10, 0), (10, 50), (11, 1), (9, 0))]
    noted = []
    for number, at in enumerate(instants):
        id_ = stored(bridge.inbox, f"evt_{number}", body=body(f"evt_{number}", data={"pipeline_id": "pl_1"}))
        bridge.store.rows("UPDATE deliveries SET received_at = ?", int(at.timestamp() * 1_000_000))
        bridge.router.route_due()
        assert bridge.store.one("SELECT state FROM deliveries WHERE id = ?", row_of(id_, "dlv")) != "received"
        noted.append(bridge.store.one("SELECT last_seen_at FROM seen_types"))
    assert [datetime.fromtimestamp(each / 1_000_000, UTC) for each in noted] == [
        instants[0],
        instants[0],
        instants[2],
        instants[2],
    ]


@ON_SQLITE
@pytest.mark.parametrize("envelope", [wrapped, inside])
def test_every_page_is_read_in_either_envelope(make: Make, api: JobsApi, envelope: Callable[..., Any]) -> None:
    """A page is one commit."""
    bridge = make()
    api.page_size, api.envelope = 3, envelope
    api.jobs = {f"job_{number}": job(f"job_{number}") for number in range(8)}
    bridge.look()
    assert len(bridge.runs()) == 16
    assert [asked.get("cursor") for asked in api.listed] == [None, ["3"], ["6"]]


@ON_SQLITE
def test_jobs_are_asked_for_from_a_day_before_the_look_begins(make: Make, api: JobsApi) -> None:
    """The API's `since` may mean when a job was made, and it may take so long."""
    bridge = make()
    bridge.look()
    asked = datetime.fromisoformat(api.listed[0]["since"][0])
    begin = bridge.now() - timedelta(seconds=SETTING.since_seconds)
    assert timedelta(0) <= begin - timedelta(hours=24) - asked < timedelta(minutes=10)


@ON_SQLITE
def test_a_failing_api_is_asked_later_from_the_same_page(make: Make, api: JobsApi) -> None:
    """No sooner than it says; it is said once, and nothing is lost."""
    bridge = make()
    api.page_size = 1
    api.jobs = {f"job_{number}": job(f"job_{number}") for number in range(2)}
    api.faults = [(429, {"Retry-After": "90"})]
    with capture_logs() as logs:
        pause = bridge.reconciling.step()
        assert 80 < pause <= 90
        assert bridge.reconciling.step() > 80  # not asked
    assert len(api.listed) == 1
    assert sum(log["event"] == "jobs_not_read" for log in logs) == 1
    bridge.reconciling._not_before = 0.0
    bridge.reconciling.step()
    api.faults = [(503, {}), (503, {})]
    bridge.reconciling._not_before = 0.0
    bridge.reconciling.step()
    bridge.router.route_due()
    assert len(bridge.runs()) == 4
    assert bridge.metric('bridge_reconcile_looks_total{outcome="failed",source="planasonix"} 2.0')


@ON_SQLITE
def test_a_list_that_says_more_without_a_cursor_is_no_whole_look(make: Make, api: JobsApi) -> None:
    """Else the rest would be missed in silence."""
    bridge = make()
    api.envelope = lambda page, _: {"data": page, "has_more": True}
    api.jobs = {"job_1": job()}
    with capture_logs() as logs:
        bridge.look()
    assert any("how to ask" in str(log.get("detail")) for log in logs)
    assert bridge.metric('bridge_reconcile_looks_total{outcome="done",source="planasonix"} 0.0') is False


def test_one_replica_looks_at_a_time(make: Make, api: JobsApi) -> None:
    """The other takes over when the lease is over."""
    item, other = make(), make()
    item.look()
    other.look()
    assert len(api.listed) == 1
    other.ahead += timedelta(hours=1)
    other.look()
    assert len(api.listed) == 2


@pytest.mark.parametrize("seed", range(3))
def test_every_job_fires_its_runs_exactly_once(make: Make, api: JobsApi, seed: int) -> None:
    """Whatever is dropped, late, doubled, or sent after the bridge's own, in any order, with restarts between."""
    chosen = random.Random(seed)
    bridge = make()
    names = [f"job_{number}" for number in range(24)]
    api.page_size, api.jobs = 7, {name: job(name) for name in names}
    sent = [(f"evt_{name}_{nth}", name) for name in names for nth in range(chosen.choice([0, 0, 1, 1, 1, 2]))]
    chosen.shuffle(sent)
    while sent:
        for _ in range(chosen.randrange(1, 12)):
            if sent:
                event, name = sent.pop()
                more = {"pipeline_id": "pl_1"} if chosen.random() < 0.5 else {}
                content = body(event, job_id=name, data=more)
                for _ in range(chosen.choice([1, 1, 2])):
                    stored(bridge.inbox, event, body=content)
        for step in chosen.sample(["route", "look", "restart", "look"], 3):
            if step == "route":
                _route_all(bridge)
            elif step == "look":
                bridge.reconciling.step()
            else:
                bridge.reconciling.loop.stop(1)
                bridge.reconciling = bridge.another()
    _route_all(bridge)
    bridge.look()
    _route_all(bridge)
    assert bridge.runs() == {(name, route): 1 for name in names for route in ("orders", "report")}
    assert 0 < bridge.amount() <= len(names)


def _route_all(bridge: Bridge) -> None:
    """Route until nothing waits, look-ups among it."""

    def waiting() -> list[Any]:
        return bridge.store.rows(
            "SELECT id, reason, lookups, due_at - received_at FROM deliveries WHERE state = 'received'"
        )

    def is_done() -> bool:
        bridge.router.route_due()
        return not waiting()

    service.wait_for(is_done, seconds=0.0, what=lambda: f"all routed; now {bridge.now()}, waiting {waiting()}")
