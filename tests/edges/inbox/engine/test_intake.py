"""Every event is stored exactly once: in memory or folded, alone or in a crowd, before or after a restart."""

import asyncio
import hashlib
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.edges.inbox import Inbox
from bridge.edges.inbox.engine.intake import FOLD, Intake, Row, dedup_key, key_beside, key_ranges, keys, stale_key
from bridge.edges.inbox.pruning import old, prune
from bridge.words.errors import InboxUnavailable
from bridge.words.model import Verified
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


# --- step by step, as the writer does it -------------------------------------------------------------


def _row(event: str, *, akin: Sequence[str] = (), after: int | None = None) -> Row:
    akin_keys = tuple(each.encode().ljust(16) for each in akin)
    stored_fields = ("planasonix", event, "received", None, 0, 0, "current", None, None, "{}", b"{}")
    return Row(event.encode().ljust(16), *stored_fields, akin_keys, *(() if after is None else (after,)))


@pytest.fixture
def driver(path: Path) -> Iterator[sqlite3.Connection]:
    """The writer's own connection."""
    with closing(sqlite3.connect(path, isolation_level=None)) as item:
        yield item


def _begin(driver: sqlite3.Connection, *, after: int = 0) -> Intake:
    numbers = count(after + 1)
    return Intake(driver, lambda: next(numbers))


def _insert(intake: Intake, *rows: Row) -> list[tuple[int, bool]]:
    outcome = intake.insert(rows)
    intake.committed()
    return outcome


def test_what_stands_up_to_a_number_is_no_copy_although_it_has_the_key(driver: sqlite3.Connection) -> None:
    """The sender took an event id anew, and said so: from then on the new one is the one that is copied."""
    intake = _begin(driver)
    assert _insert(intake, _row("a")) == [(1, True)]
    assert _insert(intake, _row("a", after=1)) == [(2, True)]
    assert _insert(intake, _row("a", after=1), _row("a")) == [(2, False), (2, False)]


@pytest.mark.parametrize(
    ("row", "outcome"),
    [
        (_row("new", akin=["a"]), (1, False)),
        (_row("new", akin=["unknown", "b"]), (2, False)),
        (_row("new", akin=["a", "b"], after=1), (2, False)),
        (_row("new", akin=["a"], after=1), (3, True)),
        (_row("new", akin=["unknown"]), (3, True)),
        (_row("b", akin=["a"]), (2, False)),
        (_row("a", akin=["unknown"]), (1, False)),
    ],
)
def test_a_copy_may_stand_under_another_key(driver: sqlite3.Connection, row: Row, outcome: tuple[int, bool]) -> None:
    """Its own goes first; then the first of those that is stored, and later than what is no copy."""
    intake = _begin(driver)
    _insert(intake, _row("a"), _row("b"))
    assert _insert(intake, row) == [outcome]


def test_a_copy_among_new_ones_stops_none_of_them(driver: sqlite3.Connection) -> None:
    """Each is told what is stored for it, in order."""
    intake = _begin(driver)
    _insert(intake, _row("a"))
    rows = [_row(event) for event in ("b", "a", "b", "c")]
    assert _insert(intake, *rows) == [(2, True), (1, False), (2, False), (3, True)]
    assert driver.execute("SELECT id, event_id FROM deliveries").fetchall() == [(1, "a"), (2, "b"), (3, "c")]


def test_what_was_not_committed_is_no_copy(driver: sqlite3.Connection) -> None:
    """All of a batch, or one row of it that was undone alone."""
    intake = _begin(driver)
    intake.insert([_row("a"), _row("b")])
    driver.execute("DELETE FROM deliveries WHERE event_id = 'a'")
    intake.forget(_row("a"))
    intake.committed()
    assert intake.waits() == 1
    driver.execute("BEGIN")
    intake.insert([_row("c")])
    driver.execute("ROLLBACK")
    intake.rolled_back()
    assert [is_new for _, is_new in _insert(intake, _row("a"), _row("b"), _row("c"))] == [True, False, True]


