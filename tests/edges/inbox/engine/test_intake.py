"""Every event is stored exactly once: in memory or folded, alone or in a crowd, before or after a restart."""

import asyncio
import hashlib
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.edges.inbox import Inbox
from bridge.edges.inbox.engine.intake import FOLD, dedup_key, key_beside, key_ranges, stale_key
from bridge.edges.inbox.pruning import old, prune
from bridge.words.errors import InboxUnavailable
from tests.support.store import ON_SQLITE, Accepted, Store, accept, accept_all, empty_store, stored, wait_for

Open = Callable[..., Inbox]


def test_a_copy_is_the_delivery_that_is_stored(inbox: Inbox) -> None:
    """The second copy of an event is told the first one's id."""
    (first,) = accept(inbox, "evt_1")
    (second,) = accept(inbox, "evt_1")
    assert (first.is_new, second.is_new) == (True, False)
    assert first.delivery_id == second.delivery_id


def test_a_copy_is_found_after_folding(inbox: Inbox, store: Store) -> None:
    """A key that has left the memory for the table is still known."""
    first = stored(inbox, "evt_1")
    wait_for(store.has_folded)
    (copy,) = accept(inbox, "evt_1")
    assert (copy.delivery_id, copy.is_new) == (first, False)


@ON_SQLITE
def test_a_copy_is_found_after_a_restart_before_folding(open_inbox: Open, store: Store) -> None:
    """What was in memory only when the process ended is read back from the rows."""
    inbox = open_inbox()
    first = stored(inbox, "evt_1")
    inbox.close()
    assert store.one("SELECT COUNT(*) FROM dedup") == 0
    (copy,) = accept(open_inbox(), "evt_1")
    assert (copy.delivery_id, copy.is_new) == (first, False)


def test_a_crowd_of_copies_is_one_delivery(inbox: Inbox, store: Store) -> None:
    """Copies that share one commit are one row; everyone is told its id."""
    outcomes = accept(inbox, *["evt_1"] * 300)
    assert sum(item.is_new for item in outcomes) == 1
    assert len({item.delivery_id for item in outcomes}) == 1
    assert store.one("SELECT COUNT(*) FROM deliveries") == 1


@ON_SQLITE
def test_a_copy_stays_known_while_a_long_memory_folds(inbox: Inbox, store: Store) -> None:
    """More keys than one fold takes are folded in turns, and none is forgotten between them."""
    events = [f"evt_{number}" for number in range(FOLD + 200)]
    first = {item.delivery_id for item in accept(inbox, *events)}
    assert {item.delivery_id for item in accept(inbox, *events)} == first
    wait_for(store.has_folded)
    assert not any(item.is_new for item in accept(inbox, *events))
    assert store.one("SELECT upto FROM folded") == store.one("SELECT MAX(id) FROM deliveries")


@ON_SQLITE
def test_whoever_only_reads_folds_nothing(open_inbox: Open, store: Store) -> None:
    """A command beside a running service leaves the keys to the service."""
    writer = open_inbox()
    stored(writer, "evt_1")
    writer.close()
    reader = open_inbox()
    for _ in range(4):
        time.sleep(0.1)  # long enough for a quiet moment, in which a service folds
        assert reader.read(lambda c: c.exec_driver_sql("SELECT COUNT(*) FROM deliveries").scalar()) == 1
    reader.close()
    assert store.one("SELECT COUNT(*) FROM dedup") == 0


@pytest.mark.parametrize(
    ("key", "stands_under"),
    [
        (dedup_key("planasonix", "evt_1", b"{}"), "250f6d63549e4d1aba6f5ac8a2f7e5e7"),
        (dedup_key("planasonix", None, b"{}"), "d852a07ebf7e613765b2a8e295975e1f"),
        (dedup_key("planasonix", None, b"{}", "msg_1"), "b328d8e0d5f7971cf7f547ef22b619d2"),
        (stale_key(dedup_key("planasonix", "evt_1", b"{}")), "daf0929cab61b2e54590a5375d081a18"),
    ],
)
def test_a_key_stays_as_stores_have_it(key: bytes, stands_under: str) -> None:
    """Under another one every webhook of the release before would start its DAG once more when it is sent again."""
    assert key.hex() == stands_under


def test_what_is_beside_and_what_is_stale_begin_as_they_are_looked_for() -> None:
    """Search and erase look at ranges of keys; each has 16 bytes, of which the first eight are the event's."""
    key = dedup_key("planasonix", "evt_1", b"{}")
    assert key_beside(key, b"other").hex() == "250f6d63549e4d1a" + hashlib.sha256(b"other").hexdigest()[:16]
    found = [(first.hex(), last.hex()) for first, last in key_ranges(key)]
    begins = ("250f6d63549e4d1a", "daf0929cab61b2e5")
    assert found == [(begin + "00" * 8, begin + "ff" * 8) for begin in begins]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "evt", b"x"), ("b", "evt", b"x")),
        (("a", "evt_1", b"x"), ("a", "evt_2", b"x")),
        (("a", None, b"x"), ("a", None, b"y")),
        (("a", None, b"evt"), ("a", "evt", b"")),
        (("ab", "c", b""), ("a", "bc", b"")),
    ],
)
def test_different_events_have_different_keys(
    one: tuple[str, str | None, bytes], other: tuple[str, str | None, bytes]
) -> None:
    """Source, event id, or the body of an event without one, tell events apart."""
    assert dedup_key(*one) != dedup_key(*other)


