"""What each replica tells of its keys."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from bridge.chores.loaded_keys import LoadedKeys
from bridge.edges.inbox import Inbox
from bridge.edges.metrics import Metrics
from bridge.rules.signature import Key
from bridge.web.replicas import ReplicasApi
from tests.support.store import Store

_OLD, _NEW = Key("a", b"whsec_4f7d1c0b9a8e7d6c5b4a39281706f5e4"), Key("b", b"whsec_9f7d1c0b9a8e7d6c5b4a39281706f5e4")


class Replica:
    """One process, as far as it tells of its keys."""

    def __init__(self, inbox: Inbox, metrics: Metrics, keys: Sequence[Key]) -> None:
        self.keys, self.now = keys, datetime.now(UTC)
        self.chore = LoadedKeys(
            inbox=inbox, keys=lambda: {"planasonix": self.keys}, metrics=metrics, clock=lambda: self.now
        )


def _told(inbox: Inbox) -> list[list[str]]:
    found = ReplicasApi(inbox=inbox).replicas()["replicas"]
    return sorted([f"{key['id']}:{key['fingerprint']}" for key in each["keys"]] for each in found)


def test_each_replica_tells_what_it_has_loaded_and_takes_back_what_it_has_not(inbox: Inbox, metrics: Metrics) -> None:
    """By fingerprint: another secret under the same id is another key."""
    first, second = Replica(inbox, metrics, [_OLD]), Replica(inbox, metrics, [_OLD, _NEW])
    for each in (first, second):
        each.chore.step()
    names = [f"{key.id}:{key.fingerprint}" for key in (_OLD, _NEW)]
    assert _told(inbox) == [names[:1], names]
    first.keys = [_NEW]
    first.chore.step()
    assert _told(inbox) == [names, names[1:]]
    second.chore._leave(0.0)
    assert _told(inbox) == [names[1:]]


def test_a_replica_that_died_counts_no_more_and_leaves_nothing(inbox: Inbox, metrics: Metrics, store: Store) -> None:
    """After a minute it is no replica, and an hour later its rows are gone."""
    dead, alive = Replica(inbox, metrics, [_OLD]), Replica(inbox, metrics, [_NEW])
    dead.now -= timedelta(seconds=61)
    for each in (dead, alive):
        each.chore.step()
    assert _told(inbox) == [[f"b:{_NEW.fingerprint}"]]
    assert store.one("SELECT COUNT(*) FROM duties") == 2
    alive.now += timedelta(hours=1)
    alive.chore.step()
    assert store.one("SELECT COUNT(*) FROM duties") == 1
