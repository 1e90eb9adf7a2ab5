"""When each source was heard last is kept in the store, by every process."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.chores.heard import Heard
from bridge.edges.inbox import Inbox, heard
from bridge.edges.metrics import Metrics
from tests.support.store import Store, accept

NOW = datetime(2025, 3, 27, 3, 0, tzinfo=UTC)


@pytest.fixture
def metrics() -> Metrics:
    """Metrics of two sources."""
    return Metrics(keys_by_source={"quiet": ["current"], "busy": ["current"]}, airflows=["default"])


def _chore(inbox: Inbox, metrics: Metrics) -> Heard:
    return Heard(inbox=inbox, metrics=metrics, clock=lambda: NOW)


def test_what_this_process_heard_is_kept(inbox: Inbox, metrics: Metrics) -> None:
    """Of the sources that were heard; and again when one is heard again."""
    chore = _chore(inbox, metrics)
    metrics.last_deliveries["quiet"] = NOW.timestamp() - 60
    chore.step()
    assert inbox.read(heard.last, now=NOW) == {"quiet": datetime.fromtimestamp(NOW.timestamp() - 60, UTC)}
    metrics.last_deliveries |= {"quiet": NOW.timestamp(), "busy": NOW.timestamp()}
    chore.step()
    assert inbox.read(heard.last, now=NOW) == {"quiet": NOW, "busy": NOW}


def test_what_a_clock_ahead_kept_is_mended_by_this_process(inbox: Inbox, metrics: Metrics, store: Store) -> None:
    """Its clock was put right: else a wrong secret would be hidden for as long as it ran ahead."""
    chore = _chore(inbox, metrics)
    metrics.last_deliveries["quiet"] = (NOW + timedelta(days=1)).timestamp()
    chore.step()
    assert inbox.read(heard.last, now=NOW) == {}
    metrics.last_deliveries["quiet"] = NOW.timestamp()
    chore.step()
    assert inbox.read(heard.last, now=NOW) == {"quiet": NOW}
    assert store.rows("SELECT source, at FROM heard") == [("quiet", NOW.timestamp() * 1_000_000)]


def test_the_last_is_kept_at_the_end(inbox: Inbox, metrics: Metrics) -> None:
    """What came after the last step."""
    chore = _chore(inbox, metrics)
    chore.loop.start()
    metrics.last_deliveries["quiet"] = NOW.timestamp()
    chore.loop.stop(5)
    assert inbox.read(heard.last, now=NOW) == {"quiet": NOW}


def test_a_source_that_was_never_kept_is_searched_for(inbox: Inbox, metrics: Metrics, store: Store) -> None:
    """Once, far back in what a release before has stored; what is configured no more is left out."""
    for source in ("quiet", "gone", "busy"):
        accept(inbox, "evt_1", source=source)
    metrics.last_deliveries["busy"] = NOW.timestamp()
    Heard(inbox=inbox, metrics=metrics).step()
    assert store.rows("SELECT source FROM heard ORDER BY source") == [("busy",), ("quiet",)]
