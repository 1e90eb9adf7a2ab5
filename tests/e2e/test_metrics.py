"""What a running bridge counts is what happened to its webhooks: seen at /metrics, from outside."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.airflow_server import PostgresServer
from tests.support.service import BridgeProcess, body, signed, wait_for
from tests.support.standin import Answer, Broken, Standin

pytestmark = pytest.mark.timeout(120)
Start = Callable[..., BridgeProcess]
MAPPING = """\
routes:
  - name: orders
    pipeline: pl_8f2a9c1d4e
    dag: load_orders
  - name: refused
    pipeline: pl_refused
    dag: load_orders
  - name: missing
    pipeline: pl_missing
    dag: there_is_no_such_dag
  - name: bad_template
    pipeline: pl_bad
    dag: load_orders
    conf: {date: "{{ event.parameters.business_date }}"}
"""
LOOK_SECONDS = 12.0  # what waits is read every 5 seconds


class Watched:
    """A bridge, and the values that it tells."""

    def __init__(self, bridge: BridgeProcess) -> None:
        self.bridge = bridge

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """Return every sample of a name that is not zero, by its labels' values."""
        families = text_string_to_metric_families(self.bridge.metrics())
        samples = [sample for family in families for sample in family.samples if sample.name == f"bridge_{name}"]
        return {
            tuple(item.labels[label] for label in sorted(item.labels)): item.value for item in samples if item.value
        }

    def value(self, name: str) -> float:
        """Return the only sample of a name, 0 if it is."""
        return sum(self.values(name).values())

    def wait(self, name: str, wanted: Any, *, seconds: float = LOOK_SECONDS) -> None:
        """Wait until the samples of a name are these."""
        wait_for(lambda: self.values(name) == wanted, seconds=seconds, what=lambda: f"{name}: {self.values(name)}")


@pytest.fixture
def standin() -> Iterator[Standin]:
    """A stand-in for Airflow that refuses the conf of one route, as a DAG's params do."""

    def refuse(asked: dict[str, Any]) -> Answer | None:
        return (422, {"detail": "limit: not a number"}) if asked["dag_run_id"].endswith("refused") else None

    with Standin() as standin:
        standin.before = refuse
        yield standin


@pytest.fixture
def watched(start_bridge: Start, standin: Standin) -> Watched:
    """A bridge in front of it."""
    settings = {"BRIDGE_MAX_BODY_BYTES": "4096"}
    return Watched(start_bridge(airflow_url=standin.url, mapping=MAPPING, settings=settings))


def test_each_webhook_is_counted_where_it_went(watched: Watched, standin: Standin) -> None:
    """Fired, failed at Airflow, failed in a template, held, unrouted, duplicate, the same completion, stale."""
    bridge = watched.bridge
    began = time.time()
    answers = [
        bridge.send(body(event="evt_fired", job="job_1")),
        bridge.send(body(event="evt_fired", job="job_1")),  # a copy
        bridge.send(body(event="evt_again", job="job_1")),  # another event of the same completion
        bridge.send(body(event="evt_refused", pipeline="pl_refused")),
        bridge.send(body(event="evt_bad", pipeline="pl_bad")),
        bridge.send(body(event="evt_missing", pipeline="pl_missing")),
        bridge.send(body(event="evt_nobody", pipeline="pl_nobody")),
        bridge.send(body(event="evt_old"), at=int(began) - 4000),
    ]
    assert [answer.status_code for answer in answers] == [202, 200, 202, 202, 202, 202, 202, 202]
    watched.wait(
        "triggers_total",
        {("orders", "fired"): 1, ("orders", "cancelled"): 1, ("refused", "failed"): 1, ("bad_template", "failed"): 1},
    )
    watched.wait("held", {("dag_not_found",): 1})
    assert watched.values("deliveries_total") == {
        ("accepted", "planasonix"): 6,
        ("duplicate", "planasonix"): 1,
        ("stale", "planasonix"): 1,
    }
    assert watched.values("signatures_verified_total") == {("current", "planasonix"): 8}
    assert watched.values("routed_total") == {("planasonix", "routed"): 5, ("planasonix", "unrouted"): 1}
    assert watched.values("trigger_failures_total") == {("conf_refused",): 1, ("template",): 1}
    calls = watched.values("attempts_total")
    assert calls.pop(("default", "later", "dag_not_found")) >= 1
    assert calls == {("default", "started", ""): 1, ("default", "never", "conf_refused"): 1}
    assert watched.values("waiting") == {("default", "", "held"): 1}
    assert 0 < watched.values("oldest_waiting_seconds")["default", "", "held"] < time.time() - began + 1
    assert began - 1 < watched.value("last_delivery_timestamp_seconds") < time.time()
    assert watched.value("committed_seconds_count") == watched.value("commit_rows_sum") == 8
    assert watched.value("routed_seconds_count") == 6
    assert (watched.value("fired_seconds_count"), watched.value("fired_seconds_sum") < 30) == (1, True)
    assert watched.value("store_bytes") > 50_000
    assert 0 < watched.value("store_disk_free_bytes") < watched.value("store_disk_size_bytes")
    assert watched.value("internal_errors_total") == watched.value("store_failures_total") == 0
    assert len(standin.runs()) == 1


