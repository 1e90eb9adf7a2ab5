"""What comes while there is no mapping at all: it is kept, shown as waiting, and routed when there is one.

A bridge that starts over a broken mapping, with none kept in the store either, still takes webhooks in: a sender's
try is gone for good, a routing decision is not.

    1. put aside   each delivery once, as `received` with the reason `mapping_broken`; due when somebody lets it go
    2. let go      slice by slice once there is a mapping, in the order in which they came; by any replica that has one

Both are plain updates of what has that reason, so a crash in between, or two replicas, lose and double nothing.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from bridge.edges.inbox import Inbox, unmapped
from bridge.edges.inbox.deliveries import Postponed, due, postpone
from bridge.edges.inbox.triggers import NEVER
from bridge.flows.routing.drafts import locked
from bridge.words.reasons import Reason

_AT_ONCE = 100  # a few milliseconds of the writer's time
_LOOK_SECONDS = 60.0  # another replica may have put something aside


class Unmapped:
    """The deliveries that wait for a mapping."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        is_lacking: Callable[[], bool] = lambda: False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`is_lacking` returns whether there is no mapping at this moment."""
        self._inbox = inbox
        self.is_lacking = is_lacking
        self._clock = clock
        self._look_at = 0.0

    def put_aside(self) -> int:
        """Put aside a slice of what is due; returns how many. Raises InboxUnavailable."""
        self._look_at = 0.0
        now = self._clock()
        waiting = self._inbox.read(due, now=now, limit=_AT_ONCE, node=self._inbox.node)
        later = [
            locked(each, now)
            if each.locked is not None
            else Postponed(each.id, NEVER, Reason.MAPPING_BROKEN, None, is_lookup=False)
            for each in waiting
        ]
        if later:
            self._inbox.write(postpone, later)
        return len(later)

    def let_go(self) -> int:
        """Make a slice of it due; returns how many. Raises InboxUnavailable."""
        if time.monotonic() < self._look_at:
            return 0
        found = self._inbox.read(unmapped.waiting, limit=_AT_ONCE)
        if not found:
            self._look_at = time.monotonic() + _LOOK_SECONDS
            return 0
        self._inbox.write(unmapped.let_go, found)
        return len(found)
