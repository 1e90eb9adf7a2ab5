"""When to look at an open DAG run again, which runs are asked for together, and what a look means. Pure.

One list request covers a stretch of time: Airflow filters by when runs were made, and by no list of ids. So the runs of
one request are those made near to the one that is due longest.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from bridge.words.runs import OpenRun, Progress, RunSeen, RunState

LONGEST_PAUSE_SECONDS = 300.0  # the clock's chore takes what is due later than this for a mistake
_PART_OF_AGE = 0.1  # so the end of a run is noticed late by a tenth of its age
_BEFORE = timedelta(seconds=120)  # around a run that was not seen yet: its call took time, and clocks differ
_AFTER = timedelta(seconds=60)
_EXACT = timedelta(seconds=1)
_WORDS: Mapping[str, RunState] = {str(s): s for s in (*RunState,) if s not in (RunState.DELETED, RunState.UNKNOWN)}


def pause_seconds(age_seconds: float, *, interval_seconds: float) -> float:
    """Return how long to leave a run of this age alone: an interval at first, a tenth of its age later."""
    return max(interval_seconds, min(age_seconds * _PART_OF_AGE, LONGEST_PAUSE_SECONDS))


def made_about(run: OpenRun) -> datetime:
    """Return when a run was made: as Airflow said, or when the bridge was told that it exists."""
    return run.run_after or run.fired_at


def together(due: Sequence[OpenRun], *, span: timedelta) -> list[OpenRun]:
    """Return those of the due runs, longest due first, that one request covers: made within `span` of the first."""
    if not due:
        return []
    first = made_about(due[0])
    return [run for run in due if abs(made_about(run) - first) <= span / 2]


def stretch(runs: Sequence[OpenRun]) -> tuple[datetime, datetime]:
    """Return from when to when these runs can have been made by Airflow's clock."""
    since = min(made_about(run) - (_EXACT if run.run_after else _BEFORE) for run in runs)
    until = max(made_about(run) + (_EXACT if run.run_after else _AFTER) for run in runs)
    return since, until


def progress(run: OpenRun, seen: RunSeen, *, now: datetime, interval_seconds: float, give_up: timedelta) -> Progress:
    """Return what Airflow's word on a run means. A word that the bridge does not know changes nothing.

    A run with a stranger's conf is not ours: ours was deleted, and somebody has started another under its id.
    """
    if _is_strangers(run, seen):
        return gone(run, now=now)
    state = _WORDS.get(seen.state, run.state)
    started_at = seen.started_at or run.started_at
    run_after = seen.run_after or run.run_after
    if state in (RunState.SUCCESS, RunState.FAILED):
        return Progress(run, state, run_after, started_at, seen.ended_at or now, None)
    if is_over(run, now=now, give_up=give_up):
        return Progress(run, RunState.UNKNOWN, run_after, started_at, now, None)
    return Progress(run, state, run_after, started_at, None, _next(run, now, interval_seconds))


def _is_strangers(run: OpenRun, seen: RunSeen) -> bool:
    """Whether the conf was really read and names another trigger, or none. An empty or masked one says nothing."""
    if run.is_copys or not seen.conf:
        return False
    marker = seen.conf.get("planasonix", {})
    if not isinstance(marker, Mapping):
        return False
    trigger_id = marker.get("trigger_id")
    return trigger_id != run.trigger_id and (trigger_id is None or str(trigger_id).startswith("trg_"))


def gone(run: OpenRun, *, now: datetime) -> Progress:
    """Return what it means that Airflow has no such run."""
    return Progress(run, RunState.DELETED, run.run_after, run.started_at, now, None)


def unseen(run: OpenRun, *, now: datetime, interval_seconds: float, give_up: timedelta) -> Progress:
    """Return what it means that Airflow does not tell of one run (it may not be read, say): later, or never."""
    if is_over(run, now=now, give_up=give_up):
        return Progress(run, RunState.UNKNOWN, run.run_after, run.started_at, now, None)
    return Progress(run, run.state, run.run_after, run.started_at, None, _next(run, now, interval_seconds))


def passed_over(run: OpenRun, *, now: datetime, give_up: timedelta) -> Progress:
    """Return what it means that a run is missing and there was no time to ask for it: still due, behind all others."""
    if is_over(run, now=now, give_up=give_up):
        return Progress(run, RunState.UNKNOWN, run.run_after, run.started_at, now, None)
    return Progress(run, run.state, run.run_after, run.started_at, None, now)


def is_over(run: OpenRun, *, now: datetime, give_up: timedelta) -> bool:
    """Whether a run has been watched for long enough."""
    return now - run.fired_at >= give_up


def _next(run: OpenRun, now: datetime, interval_seconds: float) -> datetime:
    age = (now - run.fired_at).total_seconds()
    return now + timedelta(seconds=pause_seconds(age, interval_seconds=interval_seconds))
