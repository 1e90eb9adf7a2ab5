"""Every metric of the bridge, and the only importer of prometheus_client.

Base units, labels from closed sets (configuration and `Reason`), children created at start where the set is
known, so that a rate can be computed from the first event on. Names and meanings stand in the README; a test
compares the two.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from bridge.model import DeliveryState, TriggerState
from bridge.reasons import Reason

DOOR_REASONS = (
    Reason.SIGNATURE_MISSING,
    Reason.SIGNATURE_MALFORMED,
    Reason.SIGNATURE_MISMATCH,
    Reason.TIMESTAMP_IN_FUTURE,
    Reason.TIMESTAMP_TOO_OLD,
    Reason.KEY_OUT_OF_TIME,
    Reason.CLAIMS_MISMATCH,
)
# What is wrong with a request before its signature is looked at.
BROKEN = ("unknown_source", "wrong_method", "too_large", "not_json", "encoded", "broken", "too_slow", "unavailable")
ACCEPTED = ("accepted", "duplicate", "stale")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0)

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """One registry and what is counted in it."""

    def __init__(self, *, keys_by_source: Mapping[str, Iterable[str]], airflows: Iterable[str]) -> None:
        """Create every child that the configuration determines."""
        self._registry = CollectorRegistry()
        self._intake()
        self._work()
        self._state()
        for source, keys in keys_by_source.items():
            for outcome in ACCEPTED:
                self.deliveries.labels(source, outcome)
            for reason in (*DOOR_REASONS, *BROKEN):
                self.refusals.labels(source, str(reason))
            for key in keys:
                self.verified.labels(source, key)
        self.refusals.labels("", "unknown_source")
        for airflow in airflows:
            self.airflow_open.labels(airflow).set(0)

    def _intake(self) -> None:
        self.deliveries = self._counter(
            "deliveries_total", "Authentic webhooks answered with 2xx.", "source", "outcome"
        )
        self.refusals = self._counter("refusals_total", "Requests not answered with 2xx.", "source", "reason")
        self.verified = self._counter(
            "signatures_verified_total", "Signatures by the key that made them.", "source", "key"
        )
        self.commit_seconds = self._histogram("commit_seconds", "Time of one transaction that stored webhooks.")
        self.commit_rows = Histogram(
            "bridge_commit_rows",
            "Webhooks that shared one transaction.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128),
            registry=self._registry,
        )

    def _work(self) -> None:
        self.routed = self._counter("routed_total", "Deliveries by where routing left them.", "source", "state")
        self.triggers = self._counter("triggers_total", "Triggers that ended.", "route", "state")
        self.attempts = self._counter(
            "attempts_total", "Calls to Airflow by how they ended.", "airflow", "outcome", "reason"
        )
        self.fired_seconds = self._histogram("fired_seconds", "From a webhook's receipt to its DAG run in Airflow.")
        self.leases_taken_over = self._counter("leases_taken_over_total", "Triggers taken over from a dead process.")
        self.pruned = self._counter("pruned_total", "Deliveries removed by retention.")
        self.resealed = self._counter("resealed_total", "Rows brought under the first encryption key.")
        self.failures = self._counter("internal_errors_total", "Errors of the bridge itself, by the part.", "part")

    def _state(self) -> None:
        self.waiting = self._gauge("waiting", "Deliveries and triggers that wait.", "state")
        self.oldest_seconds = self._gauge("oldest_waiting_seconds", "Age of the oldest that waits.", "state")
        self.airflow_open = self._gauge("airflow_unavailable", "1 while nothing is fired at this Airflow.", "airflow")
        self.resealing = self._gauge("resealing", "1 while rows are brought under the first encryption key.")
        self.locked_rows = self._gauge("locked_rows", "Rows that no configured encryption key opened at start.")
        self.mapping_broken = self._gauge("mapping_broken", "1 while the mapping file cannot be used.")
        self.mapping_loaded_at = self._gauge("mapping_loaded_timestamp_seconds", "When the mapping in use was loaded.")
        self.mapping_routes = self._gauge("mapping_routes", "Routes of the mapping in use.")
        self.mapping_info = self._gauge("mapping_info", "1 for the digest of the mapping in use.", "digest")
        for state in (DeliveryState.RECEIVED, TriggerState.PENDING, TriggerState.HELD, TriggerState.FIRING):
            self.waiting.labels(state)
            self.oldest_seconds.labels(state)

    def observe_commit(self, rows: int, seconds: float) -> None:
        """Count one transaction that stored webhooks."""
        self.commit_rows.observe(rows)
        self.commit_seconds.observe(seconds)

    def observe_waiting(self, waiting: Mapping[str, tuple[int, datetime | None]], now: datetime) -> None:
        """Take over what the store says of what waits."""
        for state, (amount, oldest) in waiting.items():
            self.waiting.labels(state).set(amount)
            age = 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
            self.oldest_seconds.labels(state).set(age)

    def observe_mapping(self, *, digest: str, routes: int, loaded_at: datetime) -> None:
        """Take over which mapping is in use."""
        self.mapping_info.clear()
        self.mapping_info.labels(digest).set(1)
        self.mapping_routes.set(routes)
        self.mapping_loaded_at.set(loaded_at.timestamp())

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def names(self) -> set[str]:
        """Return the name of every metric, as documented."""
        return {sample for metric in self._registry.collect() for sample in [metric.name]}

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"bridge_{name}", meaning, labels, registry=self._registry)

    def _gauge(self, name: str, meaning: str, *labels: str) -> Gauge:
        return Gauge(f"bridge_{name}", meaning, labels, registry=self._registry)

    def _histogram(self, name: str, meaning: str, *labels: str) -> Histogram:
        return Histogram(f"bridge_{name}", meaning, labels, buckets=_SECONDS, registry=self._registry)
