"""With keys, no payload value can be read in the store; every one comes back; a missing key harms its rows alone."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.edges.inbox import Inbox, browsing, deliveries, replays, triggers, vault
from bridge.edges.inbox.deliveries import Postponed, Routing, postpone, settle_routing
from bridge.edges.inbox.engine.ids import number
from bridge.rules.sealing import Ring
from bridge.words.model import Attempt, DeliveryState, TriggerState
from bridge.words.reasons import Reason
from tests.support.store import NOW, Store, add, claim, new_trigger, settlement, stored

CANARY = "canary-7f3a"
OLD, NEW = bytes(range(32)), bytes(range(32, 64))
Open = Callable[..., Inbox]


def ring(*ids: str) -> Ring:
    """Return a ring of keys by name; the first one encrypts."""
    return Ring({id_: {"old": OLD, "new": NEW}[id_] for id_ in ids}, os.urandom)


def fill(inbox: Inbox) -> tuple[str, str]:
    """Store a delivery and a trigger with the canary in every place that can hold a payload value."""
    delivery_id = stored(inbox, "evt_1", body=f'{{"id":"evt_1","x":"{CANARY}"}}'.encode())
    inbox.write(postpone, [Postponed(delivery_id, NOW, Reason.LOOKUP_FAILED, f"postponed {CANARY}", True)])
    new = new_trigger(inbox, delivery_id, conf={"x": CANARY}, note=f"note {CANARY}", detail=f"new {CANARY}")
    routing = Routing(delivery_id, DeliveryState.ROUTED, None, f"routed {CANARY}", {"x": CANARY}, [new])
    inbox.write(settle_routing, [routing], now=NOW)
    (claimed,) = claim(inbox)
    ended = Attempt(1, NOW, 0.1, "never", Reason.CONF_REFUSED, f"attempt {CANARY}", 422)
    inbox.write(triggers.settle, claimed, settlement(TriggerState.FAILED, detail=f"settled {CANARY}"), ended)
    return delivery_id, new.id


def check(inbox: Inbox, delivery_id: str, trigger_id: str) -> None:
    """Everything that `fill` wrote comes back."""
    delivery = inbox.read(deliveries.get, delivery_id)
    trigger = inbox.read(triggers.get, trigger_id)
    assert delivery is not None
    assert trigger is not None
    assert CANARY.encode() in delivery.body
    assert (delivery.lookup, delivery.detail, delivery.locked) == ({"x": CANARY}, f"routed {CANARY}", None)
    assert (trigger.call.conf, trigger.call.note) == ({"x": CANARY}, f"note {CANARY}")
    assert trigger.detail == f"settled {CANARY}"
    assert inbox.read(browsing.attempts, trigger_id)[0].detail == f"attempt {CANARY}"


def everything(store: Store) -> str:
    """Return every value of every row as text."""
    rows = [row for table in vault.TABLES for row in store.rows(f"SELECT * FROM {table}")]  # noqa: S608 - our names
    return "\n".join(repr(bytes(v) if isinstance(v, memoryview) else v) for row in rows for v in row)


def rewrite_all(inbox: Inbox) -> tuple[int, int]:
    """Rewrite every row; returns how many were, and how many no key opens."""
    done = locked = 0
    for table in vault.TABLES:
        ids, _ = inbox.read(vault.outdated, table=table, after=0, limit=1000)
        some = inbox.write(vault.rewrite, table=table, ids=ids)
        done, locked = done + len(some[0]), locked + len(some[1])
    return done, locked


def test_without_keys_everything_is_stored_as_it_is(open_inbox: Open, store: Store) -> None:
    """No column changes its form, and no row names a key."""
    inbox = open_inbox()
    check(inbox, *fill(inbox))
    assert everything(store).count(CANARY) == 7
    assert store.one("SELECT COUNT(*) FROM deliveries WHERE sealed_with IS NULL") == 1


def test_with_a_key_nothing_can_be_read(open_inbox: Open, store: Store) -> None:
    """In none of the columns, and all of it comes back."""
    inbox = open_inbox(ring=ring("old"))
    check(inbox, *fill(inbox))
    assert CANARY not in everything(store)
    assert inbox.read(vault.count) == {table: {"old": 1} for table in vault.TABLES}


def test_rewriting_retires_a_key(open_inbox: Open, store: Store) -> None:
    """Plain rows and those of the old key end under the new one alone, and the old key is needed no more."""
    plain, old = open_inbox(), open_inbox(ring=ring("old"))
    first = fill(plain)
    second = stored(old, "evt_2", body=CANARY.encode())
    both = open_inbox(ring=ring("new", "old"))
    check(both, *first)
    assert both.read(vault.count)["deliveries"] == {"-": 1, "old": 1}
    assert rewrite_all(both) == (4, 0)
    assert rewrite_all(both) == (0, 0)
    new = open_inbox(ring=ring("new"))
    assert new.read(vault.count) == {"deliveries": {"new": 2}, "triggers": {"new": 1}, "attempts": {"new": 1}}
    check(new, *first)
    found = new.read(deliveries.get, second)
    assert found is not None
    assert found.body == CANARY.encode()
    assert CANARY not in everything(store)


def test_what_is_made_anew_is_sealed_with_todays_key(open_inbox: Open) -> None:
    """A person sends its delivery through routing again, and the old key is needed no more for it."""
    delivery_id, trigger_id = fill(open_inbox(ring=ring("old")))
    both = open_inbox(ring=ring("new", "old"))
    both.write(replays.replay, delivery_id, actor="test", reason=None, new_id=None, now=NOW)
    again = new_trigger(both, delivery_id, conf={"planasonix": {}, "x": CANARY})
    both.write(settle_routing, [Routing(delivery_id, DeliveryState.ROUTED, None, None, None, [again])], now=NOW)
    assert both.read(vault.count)["triggers"] == {"new": 1}
    found = open_inbox(ring=ring("new")).read(triggers.get, trigger_id)
    assert found is not None
    assert (found.locked, found.call.conf["x"]) == (None, CANARY)


def test_a_row_written_under_two_keys_names_both(open_inbox: Open) -> None:
    """A key never looks free while one value of a row still needs it."""
    plain, old, new = open_inbox(), open_inbox(ring=ring("old")), open_inbox(ring=ring("new", "old"))
    for inbox, event in ((plain, "evt_1"), (old, "evt_2")):
        delivery_id = stored(inbox, event)
        for _ in range(2):
            new.write(postpone, [Postponed(delivery_id, NOW, None, "why", is_lookup=False)])
    assert new.read(vault.count)["deliveries"] == {"-": 1, "old": 1, "new": 2}


def test_a_missing_key_harms_its_rows_alone(open_inbox: Open) -> None:
    """They say which key is missing; others are read; nothing raises, and nothing is rewritten."""
    old, new = open_inbox(ring=ring("old")), open_inbox(ring=ring("new"))
    delivery_id, trigger_id = fill(old)
    other = stored(new, "evt_2")
    delivery, trigger = new.read(deliveries.get, delivery_id), new.read(triggers.get, trigger_id)
    assert delivery is not None
    assert trigger is not None
    assert (delivery.body, delivery.lookup) == (b"", None)
    assert (trigger.call.conf, trigger.call.note) == ({}, None)
    for told in (delivery.locked, delivery.detail, trigger.locked, new.read(browsing.attempts, trigger_id)[0].detail):
        assert "'old' is not configured" in str(told)
    found = new.read(browsing.deliveries, wanted=browsing.Filter(), limit=10)
    assert {item.id: item.detail is None or "not configured" not in item.detail for item in found} == {
        delivery_id: False,
        other: True,
    }
    assert rewrite_all(new) == (0, 3)
    check(old, delivery_id, trigger_id)


@pytest.mark.parametrize(("size", "done"), [(1_048_576, 2), (1_048_577, 1)])
def test_a_mebibyte_is_rewritten_at_once_and_one_row_more(open_inbox: Open, store: Store, size: int, done: int) -> None:
    """So that no webhook waits for long; the caller comes again with the rest."""
    inbox = open_inbox(ring=ring("new"))
    stored(inbox, "evt_0", body=b"")
    sealing = store.one("SELECT LENGTH(body) FROM deliveries")
    plain = open_inbox()
    ids = [stored(plain, f"evt_{nth}", body=bytes(size - sealing if nth == 1 else 1)) for nth in range(1, 4)]
    rows = [number(id_, "dlv") for id_ in ids]
    assert inbox.write(vault.rewrite, table="deliveries", ids=[1, *rows]) == ([1, *rows[:done]], [])
    assert inbox.read(vault.outdated, table="deliveries", after=0, limit=9)[0] == rows[done:]


def test_what_is_to_be_rewritten_is_found_a_few_rows_at_a_time(open_inbox: Open) -> None:
    """With the last one that was looked at, from which to go on; None at the end."""
    old, new = open_inbox(ring=ring("old")), open_inbox(ring=ring("new", "old"))
    events = ((old, "evt_1"), (new, "evt_2"), (new, "evt_3"), (old, "evt_4"))
    rows = [number(stored(inbox, event), "dlv") for inbox, event in events]
    found = []
    after: int | None = 0
    while after is not None:
        page, after = new.read(vault.outdated, table="deliveries", after=after, limit=3)
        found.append((page, after))
    assert found == [(rows[:1], rows[2]), (rows[3:], rows[3]), ([], None)]


def test_a_swapped_body_is_noticed(open_inbox: Open, store: Store) -> None:
    """Whoever can write to the database cannot give one delivery another one's body."""
    inbox = open_inbox(ring=ring("old"))
    item, two = stored(inbox, "evt_1"), stored(inbox, "evt_2")
    store.rows("UPDATE deliveries SET body = (SELECT body FROM deliveries WHERE event_id = 'evt_1')")
    found = [inbox.read(deliveries.get, id_) for id_ in (item, two)]
    assert [delivery is not None and delivery.locked for delivery in found] == [
        None,
        "the key 'old' does not open it: another key of that id, or the row was changed or moved",
    ]


