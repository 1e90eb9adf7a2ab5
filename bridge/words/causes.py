"""The words of a group: triggers that failed or are held, DAG runs or deliveries that went wrong, for one cause."""

from dataclasses import dataclass
from datetime import datetime

from bridge.words.model import DeliveryState, TriggerState
from bridge.words.reasons import Reason
from bridge.words.runs import RunState

LOOKUPS_GIVEN_UP = (Reason.LOOKUP_FAILED, Reason.LOOKUP_NOT_FOUND)  # routed without what the API would have said


@dataclass(frozen=True, slots=True)
class Group:
    """All that stands still for one reason, of one route, DAG and Airflow.

    `run_state` is set for `fired` triggers whose DAG runs went wrong. `oldest_at` and `newest_at` are when its first
    and its last trigger were made; `example` is the last. `first_at` and `last_at` are when the first and the last of
    them came to be so: a run may fail, and a trigger be replayed, days after it was made. `reason_word` is the reason
    as it is stored: a newer release may have written one that this release does not know.
    """

    state: TriggerState
    run_state: RunState | None
    reason: Reason | None
    route: str
    dag_id: str
    airflow: str
    count: int
    oldest_at: datetime
    newest_at: datetime
    example: str
    first_at: datetime
    last_at: datetime
    reason_word: str | None = None


@dataclass(frozen=True, slots=True)
class Causes:
    """Groups, the largest first. `is_whole`: they count all that is stored, not the newest of it alone."""

    groups: tuple[Group, ...]
    is_whole: bool


@dataclass(frozen=True, slots=True)
class Odd:
    """Deliveries of one source that start nothing, for one reason; the newest of them is the `example`.

    `oldest_at` is when the oldest came, `newest_at` when the last was judged so: a paused source waits for that.
    """

    state: DeliveryState
    reason: Reason | None
    source: str
    count: int
    oldest_at: datetime
    newest_at: datetime
    example: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Requests of one source that were refused, or taken for copies, for one reason.

    `example`: a delivery that they are copies of.
    """

    source: str
    reason: str
    count: int
    oldest_at: datetime
    newest_at: datetime
    example: str | None = None
