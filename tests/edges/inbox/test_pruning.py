"""Retention removes what ended long ago, with all that belongs to it, and nothing that still waits."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from bridge.edges.inbox import Inbox, triggers
from bridge.edges.inbox.engine.ids import number
from bridge.edges.inbox.pruning import old, prune
from bridge.edges.inbox.replays import replay
from bridge.words.model import TriggerState
from tests.support.store import NOW, Store, accept, add, attempt, claim, settlement, stored, wait_for

TABLES = ("deliveries", "triggers", "attempts")


def sizes(store: Store) -> dict[str, int]:
    """Return how many rows each table has."""
    tables = TABLES if store.is_postgresql else (*TABLES, "dedup")
    return {table: store.one(f"SELECT COUNT(*) FROM {table}") for table in tables}  # noqa: S608 - our own names


def fold(store: Store) -> None:
    """Wait until every key is in the table: retention leaves the others alone."""
    wait_for(store.has_folded)


def pruned(inbox: Inbox, *, before: timedelta = timedelta(days=1), limit: int = 100) -> int:
    """Remove what was received before an instant, counted from now."""
    ended, _ = inbox.read(old, before=datetime.now(UTC) + before, after=0, limit=limit)
    return inbox.write(prune, ended)


def test_what_ended_goes_with_all_that_belongs_to_it(inbox: Inbox, store: Store) -> None:
    """Delivery, key, triggers and attempts go together."""
    add(inbox, stored(inbox))
    (claimed,) = claim(inbox)
    inbox.write(triggers.settle, claimed, settlement(), attempt())
    fold(store)
    assert pruned(inbox) == 1
    assert set(sizes(store).values()) == {0}


def test_what_is_young_stays(inbox: Inbox, store: Store) -> None:
    """The instant counts: everything received after it stays."""
    store.rows("SELECT 1")
    stored(inbox)
    store.rows("UPDATE deliveries SET state = 'ignored'")
    fold(store)
    assert pruned(inbox, before=timedelta(hours=-1)) == 0


def test_what_waits_for_routing_stays(inbox: Inbox, store: Store) -> None:
    """A delivery that was never routed is not forgotten, however old."""
    stored(inbox)
    fold(store)
    assert pruned(inbox) == 0


@pytest.mark.parametrize("state", list(TriggerState))
def test_a_delivery_stays_as_long_as_a_trigger_waits(inbox: Inbox, store: Store, state: TriggerState) -> None:
    """Pending, held and firing triggers keep their delivery; fired, failed and cancelled ones do not."""
    delivery_id = stored(inbox)
    add(inbox, delivery_id)
    add(inbox, stored(inbox, "evt_2"))
    store.rows("UPDATE triggers SET state = 'fired'")
    store.rows("UPDATE triggers SET state = ? WHERE delivery_id = (SELECT MIN(id) FROM deliveries)", state)
    fold(store)
    waits = state in (TriggerState.PENDING, TriggerState.HELD, TriggerState.FIRING)
    assert pruned(inbox) == (1 if waits else 2)
    assert sizes(store)["triggers"] == (1 if waits else 0)


def test_it_goes_in_small_batches_oldest_first(inbox: Inbox, store: Store) -> None:
    """Not more than asked for at once, so that intake never waits long."""
    accept(inbox, *[f"evt_{number}" for number in range(7)])
    store.rows("UPDATE deliveries SET state = 'ignored'")
    fold(store)
    newest = store.one("SELECT MAX(id) FROM deliveries")
    assert [pruned(inbox, limit=3) for _ in range(2)] == [3, 3]
    assert store.rows("SELECT id FROM deliveries") == [(newest,)]
    assert [pruned(inbox, limit=3) for _ in range(2)] == [1, 0]


def test_a_round_reads_each_delivery_once_whatever_waits(inbox: Inbox, store: Store) -> None:
    """Each batch begins where the one before ended, so that old ones that still wait do not stop the others."""
    ids = [number(item.delivery_id, "dlv") for item in accept(inbox, *[f"evt_{n}" for n in range(7)])]
    store.rows("UPDATE deliveries SET state = 'ignored' WHERE event_id NOT IN ('evt_0','evt_1','evt_4')")
    fold(store)
    before, at, pages = datetime.now(UTC) + timedelta(days=1), 0, []
    while at is not None:
        ended, at = inbox.read(old, before=before, after=at, limit=3)
        pages.append((ended, at))
    assert pages == [([ids[2]], ids[2]), ([ids[3], ids[5]], ids[5]), ([ids[6]], ids[6]), ([], None)]


def test_a_batch_of_large_bodies_is_small(inbox: Inbox, store: Store) -> None:
    """It ends where its bodies pass 4 MiB, since the writer overwrites them all; one that is larger goes alone."""
    mebibyte, amount = 1 << 20, [1, 1, 1, 6, 1, 2, 1, 1]
    ids = [
        number(accept(inbox, f"evt_{n}", body=b"x" * (size * mebibyte))[0].delivery_id, "dlv")
        for n, size in enumerate(amount)
    ]
    store.rows("UPDATE deliveries SET state = 'ignored' WHERE event_id <> 'evt_4'")  # which waits, and costs nothing
    fold(store)
    before, at, pages = datetime.now(UTC) + timedelta(days=1), 0, []
    while at is not None:
        ended, at = inbox.read(old, before=before, after=at, limit=200)
        pages.append([ids.index(each) for each in ended])
        assert inbox.write(prune, ended) == len(ended)
    assert pages == [[0, 1, 2], [3], [5, 6, 7], []]
    assert store.one("SELECT COUNT(*) FROM deliveries") == 1


def test_a_batch_of_what_was_tried_often_is_small(inbox: Inbox, store: Store) -> None:
    """An outage of a day leaves hundreds of attempts: a batch is no larger for it, and all of it goes in the end."""
    for item in accept(inbox, *[f"evt_{n}" for n in range(20)]):
        add(inbox, item.delivery_id)
    store.rows("UPDATE triggers SET state = 'fired'")
    series = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 500) SELECT n FROM c"
    store.rows(
        "INSERT INTO attempts (id, trigger_id, number, started_at, seconds, outcome)"  # noqa: S608
        " SELECT 1000 * (SELECT COUNT(*) FROM triggers AS older WHERE older.id < triggers.id) + n, id, n, 0, 0,"
        f" 'later' FROM triggers CROSS JOIN ({series}) AS many"
    )
    fold(store)
    amounts = [store.one("SELECT COUNT(*) FROM attempts")]
    while amounts[-1]:
        assert pruned(inbox, limit=200) > 0
        amounts.append(store.one("SELECT COUNT(*) FROM attempts"))
    assert [before - after for before, after in pairwise(amounts)] == [2000] * 5
    assert set(sizes(store).values()) == {0}


def test_a_batch_of_large_conf_is_small(inbox: Inbox, store: Store) -> None:
    """What a trigger sends counts as a body does."""
    for item in accept(inbox, *[f"evt_{n}" for n in range(3)]):
        add(inbox, item.delivery_id, conf={"x": "x" * (2 << 20)})
    store.rows("UPDATE triggers SET state = 'fired'")
    fold(store)
    assert [pruned(inbox, limit=200) for _ in range(4)] == [1, 1, 1, 0]


@pytest.mark.parametrize("what", ["delivery", "trigger"])
def test_what_is_asked_for_again_meanwhile_stays(inbox: Inbox, store: Store, what: str) -> None:
    """A person may replay what a batch has just been chosen to remove: it is looked at once more, and left."""
    delivery_id = stored(inbox)
    ids = {"delivery": delivery_id, "trigger": add(inbox, delivery_id)}
    store.rows("UPDATE triggers SET state = 'fired'")
    fold(store)
    ended, _ = inbox.read(old, before=datetime.now(UTC) + timedelta(days=1), after=0, limit=9)
    assert len(ended) == 1
    inbox.write(replay, ids[what], actor="test", reason=None, new_id=None, now=NOW)
    assert inbox.write(prune, ended) == 0
    assert store.one("SELECT COUNT(*) FROM deliveries") == store.one("SELECT COUNT(*) FROM triggers") == 1


def test_a_removed_event_is_new_again(inbox: Inbox, store: Store) -> None:
    """A copy that comes after retention is another delivery, and its copies are copies of that one."""
    first = stored(inbox)
    store.rows("UPDATE deliveries SET state = 'ignored'")
    fold(store)
    pruned(inbox)
    (again,) = accept(inbox, "evt_1")
    assert again.is_new
    assert again.delivery_id != first
    fold(store)
    assert accept(inbox, "evt_1")[0].delivery_id == again.delivery_id


@pytest.mark.parametrize("days", [36_500, 700_000])
def test_a_retention_of_any_length_works(inbox: Inbox, store: Store, days: int) -> None:
    """A hundred years is a setting that is allowed; nothing is that old."""
    stored(inbox)
    store.rows("UPDATE deliveries SET state = 'ignored'")
    fold(store)
    assert pruned(inbox, before=timedelta(days=-days)) == 0


@pytest.mark.parametrize(("second", "together"), [(2_097_152, 2), (2_097_153, 1)])
def test_a_batch_holds_four_mebibytes(inbox: Inbox, store: Store, second: int, together: int) -> None:
    """Exactly so much is not too much yet."""
    rows = [
        number(accept(inbox, f"evt_{n}", body=bytes(size))[0].delivery_id, "dlv")
        for n, size in enumerate((2_097_152, second, 1))
    ]
    store.rows("UPDATE deliveries SET state = 'ignored'")
    fold(store)
    before = datetime.now(UTC) + timedelta(days=1)
    assert inbox.read(old, before=before, after=0, limit=9) == (rows[:together], rows[together - 1])


@pytest.mark.parametrize(("second", "together"), [(1000, 2), (1001, 1)])
def test_a_batch_holds_two_thousand_attempts(inbox: Inbox, store: Store, second: int, together: int) -> None:
    """Exactly so many are not too many yet."""
    rows = []
    for n, amount in enumerate((1000, second, 1)):
        (item,) = accept(inbox, f"evt_{n}")
        trigger = number(add(inbox, item.delivery_id), "trg")
        rows.append(number(item.delivery_id, "dlv"))
        store.rows(
            "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ?)"
            " INSERT INTO attempts (id, trigger_id, number, started_at, seconds, outcome)"
            " SELECT ? + n, ?, n, 0, 0, 'later' FROM c",
            *(amount, 10_000 * n, trigger),
        )
    store.rows("UPDATE triggers SET state = 'fired'")
    fold(store)
    before = datetime.now(UTC) + timedelta(days=1)
    assert inbox.read(old, before=before, after=0, limit=9) == (rows[:together], rows[together - 1])
