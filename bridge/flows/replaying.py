"""Replay: send deliveries through routing, or triggers to Airflow, once more. The command line and the API share it.

Two steps, so that a person sees the count before anything moves: `select` says what a filter means, `replay`
does it, each item in its own transaction together with its line of the audit log. The DAG run id stays the same,
so a replay cannot run twice what has run, unless a new run is asked for.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from bridge.edges.inbox import Inbox, browsing, replays
from bridge.edges.inbox.replays import Replayed
from bridge.words.errors import BadFilter
from bridge.words.model import DeliveryState, TriggerState

_PAGE = 500
MOST = 100_000


@dataclass(frozen=True, slots=True)
class Order:
    """Who replays what and why."""

    ids: Sequence[str]
    actor: str
    is_new_run: bool = False
    reason: str | None = None


def select(inbox: Inbox, wanted: browsing.Filter) -> list[str]:
    """Return the ids that a filter means, oldest first; a state of deliveries selects those, else triggers."""
    state = wanted.state
    if state is None and wanted.delivery_id is None:
        raise BadFilter("say which state to replay, e.g. --state failed or --state unrouted")
    if state not in set(DeliveryState) | set(TriggerState) | {None}:
        raise BadFilter(f"no such state: {state}")
    found: list[str] = []
    page = wanted
    while len(found) < MOST:
        ids = _page(inbox, page, is_of_deliveries=state in set(DeliveryState))
        found.extend(ids)
        if len(ids) < _PAGE:
            break
        page = replace(wanted, after=ids[-1])
    return found[::-1]


def _page(inbox: Inbox, wanted: browsing.Filter, *, is_of_deliveries: bool) -> list[str]:
    if is_of_deliveries:
        return [delivery.id for delivery in inbox.read(browsing.deliveries, wanted=wanted, limit=_PAGE)]
    return [trigger.id for trigger in inbox.read(browsing.triggers, wanted=wanted, limit=_PAGE)]


def replay(
    inbox: Inbox,
    order: Order,
    *,
    on_progress: Callable[[int], None] = lambda _: None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Counter[Replayed]:
    """Replay each id; returns how many ended how. Raises NotThere at the first id that is not stored."""
    outcomes: Counter[Replayed] = Counter()
    for done, id_ in enumerate(order.ids, start=1):
        outcome = inbox.write(
            replays.replay,
            id_,
            actor=order.actor,
            reason=order.reason,
            new_id=inbox.new_trigger_id() if order.is_new_run else None,
            now=clock(),
        )
        outcomes[outcome] += 1
        on_progress(done)
    return outcomes
