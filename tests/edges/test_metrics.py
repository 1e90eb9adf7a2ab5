"""Labels are closed sets whose children exist from the start; what is told is what was observed."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.edges.metrics import Metrics, labels
from bridge.words.backlog import Waiting
from bridge.words.model import Attempt, DeliveryState, TriggerState
from bridge.words.reasons import Reason
from deploy.demo.airflow import REPOSITORY

NOW = datetime(2026, 8, 1, tzinfo=UTC)


@pytest.fixture
def metrics() -> Metrics:
    """Two sources, two Airflows, two routes."""
    item = Metrics(keys_by_source={"first": ["current", "old"], "second": ["only"]}, airflows=["default", "other"])
    item.expect_key_set("first", "current")
    item.notifying.expect(["CHAT_URL"])
    item.observe_mapping(digest="aaaa", routes=["orders", "stock"], loaded_at=NOW)
    return item


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return every sample of ours."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
        if sample.name.startswith("bridge_")
    }


def value(metrics: Metrics, name: str, **wanted: str) -> float:
    """Return one sample; KeyError if it is not exposed."""
    return samples(metrics)[f"bridge_{name}", frozenset(wanted.items())]


def attempt(outcome: str, reason: str) -> Attempt:
    """Return a call that ended so."""
    return Attempt(1, NOW, 0.2, outcome, Reason.of(reason) if reason else None, None, None)


def test_nothing_that_can_be_counted_makes_a_new_series(metrics: Metrics) -> None:
    """Every child is there before the first event, or the first event would not show in a rate."""
    before = samples(metrics).keys()
    for outcome, reasons in labels.ATTEMPTS.items():
        for reason in reasons:
            metrics.count_attempt("other", attempt(outcome, str(reason)))
    for route, state in product(["orders", "gone", "stock"], TriggerState):
        for reason in labels.FAILURES:
            metrics.count_ended(route, state, reason)
    for problem in (*labels.TROUBLES, None):
        metrics.observe_airflow("default", problem)
    held = [Waiting(TriggerState.HELD, 1, NOW, airflow="default", reason=reason) for reason in labels.HELD]
    strangers = [Waiting(DeliveryState.RECEIVED, 2, NOW, source="gone"), Waiting(TriggerState.PENDING, 3, NOW)]
    metrics.store.observe_backlog([*held, *strangers[1:]], NOW)
    metrics.observe_commit([0.1], 0.1)
    metrics.observe_store("write", 0.1, is_done=False)
    metrics.observe_store("read", 0.1, is_done=True)
    metrics.connections_ended.labels("admin", "too_slow").inc()
    for outcome in labels.FETCHES:
        metrics.jwks_refreshes.labels("first", "current", outcome).inc()
    metrics.jwks_loaded_at.labels("first", "current").set_to_current_time()
    assert samples(metrics).keys() == before


def outcomes() -> Iterator[tuple[str, str]]:
    """Yield outcome and reason of every place in the code that makes one with a literal reason."""
    words = {"Later": "later", "Never": "never", "TargetDown": "target_down", "Misconfigured": "misconfigured"}
    words["AlreadyThere"] = "already_there"
    folders = (Path(REPOSITORY, "bridge", "edges", "airflow"), Path(REPOSITORY, "bridge", "flows", "firing"))
    for path in (path for folder in folders for path in folder.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Name(id=name), args=[ast.Attribute(value=ast.Name(id="Reason"), attr=reason), *_]
                ):
                    if name in words:
                        yield words[name], str(Reason[reason])


def test_every_outcome_of_a_call_is_in_the_closed_set() -> None:
    """The code is read: a new outcome without its label would make a series at the first event only."""
    found = set(outcomes())
    assert len(found) > 12
    known = {(outcome, str(reason)) for outcome, reasons in labels.ATTEMPTS.items() for reason in reasons}
    of_probes_alone = {("target_down", "internal_error")}
    assert found - known == of_probes_alone
    holding = {reason for outcome, reason in found if outcome in ("target_down", "misconfigured")}
    assert holding <= set(map(str, labels.HELD))


def test_every_part_that_can_fail_is_in_the_closed_set() -> None:
    """A part that counts its errors has its child from the start."""
    code = "".join(path.read_text() for path in Path(REPOSITORY, "bridge").rglob("*.py"))
    assert set(re.findall(r'failures\.labels\("(\w+)"\)', code)) == set(labels.PARTS)


def test_a_route_that_leaves_the_mapping_loses_its_series(metrics: Metrics) -> None:
    """What still ends for it is counted without its name; one that stays keeps its count."""
    metrics.count_ended("orders", TriggerState.FIRED, None)
    metrics.count_ended("stock", TriggerState.FIRED, None)
    metrics.observe_mapping(digest="bbbb", routes=["orders", "new"], loaded_at=NOW)
    metrics.count_ended("stock", TriggerState.FAILED, Reason.EXPIRED)
    assert value(metrics, "triggers_total", route="orders", state="fired") == 1
    assert value(metrics, "triggers_total", route="new", state="failed") == 0
    assert value(metrics, "triggers_total", route="", state="failed") == 1
    assert value(metrics, "trigger_failures_total", reason="expired") == 1
    assert ("bridge_triggers_total", frozenset({("route", "stock"), ("state", "fired")})) not in samples(metrics)
    assert value(metrics, "mapping_info", digest="bbbb") == 1
    assert ("bridge_mapping_info", frozenset({("digest", "aaaa")})) not in samples(metrics)


@pytest.mark.parametrize("reason", [Reason.PAUSED_BY_PERSON, Reason.DAG_PAUSED])
def test_what_is_meant_to_wait_has_no_age(metrics: Metrics, reason: Reason) -> None:
    """A person or the route says so; else the alert for what is held too long would call for it, too."""
    meant = Waiting(TriggerState.HELD, 7, NOW - timedelta(days=9), airflow="other", reason=reason)
    other = Waiting(TriggerState.HELD, 1, NOW - timedelta(minutes=1), airflow="other", reason=Reason.DAG_NOT_FOUND)
    metrics.store.observe_backlog([meant, other], NOW)
    assert value(metrics, "waiting", state="held", source="", airflow="other") == 8
    assert value(metrics, "oldest_waiting_seconds", state="held", source="", airflow="other") == 60


def test_what_waits_is_told_by_place_and_forgotten_when_it_is_gone(metrics: Metrics) -> None:
    """Reasons of one place add up, its oldest counts; what is no longer configured has no name; gone is zero."""
    hour, minute = NOW - timedelta(hours=1), NOW - timedelta(minutes=1)
    metrics.store.observe_backlog(
        [
            Waiting(DeliveryState.RECEIVED, 4, minute, source="first"),
            Waiting(TriggerState.HELD, 2, minute, airflow="other", reason=Reason.DAG_NOT_FOUND),
            Waiting(TriggerState.HELD, 3, hour, airflow="other", reason=Reason.AIRFLOW_DOWN),
            Waiting(TriggerState.HELD, 5, hour, airflow="gone", reason=Reason.UNKNOWN_AIRFLOW),
        ],
        NOW,
    )
    assert value(metrics, "waiting", state="received", source="first", airflow="") == 4
    assert value(metrics, "waiting", state="received", source="second", airflow="") == 0
    assert value(metrics, "waiting", state="held", source="", airflow="other") == 5
    assert value(metrics, "waiting", state="held", source="", airflow="") == 5
    assert value(metrics, "oldest_waiting_seconds", state="held", source="", airflow="other") == 3600
    assert value(metrics, "oldest_waiting_seconds", state="received", source="first", airflow="") == 60
    assert value(metrics, "held", reason="dag_not_found") == 2
    assert value(metrics, "store_read_timestamp_seconds") == NOW.timestamp()
    metrics.store.observe_backlog([], NOW)
    told = samples(metrics)
    waiting = ("bridge_waiting", "bridge_oldest_waiting_seconds", "bridge_held")
    assert {amount for (name, _), amount in told.items() if name in waiting} == {0}


def test_an_airflow_has_one_trouble_at_a_time(metrics: Metrics) -> None:
    """The reason that was goes when another comes; none is left when it is back."""
    for problem in (Reason.AIRFLOW_DOWN, Reason.AIRFLOW_UNAUTHORIZED):
        metrics.observe_airflow("default", problem)
        told = {name[1]: amount for name, amount in samples(metrics).items() if name[0] == "bridge_airflow_trouble"}
        assert [dict(item)["reason"] for item, amount in told.items() if amount] == [str(problem)]
        assert value(metrics, "airflow_unavailable", airflow="default") == 1
    metrics.observe_airflow("default", None)
    assert value(metrics, "airflow_unavailable", airflow="default") == 0
    assert value(metrics, "airflow_trouble", airflow="default", reason="airflow_unauthorized") == 0


def test_what_is_not_known_is_not_zero(metrics: Metrics) -> None:
    """A volume that nobody can look at must not look full, a key without an end must not look ended."""
    text = metrics.exposition().decode()
    assert "bridge_store_disk_free_bytes NaN" in text
    assert value(metrics, "key_expires_timestamp_seconds", source="first", key="old") == float("inf")
    metrics.store.observe_size(1000, None)
    assert "bridge_store_disk_free_bytes NaN" in metrics.exposition().decode()
    metrics.store.observe_size(1000, (10, 100))
    metrics.observe_key("first", "old", expires_at=1_800_000_000, is_old_in_use=True)
    assert (value(metrics, "store_bytes"), value(metrics, "store_disk_free_bytes")) == (1000, 10)
    assert value(metrics, "key_expires_timestamp_seconds", source="first", key="old") == 1_800_000_000
    assert value(metrics, "key_old_in_use", source="first", key="old") == 1
    assert value(metrics, "key_old_in_use", source="first", key="current") == 0


def test_each_webhook_of_a_transaction_counts_by_itself(metrics: Metrics) -> None:
    """Its time from receipt to commit falls into its own bucket, limits included."""
    metrics.observe_commit([0.001, 0.0011, 5000.0], 0.1)
    metrics.observe_commit([], 0.1)
    assert value(metrics, "committed_seconds_bucket", le="0.001") == 1
    assert value(metrics, "committed_seconds_bucket", le="0.0025") == 2
    assert value(metrics, "committed_seconds_bucket", le="+Inf") == 3
    assert value(metrics, "committed_seconds_sum") == pytest.approx(5000.0021)
    assert (value(metrics, "commit_rows_count"), value(metrics, "commit_seconds_count")) == (2, 2)


def test_the_last_delivery_is_read_when_asked(metrics: Metrics) -> None:
    """Receiving only sets an item of a dict."""
    metrics.last_deliveries["second"] = 123.5
    assert value(metrics, "last_delivery_timestamp_seconds", source="second") == 123.5
    assert value(metrics, "last_delivery_timestamp_seconds", source="first") == 0
