"""One time limit for many short waits, with one timer for all of them.

`asyncio.timeout` sets and clears a timer each time, which costs 3 microseconds, a twentieth of a whole webhook; and
nearly every body is there before anybody waits for it. So here the clock is looked at now and then instead.
"""

import asyncio
from types import TracebackType

_LOOKS = 4  # a wait may last a quarter longer than the limit


class Patience:
    """A context manager for any number of tasks at once: TimeoutError for who is inside for too long."""

    def __init__(self, seconds: float) -> None:
        """`seconds`: a wait ends between this and a quarter more."""
        self._seconds = seconds
        self._began: dict[asyncio.Task[object] | None, float] = {}
        self._is_looking = False

    def __enter__(self) -> None:
        """Begin to wait; a task waits for one thing at a time."""
        loop = asyncio.get_running_loop()
        self._began[asyncio.current_task()] = loop.time()
        if not self._is_looking:
            self._is_looking = True
            loop.call_later(self._seconds, self._look)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End to wait; whoever was given up on gets TimeoutError, unless somebody else cancelled it as well."""
        task = asyncio.current_task()
        if self._began.pop(task, None) is None and kind is asyncio.CancelledError and task and not task.uncancel():
            raise TimeoutError from error

    def _look(self) -> None:
        """Give up on whoever waits for too long, and look again as long as anybody waits."""
        loop = asyncio.get_running_loop()
        overdue = [task for task, began in self._began.items() if loop.time() - began >= self._seconds]
        for task in overdue:
            del self._began[task]
            if task is not None:
                task.cancel()
        self._is_looking = bool(self._began)
        if self._is_looking:
            loop.call_later(self._seconds / _LOOKS, self._look)
