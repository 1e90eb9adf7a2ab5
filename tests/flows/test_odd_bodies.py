"""Bodies with characters that a store or a parser could stumble over, from the commit to the trigger; both stores."""

import pytest

from bridge.edges.inbox import Inbox, deliveries
from bridge.edges.metrics import Metrics
from bridge.flows.routing import Router
from bridge.rules.mapping import read
from bridge.words.model import DeliveryState
from tests.flows.test_copies import inbox, url
from tests.flows.test_routing import stored, whole

__all__ = ["inbox", "url"]  # fixtures

MAPPING = read(
    "routes: [{pipeline: pl_1, dag: load, conf: {name: '{{ event.pipeline_name }}'}}]",
    file="mapping.yaml",
    airflows=["default"],
    sources=["planasonix"],
)
START = b'{"id":"evt_1","pipeline_id":"pl_1",'


@pytest.mark.parametrize(
    ("body", "state"),
    [
        (b"\xef\xbb\xbf" + START + b'"status":"succeeded"}', DeliveryState.ROUTED),
        (START + b'"status":"succeeded","parameters":{"cut":"\\ud83d"}}', DeliveryState.ROUTED),
        (START + b'"status":"succeeded","pipeline_name":"\\ud83d"}', DeliveryState.ROUTED),
        (START + b'"status":"a\\u0000b\\ud83d"}', DeliveryState.IGNORED),
        (START + b'"status":"succeeded","environment":"\\u0000"}', DeliveryState.ROUTED),
    ],
)
def test_odd_characters_survive_every_store(inbox: Inbox, metrics: Metrics, body: bytes, state: DeliveryState) -> None:
    """A byte order mark, half of a surrogate pair and a NUL are read, and stored in a form that PostgreSQL keeps."""
    router = Router(
        inbox=inbox,
        mapping=lambda: MAPPING,
        sources={},
        apis={},
        metrics=metrics,
        on_routed=lambda: None,
        max_hops=3,
        lease_seconds=30,
    )
    delivery_id = stored(inbox, body=body)
    while router.route_due():
        pass
    found = inbox.read(deliveries.get, delivery_id)
    assert found is not None
    assert found.state is state
    triggers = whole(inbox, delivery_id)
    assert len(triggers) == (state is DeliveryState.ROUTED)
    assert all(trigger.call.conf["planasonix"]["event_id"] == "evt_1" for trigger in triggers)
