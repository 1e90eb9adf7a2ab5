"""Reminds of keys while the bridge runs for months: one that ends soon, an old one that is still used after a week.

Which keys are used is read from the store, so that a restart forgets nothing: from a sample of what came within the
last day, and of what came a week before that. The first key of a source is the one to keep, the others are to be given
up.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import structlog

from bridge.chores.loop import Loop
from bridge.edges.inbox import Inbox, browsing
from bridge.edges.metrics import Metrics
from bridge.rules.signature import SignatureCheck, advise

_EVERY_SECONDS = 3600.0
_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_MOST = 10_000  # webhooks of a sample: a few megabytes to read, once an hour
_log = structlog.get_logger("bridge.keys")


class KeyReminders:
    """Looks after the keys every hour, and says what it finds once a day."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        verifiers: Mapping[str, SignatureCheck],
        metrics: Metrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`verifiers` by source."""
        self._inbox = inbox
        self._verifiers = verifiers
        self._metrics = metrics
        self._clock = clock
        self._said_at: datetime | None = None
        self.loop = Loop("key_reminders", self.look, every_seconds=_EVERY_SECONDS, metrics=metrics)

    def look(self) -> None:
        """Take over which old keys are used, and say what a person should know. Raises InboxUnavailable."""
        now = self._clock()
        used = self._inbox.read(browsing.keys_used, since=now - _DAY, until=now, limit=_MOST)
        earlier = self._inbox.read(browsing.keys_used, since=now - _WEEK - _DAY, until=now - _WEEK, limit=_MOST)
        is_time = self._said_at is None or now - self._said_at >= _DAY
        for source, verifier in self._verifiers.items():
            newest, *older = verifier.keys
            is_settled = (source, newest.id) in earlier or (
                newest.not_before is not None and newest.not_before <= (now - _WEEK).timestamp()
            )
            for key in verifier.keys:
                is_old_in_use = is_settled and key in older and (source, key.id) in used
                self._metrics.observe_key(source, key.id, expires_at=key.not_after, is_old_in_use=is_old_in_use)
                if is_time and is_old_in_use:
                    detail = f"key {key.id}: still used a week after {newest.id}; finish the rotation, then remove it"
                    _log.warning("keys", source=source, detail=detail)
            # At the start this has been said already.
            for said in advise(verifier, now.timestamp()) if is_time and self._said_at else ():
                _log.warning("keys", source=source, detail=said)
        self._said_at = now if is_time else self._said_at
