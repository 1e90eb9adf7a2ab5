"""How each source spells its bodies is learned behind routing, kept for all replicas, and drift is said once."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.chores.shapes import Shapes
from bridge.edges.inbox import Inbox, deliveries, shapes
from bridge.edges.metrics import Metrics
from bridge.flows import attending
from bridge.flows.routing import Router
from bridge.rules.drift import Batch, learn
from bridge.rules.drift.learning import GONE, LEARNED
from bridge.rules.event import read
from bridge.rules.mapping import Mapping
from bridge.words.drifts import Change, DriftKind
from bridge.words.errors import InboxUnavailable
from tests.support.store import Store, stored

NOW = datetime.now(UTC)
BODY = {"id": "evt_1", "type": "job.succeeded", "job_id": "job_1", "data": {"status": "succeeded", "rows": 1}}
NEW = {**BODY, "data": {"status": "succeeded", "rows": 1, "mode": "canaryvalue"}}
LESS = {**BODY, "data": {"status": "succeeded"}}
Make = Callable[..., "Replica"]


class Replica:
    """What one process learns. Its clock is the test's."""

    def __init__(self, url: str, now: datetime) -> None:
        self.inbox, self.now = Inbox(url), now
        self.metrics = Metrics(keys_by_source={"planasonix": ["current"]}, airflows=["default"])
        self.shapes = Shapes(inbox=self.inbox, sources=["planasonix"], metrics=self.metrics, clock=lambda: self.now)

    def see(self, delivery_id: str, body: dict[str, Any], times: int = 1) -> None:
        """Note one stored delivery so many times, as if it said this."""
        delivery = self.inbox.read(deliveries.get, delivery_id)
        assert delivery is not None
        for _ in range(times):
            self.shapes.note(delivery, read(json.dumps(body).encode()))

    def step(self) -> list[Any]:
        """Take a step; return the lines of the log."""
        with capture_logs() as logs:
            self.shapes.step()
        return logs

    def drifts(self, days: float) -> list[tuple[str, bool]]:
        """Return what is listed after so many days, and whether as a note."""
        found = attending.look(self.inbox, now=self.now + timedelta(days=days))
        return [(need.about, need.is_note) for need in found if need.what == "drift"]

    def counted(self, kind: str, change: str) -> float:
        """Return how often it was counted."""
        name = f'bridge_drifts_total{{change="{change}",kind="{kind}",source="planasonix"}} '
        lines = self.metrics.exposition().decode().splitlines()
        return next(float(line.removeprefix(name)) for line in lines if line.startswith(name))


@pytest.fixture
def make(url: str) -> Iterator[Make]:
    """Start a process over the test's store, some days after the first."""
    built: list[Replica] = []

    def build(days: float = 0) -> Replica:
        built.append(Replica(url, NOW + timedelta(days=days)))
        return built[-1]

    yield build
    for each in built:
        each.inbox.close()


@pytest.fixture
def delivery_id(make: Make) -> str:
    """A delivery of a source that is known by now."""
    first = make(-3)
    found = stored(first.inbox, "evt_1", source="planasonix")
    first.see(found, BODY, LEARNED)
    assert first.step() == []
    return found


def test_drift_is_said_once_for_all_replicas_and_over_restarts(make: Make, delivery_id: str) -> None:
    """In the log, as a metric, and in the list of what needs a person; with the path, a delivery, and no value."""
    item, other = make(), make()
    item.see(delivery_id, NEW)
    (line,) = item.step()
    assert (line["log_level"], line["kind"], line["change"]) == ("warning", "field", "new")
    assert (line["paths"], line["delivery_id"]) == (["/data/mode"], delivery_id)
    assert "canaryvalue" not in str(line)
    for replica in (item, other, make()):
        replica.see(delivery_id, NEW)
        assert replica.step() == []
    assert [each.counted("field", "new") for each in (item, other)] == [1, 0]
    (need,) = attending.needs(other.inbox, now=item.now)
    assert (need.what, need.count, need.example) == ("drift", 1, delivery_id)
    assert "/data/mode" in need.says


