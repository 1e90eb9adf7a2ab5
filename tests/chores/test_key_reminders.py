"""Keys are looked after while the bridge runs: an old one that is still used a week after the new one."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.chores.key_reminders import KeyReminders
from bridge.edges.inbox import Inbox
from bridge.edges.inbox.engine.ids import first_id
from bridge.edges.metrics import Metrics
from bridge.rules.signature import PRESETS, Key, SignatureCheck, make_verifier
from tests.support.store import Store, stored

_NOW = datetime(2030, 6, 1, tzinfo=UTC)


def _verifier(*, not_before: datetime | None = None) -> SignatureCheck:
    new = Key("new", b"n" * 12 + b"ew secret 1234567", not_before=not_before and not_before.timestamp())
    return make_verifier(PRESETS["planasonix"], [new, Key("old", b"o" * 12 + b"ld secret 1234567")])


def _came(inbox: Inbox, store: Store, event: str, key: str, *, days_ago: float) -> None:
    """Store a webhook that came so long ago."""
    stored(inbox, event)
    at = int((_NOW - timedelta(days=days_ago)).timestamp() * 1_000_000)
    store.rows("UPDATE deliveries SET key_id = ?, id = ? WHERE event_id = ?", key, first_id(at), event)


def _look(inbox: Inbox, verifier: SignatureCheck) -> bool:
    metrics = Metrics(keys_by_source={"planasonix": ["new", "old"]}, airflows=[])
    reminding = KeyReminders(inbox=inbox, verifiers={"planasonix": verifier}, metrics=metrics, clock=lambda: _NOW)
    reminding.look()
    exposed = metrics.exposition().decode()
    assert 'bridge_key_old_in_use{key="new",source="planasonix"} 0.0' in exposed
    return 'bridge_key_old_in_use{key="old",source="planasonix"} 1.0' in exposed


@pytest.mark.parametrize(
    ("old_came", "new_came", "is_told"),
    [(0.5, 7.5, True), (0.5, 6.5, False), (1.5, 7.5, False), (None, 7.5, False), (0.5, None, False)],
)
def test_old_key_a_week_after_the_new_one(
    inbox: Inbox, store: Store, old_came: float | None, new_came: float | None, *, is_told: bool
) -> None:
    """The new one was used a week ago and the old one today: then, and only then."""
    if old_came is not None:
        _came(inbox, store, "evt_1", "old", days_ago=old_came)
    if new_came is not None:
        _came(inbox, store, "evt_2", "new", days_ago=new_came)
    assert _look(inbox, _verifier()) is is_told


def test_new_key_that_nobody_uses(inbox: Inbox, store: Store) -> None:
    """Valid for a week, and the sender has not changed over: that counts too."""
    _came(inbox, store, "evt_1", "old", days_ago=0.5)
    assert _look(inbox, _verifier(not_before=_NOW - timedelta(days=8)))
    assert not _look(inbox, _verifier(not_before=_NOW - timedelta(days=6)))