@pytest.mark.parametrize("keys", [(), ("old",)])
def test_a_body_that_looks_sealed_is_kept(open_inbox: Open, keys: tuple[str, ...]) -> None:
    """A sender cannot make a body that is taken for an encrypted one."""
    inbox = open_inbox(ring=ring(*keys))
    found = inbox.read(deliveries.get, stored(inbox, None, body=b"sealed:1:old:nonsense"))
    assert found is not None
    assert (found.body, found.locked) == (b"sealed:1:old:nonsense", None)


def test_a_copy_is_found_whatever_the_key(open_inbox: Open) -> None:
    """Duplicates are told before encryption, so changing keys lets none through."""
    first = stored(open_inbox(ring=ring("old")), "evt_1")
    assert stored(open_inbox(ring=ring("new")), "evt_1") == first


def test_the_files_hold_nothing_after_rewriting(path: Path) -> None:
    """What was plain is gone from the database file and its log."""
    url = f"sqlite:///{path}"
    plain = Inbox(url)
    for nth in range(50):
        delivery_id = stored(plain, f"evt_{nth}", body=f"{CANARY} {nth}".encode() * 200)
        add(plain, delivery_id, conf={"x": CANARY})
    plain.close()
    assert [file.name for file in path.parent.iterdir() if CANARY.encode() in file.read_bytes()] != []
    inbox = Inbox(url, ring=ring("new"))
    assert rewrite_all(inbox) == (100, 0)
    assert inbox.scrub()
    assert [file.name for file in path.parent.iterdir() if CANARY.encode() in file.read_bytes()] == []
    inbox.close()
