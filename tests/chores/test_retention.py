"""Retention runs by itself, in batches, and stops when asked."""

from datetime import UTC, datetime, timedelta

from bridge.chores.retention import Retention
from bridge.edges.inbox import Inbox, orders
from bridge.edges.metrics import Metrics
from bridge.words.orders import Action
from tests.support.store import Store, accept, stored, wait_for


def fold(store: Store) -> None:
    """Wait until every key is in the table: retention leaves the others alone."""
    wait_for(lambda: bool(store.one("SELECT (SELECT COUNT(*) FROM dedup) = (SELECT COUNT(*) FROM deliveries)")))


def round_of(retention: Retention) -> None:
    """Take the steps of one whole round."""
    while retention.step() is not None:
        pass


def retention_of(inbox: Inbox, metrics: Metrics, *, days_from_now: float = 31) -> Retention:
    """Return a retention of 30 days that looks at the store so many days from now."""
    now = datetime.now(UTC) + timedelta(days=days_from_now)
    return Retention(inbox=inbox, retention=timedelta(days=30), metrics=metrics, clock=lambda: now)


def test_everything_old_goes_whatever_the_batch(inbox: Inbox, store: Store, metrics: Metrics) -> None:
    """More than one batch is removed in one round, and counted."""
    accept(inbox, *[f"evt_{number}" for number in range(450)])
    store.rows("UPDATE deliveries SET state = 'ignored'")
    fold(store)
    round_of(retention_of(inbox, metrics))
    assert store.one("SELECT COUNT(*) FROM deliveries") == 0
    assert "bridge_pruned_total 450.0" in metrics.exposition().decode()


def test_old_orders_go_too(inbox: Inbox, store: Store, metrics: Metrics) -> None:
    """With the keys under which they could be sent again; what is still to be done stays."""
    ids, now = [stored(inbox)], datetime.now(UTC)
    for key in ("running", "stopped"):
        new = orders.NewOrder(Action.REPLAY, "test", "asked", None, key)
        order = inbox.write(orders.place, new, id_=inbox.new_order_id(), ids=ids, now=now)
    inbox.write(orders.stop, order.id, actor="test", reason=None, now=now)
    fold(store)
    round_of(retention_of(inbox, metrics, days_from_now=29))
    assert store.one("SELECT COUNT(*) FROM orders") == 2
    round_of(retention_of(inbox, metrics))
    assert store.rows("SELECT idempotency_key FROM orders") == [("running",)]


def test_nothing_young_goes(inbox: Inbox, store: Store, metrics: Metrics) -> None:
    """A day before the retention ends it is all still there."""
    stored(inbox)
    store.rows("UPDATE deliveries SET state = 'ignored'")
    fold(store)
    round_of(retention_of(inbox, metrics, days_from_now=29))
    assert store.one("SELECT COUNT(*) FROM deliveries") == 1


def test_the_first_round_is_off_the_path_to_ready(inbox: Inbox, store: Store, metrics: Metrics) -> None:
    """It begins a minute after the start, and stopping before that removes nothing."""
    stored(inbox)
    store.rows("UPDATE deliveries SET state = 'ignored'")
    fold(store)
    retention = retention_of(inbox, metrics)
    retention.loop.start()
    retention.loop.stop(10)
    assert store.one("SELECT COUNT(*) FROM deliveries") == 1


def test_the_file_shrinks_when_much_was_removed(inbox: Inbox, store: Store, metrics: Metrics) -> None:
    """In small steps, down to what new rows soon need; nothing that stays is touched."""
    accept(inbox, *[f"evt_{number}" for number in range(450)], body=b"x" * 20_000)
    store.rows("UPDATE deliveries SET state = 'ignored'")
    kept = stored(inbox, "evt_kept")
    fold(store)
    before = store.one("PRAGMA page_count")
    round_of(retention_of(inbox, metrics))
    assert store.one("SELECT COUNT(*) FROM deliveries") == 1
    assert store.one("PRAGMA page_count") < before / 2
    assert store.one("PRAGMA integrity_check") == "ok"
    assert stored(inbox, "evt_kept") == kept


def test_a_file_of_an_older_release_shrinks_after_a_vacuum(inbox: Inbox, store: Store, metrics: Metrics) -> None:
    """It was made without the map that shrinking needs; docs/runbook.md has the command that adds it."""
    store.rows("PRAGMA auto_vacuum=NONE")
    store.rows("VACUUM")
    assert store.one("PRAGMA auto_vacuum") == 0
    accept(inbox, *[f"evt_{number}" for number in range(450)], body=b"x" * 20_000)
    store.rows("UPDATE deliveries SET state = 'ignored'")
    fold(store)
    before = store.one("PRAGMA page_count")
    round_of(retention_of(inbox, metrics))
    assert store.one("PRAGMA page_count") == before
    for statement in ("PRAGMA auto_vacuum=INCREMENTAL", "VACUUM"):
        store.rows(statement)
    assert store.one("PRAGMA auto_vacuum") == 2
    assert store.one("PRAGMA page_count") < before / 2
