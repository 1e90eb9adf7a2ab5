"""The fixtures of a store, a mapping and a stand-in, which flows and chores share; and a dispatcher before it."""

from collections.abc import Iterator

import pytest

from bridge.edges.inbox import Inbox
from bridge.edges.metrics import Metrics
from tests.support.firing import Firing, Make
from tests.support.fixtures import inbox, mapping, metrics, path, standin, store, url
from tests.support.standin import Standin

__all__ = ["inbox", "mapping", "metrics", "path", "standin", "store", "url"]


@pytest.fixture
def make(inbox: Inbox, metrics: Metrics, standin: Standin) -> Iterator[Make]:
    """Make a dispatcher in front of the stand-in, or of another URL."""
    built: list[Firing] = []

    def build(url: str | None = None, *, over: Inbox = inbox, **options: object) -> Firing:
        built.append(Firing(over, metrics, url or standin.url, **options))  # type: ignore[arg-type]
        return built[-1]

    yield build
    for firing in built:
        firing.stop()
        firing.airflow.close()
