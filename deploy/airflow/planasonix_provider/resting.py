"""How a deferred task rests between two looks at Planasonix: until its next look is due, or the bridge says something.

    no bridge named    the next look is due after `poll_interval`
    bridge answers     it is asked with long waits; Planasonix itself is looked at only as the net beneath: every five
                       minutes, or every `poll_interval` if that is longer
    `ended`            the next look is due now: Planasonix says how, so a result is the same whichever way it came.
                       While it does not show the end, it is looked at soon, then every `poll_interval`; the bridge is
                       not asked any more
    `look`             the next look is due as soon as it would be without the bridge
    bridge fails       the next look is due as it would be without the bridge, which is tried again ever more rarely;
                       said once in the log

So the bridge can make a look come sooner and never end a wait by itself: another job's webhook costs one look at most.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from planasonix_provider.bridge_api import Question, Said, Verdict
from planasonix_provider.errors import PlanasonixError, Unavailable
from planasonix_provider.pacing import Patience, next_wait

NET_SECONDS = 300.0
_LONGEST_WAIT_SECONDS = 30  # the bridge waits no longer
_AGAIN_SECONDS = 5.0  # after the bridge failed, or said sooner than asked that it knows nothing; then doubled
_REFUSED_SECONDS = 900.0  # a wrong token or address is not mended soon, and counts as an attempt to get in
_MOST_EAGER = 10

Ask = Callable[[Question, int], Awaitable[Said]]  # the second: for how many seconds the bridge may wait
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Rest:
    """The rests of one wait. `ask` asks the bridge; None: none is named."""

    ask: Ask | None
    run_id: str | None
    pipeline_id: str | None
    net_seconds: float = NET_SECONDS
    _answers: bool = field(default=False, init=False)  # the last time that it was asked
    _may_wait: bool = field(default=True, init=False)  # it had room for one who waits
    _failures: int = field(default=0, init=False)
    _is_said: bool = field(default=False, init=False)  # that it fails
    _not_before: float = field(default=0.0, init=False)  # is it asked again
    _after: str | None = field(default=None, init=False)  # the delivery of the last `look`
    _eager: int = field(default=0, init=False)  # looks since it said `ended`

    async def rest(self, patience: Patience) -> None:
        """Return when the next look is due. `patience` is asked for its pace, and for its ends."""
        begin = time.time()
        due_at = begin + patience.wait(begin, _share())
        if self.ask is None or self._eager or patience.failures:
            await self._sleep(begin, due_at)
            return
        since = datetime.fromtimestamp(begin, UTC).isoformat()
        net = replace(patience, interval_seconds=max(self.net_seconds, patience.interval_seconds))
        net_at = begin + net.wait(begin, _share())
        while (left := (net_at if self._answers else due_at) - time.time()) > 0:
            if (pause := self._not_before - time.time()) > 0:
                await asyncio.sleep(min(pause, left))
                continue
            said = await self._heard(Question(self.run_id, self.pipeline_id, since, self._after), left)
            if said and said.verdict is Verdict.ENDED:
                _log.info("The bridge says that the run ended as %s (%s)", said.status, said.delivery_id)
                self._eager = 1
                return
            if said and said.verdict is Verdict.LOOK:
                self._after, net_at = said.delivery_id, min(net_at, due_at)

    async def _sleep(self, begin: float, due_at: float) -> None:
        if self._eager:  # Planasonix may show an end a moment after its webhook
            due_at = min(due_at, begin + 2.0 ** (self._eager - 1))
            self._eager = min(self._eager + 1, _MOST_EAGER)
        await asyncio.sleep(max(0.0, due_at - begin))

    async def _heard(self, question: Question, left: float) -> Said | None:
        """Ask once; None if nothing came of it. The first question, and one after a failure, is answered at once."""
        assert self.ask is not None  # noqa: S101 - looked at before
        is_long, begin = self._answers and self._may_wait, time.time()
        wait = _wait_seconds(left) if is_long else 0
        try:
            async with asyncio.timeout(left if is_long else None):
                said = await self.ask(question, wait)
        except TimeoutError:
            return None  # the look is due
        except PlanasonixError as error:
            self._failed(error, is_long=is_long)
            return None
        self._answered()
        if said.verdict is Verdict.OPEN and time.time() - begin < wait / 2:  # it is being stopped
            self._not_before = time.time() + next_wait(_AGAIN_SECONDS, failures=0, wish=None, share=_share())
        return said

    def _answered(self) -> None:
        if self._is_said:
            _log.info("The bridge answers again")
        self._answers, self._may_wait, self._failures, self._is_said = True, True, 0, False

    def _failed(self, error: PlanasonixError, *, is_long: bool) -> None:
        self._failures += 1
        is_brief = isinstance(error, Unavailable)
        wish = error.retry_after_seconds if isinstance(error, Unavailable) else None
        pace = _AGAIN_SECONDS if is_brief else _REFUSED_SECONDS
        failures = self._failures - 1 if is_brief else 0
        self._not_before = time.time() + next_wait(pace, failures=failures, wish=wish, share=_share())
        if is_long and wish is not None:  # no room for one more who waits; it may answer at once all the same
            self._may_wait = False
            return
        self._answers, self._may_wait = False, True
        if not self._is_said:
            self._is_said = True
            _log.warning("%s. Planasonix is asked instead, as if the connection named no bridge", error)


def _wait_seconds(left: float) -> int:
    """Return how long the bridge may wait: those that began together come back at different instants."""
    return max(1, min(int(left) + 1, int(_LONGEST_WAIT_SECONDS * (1 - _share() / 4))))


def _share() -> float:
    return random.random()  # noqa: S311 - jitter
