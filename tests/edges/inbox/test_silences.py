"""When a source was heard last: the newest webhook that it sent, among so many deliveries since an instant."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bridge.edges.inbox import Inbox, silences
from bridge.edges.inbox.engine.ids import delivery_text, first_id
from bridge.edges.inbox.rows import microseconds
from bridge.words.silences import Silence
from bridge.words.via import RECONCILED_KEY
from tests.support.store import NOW, Store, stored

DAY = timedelta(days=1)
SILENCE = Silence("b", DAY, NOW, None, NOW)


def test_what_was_found_comes_back(inbox: Inbox) -> None:
    """In the order of their names; what was found later stands, field by field."""
    inbox.write(silences.keep, [SILENCE, replace(SILENCE, source="a")])
    later = Silence("b", 2 * DAY, NOW + DAY, NOW + DAY, NOW + DAY)
    inbox.write(silences.keep, [later])
    assert inbox.read(silences.known) == [replace(SILENCE, source="a"), later]
    inbox.write(silences.keep, [replace(SILENCE, heard_at=NOW)])
    assert inbox.read(silences.known)[1] == replace(later, after=DAY, looked_at=NOW)
    inbox.write(silences.forget, ["b", "c"])
    assert [each.source for each in inbox.read(silences.known)] == ["a"]


def test_the_newest_webhook_of_a_source_is_found(inbox: Inbox, store: Store) -> None:
    """Not what another has sent, nor what the bridge asked for itself, nor more than are to be looked at."""
    rows = [first_id(microseconds(NOW + number * DAY)) for number in range(4)]
    for row, more in zip(rows, ({}, {}, {"source": "crm"}, {"key_id": RECONCILED_KEY}), strict=True):
        id_ = stored(inbox, f"evt_{row}", **more)
        store.rows("UPDATE deliveries SET id = ? WHERE event_id = ?", row, f"evt_{row}")
        assert id_ != delivery_text(row)

    def newest(source: str = "planasonix", since: datetime | None = None, limit: int = 9) -> datetime | None:
        return inbox.read(silences.newest, source, since=since, limit=limit)

    assert (newest(), newest("crm"), newest("none")) == (NOW + DAY, NOW + 2 * DAY, None)
    assert (newest(since=NOW + DAY), newest(since=NOW + DAY + timedelta(milliseconds=1))) == (NOW + DAY, None)
    assert (newest(limit=3), newest(limit=2)) == (NOW + DAY, None)
    assert newest(since=datetime(1990, 1, 1, tzinfo=UTC)) == NOW + DAY