def test_folding_says_how_far_it_came_also_when_a_key_was_taken_anew(driver: sqlite3.Connection) -> None:
    """A restart reads back what is after that: nothing twice, and nothing is lost."""
    intake = _begin(driver)
    _insert(intake, _row("a"), _row("b"))
    _insert(intake, _row("a", after=2))
    assert intake.waits() == 2
    intake.fold()
    assert intake.waits() == 0
    assert driver.execute("SELECT upto FROM folded").fetchall() == [(3,)]
    found = driver.execute("SELECT dedup_key, delivery_id FROM dedup ORDER BY delivery_id").fetchall()
    assert found == [(b"b".ljust(16), 2), (b"a".ljust(16), 3)]
    again = _begin(driver, after=3)
    assert _insert(again, _row("a"), _row("c")) == [(3, False), (4, True)]
    assert again.waits() == 1


def test_no_webhook_waits_for_more_than_1024_keys_to_be_folded(driver: sqlite3.Connection) -> None:
    """The oldest go first; the rest stays for the next time."""
    intake = _begin(driver)
    _insert(intake, *(_row(f"evt_{number}") for number in range(1030)))
    intake.fold()
    assert intake.waits() == 6
    assert driver.execute("SELECT upto, (SELECT COUNT(*) FROM dedup) FROM folded").fetchall() == [(1024, 1024)]


@pytest.mark.parametrize("broken", ["DROP TABLE dedup", "DROP TABLE folded"])
def test_a_fold_that_fails_leaves_nothing_behind(driver: sqlite3.Connection, broken: str) -> None:
    """No transaction that is open, so that webhooks go on being stored, and every key in memory."""
    intake = _begin(driver)
    _insert(intake, _row("a"))
    driver.execute(broken)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        intake.fold()
    assert (driver.in_transaction, intake.waits()) == (False, 1)


def test_a_fold_that_cannot_begin_says_why(driver: sqlite3.Connection, path: Path) -> None:
    """Another process writes for too long: that is what is logged."""
    intake = _begin(driver)
    _insert(intake, _row("a"))
    driver.execute("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            intake.fold()
        other.execute("ROLLBACK")
    intake.fold()
    assert intake.waits() == 0


def test_a_sealed_row_has_what_came_with_another_body(driver: sqlite3.Connection) -> None:
    """The body is sealed under the id that it gets, and the key is noted."""
    numbers = count(1)
    intake = Intake(driver, lambda: next(numbers), lambda number, body: (b"sealed %d " % number + body, "k1"))
    assert _insert(intake, _row("a"), _row("b"), _row("a")) == [(1, True), (2, True), (1, False)]
    columns = "id, source, event_id, state, reason, key_id, headers, body, sealed_with"
    as_stored = ("received", None, "current", "{}")
    assert driver.execute(f"SELECT {columns} FROM deliveries").fetchall() == [  # noqa: S608
        (1, "planasonix", "a", *as_stored, b"sealed 1 {}", "k1"),
        (2, "planasonix", "b", *as_stored, b"sealed 2 {}", "k1"),
    ]


@pytest.mark.parametrize(
    ("event_id", "message_id", "is_stale", "is_beside", "names"),
    [
        ("evt", None, False, False, ["event"]),
        ("evt", "msg", False, False, ["event"]),
        (None, "msg", False, False, ["message", "body"]),
        (None, None, False, False, ["body"]),
        ("evt", None, True, False, ["stale event", "event"]),
        (None, "msg", True, False, ["stale message", "message", "body"]),
        ("evt", None, False, True, ["beside"]),
        (None, "msg", False, True, ["beside message"]),
        ("evt", None, True, True, ["stale beside", "beside"]),
    ],
)
def test_the_keys_of_a_webhook_are_those_under_which_a_copy_may_stand(
    event_id: str | None, message_id: str | None, is_stale: bool, is_beside: bool, names: list[str]
) -> None:
    """A stale one under its own, and no copy of a fresh one; the release before took no notice of message ids."""
    event, body = dedup_key("planasonix", "evt", b"{}"), dedup_key("planasonix", None, b"{}")
    message = dedup_key("planasonix", None, b"{}", "msg")
    known = {"event": event, "body": body, "message": message}
    known |= {"beside": key_beside(event, b"{}"), "beside message": key_beside(message, b"{}")}
    known |= {f"stale {name}": stale_key(key) for name, key in known.items()}
    verified = Verified(b"{}", "current", 1_700_000_000, is_stale, message_id)
    own, akin = keys("planasonix", event_id, verified, is_beside=is_beside)
    assert [own, *akin] == [known[name] for name in names]
