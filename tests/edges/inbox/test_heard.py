"""When each source was heard last is known without reading history, whichever process heard it."""

from datetime import UTC, datetime, timedelta

from bridge.edges.inbox import Inbox, heard
from bridge.words.via import RECONCILED_KEY
from tests.support.store import accept

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
