"""Deliveries that wait for a mapping: found by their reason, let go once, on both stores."""

from datetime import UTC, datetime, timedelta

from bridge.edges.inbox import Inbox, deliveries, unmapped
from bridge.edges.inbox.deliveries import Postponed
from bridge.edges.inbox.engine.ids import number
from bridge.edges.inbox.triggers import NEVER
from bridge.words.reasons import Reason
from tests.support.store import Store, stored


def test_what_waits_for_a_mapping_is_let_go_once_and_nothing_else(inbox: Inbox) -> None:
    """In slices, oldest first; what a pause has put aside stays, and a second replica's slice is empty."""
    ids = [stored(inbox, f"evt_{number}") for number in range(5)]
    reasons = [Reason.MAPPING_BROKEN] * 3 + [Reason.PAUSED_BY_PERSON]
    later = [Postponed(each, NEVER, reason, None, is_lookup=False) for each, reason in zip(ids, reasons, strict=False)]
    inbox.write(deliveries.postpone, later)
    soon = datetime.now(UTC) + timedelta(seconds=10)
    assert [each.id for each in inbox.read(deliveries.due, now=soon, limit=10)] == ids[4:]
    found = inbox.read(unmapped.waiting, limit=2)
    assert len(found) == 2
    assert [inbox.write(unmapped.let_go, found) for _ in range(2)] == [2, 0]
    assert [each.id for each in inbox.read(deliveries.due, now=soon, limit=10)] == [*ids[:2], ids[4]]
    assert inbox.write(unmapped.let_go, inbox.read(unmapped.waiting, limit=9)) == 1
    assert inbox.read(unmapped.waiting, limit=9) == []


def test_what_waits_for_a_mapping_is_let_go_oldest_first(inbox: Inbox, store: Store) -> None:
    """As it was when it came, and nothing that was routed or put aside for another reason meanwhile."""
    ids = [number(stored(inbox, f"evt_{n}"), "dlv") for n in range(4)]
    store.rows("UPDATE deliveries SET reason = 'mapping_broken', detail = 'why', due_at = 9")
    assert inbox.read(unmapped.waiting, limit=3) == ids[:3]
    store.rows("UPDATE deliveries SET state = 'routed' WHERE id = ?", ids[1])
    store.rows("UPDATE deliveries SET reason = 'key_missing' WHERE id = ?", ids[2])
    assert inbox.write(unmapped.let_go, ids[:3]) == 1
    found = store.rows("SELECT reason, detail, due_at = received_at FROM deliveries ORDER BY id")
    assert [(reason, detail, bool(is_due)) for reason, detail, is_due in found] == [
        (None, None, True),
        ("mapping_broken", "why", False),
        ("key_missing", "why", False),
        ("mapping_broken", "why", False),
    ]
