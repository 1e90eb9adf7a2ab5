"""A migrated store in a file of the test's own, and any number of inboxes over it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge.inbox import Inbox
from tests.edges.inbox.support import Store, empty_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of an empty store with today's schema."""
    return empty_store(tmp_path / "bridge.db")


@pytest.fixture
def open_inbox(path: Path) -> Iterator[Callable[..., Inbox]]:
    """Open an inbox over the test's store; every one is closed after the test."""
    opened: list[Inbox] = []

    def make(**options: Any) -> Inbox:
        opened.append(Inbox(f"sqlite:///{path}", **options))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def inbox(open_inbox: Callable[..., Inbox]) -> Inbox:
    """One inbox over the test's store."""
    return open_inbox()


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """The file itself, as another program sees it."""
    one = Store(path)
    yield one
    one.close()
