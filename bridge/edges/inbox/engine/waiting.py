"""What waits for the writer: webhooks, answered on the event loop, and jobs, answered to the thread that asked."""

from asyncio import AbstractEventLoop
from collections.abc import Callable
from concurrent.futures import Future as ThreadFuture
from typing import Any

import structlog
from sqlalchemy import Connection

from bridge.edges.inbox.engine.batches import Job
from bridge.edges.inbox.engine.intake import Row, Stored
from bridge.words.errors import InboxUnavailable

_log = structlog.get_logger("bridge.inbox")
Then = Callable[[Stored | Exception], None]  # runs on the event loop with what became of one webhook


class Webhook:
    """One webhook that waits for its commit; answered on the event loop."""

    __slots__ = ("loop", "row", "then")

    def __init__(self, row: Row, loop: AbstractEventLoop, then: Then) -> None:
        self.row = row
        self.loop = loop
        self.then = then

    def refuse(self, failure: InboxUnavailable) -> None:
        """Answer that it is not stored."""
        wake(self.loop, [(self.then, failure)])


class AskedJob(Job):
    """A job that a thread waits for."""

    __slots__ = ("future",)

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        super().__init__(work)
        self.future: ThreadFuture[Any] = ThreadFuture()

    def begin(self) -> bool:
        """Whether somebody still waits for it; from now on it cannot be called off."""
        return self.future.set_running_or_notify_cancel()

    def refuse(self, failure: InboxUnavailable) -> None:
        """Answer that nothing was committed, unless whoever asked has given up."""
        if self.future.running() or self.begin():
            self.future.set_exception(failure)

    def answer(self) -> None:
        """Hand over what came of it."""
        result, failure = self.result
        if failure is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(failure)


Item = Webhook | AskedJob


def wake(loop: AbstractEventLoop, pairs: list[tuple[Then, Stored | Exception]]) -> None:
    """Hand the outcomes to the event loop in one call; a loop that has ended has nobody left to answer."""
    try:
        loop.call_soon_threadsafe(_call_each, pairs)
    except RuntimeError:
        _log.warning("answers_dropped", reason="the event loop has ended", webhooks=len(pairs))


def _call_each(pairs: list[tuple[Then, Stored | Exception]]) -> None:
    """Call each, on the loop's own thread; one that fails must not keep the others from their answers."""
    for then, outcome in pairs:
        try:
            then(outcome)
        except Exception:  # noqa: BLE001 - see above
            _log.exception("answer_failed")