def test_each_refusal_is_counted_by_its_reason(watched: Watched) -> None:
    """Whatever is not answered with 2xx; nothing that a stranger sends becomes a label."""
    bridge = watched.bridge
    client, hooks = bridge._client, f"http://127.0.0.1:{bridge.port}/hooks"
    content = body(event="evt_1")
    assert client.post(f"{hooks}/planasonix", content=content + b" ", headers=signed(content)).status_code == 401
    assert client.post(f"{hooks}/planasonix", content=content).status_code in (401, 415)
    assert client.post(f"{hooks}/no_such_source", content=content, headers=signed(content)).status_code == 404
    assert client.get(f"{hooks}/planasonix").status_code == 405
    assert bridge.send(body(event="evt_large", text="x" * 5000)).status_code == 413
    assert bridge.send(content, at=int(time.time()) + 900).status_code == 401
    with socket.create_connection(("127.0.0.1", bridge.port), timeout=120) as connection:
        connection.sendall(b"POST /hooks/planasonix HTTP/1.1\r\nHost: bridge\r\n")
        with suppress(ConnectionError):  # it is cut off while it sends
            for _ in range(100):
                connection.sendall(b"X-More: %s\r\n" % (b"x" * 6000))
                time.sleep(0.01)
    assert watched.values("refusals_total") == {
        ("signature_mismatch", "planasonix"): 1,
        ("signature_missing", "planasonix"): 1,
        ("unknown_source", ""): 1,
        ("wrong_method", "planasonix"): 1,
        ("too_large", "planasonix"): 1,
        ("timestamp_in_future", "planasonix"): 1,
    }
    assert watched.values("connections_ended_total") == {("public", "head_too_large"): 1}
    assert "no_such_source" not in bridge.metrics()
    assert watched.value("deliveries_total") == watched.value("last_delivery_timestamp_seconds") == 0


def test_an_airflow_that_goes_and_comes_back(watched: Watched, standin: Standin) -> None:
    """Unavailable, with its reason, and what waits for it is held; when it is back nothing of that is left."""

    def broken(_: dict[str, Any]) -> Answer | None:
        raise Broken

    standin.is_healthy, standin.before = False, broken
    assert watched.bridge.send(body(event="evt_1")).status_code == 202
    watched.wait("held", {("airflow_down",): 1})
    assert watched.values("airflow_unavailable") == {("default",): 1}
    assert watched.values("airflow_trouble") == {("default", "airflow_down"): 1}
    assert watched.values("waiting") == {("default", "", "held"): 1}
    standin.is_healthy, standin.before = True, lambda _: None
    watched.wait("triggers_total", {("orders", "fired"): 1}, seconds=40)
    watched.wait("waiting", {})
    assert watched.values("airflow_unavailable") == watched.values("airflow_trouble") == watched.values("held") == {}


def test_routes_come_and_go(watched: Watched) -> None:
    """A route of the mapping has its series from the start; one that leaves it loses them; a mistake is told."""
    bridge = watched.bridge
    assert 'bridge_triggers_total{route="missing",state="failed"} 0.0' in bridge.metrics()
    (first,) = watched.values("mapping_info")
    bridge.write_mapping("routes:\n  - name: only\n    pipeline: pl_8f2a9c1d4e\n    dag: load_orders\n")
    wait_for(lambda: first not in watched.values("mapping_info"), seconds=20, what="the edit is used")
    assert 'route="missing"' not in bridge.metrics()
    assert 'bridge_triggers_total{route="only",state="fired"} 0.0' in bridge.metrics()
    bridge.write_mapping("routes:\n  - pipline: x\n")
    watched.wait("mapping_broken", {(): 1}, seconds=20)
    assert watched.values("mapping_reloads_total") == {("loaded",): 1, ("refused",): 1}
    assert (len(watched.values("mapping_info")), watched.value("mapping_routes")) == (1, 1)


