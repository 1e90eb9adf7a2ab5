"""From raw bytes to a durable delivery: verify, find the event id, one commit. Nothing else happens before 202.

This is the hot path. It never parses more than the id, never looks at the mapping and never waits for Airflow;
what the body says is read by `routing`, after the answer.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache

import structlog

from bridge.edges.inbox import Inbox
from bridge.edges.inbox.engine.ids import delivery_text
from bridge.edges.inbox.engine.ids import number as delivery_number
from bridge.edges.inbox.engine.intake import Stored
from bridge.edges.metrics import Metrics
from bridge.edges.metrics.labels import ACCEPTED
from bridge.flows.receiving.copies import Copies, Copy, Receipt, Webhook
from bridge.rules import event
from bridge.rules.origin import NO_PROXIES, Proxies, limited_address
from bridge.rules.pacing import Quotas
from bridge.rules.signature import key_names
from bridge.rules.sources import Source
from bridge.words.errors import KeysUnavailable, KeyUnknown, Refused, TooMany
from bridge.words.model import Verified
from bridge.words.reasons import Reason

_log = structlog.get_logger("bridge.receiving")
_KEPT_HEADERS = frozenset({b"user-agent", b"content-type"})
_HEADER_LENGTH = 200
_QUIET_SECONDS = 10.0
_NO_KEY_TRIED = (Reason.SIGNATURE_MISSING, Reason.SIGNATURE_MALFORMED)


__all__ = ["Receipt", "Receiving"]


class Receiving:
    """Takes webhooks in; one for the whole process."""

    def __init__(
        self,
        *,
        sources: Mapping[str, Source],
        inbox: Inbox,
        metrics: Metrics,
        on_accepted: Callable[[], None],
        is_expected: Callable[[str, Sequence[str]], bool] = lambda _source, _keys: False,
        proxies: Proxies = NO_PROXIES,
        remember: Callable[..., None] = lambda *_, **__: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`on_accepted` wakes routing; `clock` gives Unix seconds.

        `is_expected(source, keys)`: whether the key sets of these keys may soon hold a key that they lack now.
        `remember(source, reason, ...)` keeps what was refused, and copies: see chores/refusal_ring.
        """
        self._is_expected = is_expected
        self._remember = remember
        self.take_over(sources)
        self._proxies = proxies
        self._quotas = {name: Quotas(source.quota) for name, source in sources.items()}
        self._inbox = inbox
        self._metrics = metrics
        self._on_accepted = on_accepted
        self._clock = clock
        self._copies = Copies(inbox=inbox, metrics=metrics, on_accepted=on_accepted)
        # Looked up once: finding a metric by its labels costs more than counting.
        self._counted = {(name, o): metrics.deliveries.labels(name, o) for name in sources for o in ACCEPTED}
        self._verified = {
            (name, key_id): metrics.verified.labels(name, key_id)
            for name, source in sources.items()
            for key_id in source.key_ids
        }
        self._count_refusal = lru_cache(maxsize=1024)(metrics.refusals.labels)
        self._logged: dict[tuple[str, Reason], float] = {}

    def take_over(self, sources: Mapping[str, Source]) -> None:
        """Verify with these from the next webhook on: the same sources and keys, with other secrets."""
        self._sources = sources
        self._tried = {name: key_names(source.verifier.keys) for name, source in sources.items()}

    def knows(self, source: str) -> bool:
        """Whether webhooks of this source are taken."""
        return source in self._sources

    def accept(
        self,
        source: str,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
        path_pipeline_id: str | None,
        peer: str | None = None,
        *,
        then: Callable[[Receipt | Exception], None],
    ) -> None:
        """Store one webhook; it is durable when `then` is told so, on this event loop.

        `headers` as ASGI gives them (lower-cased names); `peer` is the address at the other end of the connection.
        Raises Refused when it is not authentic, KeysUnavailable when nobody knows yet, TooMany at the source's limits,
        and InboxUnavailable when too many wait; `then` is told InboxUnavailable when it cannot be stored. In all of
        these nothing is stored.
        """
        verified = self._verify(source, headers, body, peer)
        if wait := self._quotas[source].take_delivery(time.monotonic()):
            self.refuse(source, "delivery_limit", headers, peer)
            raise TooMany("delivery_limit", wait)
        configured = self._sources[source]
        event_id, kept, kept_headers = event.peek_id(body, configured.spelling), configured.kept(body), _kept(headers)

        def on_stored(stored: Stored | Exception) -> None:
            if isinstance(stored, Exception) or stored[1]:
                then(stored if isinstance(stored, Exception) else self._count(source, verified, stored[0]))
            else:
                where = (path_pipeline_id, kept_headers, time.time(), configured.same_body_seconds, stored[0])
                self._look(Webhook(source, event_id, verified, kept, *where), lambda: self._sender(peer, headers), then)

        self._inbox.accept(
            source=source,
            event_id=event_id,
            verified=verified,
            kept=kept,
            path_pipeline_id=path_pipeline_id,
            headers=kept_headers,
            then=on_stored,
        )

    def _look(self, webhook: Webhook, sender: Callable[[], str], then: Callable[[Receipt | Exception], None]) -> None:
        """Find out what a webhook under a taken key is."""

        def on_found(found: Receipt | Copy | Exception) -> None:
            if isinstance(found, Exception):
                then(found)
            elif isinstance(found, Receipt):
                then(self._count(webhook.source, webhook.verified, delivery_number(found.delivery_id, "dlv")))
            else:
                self._metrics.last_deliveries[webhook.source] = self._clock()
                self._counted[webhook.source, "duplicate"].inc()
                what = "duplicate" if found.what == "copy" else found.what
                self._remember(webhook.source, what, copy_of=found.delivery_id, sender=sender)
                then(Receipt(found.delivery_id, "duplicate"))

        self._copies.look(webhook, on_found)

    def _sender(self, peer: str | None, headers: Sequence[tuple[bytes, bytes]]) -> str:
        return limited_address(self._proxies.sender(peer, headers))

    def refuse(self, source: str, reason: str, headers: Sequence[tuple[bytes, bytes]], peer: str | None) -> None:
        """Count and remember a request that is refused for another cause than its signature."""
        self._count_refusal(source, reason).inc()
        self._remember(source, reason, sender=lambda: self._sender(peer, headers))

    def close(self) -> None:
        """Let go of the threads that look at copies."""
        self._copies.close()

    def _count(self, source: str, verified: Verified, number: int) -> Receipt:
        """Count what was stored, and wake routing."""
        self._metrics.last_deliveries[source] = self._clock()
        receipt = Receipt(delivery_text(number), "accepted")
        if verified.is_stale:
            self._report_stale(source, receipt.delivery_id)
        self._counted[source, "stale" if verified.is_stale else "accepted"].inc()
        self._on_accepted()
        return receipt

    def _report_stale(self, source: str, delivery_id: str) -> None:
        """Tell of one that is kept aside: routing, which tells of every other one, will not see it."""
        reason = Reason.TIMESTAMP_TOO_OLD
        _log.warning(
            "delivery_stale", delivery_id=delivery_id, source=source, reason=str(reason), next_step=reason.next_step
        )

    def _verify(self, source: str, headers: Sequence[tuple[bytes, bytes]], body: bytes, peer: str | None) -> Verified:
        """Check the signature, then where it comes from: so the reason tells a forger from a thief of the secret."""
        configured = self._sources[source]
        try:
            verified = self._check_signature(configured, headers, body)
            if verified.is_stale and not configured.keeps_stale:
                raise Refused(Reason.TIMESTAMP_TOO_OLD)
            if configured.origin is not None:
                problem = configured.origin.problem(self._proxies, peer, headers)
                if problem is not None:
                    raise Refused(problem)
        except KeysUnavailable as unavailable:
            self.refuse(source, str(unavailable.reason), headers, peer)
            self._tell(source, unavailable.reason, self._sender(peer, headers))
            raise
        except Refused as refused:
            sender = self._sender(peer, headers)
            keys = () if refused.reason in _NO_KEY_TRIED else self._tried[source]
            self._remember(source, str(refused.reason), sender=lambda: sender, keys=keys, body=body)
            self._refused(source, refused.reason, sender)
            raise
        self._verified[source, verified.key_id].inc()
        return verified

    def _check_signature(self, source: Source, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Verified:
        """Verify; raises Refused, or KeysUnavailable where a key set that is being fetched decides."""
        now = self._clock()
        try:
            return source.verifier.verify(headers, body, now)
        except KeyUnknown as unknown:
            if self._is_expected(source.name, unknown.keys):
                raise KeysUnavailable(str(unknown)) from None
            # The set that lacked the key may have been replaced between the two questions.
            return source.verifier.verify(headers, body, now)

    def _refused(self, source: str, reason: Reason, sender: str) -> None:
        """Count every refusal, but log one kind at most every few seconds: an attacker must not fill the log.

        Raises TooMany for an address that earns too many. Its signature was tried all the same: behind a proxy that
        is not listed everybody has one address, and an honest sender must not pay for its neighbours.
        """
        wait = self._quotas[source].take_refusal(sender, time.monotonic())
        self._count_refusal(source, "refusal_limit" if wait else str(reason)).inc()
        self._tell(source, reason, sender)
        if wait:
            raise TooMany("refusal_limit", wait)

    def _tell(self, source: str, reason: Reason, sender: str) -> None:
        now = self._clock()
        if now - self._logged.get((source, reason), 0.0) >= _QUIET_SECONDS:
            self._logged[(source, reason)] = now
            _log.warning("refused", source=source, reason=str(reason), sender=sender, next_step=reason.next_step)


def _kept(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the few headers worth keeping for people, as JSON; never a signature, a cookie or a token."""
    return _as_json(tuple([header for header in headers if header[0] in _KEPT_HEADERS]))


@lru_cache(maxsize=256)
def _as_json(headers: tuple[tuple[bytes, bytes], ...]) -> str:
    """Spell headers as JSON; one sender's are nearly always the same."""
    return json.dumps({name.decode(): value[:_HEADER_LENGTH].decode("latin-1") for name, value in headers})
