"""A trigger whose `deadline` has passed: it is not started any more, but what may have been started is settled first.

    1. in time: it is fired as always
    2. late, and no call of it can have started its DAG run: cancelled, without a call
    3. late, after a call of which nobody knows how it ended: left alone for a minute, so that a request that is still
       on its way has arrived; then Airflow is asked for the DAG run, and nothing is started. It is there: `fired`. It
       is not: cancelled. Airflow does not say: as after any call, and asked again.

Mostly the sweep (bridge.chores.deadlines) is quicker: it cancels what is late and in no doubt.
"""

from datetime import datetime

from bridge.edges.airflow import Airflow
from bridge.words.model import Trigger
from bridge.words.outcomes import Later, Outcome, TooLate
from bridge.words.reasons import Reason

_ARRIVED_SECONDS = 60.0  # longer than any call may take


def fire_in_time(airflow: Airflow, trigger: Trigger, now: datetime) -> Outcome:
    """Fire a trigger, or find out what became of it if it is too late for that."""
    if not trigger.is_late(now):
        return airflow.fire(trigger)
    if trigger.doubted_at is None:
        return TooLate()
    wait = _ARRIVED_SECONDS - (now - trigger.doubted_at).total_seconds()
    if wait > 0:
        detail = "its deadline has passed; whether a DAG run was started is looked at in a moment"
        return Later(Reason.ANSWER_LOST, detail, wait_seconds=min(wait, _ARRIVED_SECONDS), is_free=True)
    return airflow.look_back(trigger) or TooLate()
