"""A subscription: what Planasonix sends where, as its API shows it."""

from dataclasses import dataclass
from datetime import datetime

from bridge.words.targets import Secret


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription. `secret` is there in the answer to creating it or to a new secret, and never again.

    `failures`: how many deliveries failed in the last 24 hours. None: the API does not say.
    """

    id: str
    url: str
    events: tuple[str, ...] = ()
    is_enabled: bool | None = None
    created_at: datetime | None = None
    last_delivery_at: datetime | None = None
    failures: int | None = None
    secret: Secret | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """One try of Planasonix to deliver a webhook."""

    id: str | None
    event: str | None
    status: str | None
    http_status: int | None
    error: str | None
    at: datetime | None
