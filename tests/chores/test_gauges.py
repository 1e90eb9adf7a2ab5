"""What the metrics say of the store is what is in it, and a store that is away neither stops nor falsifies it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.chores.gauges import Gauges
from bridge.edges.inbox import Inbox
from bridge.edges.metrics import Metrics
from bridge.words.model import TriggerState
from bridge.words.reasons import Reason
from tests.support.store import Store, accept, add, stored, wait_for


@pytest.fixture
def watching(inbox: Inbox, metrics: Metrics) -> Iterator[Gauges]:
    """One that has not begun."""
    gauges = Gauges(inbox=inbox, metrics=metrics)
    yield gauges
    gauges.loop.stop(5)


def told(metrics: Metrics, sample: str) -> float:
    """Return one sample of the exposition."""
    lines = metrics.exposition().decode().splitlines()
    return next(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"bridge_{sample} "))


def test_a_look_takes_over_what_waits_and_the_size(
    watching: Gauges, inbox: Inbox, metrics: Metrics, path: Path
) -> None:
    """By source and state, with the age of the oldest; bytes of the files, room of the volume."""
    accept(inbox, "evt_1", "evt_2")
    now = datetime.now(UTC)
    held = {"state": TriggerState.HELD, "reason": Reason.LOOP_GUARD}
    add(inbox, stored(inbox, "evt_3"), now=now - timedelta(hours=2), **held)
    add(inbox, stored(inbox, "evt_4"), airflow="gone", now=now)
    watching.look()
    assert told(metrics, 'waiting{airflow="",source="planasonix",state="received"}') == 2
    assert told(metrics, 'waiting{airflow="default",source="",state="held"}') == 1
    assert told(metrics, 'oldest_waiting_seconds{airflow="default",source="",state="held"}') == pytest.approx(
        7200, abs=9
    )
    assert told(metrics, 'waiting{airflow="",source="",state="pending"}') == 1
    assert told(metrics, 'held{reason="loop_guard"}') == 1
    assert told(metrics, "store_bytes") >= path.stat().st_size
    assert 0 < told(metrics, "store_disk_free_bytes") < told(metrics, "store_disk_size_bytes")


def test_it_recalls_when_each_source_was_last_heard(watching: Gauges, inbox: Inbox, metrics: Metrics) -> None:
    """From the store, once; a newer one that came meanwhile stands, and what is not configured is left out."""
    accept(inbox, "evt_1")
    accept(inbox, "evt_2", source="gone")
    watching.recall()
    assert metrics.last_deliveries.keys() == {"planasonix"}
    assert metrics.last_deliveries["planasonix"] == pytest.approx(time.time(), abs=10)
    metrics.last_deliveries["planasonix"] = newer = time.time() + 100
    watching.recall()
    assert metrics.last_deliveries["planasonix"] == newer


def test_the_last_look_stays_while_the_store_is_away(
    watching: Gauges, inbox: Inbox, store: Store, metrics: Metrics
) -> None:
    """Counts are kept, their age shows, and the failure is counted; when the store is back so are fresh counts."""
    accept(inbox, "evt_1")
    watching.loop.start()
    wait_for(lambda: told(metrics, 'waiting{airflow="",source="planasonix",state="received"}') == 1)
    watching.loop.stop(5)
    read_at = told(metrics, "store_read_timestamp_seconds")
    store.rows("ALTER TABLE triggers RENAME TO hidden")
    watching.loop.turn()
    watching.loop.turn()
    assert told(metrics, 'waiting{airflow="",source="planasonix",state="received"}') == 1
    assert told(metrics, "store_read_timestamp_seconds") == read_at
    assert told(metrics, 'internal_errors_total{part="gauges"}') == 0
    store.rows("ALTER TABLE hidden RENAME TO triggers")
    watching.loop.turn()
    assert told(metrics, "store_read_timestamp_seconds") > read_at
