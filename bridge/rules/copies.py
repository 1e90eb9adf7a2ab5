"""Whether a webhook under a key that is taken is a copy of the stored one. Pure.

    the same body                            a copy; without an event id, and a signed message id, only for a while:
                                             then nothing else tells two events with the same bytes apart
    another body under the same event id     no copy: stored beside, and judged by routing
    the event was erased                     a copy, since its body can be compared no more

What is not signed takes no part: neither the timestamp alone nor the pipeline of the URL. Each answer that starts
nothing is said, and what differs is said as a warning.
"""

from dataclasses import dataclass
from enum import Enum

from bridge.words.model import Delivery, DeliveryState
from bridge.words.reasons import Reason

# States out of which the same webhook, sent again, is routed again: the mapping may be mended by now.
_ROUTED_AGAIN = (DeliveryState.UNROUTED, DeliveryState.INVALID)
# Why it is `ignored`, if nobody knew how it ended: the words of the source or its API may be mended by now.
END_UNKNOWN = (Reason.STATUS_UNKNOWN, Reason.NO_COMPLETION, Reason.LOOKUP_FAILED, Reason.LOOKUP_NOT_FOUND)


class Kind(Enum):
    """What a webhook under a taken key is."""

    COPY = "copy"
    ANOTHER_BODY = "another_body"
    SAME_BODY_AGAIN = "same_body_again"


@dataclass(frozen=True, slots=True)
class Sent:
    """A webhook under a key that is taken. `kept`: what would be stored of its body."""

    kept: bytes
    has_id: bool  # an event id, or the message id under which the other one is stored too
    received_at: float  # Unix seconds
    signed_at: int | None
    is_stale: bool
    path_pipeline_id: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows for a webhook, and what a person must know of it."""

    kind: Kind
    routes_again: bool = False
    is_too_old: bool = False  # it would be routed again, but for its old timestamp: whoever caught it may send it too
    url_differs: bool = False
    instant_differs: bool = False  # only the time between them makes it a copy, and it was signed at another time


def judge(stored: Delivery, sent: Sent, *, same_body_seconds: float) -> Verdict:
    """Return what a webhook is that came under the key of a stored delivery."""
    if sent.has_id and stored.erased_at is None and (stored.locked is not None or stored.body != sent.kept):
        return Verdict(Kind.ANOTHER_BODY)
    if not sent.has_id and sent.received_at - stored.received_at.timestamp() >= same_body_seconds:
        return Verdict(Kind.SAME_BODY_AGAIN)
    signed_at = None if stored.signed_at is None else int(stored.signed_at.timestamp())
    may_differ = _may_differ_now(stored) and stored.erased_at is None
    return Verdict(
        Kind.COPY,
        routes_again=may_differ and not sent.is_stale,
        is_too_old=may_differ and sent.is_stale,
        url_differs=stored.path_pipeline_id != sent.path_pipeline_id,
        instant_differs=not sent.has_id and signed_at != sent.signed_at,
    )


def _may_differ_now(stored: Delivery) -> bool:
    """Whether routing might find something to start by now."""
    is_open = stored.state is DeliveryState.IGNORED and stored.reason in END_UNKNOWN
    return is_open or stored.state in _ROUTED_AGAIN
