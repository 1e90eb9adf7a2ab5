"""Tells in the store which keys this process has loaded, so that a rotation knows when every replica has the new one.

Each key is a lease that is renewed: a process that died is no replica any more when it lapses. No secret is told, only
the fingerprint that `keys show` prints.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox, duties, loaded
from bridge.edges.metrics import Metrics
from bridge.rules.signature import Key
from bridge.words.errors import InboxUnavailable
from bridge.words.replicas import LoadedKey

_EVERY_SECONDS = 5.0
_LEASE_SECONDS = 60.0  # many renewals long
_KEPT = timedelta(hours=1)  # what lapsed before is removed
_BATCH = 200


class LoadedKeys:
    """Renews what this process tells."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        keys: Callable[[], Mapping[str, Sequence[Key]]],
        metrics: Metrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`keys` returns those in use, by source."""
        self._inbox, self._keys, self._clock = inbox, keys, clock
        self._replica = secrets.token_hex(4)
        self._said: frozenset[LoadedKey] = frozenset()
        self.loop = Loop(
            "loaded_keys",
            self.step,
            every_seconds=_EVERY_SECONDS,
            slowest_seconds=_EVERY_SECONDS,
            metrics=metrics,
            on_stopped=self._leave,
        )

    def step(self) -> None:
        """Tell what is loaded now, and take back what is not any more. Raises InboxUnavailable."""
        now = self._clock()
        found = frozenset(
            LoadedKey(self._replica, source, key.id, key.fingerprint)
            for source, keys in self._keys().items()
            for key in keys
        )
        self._inbox.write(loaded.say, found, gone=self._said - found, now=now, seconds=_LEASE_SECONDS)
        self._said = found
        lapsed = self._inbox.read(duties.lapsed, loaded.PREFIX, before=now - _KEPT, limit=_BATCH)
        if lapsed:
            self._inbox.write(duties.forget, lapsed, before=now - _KEPT)

    def _leave(self, _: float) -> None:
        with suppress(InboxUnavailable):  # then the leases lapse, as after a crash
            self._inbox.write(loaded.say, (), gone=self._said, now=self._clock(), seconds=_LEASE_SECONDS)
