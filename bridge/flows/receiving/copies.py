"""What comes under a key that is taken: looked at here, beside the hot insert, which knows keys only.

    1. read what is stored under the key, and judge (bridge.rules.copies)
    2. a copy         200 `duplicate`; if nothing matched what is stored, or it could not be read, it is routed again
       another body   stored beside, under a key with the body's digest: 202
       the same body  stored anew; it is the one that the key leads to from now on: 202
    3. whoever was quicker with the same webhook has stored it: then it is a copy after all

Reading and writing run in threads of their own, few and bounded; only inserts go through the event loop, where every
webhook is answered. Each answer is logged with the delivery that it refers to, as a warning where URLs or instants
differ, or where only an old timestamp kept what is stored from being routed again: what starts nothing is never silent.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

import structlog

from bridge.edges.inbox import Inbox, deliveries
from bridge.edges.inbox.engine.ids import delivery_text
from bridge.edges.inbox.engine.intake import Stored
from bridge.edges.metrics import Metrics
from bridge.rules import copies
from bridge.rules.copies import Kind, Sent, Verdict
from bridge.words.errors import InboxUnavailable
from bridge.words.model import Delivery, Verified
from bridge.words.reasons import Reason

_AT_ONCE = 2
_MOST_WAITING = 1024
_MOST_TURNS = 3  # stored, removed by retention, stored by another replica
_log = structlog.get_logger("bridge.receiving")


class Receipt(NamedTuple):
    """The answer to an authentic webhook: `status` is `accepted` or `duplicate`."""

    delivery_id: str
    status: str


class Copy(NamedTuple):
    """A webhook that is a copy of a stored delivery, and the word that says how: see `_say_copy`."""

    delivery_id: str
    what: str


Then = Callable[[Receipt | Copy | Exception], None]


@dataclass(frozen=True, slots=True)
class Webhook:
    """An authentic webhook under a key that is taken by the delivery `number`."""

    source: str
    event_id: str | None
    verified: Verified
    kept: bytes
    path_pipeline_id: str | None
    headers: str
    received_at: float  # Unix seconds
    same_body_seconds: float
    number: int
    is_beside: bool = False
    turn: int = 0


class Copies:
    """Judges webhooks under a taken key; one for the whole process."""

    def __init__(self, *, inbox: Inbox, metrics: Metrics, on_accepted: Callable[[], None]) -> None:
        """`on_accepted` wakes routing."""
        self._inbox = inbox
        self._metrics = metrics
        self._on_accepted = on_accepted
        self._waiting = 0  # counted by the event loop alone
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="copies")

    def close(self) -> None:
        """End; whoever waits has nobody to answer any more."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def look(self, webhook: Webhook, then: Then) -> None:
        """Find out what a webhook is; `then` is told on this event loop, once it is durable or known to be a copy."""
        if self._waiting >= _MOST_WAITING or webhook.turn >= _MOST_TURNS:
            then(InboxUnavailable("too many copies wait"))
            return
        self._run(lambda: self._judge(webhook), lambda found: self._follow(webhook, found, then), then)

    def _run(self, work: Callable[[], object], follow: Callable[[object], None], then: Then) -> None:
        """Run something in a thread, then go on with its result on this event loop."""
        loop = asyncio.get_running_loop()
        self._waiting += 1

        def end(result: object) -> None:
            self._waiting -= 1
            if isinstance(result, Exception):
                then(result)
            else:
                follow(result)

        def work_and_end() -> None:
            try:
                result = work()
            except InboxUnavailable as unavailable:
                result = unavailable
            except Exception as error:  # noqa: BLE001 - whatever it is, the sender gets an answer and sends again
                _log.exception("copy_failed")
                self._metrics.failures.labels("copies").inc()
                result = InboxUnavailable(type(error).__name__)
            with suppress(RuntimeError):  # the event loop is closed: nobody waits for the answer
                loop.call_soon_threadsafe(end, result)

        self._threads.submit(work_and_end)

    def _judge(self, webhook: Webhook) -> Verdict | Copy:
        """Judge a webhook by what is stored, route that again if need be, and say so."""
        stored = self._inbox.read(deliveries.get, delivery_text(webhook.number))
        if stored is None:  # retention removed it meanwhile
            return Verdict(Kind.SAME_BODY_AGAIN)
        sent = Sent(
            kept=stored.body if webhook.is_beside else webhook.kept,  # there the key has the body's digest
            has_id=webhook.is_beside or self._has_id(webhook),
            received_at=webhook.received_at,
            signed_at=webhook.verified.signed_at,
            is_stale=webhook.verified.is_stale,
            path_pipeline_id=webhook.path_pipeline_id,
        )
        verdict = copies.judge(stored, sent, same_body_seconds=webhook.same_body_seconds)
        if verdict.kind is Kind.COPY:
            return Copy(stored.id, self._say_copy(webhook, stored, verdict))
        return verdict

    def _has_id(self, webhook: Webhook) -> bool:
        """Whether an id and not only the bytes led to what is stored."""
        if webhook.event_id is not None:
            return True
        message_id = webhook.verified.message_id
        return message_id is not None and self._inbox.read(
            deliveries.has_message_id, webhook.number, source=webhook.source, message_id=message_id
        )

    def _say_copy(self, webhook: Webhook, stored: Delivery, verdict: Verdict) -> str:
        """Route again what the same webhook may be for, count, and log. Returns the word that it is counted under."""
        is_routed = verdict.routes_again and self._inbox.write(deliveries.route_again, stored.id, now=datetime.now(UTC))
        if is_routed:
            self._on_accepted()
        reason = None
        if verdict.url_differs:
            reason = Reason.URL_CONFLICT
        elif verdict.instant_differs:
            reason = Reason.SAME_BODY
        what = str(reason) if reason else "routed_again" if is_routed else "copy"
        self._metrics.copies.labels(webhook.source, what).inc()
        next_step = reason.next_step if reason else None
        if next_step is None and verdict.is_too_old:
            next_step = f"Its timestamp is too old to route it again: planasonix-bridge replay {stored.id}"
        say = _log.info if next_step is None else _log.warning
        say(
            "webhook_is_a_copy",
            delivery_id=stored.id,
            source=webhook.source,
            event_id=webhook.event_id,
            is_routed_again=is_routed,
            reason=str(reason) if reason else None,
            next_step=next_step,
        )
        return what

    def _follow(self, webhook: Webhook, found: object, then: Then) -> None:
        if isinstance(found, Copy):
            then(found)
            return
        assert isinstance(found, Verdict)  # noqa: S101 - what `_judge` returned
        verdict = found
        is_beside = webhook.is_beside or verdict.kind is Kind.ANOTHER_BODY

        def on_stored(stored: Stored | Exception) -> None:
            if isinstance(stored, Exception):
                then(stored)
            elif not stored[1]:
                self.look(replace(webhook, number=stored[0], is_beside=is_beside, turn=webhook.turn + 1), then)
            else:
                self._say_stored(webhook, verdict.kind, stored[0])
                then(Receipt(delivery_text(stored[0]), "accepted"))

        try:
            self._inbox.accept(
                source=webhook.source,
                event_id=webhook.event_id,
                verified=webhook.verified,
                kept=webhook.kept,
                path_pipeline_id=webhook.path_pipeline_id,
                headers=webhook.headers,
                then=on_stored,
                is_beside=is_beside,
                after=webhook.number if verdict.kind is Kind.SAME_BODY_AGAIN else 0,
            )
        except InboxUnavailable as unavailable:
            then(unavailable)

    def _say_stored(self, webhook: Webhook, kind: Kind, number: int) -> None:
        """Count and log what is no copy."""
        self._metrics.copies.labels(webhook.source, kind.value).inc()
        say = _log.warning if kind is Kind.ANOTHER_BODY else _log.info
        say(
            "webhook_is_no_copy",
            kind=kind.value,
            delivery_id=delivery_text(number),
            source=webhook.source,
            event_id=webhook.event_id,
            stands_beside=delivery_text(webhook.number),
        )
