"""What waits, and since when."""

from dataclasses import dataclass
from datetime import datetime

from bridge.words.model import DeliveryState, TriggerState
from bridge.words.reasons import Reason


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much waits in one state, at one place, for one reason; and since when the oldest of it."""

    state: DeliveryState | TriggerState
    amount: int
    oldest_at: datetime
    source: str = ""  # of deliveries
    airflow: str = ""  # of triggers
    reason: Reason | None = None

    @property
    def is_meant(self) -> bool:
        """Whether a person paused it, or its route lets it wait for a paused DAG. Both have an alert of their own."""
        return self.reason in (Reason.PAUSED_BY_PERSON, Reason.DAG_PAUSED)
