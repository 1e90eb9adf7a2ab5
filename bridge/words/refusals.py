"""What is kept of a request that started nothing at the door: one that was refused, or a copy. Never its body."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bridge.words.reasons import Reason

DOUBTFUL_COPIES = (Reason.SAME_BODY, Reason.URL_CONFLICT)


class RefusalKind(StrEnum):
    """Refused requests and copies have a ring each, so that a flood of one leaves the other alone.

    So have copies that may have been another event: they need a person, and plain ones come by the thousand.
    """

    REFUSED = "refused"
    COPY = "copy"
    DOUBTFUL = "doubtful"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One request.

    `sender` is the address that it counts for (an IPv6 network). `keys` are the keys that were tried, each as
    `id:fingerprint`. `fingerprint` is the SHA-256 of the body. `delivery_id` is what a copy is a copy of.
    """

    at: datetime
    kind: RefusalKind
    source: str
    reason: str
    sender: str | None = None
    keys: tuple[str, ...] = ()
    fingerprint: str | None = None
    delivery_id: str | None = None
    id: str = ""
