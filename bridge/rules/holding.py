"""When a DAG is looked at, and what a look means. Pure.

A DAG is back when it was gone and is there, or was not `ok` and is. A DAG that is looked at for the first time counts
as back, since nobody knows what it was before. That is kept (`freed`), and nothing acts on it yet.

`away_seconds` is a clock of the DAG's own. It adds up the time between looks that found the DAG away, a few minutes at
most each. So an Airflow that cannot be asked, a stopped bridge and a clock that is set add nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from bridge.words.dags import GONE, DagState, KnownDag

KEEN_PART = 6  # a DAG that is waited for is looked at so many times as often
_LONGEST_GAP_SECONDS = 120.0
_NEARLY = 0.9  # a loop turns a little later each time; what is due in a moment is due
_AHEAD = timedelta(seconds=60)  # a look further in the future was noted by a wrong clock


def is_due(known: KnownDag | None, *, now: datetime, seconds: float) -> bool:
    """Whether a DAG is to be looked at again, `seconds` after the last look."""
    if known is None or known.read_at > now + _AHEAD:
        return True
    return now - known.read_at >= timedelta(seconds=seconds) * _NEARLY


def due(
    names: Collection[str], keen: Collection[str], known: Mapping[str, KnownDag], *, now: datetime, seconds: float
) -> list[str]:
    """Return which DAGs are to be looked at, those that something waits for first, then the longest unseen."""
    wanted = {name: seconds / KEEN_PART if name in keen else seconds for name in (*names, *keen)}
    found = [name for name, every in wanted.items() if is_due(known.get(name), now=now, seconds=every)]
    return sorted(found, key=lambda name: (name not in keen, name in known and known[name].read_at.timestamp(), name))


def seen(
    airflow: str, dag_id: str, state: DagState, before: KnownDag | None, *, now: datetime, seconds: float
) -> KnownDag:
    """Return what is known of a DAG after a look that found this state; `seconds` are usual between two looks."""
    if before is None:
        freed = None if state in GONE else 0
        return KnownDag(airflow, dag_id, state, now, now, freed=freed)
    away = before.away_seconds
    if DagState.OK not in (before.state, state):
        gap = (now - before.read_at).total_seconds()
        away += max(0.0, min(gap, max(_LONGEST_GAP_SECONDS, 2 * seconds)))
    return replace(
        before,
        state=state,
        since=before.since if state is before.state else now,
        read_at=now,
        away_seconds=away,
        freed=0 if is_back(before.state, state) else before.freed,
    )


def is_back(before: DagState, state: DagState) -> bool:
    """Whether something that was held for a DAG can go on."""
    if before in GONE:
        return state not in GONE
    return before is not DagState.OK and state is DagState.OK
