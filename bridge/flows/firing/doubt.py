"""A trigger that is to end without its DAG run, after a call of which nobody knows how it ended.

1. no call of it can have started its DAG run: it ends
2. left alone for a minute after such a call, so that a request that is still on its way has arrived
3. Airflow is asked for the DAG run, and nothing is started. It is there: `fired`. It is not: the trigger ends, and
   the doubt with it. Airflow does not say: as after any call, and asked again
"""

from dataclasses import replace
from datetime import datetime

from bridge.edges.airflow import Airflow
from bridge.words.model import Trigger
from bridge.words.outcomes import Later, Never, Outcome, Superseded, TooLate, as_look
from bridge.words.reasons import Reason

_ARRIVED_SECONDS = 60.0  # longer than any call may take


def unless_started(airflow: Airflow, trigger: Trigger, now: datetime, end: Never | TooLate | Superseded) -> Outcome:
    """Return how a trigger ends, or that its DAG run was started after all."""
    if trigger.doubted_at is None:
        return end
    wait = _ARRIVED_SECONDS - (now - trigger.doubted_at).total_seconds()
    if wait > 0:
        detail = f"{end.reason}; whether a DAG run was started is looked at in a moment"
        wait = min(wait, _ARRIVED_SECONDS)
        return Later(Reason.ANSWER_LOST, detail, wait_seconds=wait, is_free=True, is_look=True)
    found = airflow.look_back(trigger)
    if found is not None:
        return as_look(found)
    return replace(end, is_certain=True) if isinstance(end, Never) else end
