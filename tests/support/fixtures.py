"""A real store, a mapping of the test's own and a stand-in for Airflow, as fixtures."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.edges.inbox import Inbox, prepare
from bridge.edges.metrics import Metrics
from bridge.rules.mapping import Mapping, read
from tests.support.standin import Standin
from tests.support.store import Store, empty_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of an empty store with today's schema."""
    return empty_store(tmp_path / "bridge.db")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty store of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('path')}"
    found: str = request.getfixturevalue("postgres")
    prepare(found)
    return found


@pytest.fixture
def inbox(path: Path) -> Iterator[Inbox]:
    """One inbox over the test's store."""
    item = Inbox(f"sqlite:///{path}")
    yield item
    item.close()


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """The file itself, as another program sees it."""
    item = Store(path)
    yield item
    item.close()


@pytest.fixture
def metrics() -> Metrics:
    """Metrics of one source and one Airflow."""
    return Metrics(keys_by_source={"planasonix": ["current"]}, airflows=["default"])


@pytest.fixture
def standin() -> Iterator[Standin]:
    """A stand-in for Airflow, listening."""
    with Standin() as standin:
        yield standin


@pytest.fixture
def mapping() -> Callable[..., Mapping]:
    """Read a mapping from its text."""

    def make(text: str, **names: Any) -> Mapping:
        usual: dict[str, Any] = {"airflows": ["default"], "sources": ["planasonix"]}
        return read(text, file="mapping.yaml", **usual | names)

    return make
