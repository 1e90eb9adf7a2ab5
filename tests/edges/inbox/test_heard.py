"""When each source was heard last is known without reading history, whichever process heard it."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.edges.inbox import Inbox, heard
from bridge.words.via import RECONCILED_KEY
from tests.support.store import ON_SQLITE, Store, accept

_NOW = datetime(2025, 3, 27, 3, 0, tzinfo=UTC)
_EARLIER, _LATER = _NOW - timedelta(hours=1), _NOW + timedelta(hours=1)


def test_the_newest_deliveries_and_what_was_kept_tell_it(inbox: Inbox) -> None:
    """Whichever is later; what was kept is there when none of the newest is of that source."""
    accept(inbox, "evt_1", source="busy")
    inbox.write(heard.keep, {"busy": _NOW, "quiet": _NOW}, now=_NOW)
    found = inbox.read(heard.last, now=datetime.now(UTC))
    assert found.keys() == {"busy", "quiet"}
    assert found["busy"] > _NOW
    assert found["quiet"] == _NOW


def test_what_was_heard_later_stands(inbox: Inbox) -> None:
    """Another process may have kept it; but not what a clock wrote that ran ahead."""
    inbox.write(heard.keep, {"s": _NOW}, now=_NOW)
    inbox.write(heard.keep, {"s": _EARLIER}, now=_NOW)
    assert inbox.read(heard.last, now=datetime.now(UTC)) == {"s": _NOW}
    inbox.write(heard.keep, {"s": _LATER}, now=_LATER)
    assert inbox.read(heard.last, now=datetime.now(UTC)) == {"s": _LATER}
    inbox.write(heard.keep, {"s": _NOW}, now=_NOW)
    assert inbox.read(heard.last, now=datetime.now(UTC)) == {"s": _NOW}


def test_what_a_clock_ahead_wrote_is_not_believed(inbox: Inbox) -> None:
    """Neither a delivery nor what was kept: it would hide a wrong secret until that time has come."""
    accept(inbox, "evt_1", source="busy")
    inbox.write(heard.keep, {"kept": _LATER}, now=_LATER)
    assert inbox.read(heard.last, now=_NOW) == {}
    inbox.write(heard.keep, {"busy": _NOW}, now=_NOW)
    assert inbox.read(heard.last, now=_NOW) == {"busy": _NOW}
    assert inbox.read(heard.last, now=_LATER) == {"busy": _NOW, "kept": _LATER}


def test_what_the_bridge_asked_for_is_nothing_heard(inbox: Inbox) -> None:
    """It was signed by nobody."""
    accept(inbox, "evt_1", key_id=RECONCILED_KEY)
    assert inbox.read(heard.last, now=datetime.now(UTC)) == {}


def test_as_many_deliveries_as_are_asked_for_are_looked_at(inbox: Inbox) -> None:
    """So what it costs does not grow with history."""
    accept(inbox, "evt_1", source="quiet")
    accept(inbox, "evt_2", "evt_3", source="busy")
    assert inbox.read(heard.last, now=datetime.now(UTC), newest=2).keys() == {"busy"}
    assert inbox.read(heard.last, now=datetime.now(UTC), newest=3).keys() == {"busy", "quiet"}


@pytest.mark.parametrize("more", [0, 1])
def test_a_clock_may_be_five_minutes_ahead(inbox: Inbox, more: int) -> None:
    """To the microsecond; what was kept by one that was further ahead is replaced."""
    at = _NOW + timedelta(minutes=5, microseconds=more)
    inbox.write(heard.keep, {"s": at}, now=at)
    assert inbox.read(heard.last, now=_NOW) == ({} if more else {"s": at})
    inbox.write(heard.keep, {"s": _NOW}, now=_NOW)
    assert inbox.read(heard.last, now=_NOW) == {"s": _NOW if more else at}


@ON_SQLITE
@pytest.mark.parametrize(("amount", "is_heard"), [(999, True), (1000, False)])
def test_the_newest_thousand_deliveries_are_looked_at(inbox: Inbox, store: Store, amount: int, is_heard: bool) -> None:
    """So it costs the same, however long the history is."""
    accept(inbox, "evt_1", source="quiet")
    store.rows("UPDATE deliveries SET id = 1, received_at = 1")
    store.rows(
        "WITH RECURSIVE each(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM each WHERE n <= ?)"
        " INSERT INTO deliveries (id, dedup_key, source, state, received_at, due_at, key_id, headers, body)"
        " SELECT n, CAST(n AS BLOB), 'busy', 'routed', n, n, 'k', '{}', '{}' FROM each",
        amount,
    )
    assert ("quiet" in inbox.read(heard.last, now=_NOW)) is is_heard
