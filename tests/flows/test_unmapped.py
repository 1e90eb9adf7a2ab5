"""While there is no mapping every delivery waits, and is routed when there is one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from bridge.edges.inbox import Inbox, deliveries
from bridge.edges.metrics import Metrics
from bridge.flows.routing import Router
from bridge.flows.routing.unmapped import Unmapped
from bridge.rules.mapping import Mapping, join
from bridge.words.model import DeliveryState
from bridge.words.reasons import Reason
from tests.support.jobs_api import body
from tests.support.store import Store, stored

ROUTES = "routes: [{pipeline: pl_1, dag: load_orders}]"


class Lacking:
    """A router that has a mapping or not, as the test sets."""

    def __init__(self, inbox: Inbox, mapping: Mapping, metrics: Metrics) -> None:
        self.is_lacking = True
        self.now = datetime.now(UTC) + timedelta(minutes=1)  # what is stored after this is due all the same
        self.router = Router(
            sources={},
            inbox=inbox,
            mapping=lambda: join([]) if self.is_lacking else mapping,
            apis={},
            metrics=metrics,
            on_routed=lambda: None,
            max_hops=3,
            lease_seconds=30,
            clock=lambda: self.now,
            unmapped=Unmapped(inbox=inbox, is_lacking=lambda: self.is_lacking, clock=lambda: self.now),
        )

    def drain(self) -> None:
        """Route until nothing is due."""
        while self.router.route_due():
            self.now += timedelta(seconds=1)


@pytest.fixture
def lacking(inbox: Inbox, mapping: Callable[..., Mapping], metrics: Metrics) -> Lacking:
    """Without a mapping."""
    return Lacking(inbox, mapping(ROUTES), metrics)


def test_what_comes_without_a_mapping_waits_and_is_routed_with_one(
    lacking: Lacking, inbox: Inbox, store: Store
) -> None:
    """More than a slice of it: each is put aside once, none is judged, and each is routed once there are routes."""
    ids = [
        stored(inbox, f"evt_{number}", body=body(f"evt_{number}", data={"pipeline_id": "pl_1"}))
        for number in range(120)
    ]
    lacking.drain()
    for each in ids[:3]:
        found = inbox.read(deliveries.get, each)
        assert found is not None
        assert (found.state, found.reason) == (DeliveryState.RECEIVED, Reason.MAPPING_BROKEN)
    assert store.rows("SELECT count(*) FROM deliveries WHERE reason = 'mapping_broken'") == [(120,)]
    assert store.rows("SELECT count(*) FROM triggers") == [(0,)]
    lacking.now += timedelta(days=2)
    assert lacking.router.route_due() == 0  # nothing is written again, however long it lasts
    lacking.is_lacking = False
    lacking.drain()
    assert store.rows("SELECT count(*) FROM deliveries WHERE state = 'received'") == [(0,)]
    assert store.rows("SELECT count(*) FROM triggers") == [(120,)]


def test_another_process_lets_go_what_one_has_put_aside(
    lacking: Lacking, inbox: Inbox, mapping: Callable[..., Mapping], metrics: Metrics
) -> None:
    """It needs not to have seen it: what has the word is looked for at the start, and once a minute."""
    delivery_id = stored(inbox, "evt_1", body=body("evt_1"))
    lacking.drain()
    other = Lacking(inbox, mapping(ROUTES), metrics)
    other.is_lacking = False
    other.drain()
    found = inbox.read(deliveries.get, delivery_id)
    assert found is not None
    assert found.state is not DeliveryState.RECEIVED
