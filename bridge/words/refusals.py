"""What is kept of a request that started nothing at the door: one that was refused, or a copy. Never its body."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class RefusalKind(StrEnum):
    """Refused requests and copies have a ring each, so that a flood of one leaves the other alone."""

    REFUSED = "refused"
    COPY = "copy"


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
