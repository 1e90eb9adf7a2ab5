"""What routing has not settled and may name an id: the newest of each state, and whether older ones were left out."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, unsettled
from bridge.edges.inbox.engine.ids import delivery_text
from bridge.edges.inbox.rows import first_since
from bridge.edges.inbox.unsettled import Near
from bridge.words.reasons import Reason
from tests.support.store import NOW, ON_SQLITE, Store, stored

END = NOW + timedelta(seconds=1)
BODY = b'{"pipeline_id": "pl_1"}'
Put = Callable[..., str]


@pytest.fixture
def put(inbox: Inbox, store: Store) -> Put:
    """Store a delivery under an id of its own, as routing left it; what waits is due in the order of ids."""

    def put(row: int, state: str = "received", reason: str | None = None, body: bytes = BODY) -> str:
        stored(inbox, f"evt_{row}", body=body)
        store.rows(
            "UPDATE deliveries SET id = ?, due_at = ?, state = ?, reason = ? WHERE event_id = ?",
            *(row, row, state, reason, f"evt_{row}"),
        )
        return delivery_text(row)

    return put


def near(inbox: Inbox, **more: Any) -> Near:
    """Return what may name a pipeline."""
    return inbox.read(unsettled.may_name, "pl_1", **{"since": None, "until": None} | more)


def test_what_is_not_settled_is_looked_at_newest_first(inbox: Inbox, store: Store, put: Put) -> None:
    """Not what was routed, erased, left out for its reason, or told of a completion before."""
    assert near(inbox) == Near([], 0, False)
    ids = [put(n, state) for n, state in enumerate(("received", "ignored", "invalid", "stale", "received"), 11)]
    put(16, body=b'{"pipeline_id": "pl_2"}')
    escaped = put(17, body=b'{"pipeline_id": "pl\\u005f1"}')
    paused = put(18, reason="paused_by_person")
    for row, state in ((21, "routed"), (22, "unrouted"), (23, "received"), (24, "received")):
        put(row, state)
    put(25, "ignored", "status_running")
    store.rows("UPDATE deliveries SET erased_at = 1 WHERE id = 23")
    store.rows("INSERT INTO completions VALUES (24, 's', 'job', 'job_1', 'failed', 'pl_1', 0)")
    found = near(inbox, skipped=[Reason.STATUS_RUNNING])
    assert found == Near([paused, escaped, *ids[::-1]], 8, False)
    assert near(inbox).looked_at == 9


def test_a_time_is_kept_to(inbox: Inbox, put: Put) -> None:
    """From its first millisecond on, and not to its end; of what waits as of the rest."""
    begin, end = first_since(NOW), first_since(END)
    before, waits, aside, after, late = (
        put(*each)
        for each in (
            (begin - 1, "received"),
            (begin, "received"),
            (end - 1, "invalid"),
            (end, "received"),
            (end + 1, "invalid"),
        )
    )
    assert near(inbox, since=NOW, until=END).ids == [aside, waits]
    assert near(inbox, since=NOW).ids == [late, after, aside, waits]
    assert near(inbox, until=END).ids == [aside, waits, before]


@pytest.mark.parametrize("state", ["received", "invalid", "ignored", "stale"])
def test_the_newest_of_each_state_are_looked_at(
    inbox: Inbox, put: Put, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """So many, and that there are more is said."""
    monkeypatch.setattr(unsettled, "LOOKED_AT", 3)
    ids = [put(row, state) for row in range(11, 14)]
    assert near(inbox) == Near(ids[::-1], 3, False)
    newest = put(14, state)
    assert near(inbox) == Near([newest, *ids[:0:-1]], 3, True)


@ON_SQLITE
@pytest.mark.parametrize(("more", "looked_at"), [(0, 2), (1, 1)])
def test_sixty_four_mebibytes_of_bodies_are_looked_through(
    inbox: Inbox, store: Store, put: Put, more: int, looked_at: int
) -> None:
    """And not a byte more: a search takes no longer, however large bodies are."""
    ids = [put(row, "invalid") for row in (11, 12, 13)]
    half = "UPDATE deliveries SET body = CAST('pl_1' || zeroblob(?) AS BLOB) WHERE id = ?"
    for row in (12, 13):
        store.rows(half, 32 * 1_048_576 - 4 + more * (row == 12), row)
    assert store.one("SELECT LENGTH(body) FROM deliveries WHERE id = 13") == 32 * 1_048_576
    assert near(inbox) == Near(ids[:0:-1][:looked_at], looked_at, True)


@ON_SQLITE
@pytest.mark.parametrize(("amount", "is_cut"), [(1000, False), (1001, True)])
def test_a_thousand_that_wait_are_looked_at(inbox: Inbox, store: Store, put: Put, amount: int, is_cut: bool) -> None:
    """While a source is paused many more may; then a person narrows down the time."""
    put(1)
    store.rows(
        "WITH RECURSIVE each(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM each WHERE n < ?)"
        " INSERT INTO deliveries (id, dedup_key, source, state, received_at, due_at, key_id, headers, body)"
        " SELECT n, CAST(n AS BLOB), 's', 'received', n, n, 'k', '{}', 'pl_1' FROM each",
        amount,
    )
    found = near(inbox)
    assert (found.looked_at, found.is_cut, found.ids[0]) == (1000, is_cut, delivery_text(amount))
