"""When a DAG is looked at, and what a look means. Pure.

A DAG is back when it was gone and is there, or was not `ok` and is. A DAG that is looked at for the first time counts
as back, since nobody knows what it was before. What is held for it is then set free. If it goes while that is under
way, what is left is held on by its clock, and set free from the first on when it is back.

`hold_at_most` is measured by the DAG's own clock (`away_seconds`). It adds up the time between looks while something is
held for the DAG, a few minutes at most each. So an Airflow that cannot be asked, a stopped bridge and a clock that is
set use nothing of it up.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from bridge.words.dags import GONE, DagState, KnownDag

KEEN_PART = 6  # a DAG that is waited for is looked at so many times as often
_WARNED_SECONDS = 86_400.0
_LONGEST_GAP_SECONDS = 120.0
NEARLY = 0.9  # a loop turns a little later each time; what is due in a moment is due
_AHEAD = timedelta(seconds=60)  # a look further in the future was noted by a wrong clock


def is_due(known: KnownDag | None, *, now: datetime, seconds: float) -> bool:
    """Whether a DAG is to be looked at again, `seconds` after the last look."""
    if known is None or known.read_at > now + _AHEAD:
        return True
    return now - known.read_at >= timedelta(seconds=seconds) * NEARLY


def due(
    names: Collection[str], keen: Collection[str], known: Mapping[str, KnownDag], *, now: datetime, seconds: float
) -> list[str]:
    """Return which DAGs are to be looked at, those that something waits for first, then the longest unseen."""
    wanted = {name: seconds / KEEN_PART if name in keen else seconds for name in (*names, *keen)}
    found = [name for name, every in wanted.items() if is_due(known.get(name), now=now, seconds=every)]
    return sorted(found, key=lambda name: (name not in keen, name in known and known[name].read_at.timestamp(), name))


def seen(
    airflow: str,
    dag_id: str,
    state: DagState,
    before: KnownDag | None,
    *,
    now: datetime,
    seconds: float,
    is_held: bool,
) -> KnownDag:
    """Return what is known of a DAG after a look that found this state.

    `seconds` are usual between two looks; `is_held`: something is held for it.
    """
    if before is None:
        freed = None if state in GONE else 0
        return KnownDag(airflow, dag_id, state, now, now, freed=freed)
    away, freed = before.away_seconds, None if state in GONE else before.freed
    if is_held:
        gap = (now - before.read_at).total_seconds()
        away += max(0.0, min(gap, max(_LONGEST_GAP_SECONDS, 2 * seconds)))
    return replace(
        before,
        state=state,
        since=before.since if state is before.state else now,
        read_at=now,
        away_seconds=away,
        freed=0 if is_back(before.state, state) else freed,
    )


def warned_after(hold_seconds: float) -> float:
    """Return after how long a hold is warned of: a day before its end, or half of a hold that is short."""
    return hold_seconds - warned_before(hold_seconds)


def warned_before(hold_seconds: float) -> float:
    """Return how long before its end a hold is warned of."""
    return min(_WARNED_SECONDS, hold_seconds / 2)


def is_back(before: DagState, state: DagState) -> bool:
    """Whether something that was held for a DAG can go on."""
    if before in GONE:
        return state not in GONE
    return before is not DagState.OK and state is DagState.OK


def goes_first(trigger_id: str) -> str:
    """Return what a person reads of an older trigger of which the route wants the latest."""
    return f"the DAG is back; {trigger_id} is newer and goes first"
