"""What each replica tells of its mapping and its keys."""

import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from bridge.chores.loaded import Loaded
from bridge.edges.inbox import Inbox, loaded
from bridge.edges.metrics import Metrics
from bridge.flows import attending
from bridge.rules import views
from bridge.rules.signature import Key
from bridge.web.replicas import ReplicasApi
from bridge.words.replicas import LoadedKey
from tests.support.store import Store

_OLD, _NEW = Key("a", b"whsec_4f7d1c0b9a8e7d6c5b4a39281706f5e4"), Key("b", b"whsec_9f7d1c0b9a8e7d6c5b4a39281706f5e4")


class Replica:
    """One process, as far as it tells what it has loaded."""

    def __init__(self, inbox: Inbox, metrics: Metrics, keys: Sequence[Key]) -> None:
        self.keys, self.now = keys, datetime.now(UTC)
        self.mapping = "0a0a0a", self.now
        self.chore = Loaded(
            inbox=inbox,
            keys=lambda: {"planasonix": self.keys},
            mapping=lambda: self.mapping,
            metrics=metrics,
            clock=lambda: self.now,
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
    assert store.one("SELECT COUNT(*) FROM duties") == 4
    alive.now += timedelta(hours=1)
    alive.chore.step()
    assert store.one("SELECT COUNT(*) FROM duties") == 2


def test_each_replica_tells_which_mapping_it_uses(inbox: Inbox, metrics: Metrics) -> None:
    """One mapping each, with its digest and since when; one that has no key tells it too."""
    first, second = Replica(inbox, metrics, [_OLD]), Replica(inbox, metrics, [])
    for each in (first, second):
        each.chore.step()
    first.mapping = "1b1b1b", first.now + timedelta(minutes=1)
    first.chore.step()
    found = {each["mapping"]: each for each in ReplicasApi(inbox=inbox).replicas()["replicas"]}
    assert found.keys() == {"0a0a0a", "1b1b1b"}
    assert found["1b1b1b"]["loaded_at"] == views.instant(first.now + timedelta(minutes=1))
    assert found["1b1b1b"]["host"] == socket.gethostname()
    assert (len(found["1b1b1b"]["keys"]), found["0a0a0a"]["keys"]) == (1, [])


def test_a_replica_of_the_release_before_tells_of_its_keys_alone(inbox: Inbox) -> None:
    """It is listed all the same."""
    now = datetime.now(UTC)
    inbox.write(loaded.say, [LoadedKey("a1b2", "planasonix", "a", None)], gone=(), now=now, seconds=60)
    (found,) = ReplicasApi(inbox=inbox).replicas()["replicas"]
    assert (found["replica"], found["mapping"], len(found["keys"])) == ("a1b2", None, 1)
    assert attending.unserved(inbox) == []