def test_the_time_of_the_last_webhook_survives_a_restart(watched: Watched) -> None:
    """Else every restart would look like silence."""
    watched.bridge.send(body(event="evt_1"))
    before = watched.value("last_delivery_timestamp_seconds")
    assert watched.bridge.stop() == 0
    watched.bridge.start()
    assert watched.value("last_delivery_timestamp_seconds") == pytest.approx(before, abs=1)


def test_the_log_leads_from_an_alert_to_the_webhook(watched: Watched) -> None:
    """A trigger that failed, held or was not made says which delivery, which route and why."""
    bridge = watched.bridge
    ids = {}
    for pipeline in ("pl_bad", "pl_refused", "pl_missing", "pl_nobody"):
        ids[pipeline] = bridge.send(body(event=f"evt_{pipeline}", pipeline=pipeline)).json()["delivery_id"]
    ids["stale"] = bridge.send(body(event="evt_old"), at=int(time.time()) - 4000).json()["delivery_id"]

    def said(event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in bridge.log.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    wait_for(lambda: len(said("attempt_ended")) >= 2, seconds=20, what="both calls")
    (template,) = said("trigger_not_fired")
    assert template["delivery_id"] == ids["pl_bad"]
    assert (template["route"], template["state"], template["reason"]) == ("bad_template", "failed", "template")
    assert template["trigger_id"].startswith("trg_")
    assert template["next_step"]
    calls = {line["delivery_id"]: line for line in said("attempt_ended")}
    refused, missing = calls[ids["pl_refused"]], calls[ids["pl_missing"]]
    assert (refused["level"], refused["state"], refused["reason"]) == ("warning", "failed", "conf_refused")
    assert (refused["airflow"], refused["http_status"]) == ("default", 422)
    assert (missing["state"], missing["reason"]) == ("held", "dag_not_found")
    (stale,) = said("delivery_stale")
    assert (stale["delivery_id"], stale["reason"]) == (ids["stale"], "timestamp_too_old")
    routed = {line["delivery_id"]: line for line in said("delivery_routed")}
    assert (routed[ids["pl_nobody"]]["state"], routed[ids["pl_nobody"]]["reason"]) == ("unrouted", "no_route")


def test_replicas_share_some_and_count_the_rest(
    own_server: PostgresServer, start_bridge: Start, standin: Standin
) -> None:
    """Gauges of the store are the same from both, counters add up; with the store away /metrics answers and says so."""
    url = own_server.create_database("bridge")
    settings = {"BRIDGE_DATABASE_URL": url}
    replicas = [Watched(start_bridge(airflow_url=standin.url, mapping=MAPPING, settings=settings)) for _ in range(2)]
    for number in range(20):
        pipeline = "pl_missing" if number < 5 else "pl_8f2a9c1d4e"
        assert replicas[number % 2].bridge.send(body(event=f"evt_{number}", pipeline=pipeline)).status_code == 202
    for item in replicas:
        item.wait("held", {("dag_not_found",): 5}, seconds=20)
    assert sum(item.value("deliveries_total") for item in replicas) == 20
    assert sum(item.value("routed_total") for item in replicas) == 20
    wait_for(lambda: sum(item.value("triggers_total") for item in replicas) == 15, seconds=20, what="all fired")
    first, second = (item.value("store_bytes") for item in replicas)
    assert 5_000_000 < first == pytest.approx(second, rel=0.2)
    assert "bridge_store_disk_free_bytes NaN" in replicas[0].bridge.metrics()
    own_server.kill()
    wait_for(lambda: replicas[0].bridge.send(body(event="evt_away")).status_code == 503, seconds=10, what="a refusal")
    replicas[0].wait("refusals_total", {("unavailable", "planasonix"): 1})
    wait_for(lambda: replicas[0].value("store_failures_total") > 0, seconds=15, what="failures")
    read_at = replicas[0].value("store_read_timestamp_seconds")
    time.sleep(6)
    assert replicas[0].value("store_read_timestamp_seconds") == read_at
    assert replicas[0].values("held") == {("dag_not_found",): 5}
