"""The last day in numbers: what came and what became of it, hour by hour."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Started:
    """What became of the triggers of one route: how many fired, failed or did else; and when the last was made."""

    last_at: datetime
    fired: int = 0
    failed: int = 0
    others: int = 0


@dataclass(frozen=True, slots=True)
class Hour:
    """Webhooks taken in, and what became of the triggers made in that hour.

    `ready_seconds`: from a webhook to the end of the DAG run that succeeded, the median; None if none has.
    `may_change`: a trigger of it waits or has failed, or a DAG run goes on.
    """

    begin_at: datetime
    accepted: int = 0
    fired: int = 0
    failed: int = 0
    ready_seconds: float | None = None
    may_change: bool = False
    by_route: Mapping[str, Started] = field(default_factory=dict)
