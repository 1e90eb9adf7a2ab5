"""Whether whoever asked for work in a thread still waits for it: each read and write asks first."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from bridge.words.errors import InboxUnavailable

_is_wanted: ContextVar[Callable[[], bool]] = ContextVar("is_wanted", default=lambda: True)


@contextmanager
def while_wanted(is_wanted: Callable[[], bool]) -> Iterator[None]:
    """Inside, in this thread, no read or write begins any more once `is_wanted` returns False: InboxUnavailable."""
    token = _is_wanted.set(is_wanted)
    try:
        yield
    finally:
        _is_wanted.reset(token)


def check_wanted() -> None:
    """Raise InboxUnavailable if nobody waits for what comes next."""
    if not _is_wanted.get()():
        raise InboxUnavailable("whoever asked for this has left")
