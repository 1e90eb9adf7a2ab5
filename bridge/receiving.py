"""From raw bytes to a durable delivery: verify, find the event id, one commit. Nothing else happens before 202.

This is the hot path. It never parses more than the id, never looks at the mapping and never waits for Airflow;
what the body says is read by `routing`, after the answer.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import structlog

from bridge import event
from bridge.errors import Refused
from bridge.inbox import Inbox
from bridge.metrics import ACCEPTED, Metrics
from bridge.model import Verified
from bridge.reasons import Reason
from bridge.settings import Source

_log = structlog.get_logger("bridge.receiving")
_KEPT_HEADERS = frozenset({b"user-agent", b"content-type"})
_HEADER_LENGTH = 200
_QUIET_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to an authentic webhook: `status` is `accepted` or `duplicate`."""

    delivery_id: str
    status: str


class Receiving:
    """Takes webhooks in; one for the whole process."""

    def __init__(
        self,
        *,
        sources: Mapping[str, Source],
        inbox: Inbox,
        metrics: Metrics,
        on_accepted: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`on_accepted` wakes routing; `clock` gives Unix seconds."""
        self._sources = sources
        self._inbox = inbox
        self._metrics = metrics
        self._on_accepted = on_accepted
        self._clock = clock
        # Looked up once: finding a metric by its labels costs more than counting.
        self._counted = {(name, o): metrics.deliveries.labels(name, o) for name in sources for o in ACCEPTED}
        self._verified = {
            (name, key.id): metrics.verified.labels(name, key.id)
            for name, source in sources.items()
            for key in source.verifier.keys
        }
        self._logged: dict[tuple[str, Reason], float] = {}

    def knows(self, source: str) -> bool:
        """Whether webhooks of this source are taken."""
        return source in self._sources

    async def accept(
        self, source: str, headers: Iterable[tuple[bytes, bytes]], body: bytes, path_pipeline_id: str | None
    ) -> Receipt:
        """Store one webhook; durable when it returns.

        `headers` as ASGI gives them (lower-cased names). Raises Refused when it is not authentic and
        InboxUnavailable when it cannot be stored; in both cases nothing is stored.
        """
        verified = self._verify(source, headers, body)
        accepted = await self._inbox.accept(
            source=source,
            event_id=event.peek_id(body),
            verified=verified,
            kept=self._sources[source].kept(body),
            path_pipeline_id=path_pipeline_id,
            headers=_kept(headers),
        )
        if not accepted.is_new:
            self._counted[source, "duplicate"].inc()
            return Receipt(accepted.delivery_id, "duplicate")
        self._counted[source, "stale" if verified.is_stale else "accepted"].inc()
        self._on_accepted()
        return Receipt(accepted.delivery_id, "accepted")

    def _verify(self, source: str, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Verified:
        configured = self._sources[source]
        try:
            verified = configured.verifier.verify(headers, body, self._clock())
            if verified.is_stale and not configured.keeps_stale:
                raise Refused(Reason.TIMESTAMP_TOO_OLD)
        except Refused as refused:
            self._refused(source, refused.reason)
            raise
        self._verified[source, verified.key_id].inc()
        return verified

    def _refused(self, source: str, reason: Reason) -> None:
        """Count every refusal, but log one kind at most every few seconds: an attacker must not fill the log."""
        self._metrics.refusals.labels(source, str(reason)).inc()
        now = self._clock()
        if now - self._logged.get((source, reason), 0.0) >= _QUIET_SECONDS:
            self._logged[(source, reason)] = now
            _log.warning("refused", source=source, reason=str(reason), next_step=reason.next_step)


def _kept(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the few headers worth keeping for people, as JSON; never a signature, a cookie or a token."""
    return _as_json(tuple(header for header in headers if header[0] in _KEPT_HEADERS))


@lru_cache(maxsize=256)
def _as_json(headers: tuple[tuple[bytes, bytes], ...]) -> str:
    """Spell headers as JSON; one sender's are nearly always the same."""
    return json.dumps({name.decode(): value[:_HEADER_LENGTH].decode("latin-1") for name, value in headers})
