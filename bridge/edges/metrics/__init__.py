"""Every metric of the bridge, and the only importer of prometheus_client.

Base units; labels from closed sets (sources, keys and Airflows of the configuration, routes of the mapping in use,
`Reason`), every child created as soon as its set is known, so that a rate can be computed from the first event on.
A help text ends with `Of the store` where every replica reports the same shared value: take its `max`. All other
metrics are of one process: take the `sum`. docs/reference/metrics.md lists them all (`make docs`).
"""

import math
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import partial
from itertools import product

from prometheus_client import (
    CollectorRegistry,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from bridge import __version__
from bridge.edges.metrics import labels
from bridge.edges.metrics.access import AccessMetrics
from bridge.edges.metrics.dags import DagMetrics
from bridge.edges.metrics.drift import DriftMetrics
from bridge.edges.metrics.making import Making, create
from bridge.edges.metrics.notifying import NotifyMetrics
from bridge.edges.metrics.pace import PaceMetrics
from bridge.edges.metrics.pauses import PauseMetrics
from bridge.edges.metrics.reconciling import ReconcileMetrics
from bridge.edges.metrics.runs import RunMetrics
from bridge.edges.metrics.store import StoreMetrics
from bridge.edges.metrics.waits import WaitMetrics
from bridge.words.model import Attempt, TriggerState
from bridge.words.reasons import Reason

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """One registry and what is counted in it."""

    def __init__(self, *, keys_by_source: Mapping[str, Iterable[str]], airflows: Iterable[str]) -> None:
        """Create every child that the configuration determines."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series for every counter, and nobody asks for it
        self._registry = CollectorRegistry()
        making = Making(self._registry)
        self._counter, self._gauge, self._histogram = making.counter, making.gauge, making.histogram
        self._amounts = making.amounts
        self._sources, self._airflows = tuple(keys_by_source), tuple(airflows)
        self._routes: frozenset[str] = frozenset()
        self.last_deliveries = dict.fromkeys(self._sources, 0.0)  # Unix seconds; receiving writes, a scrape reads
        self._intake()
        self._work()
        self._airflow()
        self._store()
        self._configuration()
        self.store = StoreMetrics(making, self._sources, self._airflows)
        self.access = AccessMetrics(making)
        self.runs = RunMetrics(making, self._airflows)
        self.pace = PaceMetrics(making)
        self.dags = DagMetrics(making, self._airflows)
        self.pauses = PauseMetrics(making)
        self.waits = WaitMetrics(making, self._airflows)
        self.notifying = NotifyMetrics(making)
        self.reconciling = ReconcileMetrics(making)
        self.drift = DriftMetrics(making, self._sources)
        self._create_children(keys_by_source)
        ProcessCollector(registry=self._registry)

    def _intake(self) -> None:
        self.deliveries = self._counter(
            "deliveries_total", "Authentic webhooks answered with 2xx.", "source", "outcome"
        )
        self.last_delivery = self._gauge(
            "last_delivery_timestamp_seconds",
            "Receipt of the newest authentic webhook; 0 if none is known.",
            "source",
        )
        meaning = "1 while the source has sent nothing for longer than `silent_after`. Of the store."
        self.source_silent = self._gauge("source_silent", meaning, "source")
        self.copies = self._counter("copies_total", "Webhooks under a taken key, by what they were.", "source", "kind")
        self.refusals = self._counter("refusals_total", "Requests not answered with 2xx.", "source", "reason")
        self.connections = self._gauge("connections", "Connections that are open.", "listener")
        meaning = "Connections that the bridge ended: broken, slow, or crowded out."
        self.connections_ended = self._counter("connections_ended_total", meaning, "listener", "reason")
        self.verified = self._counter("signatures_verified_total", "Signatures by their key.", "source", "key")
        self.key_old_in_use = self._gauge(
            "key_old_in_use", "1 while a key that is to be given up still signs webhooks.", "source", "key"
        )
        self.key_expires = self._gauge(
            "key_expires_timestamp_seconds", "When the key stops being accepted; +Inf if never.", "source", "key"
        )
        self.committed_seconds = self._histogram(
            "committed_seconds", "From a webhook's receipt to its commit, before the answer."
        )
        self.commit_seconds = self._histogram("commit_seconds", "Time of one transaction that stored webhooks.")
        self.commit_rows = self._amounts("commit_rows", "Webhooks that shared one transaction.")

    def _work(self) -> None:
        self.routed = self._counter("routed_total", "Deliveries by where routing left them.", "source", "state")
        self.status_unknown = self._counter(
            "status_unknown_total",
            "Events of a run, job or backfill whose status nobody knows, or that have none.",
            "source",
        )
        meaning = (
            "Deliveries given up: the Planasonix API said nothing of their job or run in a day, or does not know it."
        )
        self.lookups_given_up = self._counter("lookups_given_up_total", meaning, "source")
        self.routed_seconds = self._histogram("routed_seconds", "From a webhook's receipt to its triggers.")
        self.triggers = self._counter(
            "triggers_total",
            "Triggers that ended; the route is empty for one no longer in the mapping.",
            "route",
            "state",
        )
        self.trigger_failures = self._counter("trigger_failures_total", "Triggers that ended as failed.", "reason")
        self.attempts = self._counter(
            "attempts_total", "Calls to Airflow by how they ended.", "airflow", "outcome", "reason"
        )
        self.attempt_seconds = self._histogram("attempt_seconds", "Time of one call to Airflow.", "airflow")
        self.fired_seconds = self._histogram(
            "fired_seconds", "From a webhook's receipt (or a replay) to its DAG run in Airflow."
        )
        self.leases_taken_over = self._counter("leases_taken_over_total", "Triggers taken over from a dead process.")
        self.pruned = self._counter("pruned_total", "Deliveries removed by retention.")
        self.resealed = self._counter("resealed_total", "Rows brought under the first encryption key.")
        self.resealing = self._gauge("resealing", "1 while rows are brought under the first encryption key.")
        self.locked_rows = self._gauge("locked_rows", "Rows that no configured encryption key opened at start.")
        self.failures = self._counter("internal_errors_total", "Errors of the bridge itself, by part.", "part")

    def _airflow(self) -> None:
        self.airflow_unavailable = self._gauge(
            "airflow_unavailable", "1 while nothing is fired at this Airflow.", "airflow"
        )
        self.airflow_trouble = self._gauge(
            "airflow_trouble", "1 for the reason for which nothing is fired at this Airflow.", "airflow", "reason"
        )

    def _store(self) -> None:
        self.store_seconds = self._histogram(
            "store_seconds",
            "Time of one transaction other than intake's, with its wait; `fold` moves SQLite's keys into their table.",
            "operation",
        )
        self.store_failures = self._counter("store_failures_total", "Transactions that failed.", "operation")

    def _configuration(self) -> None:
        self.mapping_broken = self._gauge("mapping_broken", "1 while a file of the mapping cannot be used.")
        self.mapping_loaded_at = self._gauge("mapping_loaded_timestamp_seconds", "When the mapping in use was loaded.")
        self.mapping_routes = self._gauge("mapping_routes", "Routes of the mapping in use.")
        self.mapping_info = self._gauge("mapping_info", "1 for the digest of the mapping in use.", "digest")
        self.mapping_reloads = self._counter("mapping_reloads_total", "Changes of the mapping, by outcome.", "outcome")
        self.secrets_broken = self._gauge("secrets_broken", "1 while a file of a secret cannot be used.")
        self.secrets_loaded_at = self._gauge("secrets_loaded_timestamp_seconds", "When the secrets in use were read.")
        self.jwks_refreshes = self._counter(
            "jwks_refreshes_total", "Fetches of a JWKS URL, by outcome.", "source", "key", "outcome"
        )
        self.jwks_loaded_at = self._gauge(
            "jwks_loaded_timestamp_seconds",
            "When a JWKS URL last answered with usable keys; 0: never.",
            "source",
            "key",
        )
        self._gauge("build_info", "1 for the version that runs.", "version").labels(__version__).set(1)

    def _create_children(self, keys_by_source: Mapping[str, Iterable[str]]) -> None:
        for source, keys in keys_by_source.items():
            create(self.deliveries, [source], labels.ACCEPTED)
            create(self.refusals, [source], [*labels.DOOR_REASONS, *labels.LIMITS, *labels.BROKEN])
            create(self.verified, [source], keys)
            create(self.routed, [source], labels.ROUTED)
            create(self.copies, [source], labels.COPIES)
            self.status_unknown.labels(source)
            self.lookups_given_up.labels(source)
            self.source_silent.labels(source)
            for key in keys:
                self.key_old_in_use.labels(source, key)
                self.key_expires.labels(source, key).set(math.inf)
            self.last_delivery.labels(source).set_function(partial(self.last_deliveries.__getitem__, source))
        self.refusals.labels("", "unknown_source")
        create(self.connections, labels.LISTENERS)
        for airflow in self._airflows:
            for outcome, reasons in labels.ATTEMPTS.items():
                create(self.attempts, [airflow], [outcome], reasons)
            self.attempt_seconds.labels(airflow)
            self.observe_airflow(airflow, None)
        for counter, words in (
            (self.trigger_failures, labels.FAILURES),
            (self.failures, labels.PARTS),
            (self.mapping_reloads, ("loaded", "refused")),
            (self.store_failures, labels.STORE_OPERATIONS),
        ):
            create(counter, words)
        create(self.connections_ended, labels.LISTENERS, labels.CONNECTION_ENDS)
        create(self.store_seconds, labels.STORE_OPERATIONS)
        create(self.triggers, [""], labels.TRIGGER_ENDS)

    def observe_commit(self, waited: Collection[float], seconds: float) -> None:
        """Count one transaction that stored webhooks, each with its time since receipt."""
        self.commit_rows.observe(len(waited))
        self.commit_seconds.observe(seconds)
        for wait in waited:
            self.committed_seconds.observe(wait)

    def observe_store(self, operation: str, seconds: float, is_done: bool) -> None:
        """Count one transaction that was asked of the store: `read`, `write` or `fold`."""
        self.store_seconds.labels(operation).observe(seconds)
        if not is_done:
            self.store_failures.labels(operation).inc()

    def observe_key(self, source: str, key: str, *, expires_at: float | None, is_old_in_use: bool = False) -> None:
        """Set until when a key is accepted (Unix seconds), and whether it is still used although it should be gone."""
        self.key_expires.labels(source, key).set(math.inf if expires_at is None else expires_at)
        self.key_old_in_use.labels(source, key).set(is_old_in_use)

    def expect_key_set(self, source: str, key: str) -> None:
        """Create the children of a key that is fetched from a JWKS URL."""
        create(self.jwks_refreshes, [source], [key], labels.FETCHES)
        self.jwks_loaded_at.labels(source, key)

    def observe_airflow(self, airflow: str, reason: Reason | None) -> None:
        """Take over whether an Airflow is fired at, and if not, why."""
        self.airflow_unavailable.labels(airflow).set(reason is not None)
        for item in {*labels.TROUBLES, reason} - {None}:
            self.airflow_trouble.labels(airflow, str(item)).set(item is reason)

    def observe_mapping(self, *, digest: str, routes: Collection[str], loaded_at: datetime) -> None:
        """Take over which mapping is in use; the counts of routes that it no longer has end."""
        names = frozenset(routes)
        for route, state in product(self._routes - names, labels.TRIGGER_ENDS):
            self.triggers.remove(route, state)
        create(self.triggers, names, labels.TRIGGER_ENDS)
        self._routes = names
        self.runs.observe_routes(names)
        self.mapping_info.clear()
        self.mapping_info.labels(digest).set(1)
        self.mapping_routes.set(len(routes))
        self.mapping_loaded_at.set(loaded_at.timestamp())

    def count_ended(self, route: str, state: TriggerState, reason: Reason | None) -> None:
        """Count a trigger that ended, and what it failed of; one that did not end counts nothing."""
        if state not in labels.TRIGGER_ENDS:
            return
        self.triggers.labels(route if route in self._routes else "", state).inc()
        if state is TriggerState.FAILED:
            self.trigger_failures.labels(str(reason or "")).inc()

    def count_attempt(self, airflow: str, attempt: Attempt) -> None:
        """Count one call to Airflow."""
        self.attempts.labels(airflow, attempt.outcome, str(attempt.reason or "")).inc()
        self.attempt_seconds.labels(airflow).observe(attempt.seconds)

    def observe_fired(self, since: datetime, now: datetime) -> None:
        """Count how long a DAG run took to be created. The clocks of two replicas may disagree, so never below 0."""
        self.fired_seconds.observe(max(0.0, (now - since).total_seconds()))

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self._registry)
