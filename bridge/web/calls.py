"""Runs calls of the admin API in threads of their own, and ends those that nobody waits for any more.

The rule: what tells whether the bridge is well (/livez, /readyz, /metrics) shares no thread, queue or connection that
an admin call could use up. So each kind of call has a pool, none uses the event loop's, and all pools together are
smaller than the store's pools of connections. An answer is spelled as JSON in its thread, not on the event loop.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.types import Receive

from bridge.edges.inbox.callers import while_wanted
from bridge.web.leaving import wait_for_leaving

T = TypeVar("T")
LOOKS = 4  # threads for calls that only look
CHANGES = 2  # for changes; so one that takes long holds up no look


class ClientLeft(Exception):
    """Nobody waits for the answer."""


class Calls:
    """A number of threads, and what waits for one of them."""

    def __init__(self, name: str, threads: int) -> None:
        """A thread is started when it is needed."""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, receive: Receive, work: Callable[[], T]) -> T:
        """Return what `work` returns; ClientLeft when `receive` says that the client is gone.

        Work that waits for a thread is dropped then; work under way ends at its next read or write of the store.
        """
        has_left = threading.Event()
        call = asyncio.wrap_future(self._pool.submit(_work, work, has_left))
        leaving = asyncio.ensure_future(wait_for_leaving(receive))
        try:
            await asyncio.wait((call, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                raise ClientLeft
            return call.result()
        finally:  # the task may have been cancelled, too
            has_left.set()
            leaving.cancel()
            call.cancel()


def _work(work: Callable[[], T], has_left: threading.Event) -> T:
    with while_wanted(lambda: not has_left.is_set()):
        return work()
