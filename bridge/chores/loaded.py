"""Tells in the store which mapping and which keys this process has loaded, so that it is known of every replica.

Each is a lease that is renewed: a process that died is no replica any more when it lapses. No secret is told, only the
fingerprint that `keys show` prints.
"""

import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox, duties, loaded
from bridge.edges.metrics import Metrics
from bridge.rules.signature import Key
from bridge.words.errors import InboxUnavailable
from bridge.words.replicas import LoadedKey, LoadedMapping

_EVERY_SECONDS = 5.0
_LEASE_SECONDS = 60.0  # many renewals long
_KEPT = timedelta(hours=1)  # what lapsed before is removed
_BATCH = 200


class Loaded:
    """Renews what this process tells."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        keys: Callable[[], Mapping[str, Sequence[Key]]],
        mapping: Callable[[], tuple[str, datetime]],
        metrics: Metrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`keys` returns those in use, by source, and `mapping` the digest of the one in use, and since when it is."""
        self._inbox, self._keys, self._mapping, self._clock = inbox, keys, mapping, clock
        self._replica, self._host = secrets.token_hex(4), socket.gethostname()
        self._said: frozenset[loaded.What] = frozenset()
        self.loop = Loop(
            "loaded",
            self.step,
            every_seconds=_EVERY_SECONDS,
            slowest_seconds=_EVERY_SECONDS,
            metrics=metrics,
            on_stopped=self._leave,
        )

    def step(self) -> None:
        """Tell what is loaded now, and take back what is not any more. Raises InboxUnavailable."""
        now, found = self._clock(), frozenset(self._found())
        self._inbox.write(loaded.say, found, gone=self._said - found, now=now, seconds=_LEASE_SECONDS)
        self._said = found
        for prefix in loaded.PREFIXES:
            lapsed = self._inbox.read(duties.lapsed, prefix, before=now - _KEPT, limit=_BATCH)
            if lapsed:
                self._inbox.write(duties.forget, lapsed, before=now - _KEPT)

    def _found(self) -> Iterator[loaded.What]:
        yield LoadedMapping(self._replica, self._host, *self._mapping())
        for source, keys in self._keys().items():
            for key in keys:
                yield LoadedKey(self._replica, source, key.id, key.fingerprint)

    def _leave(self, _: float) -> None:
        with suppress(InboxUnavailable):  # then the leases lapse, as after a crash
            self._inbox.write(loaded.say, (), gone=self._said, now=self._clock(), seconds=_LEASE_SECONDS)
