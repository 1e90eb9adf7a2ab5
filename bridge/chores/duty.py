"""The lease of a duty that one replica at a time does: a loop takes it before it looks, and lets go of it at its end.

One that is not given back lapses, as after a crash. Which duties there are, and what a lease is: edges/inbox/duties.py.
"""

import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from bridge.edges.inbox import Inbox, duties
from bridge.words.errors import InboxUnavailable


class Duty:
    """Takes the duties of one loop, under a token of its own."""

    def __init__(self, inbox: Inbox, clock: Callable[[], datetime]) -> None:
        """`clock` gives aware UTC."""
        self._inbox = inbox
        self._clock = clock
        self._token = secrets.token_hex(8)  # of this process

    def take(self, name: str, seconds: float) -> bool:
        """Take a duty for so long, or keep it; False: another process has it. Raises InboxUnavailable."""
        return self._inbox.write(duties.take, name, token=self._token, now=self._clock(), seconds=seconds)

    def give_back(self, _limit_seconds: float = 0.0) -> None:
        """Let another replica go on at once; what a loop's `on_stopped` is for. Never raises."""
        with suppress(InboxUnavailable):  # then the leases lapse
            self._inbox.write(duties.give_back, token=self._token)
