"""Retention runs by itself, in batches, and stops when asked."""

import time
from datetime import UTC, datetime, timedelta

from bridge.chores.retention import Upkeep
from bridge.edges.inbox import Inbox
from bridge.edges.metrics import Metrics
from tests.support.store import Store, accept, stored, wait_for


def fold(store: Store) -> None:
    """Wait until every key is in the table: retention leaves the others alone."""
    wait_for(lambda: bool(store.one("SELECT (SELECT COUNT(*) FROM dedup) = (SELECT COUNT(*) FROM deliveries)")))


def upkeep(inbox: Inbox, metrics: Metrics, *, days_from_now: float = 31) -> Upkeep:
    """Return upkeep of 30 days that looks at the store so many days from now."""
    now = datetime.now(UTC) + timedelta(days=days_from_now)
    return Upkeep(inbox=inbox, retention=timedelta(days=30), metrics=metrics, clock=lambda: now)


def test_everything_old_goes_whatever_the_batch(inbox: Inbox, store: Store, metrics: Metrics) -> None:
    """More than one batch is removed in one round, and counted."""
    accept(inbox, *[f"evt_{number}" for number in range(450)])
    store.rows("UPDATE deliveries SET state = 'ignored'")
    fold(store)
    assert upkeep(inbox, metrics).prune() == 450
    assert store.one("SELECT COUNT(*) FROM deliveries") == 0
    assert "bridge_pruned_total 450.0" in metrics.exposition().decode()


def test_nothing_young_goes(inbox: Inbox, store: Store, metrics: Metrics) -> None:
    """A day before the retention ends it is all still there."""
    stored(inbox)
    store.rows("UPDATE deliveries SET state = 'ignored'")
    fold(store)
    assert upkeep(inbox, metrics, days_from_now=29).prune() == 0


def test_stopping_takes_no_minute(inbox: Inbox, metrics: Metrics) -> None:
    """The thread ends at once, although its next round is a minute away."""
    one = upkeep(inbox, metrics)
    one.start()
    began = time.monotonic()
    one.stop()
    assert time.monotonic() - began < 2


def test_the_file_shrinks_when_much_was_removed(inbox: Inbox, store: Store, metrics: Metrics) -> None:
    """In small steps, down to what new rows soon need; nothing that stays is touched."""
    accept(inbox, *[f"evt_{number}" for number in range(450)], body=b"x" * 20_000)
    store.rows("UPDATE deliveries SET state = 'ignored'")
    kept = stored(inbox, "evt_kept")
    fold(store)
    before = store.one("PRAGMA page_count")
    one = upkeep(inbox, metrics)
    assert one.prune() == 450
    assert store.one("PRAGMA page_count") == before
    assert one.shrink() > before / 2
    assert store.one("PRAGMA page_count") < before / 2
    assert one.shrink() == 0
    assert store.one("PRAGMA integrity_check") == "ok"
    assert stored(inbox, "evt_kept") == kept


def test_a_file_of_an_older_release_shrinks_after_a_vacuum(inbox: Inbox, store: Store, metrics: Metrics) -> None:
    """It was made without the map that shrinking needs; README's command adds it."""
    store.rows("PRAGMA auto_vacuum=NONE")
    store.rows("VACUUM")
    assert store.one("PRAGMA auto_vacuum") == 0
    accept(inbox, *[f"evt_{number}" for number in range(450)], body=b"x" * 20_000)
    store.rows("UPDATE deliveries SET state = 'ignored'")
    fold(store)
    one = upkeep(inbox, metrics)
    one.prune()
    before = store.one("PRAGMA page_count")
    assert one.shrink() == 0
    for statement in ("PRAGMA auto_vacuum=INCREMENTAL", "VACUUM"):
        store.rows(statement)
    assert store.one("PRAGMA auto_vacuum") == 2
    assert store.one("PRAGMA page_count") < before / 2
