"""Deliveries that wait for a mapping: found by their reason, let go once, on both stores."""

from datetime import UTC, datetime, timedelta

from bridge.edges.inbox import Inbox, deliveries, unmapped
from bridge.edges.inbox.deliveries import Postponed
from bridge.edges.inbox.triggers import NEVER
from bridge.words.reasons import Reason
from tests.support.store import stored


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
