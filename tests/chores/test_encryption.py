"""Every row ends under the first key while the service runs, and what no key opens is told and left alone."""

import os
from pathlib import Path

from bridge.chores.encryption import Encryption
from bridge.chores.loop import FINISHED
from bridge.edges.inbox import Inbox, deliveries, vault
from bridge.edges.metrics import Metrics
from bridge.rules.sealing import Ring
from tests.support.store import accept, add, stored, wait_for

OLD, NEW = bytes(range(32)), bytes(range(32, 64))


def open_with(path: Path, **keys: bytes) -> Inbox:
    """Open the store with these keys; the first one encrypts."""
    return Inbox(f"sqlite:///{path}", ring=Ring(keys, os.urandom))


def finish(encryption: Encryption) -> None:
    """Take every step of the pass."""
    while encryption.step() != FINISHED:
        pass


def test_everything_ends_under_the_first_key(path: Path, inbox: Inbox, metrics: Metrics) -> None:
    """Plain rows, more than one batch of them, in all tables; it says so, and the old bytes are gone from the files."""
    accept(inbox, *[f"evt_{number}" for number in range(60)], body=None)
    add(inbox, stored(inbox, "evt_conf", body=b"canary-7f3a" * 900), conf={"x": "canary-7f3a"})
    new = open_with(path, new=NEW, old=OLD)
    encryption = Encryption(inbox=new, key="new", metrics=metrics)
    finish(encryption)
    assert new.read(vault.count) == {"deliveries": {"new": 61}, "triggers": {"new": 1}, "attempts": {}}
    assert encryption.status() == {"key": "new", "table": None, "rewritten": 62, "locked": 0, "is_done": True}
    assert "bridge_resealed_total 62.0" in metrics.exposition().decode()
    assert [file.name for file in path.parent.iterdir() if b"canary-7f3a" in file.read_bytes()] == []
    again = Encryption(inbox=new, key="new", metrics=metrics)
    finish(again)
    assert (again.status() or {})["rewritten"] == 0
    new.close()


def test_webhooks_come_in_meanwhile(path: Path, inbox: Inbox, metrics: Metrics) -> None:
    """The thread rewrites what was there while others are stored, and all of them can be read."""
    accept(inbox, *[f"evt_{number}" for number in range(300)])
    new = open_with(path, new=NEW)
    item = Encryption(inbox=new, key="new", metrics=metrics)
    item.loop.start()
    ids = [stored(new, f"late_{number}") for number in range(50)]
    wait_for(lambda: bool((item.status() or {})["is_done"]))
    item.loop.stop(5)
    assert new.read(vault.count)["deliveries"] == {"new": 350}
    found = [new.read(deliveries.get, id_) for id_ in ids]
    assert [item is not None and item.locked for item in found] == [None] * 50
    new.close()


def test_what_no_key_opens_is_left_alone(path: Path, inbox: Inbox, metrics: Metrics) -> None:
    """It is counted, the others are rewritten, and it opens again when its key is back."""
    old = open_with(path, old=OLD)
    lost = stored(old, "evt_old")
    stored(inbox, "evt_plain")
    new = open_with(path, new=NEW)
    encryption = Encryption(inbox=new, key="new", metrics=metrics)
    finish(encryption)
    assert (encryption.status() or {})["locked"] == 1
    assert "bridge_locked_rows 1.0" in metrics.exposition().decode()
    assert new.read(vault.count)["deliveries"] == {"old": 1, "new": 1}
    found = old.read(deliveries.get, lost)
    assert found is not None
    assert found.locked is None
    old.close()
    new.close()


def test_stopping_takes_no_time(path: Path, inbox: Inbox, metrics: Metrics) -> None:
    """It ends after the batch under way, and the next start goes on."""
    accept(inbox, *[f"evt_{number}" for number in range(300)])
    new = open_with(path, new=NEW)
    encryption = Encryption(inbox=new, key="new", metrics=metrics)
    encryption.loop.start()
    encryption.loop.stop(60)
    finish(Encryption(inbox=new, key="new", metrics=metrics))
    assert new.read(vault.count)["deliveries"] == {"new": 300}
    new.close()


def test_without_keys_there_is_nothing_to_do(inbox: Inbox, metrics: Metrics) -> None:
    """The loop ends at once, and there is no status."""
    encryption = Encryption(inbox=inbox, key=None, metrics=metrics)
    encryption.loop.start()
    encryption.loop.stop(5)
    assert encryption.status() is None