def test_the_body_counts_only_without_an_event_id() -> None:
    """A retry with another body under the same event id is a copy."""
    assert dedup_key("a", "evt", b"x") == dedup_key("a", "evt", b"y")
    assert dedup_key("a", None, b"x") == dedup_key("a", None, b"x")


def test_a_delivery_is_stored_as_it_came(inbox: Inbox, store: Store) -> None:
    """Bytes, key, headers and the state of a stale one are kept as received."""
    raw = b'\x00\xff{"id": "evt"}\n'
    stored(inbox, None, body=raw, is_stale=True, key_id="next", headers='{"user-agent":"x"}')
    statement = "SELECT source, event_id, state, reason, key_id, signed_at, headers, body FROM deliveries"
    assert store.rows(statement) == [
        ("planasonix", None, "stale", "timestamp_too_old", "next", 1_700_000_000, '{"user-agent":"x"}', raw)
    ]


def test_a_fresh_copy_of_a_stale_event_is_new_and_a_stale_copy_of_a_fresh_one_is_not(
    inbox: Inbox, store: Store
) -> None:
    """Who delivers an old webhook late cannot make a duplicate of the one that the sender signs anew."""
    first = accept(inbox, "evt_1", is_stale=True)[0]
    assert [first.is_new, accept(inbox, "evt_1", is_stale=True)[0].is_new] == [True, False]
    fresh = accept(inbox, "evt_1")[0]
    assert fresh.is_new
    assert fresh.delivery_id != first.delivery_id
    assert accept(inbox, "evt_1") == [Accepted(fresh.delivery_id, is_new=False)]
    stored(inbox, "evt_2")
    assert not accept(inbox, "evt_2", is_stale=True)[0].is_new
    found = store.rows("SELECT event_id, state FROM deliveries ORDER BY id")
    assert found == [("evt_1", "stale"), ("evt_1", "received"), ("evt_2", "received")]


def test_webhooks_share_a_commit(open_inbox: Open) -> None:
    """Whoever waits at the same moment is written together."""
    sizes: list[int] = []
    inbox = open_inbox(on_intake=lambda waited, _: sizes.append(len(waited)))
    accept(inbox, *[f"evt_{number}" for number in range(200)])
    wait_for(lambda: sum(sizes) == 200)
    assert len(sizes) < 100


def test_too_many_waiting_webhooks_are_refused(open_inbox: Open) -> None:
    """Beyond the limit nothing is stored and the sender is asked to come again."""
    inbox = open_inbox(intake_limit=1)
    outcomes = asyncio.run(accept_all(inbox, [f"evt_{number}" for number in range(2000)]))
    refused = [item for item in outcomes if isinstance(item, InboxUnavailable)]
    assert refused
    assert len(outcomes) - len(refused) == inbox.read(
        lambda c: c.exec_driver_sql("SELECT COUNT(*) FROM deliveries").scalar()
    )


_STEP = st.one_of(
    st.tuples(st.just("accept"), st.lists(st.integers(0, 5), min_size=1, max_size=6)),
    st.tuples(st.sampled_from(["fold", "restart", "prune", "prune_all"]), st.none()),
)


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(_STEP, min_size=1, max_size=12))
def test_any_interleaving_stores_every_event_once(steps: list[tuple[str, list[int] | None]]) -> None:
    """Whatever inserts, folds, restarts and retention do: what is stored is stored once, and told truly.

    After retention removed an event, a copy of it is a new delivery.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = empty_store(Path(folder, "bridge.db"))
        store, inbox = Store(path), Inbox(f"sqlite:///{path}")
        known: dict[int, str] = {}
        try:
            for word, events in steps:
                match word:
                    case "accept":
                        for event, item in zip(events or (), accept(inbox, *map(str, events or ())), strict=True):
                            assert item.is_new == (event not in known)
                            assert known.setdefault(event, item.delivery_id) == item.delivery_id
                    case "fold":
                        accept(inbox, *map(str, known))  # whoever stores nothing folds nothing
                        wait_for(store.has_folded)
                    case "restart":
                        inbox.close()
                        inbox = Inbox(f"sqlite:///{path}")
                    case "prune" | "prune_all":
                        _prune(inbox, store, known, ends_first=word == "prune_all")
                assert {item for (item,) in store.rows("SELECT printf('dlv_%016x', id) FROM deliveries")} == set(
                    known.values()
                )
        finally:
            inbox.close()
            store.close()


def _prune(inbox: Inbox, store: Store, known: dict[int, str], *, ends_first: bool) -> None:
    """Let retention run with everything old enough; what waits for routing stays."""
    if ends_first:
        inbox.write(lambda c: c.exec_driver_sql("UPDATE deliveries SET state = 'ignored'"))
    ended, _ = inbox.read(old, before=datetime.now(UTC) + timedelta(days=1), after=0, limit=100)
    inbox.write(prune, ended)
    left = {item for (item,) in store.rows("SELECT printf('dlv_%016x', id) FROM deliveries")}
    for event, delivery_id in list(known.items()):
        if delivery_id not in left:
            del known[event]