def test_of_replicas_that_learn_at_once_one_says_it(make: Make, delivery_id: str, url: str) -> None:
    """And nothing that either saw is lost."""
    replicas = [make() for _ in range(3)]
    for replica in replicas:
        replica.see(delivery_id, NEW, 10)
    threads = [threading.Thread(target=replica.shapes.step) for replica in replicas]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for replica in replicas:
        replica.step()  # whoever lost five times in a row
    assert sum(replica.counted("field", "new") for replica in replicas) == 1
    store = Store(url)
    assert json.loads(store.one("SELECT known FROM shapes"))["total"] == LEARNED + 30
    assert store.one("SELECT revision FROM shapes") == 4
    store.close()


def test_what_is_gone_leaves_the_list_when_it_is_back(make: Make, delivery_id: str) -> None:
    """Over a restart in between; a new field leaves it after seven days, and needs nobody after one."""
    item = make()
    item.see(delivery_id, LESS, GONE)
    (line,) = item.step()
    assert (line["change"], line["paths"]) == ("gone", ["/data/rows"])
    assert len(attending.needs(item.inbox, now=item.now)) == 1
    other = make()
    other.see(delivery_id, NEW)
    other.step()
    assert item.drifts(0) == [("planasonix, new field", False)]
    assert item.drifts(2) == [("planasonix, new field", True)]
    assert item.drifts(8) == []


def test_what_was_said_is_forgotten_after_seven_days(make: Make, delivery_id: str, url: str) -> None:
    """Once there is something else to say."""
    for days, body in ((0, NEW), (8, {**NEW, "extra": 1})):
        replica = make(days)
        replica.see(delivery_id, body)
        replica.step()
    store = Store(url)
    assert store.rows("SELECT path FROM drifts") == [("/extra",)]
    store.close()


def test_a_store_that_is_away_loses_nothing_that_was_seen(make: Make, delivery_id: str) -> None:
    """It waits for the next step, and what comes meanwhile for the one after."""
    item = make()
    item.see(delivery_id, NEW)
    away, item.inbox = item.inbox, make().inbox
    away.close()
    for _ in range(2):
        with pytest.raises(InboxUnavailable):
            item.shapes.step()
    away.close()  # asking a closed store opens connections to it
    item.shapes._inbox = item.inbox
    item.see(delivery_id, {**NEW, "extra": 1})
    assert [line["paths"] for line in item.step()] == [["/data/mode"]]
    assert [line["paths"] for line in item.step()] == [["/extra"]]


def test_what_was_learned_from_an_old_state_is_not_kept(make: Make, delivery_id: str) -> None:
    """Neither what is known, nor what changed."""
    inbox, batch = make().inbox, Batch()
    batch.add(read(json.dumps(NEW).encode()), delivery_id)
    revision, known = inbox.read(shapes.known, "planasonix")
    learned = learn(known, batch, NOW)
    assert learned.drifts
    for stale in (0, revision - 1, revision + 1):
        assert not inbox.write(shapes.keep, "planasonix", learned, revision=stale, now=NOW)
    assert inbox.read(shapes.recent, since=NOW - timedelta(days=30)) == []
    assert inbox.write(shapes.keep, "planasonix", learned, revision=revision, now=NOW)
    (drifted,) = inbox.read(shapes.recent, since=NOW)
    assert (drifted.kind, drifted.change, drifted.path) == (DriftKind.FIELD, Change.NEW, "/data/mode")
    assert drifted.oldest_at == drifted.newest_at
    assert inbox.read(shapes.recent, since=NOW + timedelta(seconds=1)) == []


def test_routing_lets_it_learn_from_each_webhook(make: Make, mapping: Callable[..., Mapping]) -> None:
    """Not from a test event, whose body is another one, and not from an unknown source."""
    item = make()
    router = Router(
        inbox=item.inbox,
        mapping=lambda: mapping("routes: []"),
        sources={},
        apis={},
        metrics=item.metrics,
        on_routed=lambda: None,
        max_hops=3,
        lease_seconds=30,
        learn=item.shapes.note,
        clock=lambda: datetime.now(UTC) + timedelta(minutes=1),
    )
    for name, body, source in (
        ("evt_1", BODY, "planasonix"),
        ("evt_2", {**BODY, "test": True}, "planasonix"),
        ("evt_3", BODY, "gone"),
    ):
        stored(item.inbox, name, body=json.dumps({**body, "id": name}).encode(), source=source)
    assert router.route_due() == 3
    item.step()
    router.loop.stop(1)
    _, known = item.inbox.read(shapes.known, "planasonix")
    assert known is not None
    assert json.loads(known)["total"] == 1
    assert item.inbox.read(shapes.known, "gone") == (0, None)
