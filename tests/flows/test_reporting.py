"""What routing says: never a silent no, and a route that two kinds of event start is named once."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from bridge.edges.inbox import Inbox, deliveries
from bridge.edges.inbox.deliveries import settle_routing
from bridge.edges.metrics import Metrics
from bridge.flows.routing import drafts
from bridge.flows.routing.reporting import Reporting
from bridge.rules.mapping import Mapping
from bridge.rules.planning import Subject, plan
from tests.support.store import NOW, stored

ROUTES = "routes:\n  - {name: orders, pipeline: '*', dag: load_orders}\n"


class Reported:
    """Routes webhooks, and keeps what is said of each."""

    def __init__(self, inbox: Inbox, metrics: Metrics, mapping: Mapping) -> None:
        self.inbox = inbox
        self.mapping = mapping
        self.reporting = Reporting(metrics)

    def route(self, id_: str, delivery_id: str | None = None, **fields: Any) -> list[Any]:
        """Store a webhook, or take one that is stored, and route it; returns the lines of the log."""
        body = {"id": id_, "type": "job.succeeded", "job_id": "job_1", "status": "succeeded", "pipeline_id": "pl_1"}
        delivery_id = delivery_id or stored(self.inbox, id_, body=json.dumps(body | fields).encode())
        found = self.inbox.read(deliveries.get, delivery_id)
        assert found is not None
        made = plan(Subject.of(found), self.mapping, new_trigger_id=self.inbox.new_trigger_id, max_hops=3)
        routed = self.inbox.write(settle_routing, [drafts.routing(found, made, None, {})], now=NOW)
        with capture_logs() as lines:
            self.reporting.report(found, made.event, routed[delivery_id], NOW)
        return lines


@pytest.fixture
def reported(inbox: Inbox, metrics: Metrics, mapping: Callable[..., Mapping]) -> Reported:
    """One that reports."""
    return Reported(inbox, metrics, mapping(ROUTES))


def test_a_copy_is_a_warning_that_names_the_trigger_and_the_next_step(reported: Reported) -> None:
    """Whoever reads the log sees of what it is taken for a copy, and what to do if it is none."""
    (first,) = reported.route("evt_1")
    (_, line) = reported.route("evt_2", rows_loaded=7)
    assert (line["event"], line["log_level"], line["reason"]) == ("trigger_not_fired", "warning", "duplicate_run")
    assert line["same_as"] == first["triggers"][0]
    assert line["same_as_delivery"] == first["delivery_id"]
    assert "replay --run-again" in line["next_step"]


def test_the_kinds_of_event_that_start_a_route_are_said_once(reported: Reported) -> None:
    """A job and its pipeline run are two completions: the route is named, with the line to add."""
    run = {"type": "pipeline.run.succeeded", "job_id": None}
    assert len(reported.route("evt_1")) == 1
    assert len(reported.route("evt_2", job_id="job_2")) == 1
    (_, line) = reported.route("evt_3", run_id="run_1", **run)
    assert (line["event"], line["log_level"], line["route"], line["pipeline_id"]) == (
        "two_kinds",
        "warning",
        "orders",
        "pl_1",
    )
    assert 'event: "job.*"' in line["next_step"]
    assert len(reported.route("evt_4", run_id="run_2", **run)) == 1
    assert len(reported.route("evt_5", run_id="run_3", pipeline_id="pl_2", **run)) == 1
