"""status beside a store: what it says of the bridge that should serve it."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from bridge.edges.inbox import Inbox, loaded
from bridge.words.replicas import LoadedMapping
from tests.cli.conftest import Place


@pytest.fixture
def inbox(place: Place) -> Iterator[Inbox]:
    """The store of a place."""
    with closing(Inbox(f"sqlite:///{place.store()}")) as item:
        yield item


def test_a_store_without_a_bridge_is_not_well(place: Place, inbox: Inbox) -> None:
    """Nothing waits there because nothing comes; the next step is to start one. Exit 1."""
    ended = place.here("status")
    assert ended.code == 1
    assert "no bridge serves this store" in ended.out
    assert "next: Start `planasonix-bridge serve`" in ended.out
    assert "source planasonix: last webhook never" in ended.out


def test_a_store_with_a_bridge_is_well(place: Place, inbox: Inbox) -> None:
    """As long as that one renews what it tells; and which mapping it uses is said. Exit 0."""
    mine = LoadedMapping("a1b2c3d4", "pod-0", "0123456789ab", datetime.now(UTC))
    inbox.write(loaded.say, [mine], gone=(), now=datetime.now(UTC), seconds=600)
    ended = place.here("status")
    assert (ended.code, "all is well" in ended.out) == (0, True)
    assert "replica pod-0 a1b2c3d4: mapping 0123456789ab since " in ended.out
    inbox.write(loaded.say, (), gone=[mine], now=datetime.now(UTC), seconds=600)
    assert place.here("status").code == 1
