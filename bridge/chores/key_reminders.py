"""Reminds people of keys while the bridge runs for months: a key that ends soon, an old key still in use after a week.

Which keys are in use is read from the store, so a restart forgets nothing. It looks at a sample of the webhooks of the
last day, and of the day a week before. The first key of a source is the one to keep; the others should go.
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
_SAMPLE = 10_000  # webhooks: a few megabytes to read, once an hour
_log = structlog.get_logger("bridge.keys")


class KeyReminders:
    """Looks at the keys every hour, and logs what it finds once a day."""

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
        """Set the metrics of keys, and once a day log what a person should know. Raises InboxUnavailable."""
        now = self._clock()
        used = self._inbox.read(browsing.keys_used, since=now - _DAY, until=now, limit=_SAMPLE)
        earlier = self._inbox.read(browsing.keys_used, since=now - _WEEK - _DAY, until=now - _WEEK, limit=_SAMPLE)
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
